"""Work that comes again: what is asked for, when, and which job each moment made. Moments are in UTC, by cron.

DBOS keeps the time and calls every moment once, however many services share the database (`api.jobs.durable`). A moment
whose job before is not done yet makes none; of moments that nobody was there for, the last one is made up for.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, Protocol

from croniter import CroniterBadDateError, croniter
from sqlalchemy import Row, delete, insert, select

from api.database.engine import alone_in
from api.database.tables import jobs, schedules, ticks
from api.store.jobs import Repeatable, Submission
from api.store.store import Store
from diagnostics.sealing import Sealer, SealError
from planner.errors import InputError

Origin = Literal["api", "settings"]
OPEN = ("queued", "running")


class Clock(Protocol):
    """What keeps the time."""

    def follow(self, crons: Mapping[str, str]) -> None:
        """Call the moments of these schedules too, by id."""

    def forget(self, ids: Iterable[str]) -> None:
        """Call no more moments of these."""

    def followed(self) -> set[str]:
        """Whose moments are called."""

    def fire(self, schedule_id: str, at: datetime) -> None:
        """Call one moment of a schedule, if it was not called before."""


@dataclass(frozen=True)
class Wanted:
    """What somebody wants done at every moment of `cron` (five fields, or six with the seconds first)."""

    name: str
    cron: str
    kind: Repeatable
    request: Mapping[str, Any]


@dataclass(frozen=True)
class Schedule(Wanted):
    """That, the job which it means, who wants it and since when."""

    submission: Submission
    origin: Origin
    created_at: datetime
    id: str = field(default_factory=lambda: uuid.uuid4().hex, compare=False)

    def __post_init__(self) -> None:
        """Refuse an expression that is none, or that no moment fits."""
        if not croniter.is_valid(self.cron, second_at_beginning=True) or self.next(self.created_at) is None:
            raise InputError([f"cron: {self.cron!r}: not a time that comes; '0 2 * * *' is every night at two, in UTC"])

    def next(self, after: datetime) -> datetime | None:
        """The first moment after one; None when there is none in fifty years."""
        return self._moment(after, "get_next")

    def last(self, before: datetime) -> datetime | None:
        """The last moment before one."""
        return self._moment(before, "get_prev")

    def _moment(self, start: datetime, which: Literal["get_next", "get_prev"]) -> datetime | None:
        try:
            found: datetime = getattr(croniter(self.cron, start, second_at_beginning=True), which)(datetime)
        except CroniterBadDateError:
            return None
        return found


class Tick(NamedTuple):
    """A moment of a schedule and the state of its job, both None where the job before was not done."""

    at: str
    job: str | None
    status: str | None


class Schedules:
    """The schedules of a tenant's store; `tick`, `resume` and `catch_up` are for those of everyone, by who keeps time.
    """

    def __init__(self, store: Store, clock: Clock, sealer: Sealer | None = None) -> None:
        """What is asked may hold a whole scenario, and is sealed at rest; who only keeps the time needs no sealer."""
        self._store, self._clock, self._sealer = store, clock, sealer or Sealer()

    def all(self) -> list[Schedule]:
        """Every schedule, by name."""
        with self._store.engine.connect() as connection:
            rows = connection.execute(select(schedules).order_by(schedules.c.name))
            return [_schedule(row, self._sealer) for row in rows]

    def find(self, name: str) -> Schedule | None:
        """One of them."""
        with self._store.engine.connect() as connection:
            row = connection.execute(select(schedules).where(schedules.c.name == name)).one_or_none()
        return None if row is None else _schedule(row, self._sealer)

    def add(self, schedule: Schedule) -> bool:
        """Keep a schedule and call its moments from now on; False when there is one of its name."""
        with self._store.engine.begin() as connection:
            alone_in(connection, "schedules")
            if connection.execute(select(schedules.c.name).where(schedules.c.name == schedule.name)).first():
                return False
            connection.execute(insert(schedules).values(**_row(schedule, self._sealer)))
        self._clock.follow({schedule.id: schedule.cron})
        return True

    def remove(self, name: str) -> bool:
        """Call no more moments of a schedule; its jobs stay. False when there is none of that name."""
        found = self.find(name)
        if found is None:
            return False
        with self._store.engine.begin() as connection:
            connection.execute(delete(schedules).where(schedules.c.id == found.id))
        self._clock.forget([found.id])
        return True

    def configure(self, wanted: Iterable[Wanted], job: Callable[[Wanted], Submission]) -> None:
        """Keep those of the settings as they are told, and none that came from there before and is told no more.

        Raises InputError for one whose `job` cannot be asked for, or that has the name of one made otherwise.
        """
        told = {one.name: one for one in wanted}
        kept = {one.name: one for one in self.all()}
        for name, one in kept.items():
            if one.origin == "settings" and (name not in told or _asked(one) != _asked(told[name])):
                self.remove(name)
        for name, new in told.items():
            if name in kept and kept[name].origin == "api":
                raise InputError([f"schedules: {name}: POST /v1/schedules made one of that name: choose another name"])
            if name not in kept or _asked(kept[name]) != _asked(new):
                self.add(Schedule(**vars(new), submission=job(new), origin="settings", created_at=datetime.now(UTC)))

    def tick(self, schedule_id: str, at: datetime) -> None:
        """Queue the job of a moment, once, unless the one before is not done."""
        with self._store.engine.connect() as connection:
            row = connection.execute(select(schedules).where(schedules.c.id == schedule_id)).one_or_none()
        if row is None:
            return
        store, moment = self._store.of(row.tenant), _text(at)
        with store.engine.begin() as connection:
            alone_in(connection, "ticks")
            there = select(schedules.c.id).where(schedules.c.id == schedule_id)
            done = select(ticks.c.at).where(ticks.c.schedule == schedule_id, ticks.c.at == moment)
            if not connection.execute(there).first() or connection.execute(done).first():
                return
            waiting = select(jobs.c.id).join(ticks).where(ticks.c.schedule == schedule_id, jobs.c.status.in_(OPEN))
            busy = connection.execute(waiting.limit(1)).first() is not None
            job_id = None if busy else store.put(connection, replace(_submission(row), schedule=schedule_id))
            connection.execute(insert(ticks).values(schedule=schedule_id, at=moment, job_id=job_id))

    def ticks(self, schedule: Schedule, limit: int) -> list[Tick]:
        """The last moments of a schedule, the newest first."""
        query = select(ticks.c.at, ticks.c.job_id).where(ticks.c.schedule == schedule.id)
        with self._store.engine.connect() as connection:
            rows = connection.execute(query.order_by(ticks.c.at.desc()).limit(limit)).all()
            made = select(jobs.c.id, jobs.c.status).where(jobs.c.id.in_([row.job_id for row in rows if row.job_id]))
            states = {row.id: row.status for row in connection.execute(made)}
        return [Tick(row.at, row.job_id, states.get(row.job_id)) for row in rows]

    def resume(self) -> None:
        """Let the moments of what is kept be called, and no others: some service may have ended halfway."""
        kept = {schedule.id: schedule.cron for schedule in self.all()}
        self._clock.forget(self._clock.followed() - kept.keys())
        self._clock.follow(kept)

    def catch_up(self, now: datetime) -> None:
        """Call the last moment of each schedule, if nobody was there for it."""
        for schedule in self.all():
            last = schedule.last(now)
            if last is not None and last > schedule.created_at:
                self._clock.fire(schedule.id, last)


def _schedule(row: Row[*tuple[Any, ...]], sealer: Sealer) -> Schedule:
    try:
        request = json.loads(sealer.unseal(row.request.encode()))
    except SealError as error:  # its moments go on, and it can be removed
        request = {"unreadable": str(error)}
    return Schedule(row.name, row.cron, row.kind, request, _submission(row), row.origin,
                    datetime.fromisoformat(row.created_at), row.id)


def _submission(row: Row[*tuple[Any, ...]]) -> Submission:
    given = json.loads(row.submission)
    return Submission(**given | {"clusters": tuple(given["clusters"])})


def _row(schedule: Schedule, sealer: Sealer) -> dict[str, str]:
    return {"id": schedule.id, "name": schedule.name, "cron": schedule.cron, "kind": schedule.kind,
            "origin": schedule.origin, "created_at": _text(schedule.created_at),
            "request": sealer.seal(json.dumps(schedule.request).encode()).decode(),
            "submission": json.dumps(asdict(schedule.submission))}


def _asked(wanted: Wanted) -> tuple[str, str, str]:
    return wanted.cron, wanted.kind, json.dumps(wanted.request, sort_keys=True)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
