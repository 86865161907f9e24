"""Work that comes again: one job a moment, none while one is under way, one for those that were missed."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet

from api.database.tenancy import EVERYONE
from api.jobs.durable import Queue
from api.jobs.schedules import Schedule, Schedules, Wanted
from api.store.jobs import Submission
from api.store.store import Store
from diagnostics.sealing import Sealer
from planner.errors import InputError

NOW = datetime(2026, 11, 2, 12, 30, tzinfo=UTC)
JOB = Submission("tiny", {"time_limit_s": 5}, '{"name": "tiny"}', ("cheap",), "a")


Tick = Callable[[str, datetime], None]


class Heard:
    """Notes what the clock is told."""

    def __init__(self) -> None:
        self.crons: dict[str, str] = {}
        self.fired: list[tuple[str, datetime]] = []

    def follow(self, crons: Mapping[str, str]) -> None:
        self.crons |= crons

    def forget(self, ids: Iterable[str]) -> None:
        self.crons = {one: cron for one, cron in self.crons.items() if one not in set(ids)}

    def followed(self) -> set[str]:
        return set(self.crons)

    def fire(self, schedule_id: str, at: datetime) -> None:
        self.fired.append((schedule_id, at))


def hourly(name: str = "hourly", cron: str = "0 * * * *") -> Schedule:
    return Schedule(name, cron, "plan", {"scenario": "tiny"}, JOB, "api", NOW, name)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    queue = Queue(database)
    queue.open()
    made = Store(database, queue)
    yield made.of("acme")
    made.close()
    queue.close()


@pytest.fixture
def clock() -> Heard:
    return Heard()


@pytest.fixture
def schedules(store: Store, clock: Heard) -> Schedules:
    return Schedules(store, clock)


@pytest.fixture
def tick(store: Store, clock: Heard) -> Tick:
    """As a worker calls it, who works for all tenants."""
    return Schedules(store.of(EVERYONE), clock).tick


def test_a_schedule_is_kept_as_it_was_made(schedules: Schedules, clock: Heard) -> None:
    """What was added is found again; a second one of its name is not kept; what is removed is called no more."""
    assert schedules.add(hourly())
    assert schedules.find("hourly") == hourly()
    assert not schedules.add(hourly(cron="1 * * * *"))
    assert schedules.all() == [hourly()]
    assert clock.crons == {"hourly": "0 * * * *"}
    assert schedules.remove("hourly")
    assert not schedules.remove("hourly")
    assert (schedules.all(), clock.crons) == ([], {})


def test_without_the_key_a_schedule_goes_on(store: Store, clock: Heard, tick: Tick) -> None:
    """What is asked is sealed at rest; who has lost the key is told so in its place, and its moments make jobs."""
    Schedules(store, clock, Sealer(Fernet.generate_key().decode())).add(hourly())
    (left,) = Schedules(store, clock, Sealer(Fernet.generate_key().decode())).all()
    assert "sealed with a key that is not among them" in left.request["unreadable"]
    tick("hourly", NOW)
    assert [store.given(row.id) for row in store.jobs("plan", 10, None)] == [JOB.given]


def test_a_moment_makes_one_job_whoever_calls_it(schedules: Schedules, store: Store, tick: Tick) -> None:
    """Eight calls of the same moment at once, as from several services, queue one job."""
    schedules.add(hourly())
    start = threading.Barrier(8)

    def call() -> None:
        start.wait()
        tick("hourly", NOW)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (row,) = store.jobs("plan", 10, None)
    assert [(tick.at, tick.job, tick.status) for tick in schedules.ticks(hourly(), 5)] == [
        ("2026-11-02T12:30:00.000Z", row.id, "queued")]
    assert store.given(row.id) == JOB.given


def test_no_job_while_the_one_before_is_under_way(schedules: Schedules, store: Store, tick: Tick) -> None:
    """A moment that finds the job of an earlier one queued or running makes none, and says so; the next one does."""
    schedules.add(hourly())
    tick("hourly", NOW)
    tick("hourly", NOW + timedelta(hours=1))
    first, *none = (tick.job for tick in reversed(schedules.ticks(hourly(), 5)))
    assert none == [None]
    assert first is not None
    store.cancel(first)
    tick("hourly", NOW + timedelta(hours=2))
    assert len(store.jobs("plan", 10, None)) == 2


def test_a_moment_of_a_schedule_that_is_gone_makes_nothing(schedules: Schedules, store: Store, tick: Tick) -> None:
    """What was removed while its moment was on the way stays removed, and its jobs stay."""
    schedules.add(hourly())
    tick("hourly", NOW)
    schedules.remove("hourly")
    tick("hourly", NOW + timedelta(hours=1))
    assert len(store.jobs("plan", 10, None)) == 1


def test_of_the_moments_that_were_missed_the_last_is_made_up_for(schedules: Schedules, clock: Heard) -> None:
    """After a night without a service one moment is called, not ten; for a new schedule none."""
    schedules.add(hourly())
    schedules.add(replace(hourly("new"), created_at=NOW + timedelta(hours=10)))
    schedules.catch_up(NOW + timedelta(hours=10, minutes=5))
    assert clock.fired == [("hourly", datetime(2026, 11, 2, 22, 0, tzinfo=UTC))]


@pytest.mark.parametrize("cron", ["", "hourly", "61 * * * *", "* * * *", "0 0 30 2 *"])
def test_times_that_never_come_are_refused(cron: str) -> None:
    """An expression that is none, and the thirtieth of February."""
    with pytest.raises(InputError, match="not a time that comes"):
        hourly(cron=cron)


def test_the_settings_are_followed(schedules: Schedules, clock: Heard) -> None:
    """Schedules of the settings come, change and go with them; unchanged ones are not made anew; others stay."""
    made: list[str] = []

    def job(wanted: Wanted) -> Submission:
        made.append(wanted.name)
        return JOB

    a, b = (Wanted(name, "0 * * * *", "plan", {"scenario": "tiny"}) for name in "ab")
    schedules.add(hourly("mine"))
    schedules.configure([a, b], job)
    schedules.configure([a, b], job)
    assert made == ["a", "b"]
    schedules.configure([replace(a, cron="5 * * * *")], job)
    assert made == ["a", "b", "a"]
    assert sorted(clock.crons.values()) == ["0 * * * *", "5 * * * *"]
    with pytest.raises(InputError, match="schedules: mine: POST /v1/schedules made one"):
        schedules.configure([replace(a, name="mine")], job)


def test_who_keeps_the_time_follows_what_is_kept(schedules: Schedules, store: Store, clock: Heard) -> None:
    """After a service that ended halfway, schedules that are kept are called, of every tenant, and no others."""
    schedules.add(hourly())
    Schedules(store.of("other"), clock).add(replace(hourly(), id="theirs"))
    clock.crons = {"gone": "* * * * *"}
    Schedules(store.of(EVERYONE), clock).resume()
    assert clock.crons == {"hourly": "0 * * * *", "theirs": "0 * * * *"}


def test_a_tenant_sees_and_removes_its_own(schedules: Schedules, store: Store, clock: Heard) -> None:
    """Two tenants may use one name; neither sees the other's."""
    others = Schedules(store.of("other"), clock)
    schedules.add(hourly())
    assert (others.all(), others.remove("hourly")) == ([], False)
    assert others.add(replace(hourly(), id="theirs"))
    assert others.remove("hourly")
    assert schedules.find("hourly") is not None


def test_the_queue_calls_what_it_is_told_to(database: str) -> None:
    """DBOS keeps the schedules that it is told; telling it again changes nothing."""
    queue = Queue(database)
    queue.open()
    client: Any = queue._client
    queue.follow({"a": "0 * * * *", "b": "0 2 * * *"})
    before = {one["schedule_name"]: one["schedule_id"] for one in client.list_schedules()}
    queue.follow({"a": "0 * * * *", "c": "* * * * *"})
    queue.forget(["b"])
    after = {one["schedule_name"]: one["schedule_id"] for one in client.list_schedules()}
    assert queue.followed() == after.keys() == {"a", "c"}
    assert after["a"] == before["a"]
    queue.close()
