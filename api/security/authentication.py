"""Who asks is found out before anything else of a request is looked at."""

from __future__ import annotations

import asyncio
import hashlib
import time
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import LOCAL, NOBODY, Caller, is_public, known_as
from api.security.keyring import Keyring
from api.security.keys import PREFIX, id_of
from api.security.limits import Rates
from api.security.oidc import InvalidTokenError, Issuer, NoAccessError, UnknownKeyError
from api.security.sessions import SCOPE, Session, Sessions, cookie_of, meant
from api.settings import is_loopback
from api.web.gate import drain
from api.web.problems import Problem, problem_response

TOKEN_S = 5.0
"""How long a token is believed before its signature is checked again."""
MOST_TOKENS = 10_000
AT_ONCE = 4
"""Signatures of tokens that are checked at a time; others wait for their turn."""
_CREDENTIALS = frozenset({"authorization", "x-api-key"})
_REALM = 'Bearer realm="planner"'
_HOW = "send a key or token as Authorization: Bearer, or a key as X-API-Key"


class Doorkeeper:
    """Knows who asks: by a key, by a provider's token, by the session of a browser that has shown a key, or, where
    the service listens on this machine only, has no provider and never had a key, because only this machine can ask.
    """

    def __init__(self, issuer: Issuer | None, rates: Rates, *, loopback: bool) -> None:
        self._issuer, self._rates, self._loopback = issuer, rates, loopback
        self._keyring: Keyring | None = None
        self._sessions: Sessions | None = None
        self._believed: dict[bytes, tuple[Caller, float]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._log = structlog.get_logger("api")

    def start(self, keyring: Keyring, sessions: Sessions) -> None:
        """Follow the keys and the provider."""
        self._keyring, self._sessions = keyring, sessions
        keyring.start()
        if self._issuer is not None:
            self._issuer.keys.start()

    def stop(self) -> None:
        """Follow them no more."""
        if self._keyring is not None:
            self._keyring.stop()
        if self._sessions is not None:
            self._sessions.close()
        if self._issuer is not None:
            self._issuer.keys.stop()

    async def admitted(self, scope: Scope) -> Caller:
        """Who makes a request. Raises Problem for somebody who is not known, and for one request too many."""
        address = scope["client"][0] if scope.get("client") else ""
        try:
            caller = await self._caller(scope, Headers(scope=scope))
        except _NotKnown as why:
            self._log.warning("refused", why=why.reason, address=address)
            self._rates.refused(address)
            raise
        self._rates.admit(scope["method"], caller.tenant, caller.name)
        return caller

    async def _caller(self, scope: Scope, headers: Headers) -> Caller:
        keyring = self._keyring
        assert keyring is not None
        if self._loopback and self._issuer is None and not keyring.any:
            return _local(headers)
        session = None if _CREDENTIALS & set(headers.keys()) else await self._session(headers)
        if session is not None:
            meant(scope, headers, session)
            scope[SCOPE] = session
            return _of(keyring, keyring.caller_of(session.key_id))
        text = _credential(headers)
        if not text.startswith(PREFIX):
            return await self._by_token(text)
        return _of(keyring, keyring.caller(text.encode()))

    async def _session(self, headers: Headers) -> Session | None:
        """The session of a request."""
        assert self._sessions is not None
        cookie = cookie_of(headers)
        return None if cookie is None else await self._sessions.of(cookie)

    def sign_in(self, text: str, address: str) -> tuple[Session, Caller]:
        """A session of a browser that has a key, and whose that is. Raises Problem where it has none, and for one guess
        too many.
        """
        assert self._keyring is not None
        assert self._sessions is not None
        key = text.encode()
        try:
            caller = _of(self._keyring, self._keyring.caller(key))
        except _NotKnown as why:
            self._log.warning("refused", why=why.reason, address=address)
            self._rates.refused(address)
            raise
        return self._sessions.begin(id_of(key) or "", caller.tenant), caller

    def sign_out(self, session: Session) -> None:
        """End a session."""
        assert self._sessions is not None
        self._sessions.end(session)

    def asks_for_keys(self) -> bool:
        """Whether a browser may sign in with a key."""
        return self._keyring is not None and self._keyring.any

    async def _by_token(self, text: str) -> Caller:
        if self._issuer is None:
            raise _invalid("no key, and there is no provider of tokens")
        digest, now = hashlib.sha256(text.encode()).digest(), time.time()
        caller, until = self._believed.get(digest, (None, 0.0))
        if caller is not None and now < until:
            return caller
        try:
            caller, expires = await self._read(self._issuer, text)
        except InvalidTokenError as error:
            raise _invalid(f"a token: {error}") from None
        except NoAccessError as error:
            raise Problem(HTTPStatus.FORBIDDEN, str(error)) from None
        if len(self._believed) >= MOST_TOKENS:
            self._believed.clear()
        self._believed[digest] = caller, min(expires, now + TOKEN_S)
        return caller

    async def _read(self, issuer: Issuer, text: str) -> tuple[Caller, float]:
        """Whose a token is. One that does not say what it must is refused at a glance; the signatures of others are
        checked beside what answers requests. Who sends forged ones without end makes others wait for their turn, and
        shuts nobody out.
        """
        try:
            issuer.glance(text)
        except UnknownKeyError:
            await run_in_threadpool(issuer.keys.refresh)
            issuer.glance(text)
        async with self._turns:
            return await run_in_threadpool(issuer.caller, text)


def _of(keyring: Keyring, caller: Caller | None) -> Caller:
    """Whose a key is. Raises Problem where it is nobody's, and while the keys are too old to say."""
    if not keyring.believed:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the keys cannot be read: the database does not answer",
                      headers={"Retry-After": "1"})
    if caller is None:
        raise _invalid("a key that is not known, has expired or was revoked")
    return caller


class _NotKnown(Problem):
    """An answer to somebody who is not known; the reason is for the log."""

    def __init__(self, detail: str, reason: str, challenge: str) -> None:
        super().__init__(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})
        self.reason = reason


class Authenticated:
    """ASGI middleware that notes who asks, or turns them away."""

    def __init__(self, app: ASGIApp, doorkeeper: Doorkeeper) -> None:
        self.app, self._doorkeeper = app, doorkeeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a problem."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            known_as(scope, NOBODY if is_public(scope["path"]) else await self._doorkeeper.admitted(scope))
        except Problem as problem:
            await drain(receive)
            if problem.status == HTTPStatus.UNAUTHORIZED and self._doorkeeper.asks_for_keys() and _looks(scope):
                await RedirectResponse(_sign_in(scope), HTTPStatus.SEE_OTHER)(scope, receive, send)
                return
            headers = {"Connection": "close"} | dict(problem.headers or {})
            await problem_response(problem.status, problem.detail, headers=headers)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _looks(scope: Scope) -> bool:
    """Whether a browser asks for a page, without a key or token of its own."""
    headers = Headers(scope=scope)
    return scope["method"] == "GET" and "text/html" in headers.get("accept", "") and not (
        _CREDENTIALS & set(headers.keys()) or scope["path"].startswith("/v1/"))


def _sign_in(scope: Scope) -> str:
    """Where to sign in, to come back then."""
    query = scope["query_string"].decode("latin-1")
    return f"/sign-in?{urlencode({'then': scope['path'] + (f'?{query}' if query else '')})}"


def _credential(headers: Headers) -> str:
    """The one key or token of a request. Raises Problem where there is none, or more than one."""
    given, keys = headers.getlist("authorization"), headers.getlist("x-api-key")
    if len(given) + len(keys) != 1:
        raise _unknown(f"nobody is known by this request: {_HOW}" if not given and not keys else
                       f"more than one key or token: {_HOW}, once")
    if keys:
        return keys[0].strip()
    scheme, _, text = given[0].strip().partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise _unknown(f"Authorization: not Bearer: {_HOW}")
    return text.strip()


def _unknown(detail: str) -> _NotKnown:
    return _NotKnown(detail, "no key or token, or more than one", _REALM)


def _invalid(reason: str) -> _NotKnown:
    """The one answer to whatever is not believed: what is wrong with it stands in the log only."""
    detail = "the key or token is not valid: unknown, expired, revoked or not for here"
    return _NotKnown(detail, reason, f'{_REALM}, error="invalid_token"')


def _local(headers: Headers) -> Caller:
    """The caller on this machine. Raises Problem for a page of another site that a browser here happens to show: it has
    a foreign Origin, or its name was rebound to 127.0.0.1.
    """
    host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    if not is_loopback(host):
        allowed = "only 127.0.0.1, ::1 and localhost are served while nobody needs a key"
        raise Problem(HTTPStatus.MISDIRECTED_REQUEST, f"Host: {host}: {allowed}")
    origin = headers.get("origin")
    if origin is not None and not is_loopback(urlsplit(origin).hostname or ""):
        raise Problem(HTTPStatus.FORBIDDEN, f"Origin: {origin}: pages of other sites may not ask")
    return LOCAL
