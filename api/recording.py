"""The record of who did what to what with which result: rows are added, and nothing changes or removes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, insert

from api.tables import audit

MOST_LETTERS = 500
"""Of one entry's text: what comes from outside is cut."""


@dataclass(frozen=True)
class Deed:
    """Something that `caller` did."""

    caller: str
    action: str
    target: str
    result: str = "done"
    request_id: str = ""


def record(connection: Connection, deed: Deed) -> None:
    """Add a deed in the transaction that does it, to the record of the connection's tenant."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    connection.execute(insert(audit).values(
        at=now, caller=deed.caller[:MOST_LETTERS], action=deed.action[:MOST_LETTERS],
        target=deed.target[:MOST_LETTERS], result=deed.result[:MOST_LETTERS], request_id=deed.request_id))
