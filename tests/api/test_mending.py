"""When the plan in force is mended: once for each state of the clusters, and no longer than that state lasts."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from api.database.bell import Bell
from api.directing import directing, mending
from api.directing.directing import Directing
from api.directing.mending import Mending
from api.jobs.durable import Queue
from api.requests import NewMend
from api.store.jobs import Submission
from api.store.store import Store
from api.web.problems import Problem
from planner.directing.errors import UnknownClusterError


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    queue = Queue(database)
    queue.open()
    opened = Store(database, queue).of("default")
    yield opened
    queue.close()
    opened.close()


@pytest.fixture
def plan(store: Store) -> str:
    """A plan; what matters is that jobs can name it."""
    return store.submit(Submission("tiny", {"scenario": "small"}, None, ("a", "b"), "0"))


def asked(store: Store, plan: str) -> list[tuple[str, list[str], list[str]]]:
    """State, lost and restored clusters of the jobs that mend the plan, the oldest first."""
    import json

    found = [(row.status, json.loads(row.request)) for row in reversed(store.jobs("plan", 50, None))]
    return [(status, one["down"], one["restore"]) for status, one in found if one.get("mends") == plan]


def look(watching: Mending, plan: str, down: str, lost: str, since: float = 1.0) -> None:
    watching.look(plan, frozenset(down), frozenset(lost), lambda _: since)


def test_looking_goes_on_after_a_plan_was_withdrawn_meanwhile(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clusters are known no more when they are asked for; the next look is by what is there."""
    looks = [threading.Event(), threading.Event()]

    def mend(_: Directing) -> None:
        looks[looks[0].is_set()].set()
        raise UnknownClusterError("cluster: a: not known")

    monkeypatch.setattr(Directing, "_mend", mend)
    monkeypatch.setattr(directing, "PLAN_S", 0.0)
    bell = Bell(database)
    service = Directing(store, bell)
    bell.start()
    service.start()
    try:
        assert all(one.wait(20) for one in looks)
    finally:
        service.stop()
        bell.stop()


def test_one_job_for_each_state(store: Store, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often and by how many services it is looked, a loss makes one job, and so does the return after it."""
    monkeypatch.setattr(mending, "SETTLE_S", 0.0)
    services = [Mending(store), Mending(store)]
    for _ in range(3):
        for service in services:
            look(service, plan, "", "a")
    assert asked(store, plan) == [("queued", ["a"], [])]
    look(Mending(store), plan, "", "a")  # after a restart
    assert len(asked(store, plan)) == 1
    for service in services:
        look(service, plan, "a", "", since=2.0)
    assert asked(store, plan) == [("cancelled", ["a"], []), ("queued", [], ["a"])]
    row = store.jobs("plan", 1, None)[0]
    assert (row.name, row.priority) == ("tiny", 50)
    assert '"scenario": "small"' in row.request


def test_another_loss_meanwhile(store: Store, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second loss replaces the job for the first; when all is back before it was done, none is left."""
    monkeypatch.setattr(mending, "SETTLE_S", 0.0)
    service = Mending(store)
    look(service, plan, "", "a")
    look(service, plan, "", "ab")
    assert asked(store, plan) == [("cancelled", ["a"], []), ("queued", ["a", "b"], [])]
    look(service, plan, "", "")
    assert [status for status, _, _ in asked(store, plan)] == ["cancelled", "cancelled"]
    look(service, plan, "", "ab", since=5.0)
    assert asked(store, plan)[2] == ("queued", ["a", "b"], [])


def test_nothing_for_what_does_not_last(store: Store, plan: str) -> None:
    """A loss is waited with for a moment, as others may follow."""
    service = Mending(store)
    for _ in range(3):
        look(service, plan, "", "a")
    assert asked(store, plan) == []


@pytest.mark.parametrize(
    ("asks", "says"),
    [({}, "down: missing"), ({"down": ["aa"]}, "down: aa: not of this plan; 'a'?"),
     ({"restore": ["zzz"]}, "restore: zzz: not of this plan; allowed are a, p, p/a"),
     ({"down": ["a"], "restore": ["a"]}, "restore: a: also given as down")],
)  # fmt: skip
def test_what_cannot_be_mended_is_named(asks: Any, says: str) -> None:
    """Names that are not the plan's, and what is both lost and back."""
    routes: Any = SimpleNamespace(clusters={"a": ("a", "p/a", "p")})
    with pytest.raises(Problem) as problem:
        mending.check_names(NewMend(**asks), routes)
    assert says in problem.value.detail
