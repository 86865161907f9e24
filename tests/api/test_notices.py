"""Events on their way to people: noted with what happened, told once, later or not, and on record."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter
from sqlalchemy import Connection

from api.channels import AnyChannel, UndeliveredError
from api.database.events import Event, Findings, note, note_findings
from api.database.tenancy import EVERYONE
from api.directing.directing import happened_to
from api.life_cycle import steps
from api.life_cycle.lives import Lives
from api.notices import Courier, Dispatcher, records
from api.store.jobs import Submission
from api.store.store import Store
from planner.directing import ClusterHealth, Hysteresis, Report

NOW = datetime(2026, 11, 2, 12, 30, tzinfo=UTC)
LOST = Event("alarm", "warning", "cluster a", "a is lost", "since noon")
CHANNELS = TypeAdapter(tuple[AnyChannel, ...])


class Post:
    """Notes what is queued, within the transaction."""

    def __init__(self) -> None:
        self.queued: list[tuple[int, float]] = []

    def put_notice(self, connection: Connection, notice_id: int, delay_s: float) -> None:
        assert connection.in_transaction()
        self.queued.append((notice_id, delay_s))

    def put(self, connection: Connection, job_id: str, priority: int, *, quick: bool) -> None:
        """A job is put into the queue; nobody takes it."""


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def store(database: str, post: Post) -> Iterator[Store]:
    made = Store(database, post)
    yield made.of("default")
    made.close()


def channels(*settings: dict[str, Any]) -> tuple[Any, ...]:
    return CHANNELS.validate_python([{"kind": "webhook", "name": "hook", "url": "http://127.0.0.1:1"} | one
                                     for one in settings])


def happens(store: Store, *events: Event) -> None:
    with store.engine.begin() as connection:
        note(connection, *events)


def told(store: Store, post: Post, to: tuple[Any, ...], now: datetime = NOW) -> list[tuple[str, str, bool]]:
    """Pass on what happened; what is on record since, oldest first: channel, state, resolved."""
    before = len(records(store, 200, None, None, None))
    Dispatcher(store.of(EVERYONE), post, to).pass_on(now)
    rows = records(store, 200, None, None, None)
    return [(row.channel, row.state, row.resolved) for row in reversed(rows[:len(rows) - before])]


def test_what_is_not_committed_is_not_told(store: Store, post: Post) -> None:
    """An event is noted in the transaction of what happened, and is gone with it."""
    with store.engine.connect() as connection:
        note(connection, LOST)
        connection.rollback()
    assert told(store, post, channels({})) == []


def test_an_event_is_passed_on_once(store: Store, post: Post) -> None:
    """To every channel that tells it, by whichever service looks first; without channels it is over, too."""
    happens(store, LOST)
    two = channels({}, {"name": "pager", "least": "critical"}, {"name": "chat"})
    assert told(store, post, two) == [("hook", "queued", False), ("chat", "queued", False)]
    assert told(store, post, two) == []
    assert [delay for _, delay in post.queued] == [0.0, 0.0]
    happens(store, replace(LOST, subject="cluster b"))
    assert told(store, post, ()) == told(store, post, two) == []


def test_the_same_again_is_not_told_for_a_while(store: Store, post: Post) -> None:
    """Within the window it is on record as repeated; its end is told; after that, or after the window, it is new."""
    to = channels({"again_after_s": 3600.0})

    def at(minutes: int, event: Event = LOST) -> str:
        happens(store, event)
        ((_, state, _),) = told(store, post, to, NOW + timedelta(minutes=minutes))
        return state

    assert at(0) == "queued"
    assert at(59, replace(LOST, text="other figures", severity="critical")) == "repeated"
    assert at(59, replace(LOST, title="b is lost")) == "queued"
    assert at(61) == "queued"
    assert at(62, replace(LOST, resolved=True)) == "queued"
    assert at(63, replace(LOST, resolved=True)) == "repeated"
    assert at(64) == "queued"
    assert len(post.queued) == 5


def test_quiet_hours_hold_back_what_is_not_urgent(store: Store, post: Post) -> None:
    """A warning waits until they end, what is critical does not."""
    to = channels({"quiet": [{"begins": "12:00", "ends": "14:00"}]})
    happens(store, LOST, replace(LOST, title="worse", severity="critical"))
    assert told(store, post, to) == [("hook", "held", False), ("hook", "queued", False)]
    assert [delay for _, delay in post.queued] == [5400.0, 0.0]
    assert records(store, 1, None, None, "held")[0].not_before == "2026-11-02T14:00:00.000Z"


def test_tenants_are_told_of_their_own(store: Store, post: Post) -> None:
    """A channel tells its tenant's events, or everyone's; and its records are that tenant's."""
    happens(store.of("acme"), LOST)
    to = channels({}, {"name": "acmes", "tenant": "acme"}, {"name": "all", "tenant": "*"})
    assert told(store.of("acme"), post, to) == [("acmes", "queued", False), ("all", "queued", False)]
    assert records(store, 10, None, None, None) == []


def test_what_a_look_does_not_find_any_more_has_ended(store: Store, post: Post) -> None:
    """Each look at a scope notes what it finds, and once the end of what it found before; scopes do not mix."""

    def look(*events: Event, scope: str = "telemetry") -> list[tuple[str, str, bool]]:
        with store.engine.begin() as connection:
            note_findings(connection, Findings(scope, events))
        return told(store, post, channels({"again_after_s": 0.0}))

    hot = replace(LOST, title="hot")
    assert look(LOST, hot) == [("hook", "queued", False)] * 2
    assert look(hot, scope="other") == [("hook", "queued", False)]
    assert look(hot) == [("hook", "queued", False), ("hook", "queued", True)]
    assert look(hot) == [("hook", "queued", False)]
    assert look() == [("hook", "queued", True)]
    assert look() == []


def test_a_job_that_fails_is_told(store: Store, post: Post) -> None:
    """With the reasons, whether its process says so or the service gives it up; a cancelled one is not."""
    job_id = store.submit(Submission("tiny", {}, None, (), "a"))
    everyone = store.of(EVERYONE)
    job = everyone.begin(job_id, 1)
    assert job is not None
    assert everyone.fail(job, ["no room", "at all"])
    given_up = store.submit(Submission("tiny", {}, None, (), "b"))
    assert everyone.begin(given_up, 1) is not None
    assert everyone.begin(given_up, 1) is None
    cancelled = store.submit(Submission("tiny", {}, None, (), "c"))
    store.cancel(cancelled)
    to = channels({"again_after_s": 0.0})
    assert told(store, post, to) == [("hook", "queued", False)] * 2
    second, first = records(store, 10, None, None, None)
    assert (first.title, first.text) == ("plan of tiny failed", "no room\nat all")
    assert "1 times" in second.text
    assert given_up in second.fields


def test_a_plan_s_way_into_force_is_told(store: Store, post: Post, document: Any) -> None:
    """Each state that a plan comes to, with who took it there and why; one that is rolled back as a warning."""
    job = store.of(EVERYONE).begin(store.submit(Submission("tiny", {}, None, (), "a")), 1)
    assert job is not None
    store.finish_plan(job, document(), {})
    lives = Lives(store.engine)
    lives.change(job.id, lambda standing: steps.verify(standing.life, []), "ann")
    lives.change(job.id, lambda standing: steps.approve(standing.life), "bob", "looks good")
    told(store, post, channels({}))
    approved, verified = records(store, 10, None, None, None)
    assert verified.title == f"plan {job.id} of tiny is verified"
    assert (approved.severity, approved.text) == ("info", "bob: looks good")


def test_a_cluster_that_is_lost_is_told_and_that_it_is_back(store: Store, post: Post) -> None:
    """Once each, however many say so, with whose word it was."""
    lost, back = Report("down", "probe", "eu"), Report("up", "probe", "eu")
    how, health, happened = Hysteresis(), ClusterHealth(), []
    for at, report in enumerate([lost, lost, back, back, lost]):
        before, health = health, health.heard(report, float(at), how)
        happened += happened_to("a", before, health, report)
    happens(store, *happened)
    told(store, post, channels({"again_after_s": 0.0}))
    rows = records(store, 10, None, None, None)
    assert [(row.title, row.resolved) for row in rows] == [("cluster a is lost", resolved) for resolved in (0, 1, 0)]
    assert rows[0].text == "by the word of probe eu"


def test_a_notice_is_sent_once_and_is_on_record(store: Store, post: Post, hooks: Any) -> None:
    """Tried until it is taken, each try counted; when it was sent, asking again sends nothing."""
    to = channels({"url": hooks.url})
    happens(store, LOST)
    told(store, post, to)
    ((notice_id, _),) = post.queued
    hooks.answers = [503]
    courier = Courier(store.of(EVERYONE), to)
    with pytest.raises(UndeliveredError):
        courier.deliver(notice_id)
    (row,) = records(store, 1, None, "hook", "queued")
    assert (row.attempts, row.error) == (1, hooks.url.split("/")[2] + ": answers 503")
    courier.deliver(notice_id)
    courier.deliver(notice_id)
    (row,) = records(store, 1, None, "hook", "sent")
    assert (row.attempts, row.error, row.sent_at is None) == (2, None, False)
    assert [one.body["data"]["subject"] for one in hooks.heard] == ["cluster a"] * 2


def test_a_notice_that_cannot_arrive_is_given_up(store: Store, post: Post, hooks: Any) -> None:
    """Refused, or its channel gone, or tried often enough: failed, with the reason."""
    to = channels({"url": hooks.url})
    happens(store, LOST, replace(LOST, title="b"), replace(LOST, title="c"))
    told(store, post, to)
    first, second, third = (notice_id for notice_id, _ in post.queued)
    hooks.answers = [400, 500]
    courier = Courier(store.of(EVERYONE), to)
    courier.deliver(first)
    Courier(store.of(EVERYONE), ()).deliver(second)
    with pytest.raises(UndeliveredError):
        courier.deliver(third)
    courier.give_up(third)
    errors = [row.error for row in reversed(records(store, 9, None, None, "failed"))]
    assert [error.split(": ")[1] for error in errors] == [
        "answers 400", "the settings have no such channel any more", "answers 500"]
