"""SQLite has one writer at a time, and a second one asks again and again, ever more seldom, whoever has waited longest.
Within a process, writers wait for each other here instead: each is let in as soon as the one before is done.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

from sqlalchemy import Connection, Engine, event

_CHANGES = ("INSERT", "UPDATE", "DELETE", "BEGIN IMMEDIATE")
_HELD = "planner.writes"


def let_one_write(engine: Engine, wait_s: float) -> None:
    """From its first change on, a connection keeps other connections of this engine from changing anything, until it
    goes back to the pool: that is after its transaction, so give it back with that.
    """
    writing = threading.Lock()

    @event.listens_for(engine, "before_cursor_execute")
    def _wait(connection: Connection, _1: object, statement: str, _2: object, _3: object, _4: object) -> None:
        info = connection.connection.info
        if _HELD in info or not statement.lstrip().upper().startswith(_CHANGES):
            return
        if not writing.acquire(timeout=wait_s):
            locked = sqlite3.OperationalError(f"database is locked: another writer did not end within {wait_s:g} s")
            locked.sqlite_errorcode = sqlite3.SQLITE_BUSY  # as SQLite itself says it
            raise locked
        info[_HELD] = True

    def _next(_: Any, record: Any, *_more: object) -> None:  # noqa: ANN401 - of whichever driver and pool
        if record.info.pop(_HELD, False):
            writing.release()

    event.listen(engine, "checkin", _next)
    event.listen(engine, "invalidate", _next)
