"""Sessions of browsers: begun with a key, known by a cookie that no script reads, and over with the key.

They are in the database, so that every service on it knows them, also after a restart; of the cookie only the SHA-256
is kept, as of keys. What changes something also says a token that follows from the cookie, and stands in our own pages
only.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from api.access import CHANGING
from api.database.engine import engine_of
from api.database.tables import sessions
from api.database.tenancy import EVERYONE, of_tenant
from api.web.problems import Problem

COOKIE: Final = "planner_session"
PROOF: Final = "x-csrf-token"
"""The header in which a page says the token of its session."""
LASTS_S: Final = 12 * 3600.0
"""How long a session lasts at most."""
MOST: Final = 100
"""Sessions of one key; the oldest end first."""
BELIEVED_S: Final = 1.0
"""How long a session is believed before it is looked up again: it may have ended at another service."""
STALE_S: Final = 900.0
"""The same while the database is away."""
MOST_BELIEVED: Final = 10_000
AT_ONCE: Final = 4
"""Cookies nobody has had lately that are looked up at a time; others wait for their turn."""
SCOPE: Final = "planner.session"
"""Where the session of a request stands in its scope."""
_BYTES, _LETTERS = 32, 43


@dataclass(frozen=True)
class Session:
    """A browser that has signed in with a key, which is asked again with every request; `until` is in seconds since
    1970. Nothing but the cookie makes it.
    """

    cookie: str = field(repr=False)
    key_id: str
    until: float

    @property
    def token(self) -> str:
        """What its pages say when they change something."""
        return hmac.new(self.cookie.encode(), b"token of changes", hashlib.sha256).hexdigest()

    @property
    def digest(self) -> str:
        """What is kept of its cookie."""
        return _digest(self.cookie)


class Sessions:
    """The sessions of all tenants in a database that is up to date. Threads may share it."""

    def __init__(self, url: str) -> None:
        self._engine = engine_of(url)
        self._all = of_tenant(self._engine, EVERYONE)
        self._lock, self._believed = threading.Lock(), dict[str, tuple[Session, float]]()
        self._turns = asyncio.Semaphore(AT_ONCE)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def begin(self, key_id: str, tenant: str) -> Session:
        """A new session of whoever has a key; those that are over are removed."""
        now = time.time()
        made = Session(secrets.token_urlsafe(_BYTES), key_id, now + LASTS_S)
        of_key = select(sessions.c.digest).where(sessions.c.key_id == key_id)
        with of_tenant(self._engine, tenant).begin() as connection:
            connection.execute(delete(sessions).where(sessions.c.until <= now))
            oldest = connection.execute(of_key.order_by(sessions.c.until.desc()).offset(MOST - 1)).scalars().all()
            connection.execute(delete(sessions).where(sessions.c.digest.in_(oldest)))
            connection.execute(insert(sessions).values(digest=made.digest, key_id=key_id, until=made.until))
        return made

    async def of(self, cookie: str) -> Session | None:
        """The session of a cookie; None where there is none, or no more. Who guesses cookies without end makes others
        whose session was not seen lately wait for their turn, and shuts nobody out. Raises Problem while the database
        does not say.
        """
        session, seen_at = self._believed.get(_digest(cookie), (None, float("-inf")))
        if session is None or time.monotonic() - seen_at >= BELIEVED_S:
            try:
                async with self._turns if session is None else nullcontext():
                    session = await run_in_threadpool(self._look_up, cookie)
            except SQLAlchemyError:
                if session is None or time.monotonic() - seen_at >= STALE_S:
                    away = "sessions cannot be read: the database does not answer"
                    raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, away, headers={"Retry-After": "1"}) from None
        return session if session is not None and session.until > time.time() else None

    def end(self, session: Session) -> None:
        """Sign out."""
        with self._all.begin() as connection:
            connection.execute(delete(sessions).where(sessions.c.digest == session.digest))
        with self._lock:
            self._believed.pop(session.digest, None)

    def _look_up(self, cookie: str) -> Session | None:
        digest = _digest(cookie)
        with self._all.connect() as connection:
            row = connection.execute(select(sessions.c.key_id, sessions.c.until)
                                     .where(sessions.c.digest == digest)).one_or_none()
        found = None if row is None else Session(cookie, row.key_id, row.until)
        with self._lock:
            if found is None:
                self._believed.pop(digest, None)
            else:
                if len(self._believed) >= MOST_BELIEVED:
                    self._believed.clear()
                self._believed[digest] = found, time.monotonic()
        return found


def cookie_of(headers: Headers) -> str | None:
    """The cookie of a request that may be that of a session."""
    cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
    return cookie if len(cookie) == _LETTERS else None


def _digest(cookie: str) -> str:
    """A fast hash will do: nobody guesses a random number of that length."""
    return hashlib.sha256(cookie.encode()).hexdigest()


def meant(scope: Scope, headers: Headers, session: Session) -> None:
    """Raise Problem unless a request that changes something comes from a page of this service: it says the token of its
    session, and no other origin.
    """
    if scope["method"] not in CHANGING:
        return
    own_origin(headers)
    if not hmac.compare_digest(headers.get(PROOF, "").encode(), session.token.encode()):
        raise Problem(HTTPStatus.FORBIDDEN, f"{PROOF}: not that of this session: load the page again")


def own_origin(headers: Headers) -> None:
    """Raise Problem where a browser says that a page of another site asks."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
    foreign = origin is not None and urlsplit(origin).netloc != headers.get("host", "")
    if foreign or site not in ("same-origin", "none"):
        raise Problem(HTTPStatus.FORBIDDEN, f"Origin: {origin or site}: pages of other sites may not ask")
