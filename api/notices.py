"""Events on their way to people: which channel tells which event and when, and a record of what became of it.

A row of `notices` is written for every event and channel, also for what is not told because it was just told. Its
sending is a workflow of DBOS (`api.jobs.durable`), put into the queue with it: tried again, later each time, whoever
dies.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from api.channels import SENDERS, AnyChannel, Channel, Notice, UndeliveredError
from api.database.engine import alone_in
from api.database.events import Event, event_of, stamp
from api.database.tables import events, notices
from api.store.store import Store

State = Literal["queued", "held", "sent", "repeated", "failed"]
"""Held: it waits for the end of quiet hours. Repeated: not sent, as the same was told not long before."""
LOOK_S = 1.0
"""How often it is looked for events."""
AT_A_TIME = 100
_TOLD = ("queued", "held", "sent")


class Posting(Protocol):
    """A queue of notices."""

    def put_notice(self, connection: Connection, notice_id: int, delay_s: float) -> None:
        """Queue the sending of one within a transaction, not before so many seconds."""


class Dispatcher:
    """Passes events on to the channels; services that share a database share the work."""

    def __init__(self, store: Store, queue: Posting, channels: Sequence[AnyChannel]) -> None:
        self._store, self._queue, self._channels = store, queue, channels
        self._stopping = threading.Event()
        self._looking = threading.Thread(target=self._look, name="notices")

    def start(self) -> None:
        """Go on passing on what happens."""
        self._looking.start()

    def stop(self) -> None:
        """Pass on no more."""
        self._stopping.set()
        self._looking.join()

    def pass_on(self, now: datetime) -> None:
        """Pass on what nobody has yet."""
        waiting = select(events).where(events.c.passed_on.is_(False)).order_by(events.c.seq).limit(AT_A_TIME)
        with self._store.engine.connect() as connection:
            rows = connection.execute(waiting).all()
        for row in rows:
            with self._store.of(row.tenant).engine.begin() as connection:
                alone_in(connection, "notices")
                mine = events.c.seq == row.seq, events.c.passed_on.is_(False)
                if connection.execute(update(events).where(*mine).values(passed_on=True)).rowcount:
                    for channel in self._channels:
                        self._tell(connection, row, channel, now)

    def _tell(self, connection: Connection, row: Row[*tuple[Any, ...]], channel: Channel, now: datetime) -> None:
        event = event_of(row)
        if not channel.tells(row.tenant, event):
            return
        waits = channel.waits_until(event, now)
        state: State = "queued" if waits is None else "held"
        if event.about != "test" and _told_lately(connection, event, channel, now):
            state = "repeated"
        made = connection.execute(insert(notices).values(
            event=row.seq, channel=channel.name, fingerprint=event.fingerprint, resolved=event.resolved, state=state,
            attempts=0, created_at=stamp(now), not_before=None if waits is None else stamp(waits)))
        if state != "repeated":
            assert made.inserted_primary_key is not None
            delay_s = 0.0 if waits is None else (waits - now).total_seconds()
            self._queue.put_notice(connection, made.inserted_primary_key[0], delay_s)

    def _look(self) -> None:
        while not self._stopping.wait(LOOK_S):
            with suppress(SQLAlchemyError):  # the database is away: /readyz says so; what happened is told later
                self.pass_on(datetime.now(UTC))


def _told_lately(connection: Connection, event: Event, channel: Channel, now: datetime) -> bool:
    """Whether the last that the channel was told of the same thing is the same, and not long ago."""
    same = (notices.c.channel == channel.name, notices.c.fingerprint == event.fingerprint,
            notices.c.state.in_(_TOLD))
    last = select(notices.c.resolved, notices.c.created_at).where(*same)
    row = connection.execute(last.order_by(notices.c.seq.desc()).limit(1)).one_or_none()
    if row is None:
        return False
    since = stamp(now - timedelta(seconds=channel.again_after_s))
    return bool(row.resolved == event.resolved and row.created_at > since)


class Courier:
    """Sends what was queued."""

    def __init__(self, store: Store, channels: Sequence[AnyChannel]) -> None:
        self._store, self._channels = store, {channel.name: channel for channel in channels}

    def deliver(self, notice_id: int) -> None:
        """Send one, unless it was. Raises UndeliveredError when it should be tried again."""
        row = self._row(notice_id)
        if row is None or row.state in ("sent", "failed"):
            return
        channel = self._channels.get(row.channel)
        if channel is None:
            self._note(row, state="failed", error=f"{row.channel}: the settings have no such channel any more")
            return
        try:
            SENDERS[channel.kind](channel, _notice(row))
        except UndeliveredError as error:
            self._note(row, error=str(error), **({} if error.again else {"state": "failed"}))
            if error.again:
                raise
        else:
            self._note(row, state="sent", error=None, sent_at=stamp(datetime.now(UTC)))

    def give_up(self, notice_id: int) -> None:
        """Note that one was tried often enough."""
        row = self._row(notice_id)
        if row is not None and row.state not in ("sent", "failed"):
            self._note(row, state="failed", attempts=row.attempts)

    def _row(self, notice_id: int) -> Row[*tuple[Any, ...]] | None:
        query = _joined().where(notices.c.seq == notice_id)
        with self._store.engine.connect() as connection:
            return connection.execute(query).one_or_none()

    def _note(self, row: Row[*tuple[Any, ...]], **values: object) -> None:
        kept = {"attempts": row.attempts + 1, **values}
        with self._store.engine.begin() as connection:
            connection.execute(update(notices).where(notices.c.seq == row.notice).values(**kept))


def records(store: Store, limit: int, before: int | None, channel: str | None, state: State | None
            ) -> list[Row[*tuple[Any, ...]]]:
    """What became of events on their way, the newest first: columns of both tables; `notice` is the row's number."""
    query = _joined().order_by(notices.c.seq.desc()).limit(limit)
    for column, value in ((notices.c.channel, channel), (notices.c.state, state)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(notices.c.seq < before)
    with store.engine.connect() as connection:
        return list(connection.execute(query))


def _joined() -> Any:  # noqa: ANN401 - a select
    told = (events.c.tenant, events.c.at, events.c.about, events.c.severity, events.c.subject, events.c.title,
            events.c.text, events.c.fields, events.c.resolved, events.c.fingerprint)
    sent = ("channel", "state", "attempts", "error", "created_at", "not_before", "sent_at")
    columns = [notices.c.seq.label("notice"), *told, *(notices.c[name] for name in sent)]
    return select(*columns).join(events, notices.c.event == events.c.seq)


def _notice(row: Row[*tuple[Any, ...]]) -> Notice:
    return Notice(row.notice, datetime.fromisoformat(row.at), row.tenant, row.about, row.severity, row.subject,
                  row.title, row.text, row.resolved, row.fingerprint, json.loads(row.fields))
