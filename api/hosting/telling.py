"""Super alarms of what hosts say, noted for people: when one begins, when it becomes graver, each hour that it lasts,
and when it is over. What was noted is in the database, so services that share it, and those that come later, note
nothing twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import Connection, Engine, Row, func, select
from sqlalchemy.exc import SQLAlchemyError

from api.channels import AnyChannel
from api.database.engine import alone_in
from api.database.events import GRAVITY, Event, at_least, event_of, note, stamp, unresolved
from api.database.tables import cursors
from api.database.tenancy import EVERYONE
from api.hosting.looking import look
from api.hosting.plans import Following
from api.hosting.policy import Policy
from api.hosting.sealing import Sealing
from planner.errors import InputError

if TYPE_CHECKING:
    from api.settings import Settings
    from diagnostics.alarms import Alarm, SuperAlarm

SCOPE: Final = "hosts"
LOOK_S: Final = 5.0
"""How often it is asked whether there are new verdicts; only then alarms are looked for."""
RESTS: Final = 9
"""It rests so many times as long as it looked: a tenth of a core at most, however much there is."""
AGAIN: Final = timedelta(hours=1)
"""After so long what lasts is noted again: Alertmanager ends what it does not hear of, other channels hold it back."""


class Teller:
    """Notes the super alarms of one tenant."""

    def __init__(self, engine: Engine, policy: Policy, settings: Settings) -> None:
        self._engine, self._policy, self._settings = engine, policy, settings
        self._following = Following(engine)

    def tell(self, now: datetime) -> bool:
        """Note what is new; False where another service is at it. Raises InputError where the plan in force, the policy
        or a row cannot be read.
        """
        hosted, known = self._following.now(), self._policy.now()
        with self._engine.begin() as connection:
            if not self._turn(connection):
                return False
            found = () if hosted is None else look(self._engine, hosted, known, Sealing.of(self._settings)).super_alarms
            alone_in(connection, "events")
            happened = news([one for one in found if one.until is None], unresolved(connection, SCOPE), now)
            note(connection, *happened, scope=SCOPE)
        return True

    def _turn(self, connection: Connection) -> bool:
        """Whether no other service looks until the transaction ends, so that nobody notes what was found before the
        last look of another. A SQLite file has one service.
        """
        if connection.dialect.name == "sqlite":
            return True
        whose = f"super alarms of {self._engine.get_execution_options()['tenant']}"
        return bool(connection.execute(select(func.pg_try_advisory_xact_lock(func.hashtext(whose)))).scalar_one())


class Telling:
    """Tells tenants of their super alarms, those that some channel is for."""

    def __init__(self, engine: Engine, of: Callable[[str], Teller], channels: Sequence[AnyChannel]) -> None:
        """`engine` is that of everyone."""
        self._engine, self._of = engine, of
        self._tenants = {channel.tenant for channel in channels if "alarm" in channel.about}
        self._tellers: dict[str, Teller] = {}
        self._seen: dict[str, object] = {}
        self._failed: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms of hosts")

    def start(self) -> None:
        """Go on telling, if there is anybody to tell."""
        if self._tenants:
            self._thread.start()

    def stop(self) -> None:
        """Tell no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self, now: datetime) -> None:
        """Note what is new of each tenant with new verdicts, and each hour what lasts or is over without any."""
        for tenant, read in self._read():
            seen = read, now.timestamp() // AGAIN.total_seconds()  # also where nothing is read any more
            if self._seen.get(tenant) == seen or not self._tenants & {tenant, EVERYONE}:
                continue
            if tenant not in self._tellers:
                self._tellers[tenant] = self._of(tenant)
            try:
                if self._tellers[tenant].tell(now):
                    self._seen[tenant] = seen
                self._failed.pop(tenant, None)
            except InputError as error:
                if self._failed.get(tenant) != str(error):
                    self._failed[tenant] = str(error)
                    structlog.get_logger("api").warning("alarms of hosts are not told", tenant=tenant, why=str(error))

    def _read(self) -> list[tuple[str, object]]:
        """How far the rows of each tenant have been read: another answer once there are new verdicts."""
        far = select(cursors.c.tenant, func.sum(cursors.c.number), func.count()).group_by(cursors.c.tenant)
        with self._engine.connect() as connection:
            return [(row[0], (int(row[1]), row[2])) for row in connection.execute(far)]

    def _run(self) -> None:
        rest = LOOK_S
        while not self._stopping.wait(rest):
            began = time.monotonic()
            with suppress(SQLAlchemyError):  # the database is away: /readyz says so; what is new is told later
                self.look(datetime.now(UTC))
            rest = max(LOOK_S, RESTS * (time.monotonic() - began))


Noted = Row[*tuple[object, ...]]


def news(lasting: Sequence[SuperAlarm], noted: Sequence[Noted], now: datetime) -> Iterator[Event]:
    """What is to be noted of super alarms that last, where `noted` is what was noted and has not ended: those that are
    new, became graver or were noted too long ago, and the end of those that last no more.
    """
    before = {str(row.fingerprint): row for row in noted}
    still = _named(lasting, before)
    for name, one in still.items():
        event = _event(one, name)
        if (row := before.get(name)) is not None:
            known = event_of(row)
            graver = not at_least(event.severity, known.severity)
            if not graver and row.at > stamp(now - AGAIN):
                continue
            # what it was called first stays: receivers know it by that
            event = replace(event, subject=known.subject, title=known.title,
                            severity=event.severity if graver else known.severity)
        yield event
    for name, row in before.items():
        if name not in still:
            yield replace(event_of(row), resolved=True)


def _named(lasting: Sequence[SuperAlarm], before: Mapping[str, object]) -> dict[str, SuperAlarm]:
    """Super alarms by the fingerprint of one of their alarms: the one that they were noted by before, as long as they
    have it, however they grew since. No two have the same.
    """
    named: dict[str, SuperAlarm] = {}
    ways: tuple[Callable[[Alarm], bool], ...] = (
        lambda alarm: alarm.until is None and alarm.fingerprint in before,  # of which there is one
        lambda alarm: alarm.fingerprint in before,
        lambda alarm: alarm.until is None,
    )
    left = list(lasting)
    for fits in ways:
        still = []
        for one in left:
            names = (alarm.fingerprint for alarm in one.alarms if fits(alarm) and alarm.fingerprint not in named)
            name = next(names, None)
            if name is None:
                still.append(one)
            else:
                named[name] = one
        left = still
    return named


def _event(one: SuperAlarm, name: str) -> Event:
    runbook = {} if one.runbook is None else {"contact": one.runbook.contact}
    clusters = sorted({value for alarm in one.alarms for key, value in alarm.attributes if key == "cluster"})
    return Event("alarm", GRAVITY[one.severity], f"alarm {one.id}", one.summary, one.why_severity,
                 fields={"since": stamp(one.since), "clusters": ", ".join(clusters), **runbook}, identity=name)
