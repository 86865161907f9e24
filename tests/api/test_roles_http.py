"""A service with keys: every route with every role and with none, and who is turned away how."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.access import LOCAL, NEEDED, OPERATORS
from api.database.engine import upgrade
from api.roles import ROLES
from api.security.authentication import Doorkeeper
from api.security.keyring import Keyring
from api.security.keys import Keys
from api.security.limits import Rates
from api.security.sessions import Sessions
from api.settings import Limits
from api.web.problems import Problem

HOUR = timedelta(hours=1)


@dataclass
class Guarded:
    """A running service and a key for each role of the tenants `default` and `acme`."""

    served: Any
    keys: dict[tuple[str, str], str]

    def ask(self, method: str, path: str, key: str | None, **more: Any) -> httpx.Response:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        headers |= more.pop("headers", {})
        if path == "/events":  # does not end by itself
            with self.served.http.stream(method, path, headers=headers, **more) as answer:
                if answer.status_code != 200:
                    answer.read()
                return answer
        found: httpx.Response = self.served.http.request(method, path, headers=headers, **more)
        return found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, start: Any, scenarios: Path) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    url = f"sqlite:///{folder / 'planner.sqlite'}"
    upgrade(url)
    store = Keys(url, "test")
    keys = {(tenant, role): store.create(role, [role], tenant, HOUR)[1]
            for tenant in ("default", "acme") for role in ROLES}  # fmt: skip
    keys["default", "expired"] = store.create("old", ["admin"], "default", timedelta(microseconds=1))[1]
    gone, keys["default", "revoked"] = store.create("gone", ["admin"], "default", HOUR)
    store.revoke(gone.id)
    store.close()
    served = start(folder, scenarios=scenarios, limits={"refused": "100000/second"})
    yield Guarded(served, keys)
    served.kill()


def filled(path: str) -> str:
    """An address of a route, of things that are not there."""
    return path.replace("{", "no-").replace("}", "")


@pytest.mark.parametrize("role", sorted(ROLES))
def test_every_route_with_every_role(guarded: Guarded, role: Any) -> None:
    """A role is let in exactly where the table says so; 403 names the role that is needed. Nothing is a fault."""
    for (method, path), needed in NEEDED.items():
        answer = guarded.ask(method, filled(path), guarded.keys["default", role])
        if needed is None or needed in ROLES[role]:
            assert answer.status_code not in (401, 403), (method, path, answer.text)
        else:
            assert answer.status_code == 403, (method, path, answer.text)
            assert answer.json()["detail"] == f"{method} {path}: needs the role {needed}; yours: " + ", ".join(
                sorted(ROLES[role]))
        assert answer.status_code < 500, (method, path, answer.text)


@pytest.mark.parametrize("key", [None, "expired", "revoked", "pk_000000000000_" + "A" * 43, "x", "a.b.c"])
def test_every_route_without_a_valid_key(guarded: Guarded, key: str | None) -> None:
    """Only what anybody may ask is answered; all else is 401 with how to be known, in the same words for every reason.
    """
    sent = guarded.keys.get(("default", key or ""), key)
    for (method, path), needed in NEEDED.items():
        answer = guarded.ask(method, filled(path), sent)
        if needed is None:
            assert answer.status_code not in (401, 403), (method, path)
            continue
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        challenge = 'Bearer realm="planner"' + ("" if key is None else ', error="invalid_token"')
        assert answer.headers["www-authenticate"] == challenge
        words = "nobody is known by this request" if key is None else "the key or token is not valid: unknown, expired"
        assert answer.json()["detail"].startswith(words)


def test_what_tells_of_all_tenants_is_for_who_runs_the_service(guarded: Guarded) -> None:
    """An admin of another tenant is refused, one of the tenant `default` is not."""
    for method, path in OPERATORS:
        assert guarded.ask(method, path, guarded.keys["default", "admin"]).status_code == 200
        answer = guarded.ask(method, path, guarded.keys["acme", "admin"])
        assert answer.status_code == 403
        assert "all tenants" in answer.json()["detail"]


def test_what_is_not_served_is_not_told_to_strangers(guarded: Guarded) -> None:
    """An address or method that is not there is 401 without a key, and 404 or 405 with one."""
    key = guarded.keys["default", "viewer"]
    assert [guarded.ask("GET", "/v1/nothing", who).status_code for who in (None, key)] == [401, 404]
    assert [guarded.ask("DELETE", "/v1/plans", who).status_code for who in (None, key)] == [401, 405]
    assert guarded.ask("HEAD", "/v1/plans", None).status_code == 401


def test_ways_to_send_a_key(guarded: Guarded) -> None:
    """`Bearer` in any case and `X-API-Key` are read; two keys, other schemes and keys in the address are not."""
    key = guarded.keys["default", "viewer"]

    def status(address: str = "/v1/plans", **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return int(guarded.served.http.get(address, headers=named).status_code)

    for good in ({"Authorization": f"Bearer {key}"}, {"Authorization": f"bearer  {key}"}, {"X_API_Key": key}):
        assert status(**good) == 200
    for bad in (f"Basic {key}", key, "Bearer", "", f"Bearer {key} {key}", f"Bearer {key},Bearer {key}"):
        assert status(Authorization=bad) == 401
    assert status(Authorization=f"Bearer {key}", X_API_Key=key) == 401
    assert status(f"/v1/plans?key={key}&access_token={key}") == 401
    assert status(Cookie=f"key={key}") == 401


def test_other_names_and_pages_may_ask_with_a_key(guarded: Guarded) -> None:
    """Where keys are needed, the name of the service that was asked does not matter: no browser sends a key unasked."""
    key, headers = guarded.keys["default", "viewer"], {"Host": "planner.example"}
    assert guarded.ask("GET", "/v1/plans", key, headers=headers).status_code == 200
    assert guarded.ask("GET", "/v1/plans", None, headers=headers).status_code == 401


def test_a_refused_body_is_not_read(guarded: Guarded) -> None:
    """A body that is not JSON is 401 and 403 before it is 400."""
    viewer, planner = guarded.keys["default", "viewer"], guarded.keys["default", "planner"]
    for key, status in ((None, 401), (viewer, 403), (planner, 400)):
        content = {"content": b"{", "headers": {"Content-Type": "application/json"}}
        assert guarded.ask("POST", "/v1/plans", key, **content).status_code == status
    assert guarded.ask("POST", "/v1/plans", None, content=b"x" * 3_000_000).status_code == 401


def test_a_service_that_others_can_reach_is_never_open(database: str) -> None:
    """Without a key it knows nobody, this machine neither."""
    for loopback, known in ((True, True), (False, False)):
        doorkeeper = Doorkeeper(None, Rates(Limits()), loopback=loopback)
        doorkeeper.start(Keyring(Keys(database, "test")), Sessions(database))
        asked = doorkeeper.admitted({"type": "http", "method": "GET", "headers": [(b"host", b"127.0.0.1")]})
        if known:
            assert asyncio.run(asked) == LOCAL
        else:
            with pytest.raises(Problem, match="nobody is known"):
                asyncio.run(asked)
        doorkeeper.stop()


def test_guessed_cookies_shut_nobody_out(database: str) -> None:
    """While an address sends more cookies that are nobody's than are borne, a session from there that this service has
    not seen is known.
    """
    keys, begun = Keys(database, "test"), Sessions(database)
    key, _ = keys.create("ann", ["viewer"], "default", HOUR)
    session = begun.begin(key.id, "default")
    begun.close()
    doorkeeper = Doorkeeper(None, Rates(Limits(refused="5/hour")), loopback=False)
    doorkeeper.start(Keyring(keys), Sessions(database))

    async def known(cookie: str) -> str | int:
        headers = [(b"cookie", f"planner_session={cookie}".encode())]
        try:
            return (await doorkeeper.admitted({"type": "http", "method": "GET", "path": "/v1/plans",
                                               "client": ("203.0.113.7", 1), "headers": headers})).name
        except Problem as problem:
            return problem.status

    async def attacked() -> list[str | int]:
        guesses = [f"{number:043d}" for number in range(40)]
        first = await asyncio.gather(*map(known, guesses[:20]))
        return first + await asyncio.gather(*map(known, [*guesses[20:], session.cookie]))

    try:
        found = asyncio.run(attacked())
    finally:
        doorkeeper.stop()
    assert sorted(found[:-1]) == [401] * 5 + [429] * 35
    assert str(found[-1]).endswith("/ann")


def test_a_new_key_is_known_to_a_running_service(serve: Any, tmp_path: Path) -> None:
    """A service on this machine is open until the first key is made; after the last one was revoked it stays closed."""
    service = serve(tmp_path / "data")
    assert service.http.get("/v1/plans").status_code == 200
    store = Keys(f"sqlite:///{tmp_path / 'data' / 'planner.sqlite'}", "test")
    key, text = store.create("first", ["viewer"], "default", None)
    headers = {"Authorization": f"Bearer {text}"}
    settles(service, 401)
    assert service.http.get("/v1/plans", headers=headers).status_code == 200
    store.revoke(key.id)
    store.close()
    settles(service, 401, headers)
    assert service.http.get("/v1/plans").status_code == 401


def settles(service: Any, status: int, headers: dict[str, str] | None = None) -> None:
    """The answer becomes this one within a few seconds."""
    give_up = time.monotonic() + 10
    while service.http.get("/v1/plans", headers=headers).status_code != status:
        assert time.monotonic() < give_up
        time.sleep(0.05)
