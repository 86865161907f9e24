"""What people may want to be told of, noted in the transaction in which it happens; `api.notices` passes it on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import Connection, Row, func, insert, select

from api.database.tables import events

About = Literal["alarm", "plan", "run_out", "job", "test"]
"""A metric or a cluster that is not as usual; a change in the life of a plan; room that ends; a job that failed; and
what is only there to see whether it arrives.
"""
Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
GRAVITY: Final[dict[str, Severity]] = {"page": "critical", "ticket": "warning", "log": "info"}
"""How grave an alarm is by what it asks of people."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a `subject`. What `about`, `subject` and `title` say alike is the same thing again, or
    with `resolved` its end; dates and figures, which differ each time, belong into `text` and `fields`. Where a title
    has some, `identity` says what is the same.
    """

    about: About
    severity: Severity
    subject: str
    title: str
    text: str = ""
    resolved: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""

    @property
    def fingerprint(self) -> str:
        """The same for the same thing."""
        said = json.dumps([self.about, self.subject, self.title])
        return self.identity or hashlib.sha256(said.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Findings:
    """All that is the matter now in a `scope` that is looked at again and again: what is not among it any more, ended.
    """

    scope: str
    events: tuple[Event, ...]


def note(connection: Connection, *happened: Event, scope: str | None = None) -> None:
    """Note events within the transaction of a tenant's connection: they are told if and only if it is committed."""
    at = stamp(datetime.now(UTC))
    for event in happened:
        connection.execute(insert(events).values(
            at=at, about=event.about, severity=event.severity, subject=event.subject, title=event.title,
            text=event.text, resolved=event.resolved, fields=json.dumps(dict(event.fields)),
            fingerprint=event.fingerprint, scope=scope, passed_on=False))


def note_findings(connection: Connection, found: Findings) -> None:
    """Note what was found, and the end of what was found there before and is no more."""
    still = {event.fingerprint for event in found.events}
    over = [replace(event_of(row), resolved=True) for row in unresolved(connection, found.scope)
            if row.fingerprint not in still]  # fmt: skip
    note(connection, *found.events, *over, scope=found.scope)


def unresolved(connection: Connection, scope: str) -> Sequence[Row[*tuple[Any, ...]]]:
    """What was noted in a scope and has not ended: the row of `events` of each that was noted last, oldest first."""
    last = select(func.max(events.c.seq)).where(events.c.scope == scope).group_by(events.c.fingerprint)
    numbers = connection.execute(last).scalars().all()
    before = select(events).where(events.c.seq.in_(numbers), events.c.resolved.is_(False))
    return connection.execute(before.order_by(events.c.seq)).all()


def event_of(row: Row[*tuple[Any, ...]]) -> Event:
    """The event of a row of `events`."""
    return Event(row.about, row.severity, row.subject, row.title, row.text, row.resolved, json.loads(row.fields),
                 row.fingerprint)


def at_least(least: Severity, severity: Severity) -> bool:
    """Whether something is as grave as that."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)


def stamp(moment: datetime) -> str:
    """A moment as the store keeps it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
