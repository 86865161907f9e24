"""Whether a database could not do what it was asked, which may be asked again, or was asked what it cannot do."""

from __future__ import annotations

import sqlite3
from enum import Enum
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError

_SQLITE_AWAY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL,
                                 sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR})
_SQLITE_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC,
                                 sqlite3.SQLITE_IOERR_TRUNCATE, sqlite3.SQLITE_IOERR_SHMSIZE})
"""With a full disk it cannot write, nor make the file longer that its processes share."""
_PRIMARY: Final = 0xFF
"""Of a result code of SQLite: what kind it is; the bits above say which of these."""
_DISK_FULL: Final = "53100"
_AWAY: Final = ("08", "53", "57", "40001", "40P01", "55P03", "25006", "25P03")
"""How states of PostgreSQL begin that pass: connections, resources, somebody who ends it; serialization, deadlock and a
lock that was not to be had; a server that only reads, as one whose place another is taking, and one that ended who was
silent in a transaction.
"""


class Outage(Enum):
    """Why a database did not do what it was asked."""

    AWAY = "away"
    """Locked by others, or not to be reached."""
    FULL = "full"
    """There is no room on its disk."""


def outage(error: Exception) -> Outage | None:
    """Why a database could not; None where it was the statement, which fails the next time, too, or no database at all.
    Drivers have one class of error for both, and several for the first.
    """
    if not isinstance(error, DBAPIError):
        return None
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return Outage.FULL if code in _SQLITE_FULL else Outage.AWAY if code & _PRIMARY in _SQLITE_AWAY else None
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return Outage.FULL if state == _DISK_FULL else Outage.AWAY if state.startswith(_AWAY) else None
    # without a word of the server: there was no connection for a statement, or it broke under one
    unconnected = isinstance(error, OperationalError) and error.statement is None
    return Outage.AWAY if unconnected or error.connection_invalidated else None
