"""The keys as the service knows them: in memory, so that a request with a key waits for nothing."""

from __future__ import annotations

import hmac
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from api.access import Caller
from api.roles import ROLES
from api.security.keys import Key, Keys, digest_of, id_of

LOOK_S = 0.5
"""How often it is looked for keys that were made, replaced or revoked."""
STALE_S = 900.0
"""How long keys are still believed while the database is away, and cannot say that one was revoked."""
_NO_DIGEST = bytes(32)


@dataclass(frozen=True)
class _Known:
    """A key that was valid when it was last looked at."""

    caller: Caller
    digest: bytes
    until: float
    """Seconds since 1970."""


class Keyring:
    """Follows the keys in the database. Start it once; threads may share it."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._known: dict[str, _Known] = {}
        self._version, self._seen_at = 0, float("-inf")
        self._any = False
        self._stopping = threading.Event()
        self._looking = threading.Thread(target=self._look, name="keyring")

    def start(self) -> None:
        """Take in all keys, and go on looking. Raises what the database's driver does when it cannot be reached."""
        self.refresh()
        self._looking.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._looking.join()
        self._keys.close()

    @property
    def any(self) -> bool:
        """Whether there ever was a key: from then on one is needed, also after the last one was revoked."""
        return self._any

    @property
    def believed(self) -> bool:
        """Whether the keys were looked at of late."""
        return time.monotonic() - self._seen_at < STALE_S

    def caller(self, text: bytes) -> Caller | None:
        """Whose key this is; None for one that is not known, has expired or was revoked."""
        key_id = id_of(text) or ""
        known = self._known.get(key_id)
        right = hmac.compare_digest(digest_of(text), _NO_DIGEST if known is None else known.digest)
        return self.caller_of(key_id) if right else None

    def caller_of(self, key_id: str) -> Caller | None:
        """Whose the key of an id is, as `caller` says of its text."""
        known = self._known.get(key_id)
        return None if known is None or known.until <= time.time() else known.caller

    def refresh(self) -> None:
        """Take in what has changed."""
        now = time.monotonic()
        version, changed = self._keys.changed(self._version)
        for key in changed:
            if key.revoked_at is None:
                self._known[key.id] = _known(key)
            else:
                self._known.pop(key.id, None)
        self._version, self._seen_at = version, now
        self._any = version > 0

    def _look(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self.refresh()
            except SQLAlchemyError:  # the database is away: /readyz says so; `believed` says for how long that is borne
                continue


def _known(key: Key) -> _Known:
    until = key.expires_at or datetime.max.replace(tzinfo=UTC)
    roles = frozenset().union(*(ROLES[role] for role in key.roles))
    return _Known(Caller(key.tenant, f"key/{key.id}/{key.name}", roles), bytes.fromhex(key.digest), until.timestamp())
