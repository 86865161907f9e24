"""Tokens: real signatures, and everything that is wrong with some of them."""

import asyncio
import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from api.access import NEEDED, Caller
from api.security.authentication import AT_ONCE, Doorkeeper
from api.security.keyring import Keyring
from api.security.keys import Keys
from api.security.limits import Rates
from api.security.oidc import InvalidTokenError, Issuer, NoAccessError, UnknownKeyError
from api.security.sessions import Sessions
from api.settings import Limits, Oidc
from api.web.problems import Problem

ISSUER, AUDIENCE = "https://login.example/", "planner"


class Signer:
    """The provider: keys by id, and tokens signed with them."""

    def __init__(self) -> None:
        self.private: dict[str, Any] = {"rsa": rsa.generate_private_key(65537, 2048)}
        self.private["ec"] = ec.generate_private_key(ec.SECP256R1())

    def published(self) -> dict[str, Any]:
        """The public keys, as the provider shows them."""
        found = []
        for key_id, key in self.private.items():
            kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
            found.append(kind.to_jwk(key.public_key(), as_dict=True) | {"kid": key_id, "use": "sig"})
        return {"keys": found}

    def token(self, key_id: str = "rsa", algorithm: str | None = None, headers: Any = None, **claims: Any) -> str:
        """A good token, but for what is said; None leaves a claim out."""
        now = int(time.time())
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now + 60, "iat": now, "org": "acme",
                "groups": ["planners"]}  # fmt: skip
        body = {name: value for name, value in (good | claims).items() if value is not None}
        chosen = algorithm or ("RS256" if key_id.startswith("rsa") else "ES256")
        return jwt.encode(body, self.private[key_id], chosen, {"kid": key_id} | (headers or {}))


SETTINGS = {
    "issuer": ISSUER, "audience": AUDIENCE, "leeway_s": 5, "tenant_claim": "org", "tenants": {"ACME Ltd": "acme"},
    "roles_claim": "groups", "roles": {"planners": "planner", "oncall": "sre"},
}  # fmt: skip


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


@pytest.fixture(scope="module")
def oidc(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> dict[str, Any]:
    """Settings, with the keys in a file."""
    file = tmp_path_factory.mktemp("oidc") / "jwks.json"
    file.write_text(json.dumps(signer.published()))
    return SETTINGS | {"jwks": str(file)}


@pytest.fixture(scope="module")
def issuer(oidc: dict[str, Any]) -> Issuer:
    made = Issuer(Oidc(**oidc))
    made.keys.refresh()
    return made


def test_a_good_token_says_who_asks(issuer: Issuer, signer: Signer) -> None:
    """Its claims give the name, the tenant and the roles; both kinds of keys are believed."""
    for key_id in ("rsa", "ec"):
        caller, until = issuer.caller(signer.token(key_id))
        assert (caller.tenant, caller.name, caller.roles) == ("acme", "user/ann", {"viewer", "planner"})
        assert 60 <= until - time.time() <= 66
    caller, _ = issuer.caller(signer.token(org="ACME Ltd", groups=["oncall", "cooks"], aud=["planner", "other"]))
    assert (caller.tenant, caller.roles) == ("acme", {"viewer", "sre"})
    caller, _ = issuer.caller(signer.token(groups=["cooks", 7, None, ["planners"]]))
    assert caller.roles == set()
    assert issuer.caller(signer.token(exp=int(time.time()) - 2))[0].name == "user/ann"


def b64(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def forged(signer: Signer) -> dict[str, str]:
    """Tokens that nobody may believe, by what is wrong with them."""
    import hashlib
    import hmac

    now, good = int(time.time()), signer.token()
    head, body, signature = good.split(".")
    public = signer.private["rsa"].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    other, stranger = Signer(), {"kid": "rsa", "alg": "HS256", "typ": "JWT"}
    unsigned = {name: f"{b64({'alg': name, 'kid': 'rsa'})}.{body}." for name in ("none", "None", "nOnE", "")}

    def confused(key: bytes) -> str:
        text = f"{b64(stranger)}.{body}"
        return f"{text}.{b64(hmac.new(key, text.encode(), hashlib.sha256).digest())}"

    return {f"unsigned {name}": text for name, text in unsigned.items()} | {
        "expired": signer.token(exp=now - 60),
        "without end": signer.token(exp=None),
        "ends in words": signer.token(exp="never"),
        "not yet": signer.token(nbf=now + 60),
        "issued later": signer.token(iat=now + 3600),
        "other issuer": signer.token(iss="https://login.evil.example/"),
        "issuer without slash": signer.token(iss=ISSUER[:-1]),
        "no issuer": signer.token(iss=None),
        "other audience": signer.token(aud="billing"),
        "no audience": signer.token(aud=None),
        "audience begins alike": signer.token(aud="planner-test"),
        "other key": other.token(),
        "another's key under our id": jwt.encode({"sub": "ann"}, other.private["rsa"], "RS256", {"kid": "rsa"}),
        "unknown key": signer.token(headers={"kid": "nobody"}),
        "no key named": f"{b64({'alg': 'RS256', 'typ': 'JWT'})}.{body}.{signature}",
        "key id a path": signer.token(headers={"kid": "../../etc/passwd"}),
        "public key as secret": confused(pem),
        "empty secret": confused(b""),
        "key of another kind": signer.token("ec", headers={"kid": "rsa"}),
        "algorithm not allowed": signer.token(algorithm="RS512"),
        "key in the token": signer.token(headers={"jwk": other.published()["keys"][0]}, iss="x"),
        "changed body": f"{head}.{b64({'iss': ISSUER, 'aud': AUDIENCE, 'sub': 'root', 'exp': now + 60})}.{signature}",
        "changed signature": f"{head}.{body}.{b64(b'x' * 256)}",
        "no signature": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.x",
        "critical extension": signer.token(headers={"crit": ["exp"], "exp": now}),
        "unencoded": signer.token(headers={"b64": False}),
        "deep": f"{b64(b'[' * 5000)}.{body}.{signature}",
        "long": good + "A" * 20_000,
        "nothing": "",
        "dots": "..",
    }  # fmt: skip


def test_no_forged_token_is_believed(issuer: Issuer, signer: Signer) -> None:
    """Unsigned, confused, expired, misdirected or broken: each is invalid, for a reason that does not quote it."""
    for name, text in forged(signer).items():
        with pytest.raises(InvalidTokenError) as why:
            issuer.caller(text)
        assert len(str(why.value)) < 100, name
        assert text[:20] not in str(why.value) or not text, name


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(max_codepoint=255), max_size=300), st.integers(0, 400), st.characters(max_codepoint=127))
def test_no_changed_token_is_believed(issuer: Issuer, signer: Signer, garbage: str, place: int, letter: str) -> None:
    """Whatever is sent is invalid or, where a change changed nothing, about the same person; never a fault."""
    good = signer.token()
    for text in (garbage, good[:place] + letter + good[place + 1:], good[:place] + garbage):
        try:
            caller, _ = issuer.caller(text)
        except InvalidTokenError:
            continue
        assert caller.name == "user/ann"


@pytest.mark.parametrize("claims", [{"org": None}, {"org": 7}, {"org": "A B"}, {"org": "../x"}, {"org": "*"},
                                    {"sub": "a\nb"}, {"sub": "x" * 300}, {"sub": ""}])  # fmt: skip
def test_a_token_that_names_nobody_gives_no_access(issuer: Issuer, signer: Signer, claims: Any) -> None:
    """A token without a name or a tenant is believed, and of no use."""
    with pytest.raises((NoAccessError, InvalidTokenError)):
        issuer.caller(signer.token(**claims))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"algorithms": ["HS256"]}, "'RS256'"),
        ({"algorithms": ["none"]}, "algorithms.0"),
        ({"algorithms": []}, "algorithms"),
        ({"jwks": "http://login.example/keys"}, "a file or an https address"),
        ({"jwks": "ftp://127.0.0.1/keys"}, "a file or an https address"),
        ({"jwks": "file:///etc/passwd"}, "a file or an https address"),
        ({"jwks": "other.json"}, "no such file"),
        ({"leeway_s": 9000}, "leeway_s"),
        ({"tenant_claim": None}, "give the claim that says it"),
        ({"tenant": "acme"}, "give the claim that says it"),
        ({"tenant_claim": None, "tenant": "a b"}, "tenant"),
        ({"roles": {"x": "root"}}, "roles.x"),
        ({"audiences": ["a"]}, "audiences"),
        ({"audience": ""}, "audience"),
    ],
)
def test_settings_that_would_be_unsafe_are_refused(oidc: dict[str, Any], change: dict[str, Any], says: str) -> None:
    """Shared secrets, keys that anybody on the way can change, and fields that are not known."""
    with pytest.raises(ValidationError) as error:
        Oidc(**oidc | change)
    assert says in str(error.value)


def test_a_secret_among_the_published_keys_is_not_used(signer: Signer, tmp_path: Path) -> None:
    """Shared secrets and private keys that the provider shows by mistake are left out."""
    secret = {"kty": "oct", "kid": "s", "k": b64(b"x" * 32)}
    leaked = jwt.algorithms.RSAAlgorithm.to_jwk(signer.private["rsa"], as_dict=True) | {"kid": "leaked"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [secret, leaked]}))
    issuer = Issuer(Oidc(**SETTINGS, jwks=str(tmp_path / "jwks.json")))
    issuer.keys.refresh()
    with pytest.raises(UnknownKeyError):
        issuer.caller(signer.token(headers={"kid": "leaked"}))


@pytest.fixture
def provider(signer: Signer) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    """A provider's address, what it was asked, and what it shows."""
    asked: list[str] = []
    shown = signer.published()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if shown else 500)
            self.end_headers()
            self.wfile.write(json.dumps(shown).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/keys", asked, shown
    server.shutdown()
    thread.join()
    server.server_close()


def test_keys_from_an_address(provider: Any, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are fetched once and kept; unknown ids cause one more fetch, not one each; an outage changes nothing."""
    address, asked, shown = provider
    issuer = Issuer(Oidc(**SETTINGS, jwks=address))
    with pytest.raises(UnknownKeyError):
        issuer.caller(signer.token())
    issuer.keys.refresh()
    assert issuer.caller(signer.token())[0].name == "user/ann"
    for _ in range(20):
        with pytest.raises(UnknownKeyError):
            issuer.caller(signer.token(headers={"kid": "new"}))
        issuer.keys.refresh()
    assert len(asked) == 1

    monkeypatch.setattr("api.security.oidc.AGAIN_S", 0.0)
    renewed = [{**shown["keys"][0], "kid": "new"}]
    shown["keys"] = renewed
    issuer.keys.refresh()
    assert issuer.caller(signer.token(headers={"kid": "new"}))[0].name == "user/ann"
    with pytest.raises(UnknownKeyError):
        issuer.caller(signer.token())
    shown.clear()
    issuer.keys.refresh()
    assert issuer.caller(signer.token(headers={"kid": "new"}))[0].name == "user/ann"
    monkeypatch.setattr("api.security.oidc.STALE_S", 0.0)
    with pytest.raises(UnknownKeyError):
        issuer.caller(signer.token(headers={"kid": "new"}))


class Watched(Issuer):
    """A provider that notes how many signatures are being checked at a time, and whose."""

    def __init__(self, provider: Oidc) -> None:
        super().__init__(provider)
        self.checked, self.now, self.most, self._lock = list[str](), 0, 0, threading.Lock()

    def caller(self, token: str) -> tuple[Caller, float]:
        with self._lock:
            self.checked.append(token)
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            time.sleep(0.001)
            return super().caller(token)
        finally:
            with self._lock:
                self.now -= 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_forged_tokens_shut_nobody_out(oidc: dict[str, Any], signer: Signer, database: str) -> None:
    """While an address sends more wrong tokens than are borne, each new good token from there is known. Signatures are
    checked of those only that say what they must, a few at a time.
    """
    issuer = Watched(Oidc(**oidc))
    issuer.keys.refresh()
    doorkeeper = Doorkeeper(issuer, Rates(Limits(refused="5/hour")), loopback=False)
    doorkeeper.start(Keyring(Keys(database, "test")), Sessions(database))
    head = signer.token().rpartition(".")[0]
    forged = [f"{head}.{b64(bytes([number]) * 256)}" for number in range(100)]
    wrong = [signer.token(exp=1, jti=str(number)) for number in range(100)]
    good = [signer.token(sub=f"user-{number}") for number in range(50)]

    async def known(token: str) -> str | int:
        headers = [(b"authorization", f"Bearer {token}".encode())]
        try:
            return (await doorkeeper.admitted({"type": "http", "method": "GET", "path": "/v1/plans",
                                               "client": ("203.0.113.7", 1), "headers": headers})).name
        except Problem as problem:
            return problem.status

    async def at_once(tokens: list[str]) -> list[str | int]:
        return await asyncio.gather(*map(known, tokens))

    try:
        found = asyncio.run(at_once([*wrong, *forged, *good]))
    finally:
        doorkeeper.stop()
    assert found[-len(good):] == [f"user/user-{number}" for number in range(50)]
    assert Counter(found[:-len(good)]) == {401: 5, 429: 195}
    assert sorted(issuer.checked) == sorted([*forged, *good])
    assert 1 < issuer.most <= AT_ONCE


def test_tokens_over_http(serve: Any, oidc: dict[str, Any], signer: Signer) -> None:
    """With a provider every request needs a token; nothing of a forged one comes back, whatever the route."""
    service = serve(oidc=oidc, limits={"refused": "100000/second"})

    def ask(token: str, method: str = "GET", path: str = "/v1/plans") -> Any:
        return service.http.request(method, path, headers={"Authorization": f"Bearer {token}"})

    assert service.http.get("/v1/plans").status_code == 401
    assert ask(signer.token()).status_code == 200
    assert ask(signer.token(org="unknown-yet")).status_code == 200
    assert ask(signer.token(groups=[])).status_code == 403
    assert ask(signer.token(org=None)).json()["detail"] == "token: claim org: names no tenant"
    said = set()
    for text in forged(signer).values():
        if text:
            answer = ask(text)
            assert answer.status_code == (431 if len(text) > 65_536 else 401)
            said.add((answer.content, answer.headers["www-authenticate"]))
    assert len(said) == 1
    for (method, path), needed in NEEDED.items():
        if needed is not None:
            assert ask(signer.token(exp=1), method, path.replace("{", "").replace("}", "")).status_code == 401
