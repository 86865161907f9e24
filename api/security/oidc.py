"""Tokens that an OpenID Connect provider signed: who they are about, and what of it this service believes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from api.access import Caller
from api.database.tenancy import NAME
from api.roles import ROLES
from api.settings import Oidc

if TYPE_CHECKING:
    from jwt import PyJWK
    from jwt.types import Options

FRESH_S, AGAIN_S = 60.0, 10.0
"""How old keys may be before they are fetched again, and how soon at the earliest, whatever is asked."""
STALE_S = 86_400.0
"""How long keys are believed whose source does not answer."""
FETCH_S = 5.0
MOST_TOKEN_BYTES, MOST_LETTERS = 16 * 2**10, 200
_CHECKED: Final[Options] = {"require": ["exp", "iss", "aud"], "verify_exp": True, "verify_nbf": True,
                            "verify_iat": True, "verify_aud": True, "verify_iss": True}
"""What a token must say. PyJWT would look at none of it where it is not to look at the signature."""
KINDS = ("RSA", "EC", "OKP")
"""Keys that come in pairs."""
LOG = structlog.get_logger("api")


class InvalidTokenError(Exception):
    """A token that is not believed; the text says why, for the log only."""


class UnknownKeyError(InvalidTokenError):
    """It is signed by a key that is not known: the provider may have a new one."""


class NoAccessError(Exception):
    """A token that is believed, but says nothing that gives access here; the text may be told to who sent it."""


class Issuer:
    """Believes the tokens of one provider. Start it once."""

    def __init__(self, provider: Oidc) -> None:
        self._provider = provider
        self.keys = SigningKeys(provider.jwks)

    def glance(self, token: str) -> None:
        """Look at all of a token but its signature, which takes the most time. Raises InvalidTokenError as `caller`."""
        self._claims(token, signed=False)

    def caller(self, token: str) -> tuple[Caller, float]:
        """Who a token is about, and until when (seconds since 1970) it may be believed.

        Raises InvalidTokenError for one that is not this provider's, not for this service or not of now, and
        NoAccessError for one that names nobody or no tenant.
        """
        claims = self._claims(token, signed=True)
        return self._known(claims), float(claims["exp"]) + self._provider.leeway_s

    def _claims(self, token: str, *, signed: bool) -> Mapping[str, Any]:
        """What a token says, of this provider, for this service and of now; and whether it is signed, if that is asked.
        """
        import jwt  # cryptography: only a service with a provider waits for it

        provider = self._provider
        if len(token) > MOST_TOKEN_BYTES:
            raise InvalidTokenError("too long")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in provider.algorithms:
                raise InvalidTokenError("signed by an algorithm that is not allowed")
            key = self.keys.key(header.get("kid"), header["alg"])
            claims: Mapping[str, Any] = jwt.decode(
                token, key, algorithms=list(provider.algorithms), audience=provider.audience, issuer=provider.issuer,
                leeway=provider.leeway_s, options={**_CHECKED, "verify_signature": signed})
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise InvalidTokenError(type(error).__name__) from None
        return claims

    def _known(self, claims: Mapping[str, Any]) -> Caller:
        provider = self._provider
        name = _claim(claims, provider.name_claim)
        if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name) <= MOST_LETTERS:
            raise NoAccessError(f"token: claim {provider.name_claim}: 1 to {MOST_LETTERS} printable characters needed")
        said = provider.tenant or _claim(claims, provider.tenant_claim or "")
        tenant = provider.tenants.get(said, said) if isinstance(said, str) else None
        if tenant is None or not NAME.fullmatch(tenant):
            raise NoAccessError(f"token: claim {provider.tenant_claim}: names no tenant")
        groups = _claim(claims, provider.roles_claim)
        listed = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        given = [provider.roles[group] for group in listed if isinstance(group, str) and group in provider.roles]
        return Caller(tenant, f"user/{name}", frozenset().union(*(ROLES[role] for role in given)))


class SigningKeys:
    """The provider's public keys, from a file or an address, looked at again and again. Start it once."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._fetching, self._stopping = threading.Lock(), threading.Event()
        self._looking = threading.Thread(target=self._look, name="signing-keys")
        self._listed: dict[str | None, dict[str, Any]] = {}
        self._made: dict[tuple[str | None, str], PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")

    def start(self) -> None:
        """Look for keys from now on."""
        self._looking.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._looking.join()

    def key(self, key_id: object, algorithm: str) -> PyJWK:
        """The key of an id for an algorithm; a token without an id may use the only key there is.

        Raises UnknownKeyError where there is none, and what PyJWT does for a key that is of another algorithm.
        """
        from jwt import InvalidKeyError, PyJWK

        if key_id is None and len(self._listed) == 1:
            key_id = next(iter(self._listed))
        if not isinstance(key_id, str | None) or key_id not in self._listed:
            raise UnknownKeyError("signed by a key that is not known")
        if time.monotonic() - self._fetched_at > STALE_S:
            raise UnknownKeyError(f"keys were last had {STALE_S:.0f} s ago")
        made = self._made.get((key_id, algorithm))
        if made is None:
            listed = self._listed[key_id]
            if listed.get("alg", algorithm) != algorithm:
                raise InvalidKeyError("a key of another algorithm")
            made = self._made[key_id, algorithm] = PyJWK(listed, algorithm)
        return made

    def refresh(self) -> None:
        """Fetch the keys, unless that was tried a moment ago or is being done; without an answer they stay as they are.
        """
        now = time.monotonic()
        if now - self._tried_at < AGAIN_S or not self._fetching.acquire(blocking=False):
            return
        try:
            self._tried_at = now
            listed = {key.get("kid"): key for key in self._fetch()["keys"]
                      if key.get("kty") in KINDS and key.get("use", "sig") == "sig" and "d" not in key}
            self._listed, self._made, self._fetched_at = listed, {}, now
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            LOG.warning("signing keys cannot be had", source=self._source, reason=str(error)[:200])
        finally:
            self._fetching.release()

    def _fetch(self) -> Any:  # noqa: ANN401 - whatever is there
        if "://" not in self._source:
            return json.loads(Path(self._source).read_bytes())
        from jwt import PyJWKClient, PyJWTError

        try:
            return PyJWKClient(self._source, cache_jwk_set=False, timeout=FETCH_S).fetch_data()
        except PyJWTError as error:
            raise OSError(str(error)) from None

    def _look(self) -> None:
        self.refresh()
        while not self._stopping.wait(FRESH_S):
            self.refresh()


def _claim(claims: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - whatever the provider says
    """A claim, or one within others by dots; the name as a whole is tried first, as some are addresses."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
