"""Sessions of browsers: begun with a key, known by a cookie that no script reads, and over with the key.

A session lives in the memory of one process: after a restart, or at another service, people sign in again. Its cookie
is random and worth nothing elsewhere; what changes something also says a token that only our own pages hold.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from api.access import CHANGING
from api.web.problems import Problem

COOKIE: Final = "planner_session"
PROOF: Final = "x-csrf-token"
"""The header in which a page says the token of its session."""
LASTS_S: Final = 12 * 3600.0
"""How long a session lasts at most."""
MOST: Final = 10_000
"""Sessions that are kept; the oldest end first."""
SCOPE: Final = "planner.session"
"""Where the session of a request stands in its scope."""


@dataclass(frozen=True)
class Session:
    """A browser that has signed in with a key, which is asked again with every request."""

    id: str = field(repr=False)
    key: bytes = field(repr=False)
    token: str = field(repr=False)
    until: float


class Sessions:
    """The sessions of one process. Threads may share it."""

    def __init__(self) -> None:
        self._lock, self._held = threading.Lock(), dict[str, Session]()

    def begin(self, key: bytes) -> Session:
        """A new session of whoever has a key."""
        made = Session(secrets.token_urlsafe(32), key, secrets.token_urlsafe(32), time.time() + LASTS_S)
        with self._lock:
            self._held[made.id] = made
            while len(self._held) > MOST:
                self._held.pop(next(iter(self._held)))
        return made

    def of(self, headers: Headers) -> Session | None:
        """The session that a request names; None where there is none, or no more."""
        named = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        found = self._held.get(named)
        if found is not None and found.until <= time.time():
            self.end(found)
            return None
        return found

    def end(self, session: Session) -> None:
        """Sign out."""
        with self._lock:
            self._held.pop(session.id, None)


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
