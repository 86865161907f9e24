"""The record of who did what to what with which result: rows are added, and nothing changes or removes them.

What a request changes in the database is recorded in the transaction that changes it, whichever code that is: neither
is there without the other. What changes nothing, because it was refused or failed, is recorded before it is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Delete, Engine, Insert, Row, Transaction, Update, event, insert, select

from api.database.tables import audit

MOST_LETTERS: Final = 500
"""Of one entry's text: what comes from outside is cut."""
DONE: Final = "done"
_ACTING = "acting"
_ADD = insert(audit)


@dataclass(frozen=True)
class Deed:
    """Something that `caller` did."""

    caller: str
    action: str
    target: str
    result: str = DONE
    request_id: str = ""


@dataclass
class Acting:
    """A request that may change something; `committed` when it has, and was recorded with it. What it is `about` is
    its address, unless it makes something that has one of its own.
    """

    caller: str
    action: str
    address: str
    request_id: str
    about: str | None = None
    committed: bool = False
    within: Transaction | None = None

    def done(self) -> Deed:
        """What is written with the change."""
        return Deed(self.caller, self.action, self.about or self.address, DONE, self.request_id)

    def ended(self, result: str) -> Deed:
        """What is written before it is answered."""
        return Deed(self.caller, self.action, self.address, result, self.request_id)


def record(connection: Connection, deed: Deed) -> None:
    """Add a deed in the transaction that does it, to the record of the connection's tenant."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    connection.execute(_ADD, {
        "at": now, "caller": _cut(deed.caller), "action": _cut(deed.action), "target": _cut(deed.target),
        "result": _cut(deed.result), "request_id": deed.request_id})


def acting(engine: Engine, request: Acting) -> Engine:
    """The same engine for what a request does: the first change of a transaction records it."""
    return engine.execution_options(**{_ACTING: request})


def about(connection: Connection, target: str) -> None:
    """Say what the request on whose behalf this connection works is about, before it changes anything."""
    request = connection.get_execution_options().get(_ACTING)
    if isinstance(request, Acting):
        request.about = target


def keep_record(engine: Engine) -> None:
    """Record what requests change by the engine."""
    event.listen(engine, "before_execute", _before)
    event.listen(engine, "commit", _committed)


def entries(engine: Engine, limit: int, before: int | None, caller: str | None) -> list[Row[Any]]:
    """The newest first: those older than `before` (a `seq`), and those of one caller, if given."""
    query = select(*(column for column in audit.columns if column.name != "tenant"))
    if before is not None:
        query = query.where(audit.c.seq < before)
    if caller is not None:
        query = query.where(audit.c.caller == caller)
    with engine.connect() as connection:
        return list(connection.execute(query.order_by(audit.c.seq.desc()).limit(limit)))


def _before(connection: Connection, statement: object, _1: object, _2: object, options: Mapping[str, Any]) -> None:
    request = options.get(_ACTING)
    if not isinstance(request, Acting) or request.committed or not isinstance(statement, Insert | Update | Delete):
        return
    within = connection.get_transaction()
    if request.within is not within:
        request.within = within
        record(connection, request.done())


def _committed(connection: Connection) -> None:
    request = connection.get_execution_options().get(_ACTING)
    if isinstance(request, Acting) and request.within is not None:
        request.committed = request.committed or request.within is connection.get_transaction()


def _cut(text: str) -> str:
    """Text as both databases keep it, and not too much of it."""
    return text[:MOST_LETTERS].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
