"""The store: a plan moves forward only, and only the attempt that holds it may write."""

import threading
from pathlib import Path
from typing import Any

import pytest

from api.store import IdempotencyConflictError, Job, Store, Submission
from planner.plan import Plan


def submission(key: str | None = None, body: str = "a") -> Submission:
    return Submission("tiny", {"time_limit_s": 5}, '{"name": "tiny"}', ("cheap", "dear"), body, key)


def plan(status: str = "optimal") -> Plan:
    """A plan with one unit on one machine."""
    unit = {"workload": "etl", "user_region": None, "copy": 0, "part": 0, "cap": None, "cluster": "cheap", "pool": "p",
            "start_slot": None}  # fmt: skip
    document: dict[str, Any] = {
        "schema": 1, "name": "tiny", "status": status, "mode": "min_cost", "cost_usd": 4.0,
        "costs": {"machines": 4.0, "egress": 0, "storage": 0, "moves": 0, "carbon": 0},
        "sla_attainment": 1.0, "bound": 4.0, "gap": 0.0, "assignments": [unit],
        "machines": [{"cluster": "cheap", "pool": "p", "purchase": "on_demand", "count": [1, 1, 1, 1]}],
    }  # fmt: skip
    return Plan.model_validate(document, strict=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "planner.sqlite")
    made.create()
    return made


def claimed(store: Store) -> Job:
    job = store.claim()
    assert job is not None
    return job


def status(store: Store, plan_id: str) -> str:
    row = store.plan(plan_id)
    assert row is not None
    return str(row.status)


def test_oldest_first_and_each_once(store: Store) -> None:
    """Plans are claimed in the order they came, each by one claimer, and the queue runs dry."""
    ids = [store.submit(submission()) for _ in range(3)]
    assert [claimed(store).plan_id for _ in ids] == ids
    assert store.claim() is None


def test_many_claimers_never_share_a_plan(tmp_path: Path) -> None:
    """Eight threads with stores of their own claim 40 plans, each exactly once."""
    first = Store(tmp_path / "planner.sqlite")
    first.create()
    ids = {first.submit(submission()) for _ in range(40)}
    taken: list[str] = []

    def claim_all() -> None:
        own = Store(tmp_path / "planner.sqlite")
        while job := own.claim():
            taken.append(job.plan_id)

    threads = [threading.Thread(target=claim_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(ids)


def test_a_finished_plan_tells_what_runs_where(store: Store) -> None:
    """Units and machines of a finished plan are found by cluster and by workload."""
    plan_id = store.submit(submission())
    assert store.newest_done() is None
    assert store.finish(claimed(store), plan())
    assert store.newest_done() == plan_id
    (unit,) = store.assignments(plan_id, cluster="cheap")
    assert unit == {"workload": "etl", "user_region": None, "copy": 0, "part": 0, "cluster": "cheap", "pool": "p",
                    "start_slot": None}  # fmt: skip
    assert store.assignments(plan_id, workload="etl") == [unit]
    assert store.assignments(plan_id, cluster="dear") == []
    assert store.machines(plan_id, "cheap") == [{"pool": "p", "purchase": "on_demand", "count": [1, 1, 1, 1]}]
    assert store.clusters(plan_id) == ("cheap", "dear")


def test_an_infeasible_plan_is_an_answer_but_not_what_runs(store: Store) -> None:
    """An infeasible plan ends as such, with its document, and is not taken for what runs."""
    plan_id = store.submit(submission())
    assert store.finish(claimed(store), plan("infeasible"))
    assert status(store, plan_id) == "infeasible"
    assert store.newest_done() is None
    row = store.plan(plan_id)
    assert row is not None
    assert '"status": "infeasible"' in row.plan


def test_what_has_ended_stays_as_it_is(store: Store) -> None:
    """A cancelled plan is neither finished nor failed nor reported on later, and a finished one is not cancelled."""
    plan_id = store.submit(submission())
    job = claimed(store)
    assert store.cancel(plan_id)
    assert not store.finish(job, plan())
    assert not store.fail(job, ["late"])
    store.report(job, {"seconds": 9.0})
    row = store.plan(plan_id)
    assert row is not None
    assert (row.status, row.errors, row.seconds, row.plan) == ("cancelled", "[]", None, None)
    other = store.submit(submission())
    assert store.finish(claimed(store), plan())
    assert not store.cancel(other)
    assert status(store, other) == "done"


def test_an_attempt_that_was_given_up_on_cannot_write(store: Store) -> None:
    """After a restart the old planning process, should it still live, changes nothing; the new one does."""
    plan_id = store.submit(submission())
    old = claimed(store)
    assert store.recover(max_attempts=3) == 1
    assert status(store, plan_id) == "queued"
    new = claimed(store)
    assert (old.attempt, new.attempt) == (1, 2)
    assert not store.finish(old, plan())
    assert not store.fail(old, ["no"])
    assert store.finish(new, plan())


def test_a_plan_that_kills_the_service_is_not_tried_for_ever(store: Store) -> None:
    """After the last attempt a plan that was running is failed, with the reason; others are queued again."""
    plan_id, other = store.submit(submission()), store.submit(submission())
    for attempt in range(1, 4):
        job = claimed(store)
        assert (job.plan_id, job.attempt) == (plan_id, attempt)
        store.recover(max_attempts=3)
    row = store.plan(plan_id)
    assert row is not None
    assert row.status == "failed"
    assert "3 times" in row.errors
    assert claimed(store).plan_id == other


def test_an_orderly_stop_costs_no_attempt(store: Store) -> None:
    """A plan that is put back at shutdown counts as not begun."""
    store.submit(submission())
    store.requeue(claimed(store))
    assert claimed(store).attempt == 1


def test_the_same_key_makes_one_plan(store: Store) -> None:
    """The same key and body give the same plan, another body is refused, and no key makes a plan each time."""
    first = store.submit(submission("k"))
    assert store.submit(submission("k")) == first
    assert store.find_key("k", "a") == first
    with pytest.raises(IdempotencyConflictError):
        store.submit(submission("k", body="b"))
    assert len({store.submit(submission()) for _ in range(2)}) == 2
    assert len(store.plans(10, None)) == 3


def test_racing_keys_make_one_plan(store: Store) -> None:
    """Twelve requests with one key at the same moment make one plan."""
    ids: list[str] = []
    start = threading.Barrier(12)

    def submit() -> None:
        start.wait()
        ids.append(store.submit(submission("k")))

    threads = [threading.Thread(target=submit) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 12
    assert len(set(ids)) == 1


def test_the_list_pages_backwards(store: Store) -> None:
    """The newest come first, and each page goes on where the last one ended."""
    ids = [store.submit(submission()) for _ in range(5)]
    first = store.plans(2, None)
    second = store.plans(2, first[-1].seq)
    assert [row.id for row in first + second] == ids[:0:-1]


def test_a_newer_store_is_refused(store: Store, tmp_path: Path) -> None:
    """A file of a later version is left alone."""
    import sqlite3

    with sqlite3.connect(tmp_path / "planner.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with pytest.raises(RuntimeError, match="version 99"):
        store.create()
