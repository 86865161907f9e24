"""The store: a plan moves forward only, and only the attempt that holds it may write."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from api.database.engine import checked_url, engine_of, upgrade
from api.database.tables import metadata
from api.database.tenancy import DEFAULT
from api.jobs.durable import VERSION, Queue
from api.store.jobs import IdempotencyConflictError, Job, JobRow, Submission
from api.store.placements import Placements
from api.store.store import Store
from planner.errors import InputError
from planner.plan import Plan

ROOT = Path(__file__).resolve().parents[2]


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
def store(database: str) -> Iterator[Store]:
    queue = Queue(database)
    queue.open()
    made = Store(database, queue)
    yield made.of("acme")
    made.close()
    queue.close()


def begun(store: Store, plan_id: str, max_attempts: int = 3) -> Job:
    job = store.begin(plan_id, max_attempts)
    assert job is not None
    return job


def row_of(store: Store, plan_id: str) -> JobRow:
    row = store.job(plan_id)
    assert row is not None
    return row


def test_a_finished_plan_tells_what_runs_where(store: Store) -> None:
    """Units and machines of a finished plan are found by cluster and by workload."""
    plan_id = store.submit(submission())
    assert store.newest_done() is None
    assert store.finish_plan(begun(store, plan_id), plan(), {"packings.parquet": ("a/b", b"PAR1")})
    assert store.file(plan_id, "packings.parquet") == ("a/b", b"PAR1")
    assert store.file(plan_id, "other") is None
    assert store.newest_done() == plan_id
    (unit,) = Placements(store.engine).units(plan_id, cluster="cheap")
    assert unit == {"workload": "etl", "user_region": None, "copy": 0, "part": 0, "cluster": "cheap", "pool": "p",
                    "start_slot": None}  # fmt: skip
    assert Placements(store.engine).units(plan_id, workload="etl") == [unit]
    assert Placements(store.engine).units(plan_id, cluster="dear") == []
    (row,) = Placements(store.engine).machines(plan_id, "cheap")
    assert row == {"pool": "p", "purchase": "on_demand", "count": [1, 1, 1, 1]}
    assert store.clusters(plan_id) == ("cheap", "dear")


def test_units_are_read_in_pages(store: Store) -> None:
    """Every unit comes once, in order, whatever the size of a page, with and without user regions."""
    plan_id, one = store.submit(submission()), plan().model_dump(by_alias=True)
    names = [("a", None, 0), ("a", None, 1), ("b", "aws/eu", 0), ("b", "aws/us", 0), ("c", None, 0)]
    one["assignments"] = [{"workload": work, "user_region": region, "copy": copy, "pool": "p",
                           "cluster": "dear" if copy else "cheap"} for work, region, copy in reversed(names)]
    assert store.finish_plan(begun(store, plan_id), Plan.model_validate(one, strict=False), {})

    def read(rows: int, **only: str) -> list[tuple[Any, ...]]:
        pages = list(Placements(store.engine).pages(plan_id, **only, rows=rows))
        assert all(len(page) <= rows for page in pages)
        return [(unit["workload"], unit["user_region"], unit["copy"]) for page in pages for unit in page]

    for rows in (1, 2, 5, 9):
        assert read(rows) == names
    assert read(1, cluster="dear") == [("a", None, 1)]
    assert read(1, workload="b") == names[2:4]


def test_an_infeasible_plan_is_an_answer_but_not_what_runs(store: Store) -> None:
    """An infeasible plan ends as such, with its document, and is not taken for what runs."""
    plan_id = store.submit(submission())
    none = plan("infeasible").model_copy(update={"assignments": (), "machines": (), "cost_usd": 0.0})
    assert store.finish_plan(begun(store, plan_id), none, {})
    assert row_of(store, plan_id).status == "infeasible"
    assert store.newest_done() is None
    assert '"status": "infeasible"' in (store.result(plan_id) or "")


def test_what_has_ended_stays_as_it_is(store: Store) -> None:
    """A cancelled plan is neither finished nor failed nor reported on later, and a finished one is not cancelled."""
    plan_id = store.submit(submission())
    job = begun(store, plan_id)
    assert store.goes_on(job)
    assert store.cancel(plan_id)
    assert not store.goes_on(job)
    assert not store.finish_plan(job, plan(), {"a": ("b", b"c")})
    assert not store.fail(job, ["late"])
    store.report(job, {"seconds": 9.0})
    row = row_of(store, plan_id)
    assert (row.status, row.errors, row.seconds) == ("cancelled", "[]", None)
    assert (store.result(plan_id), store.file(plan_id, "a")) == (None, None)
    assert store.begin(plan_id, 3) is None
    other = store.submit(submission())
    assert store.finish_plan(begun(store, other), plan(), {})
    assert not store.cancel(other)
    assert row_of(store, other).status == "done"


def test_an_attempt_that_was_given_up_on_cannot_write(store: Store) -> None:
    """After a restart the old process of a job, should it still live, changes nothing; the new one does."""
    plan_id = store.submit(submission())
    old, new = begun(store, plan_id), begun(store, plan_id)
    assert (old.attempt, new.attempt) == (1, 2)
    assert not store.goes_on(old)
    assert not store.finish_plan(old, plan(), {})
    assert not store.fail(old, ["no"])
    assert store.finish_plan(new, plan(), {})


def test_a_job_that_kills_the_service_is_not_tried_for_ever(store: Store) -> None:
    """After the last attempt a job that was running is failed, with the reason."""
    plan_id = store.submit(submission())
    assert [begun(store, plan_id).attempt for _ in range(3)] == [1, 2, 3]
    assert store.begin(plan_id, 3) is None
    row = row_of(store, plan_id)
    assert row.status == "failed"
    assert "3 times" in row.errors


def test_an_orderly_stop_costs_no_attempt(store: Store) -> None:
    """A job that is put back at shutdown counts as not begun."""
    plan_id = store.submit(submission())
    store.requeue(begun(store, plan_id))
    assert row_of(store, plan_id).status == "queued"
    assert begun(store, plan_id).attempt == 1


def test_a_job_and_its_place_in_the_queue_come_together(store: Store) -> None:
    """A job that cannot be queued is not there either: nothing is accepted that nobody would carry out."""

    class Full:
        def put(self, connection: Connection, job_id: str, priority: int, *, quick: bool) -> None:
            raise OSError(f"no room for {job_id} of {priority} in {connection}, quick: {quick}")

    store._queue = Full()
    with pytest.raises(OSError, match="no room"):
        store.submit(submission())
    assert store.jobs(None, 10, None) == []


def test_what_waits_with_another_version_is_taken_over(database: str) -> None:
    """Work of another version that waits, or that these workers had begun, is this version's; what others carry out
    stays theirs. Nothing else of it changes.
    """
    queue = Queue(database)
    queue.open()
    held = Store(database, queue)
    store = held.of(DEFAULT)
    ids = [store.submit(submission()) for _ in range(4)]
    status = "dbos.workflow_status" if held.engine.dialect.name == "postgresql" else "workflow_status"
    with held.engine.begin() as connection:
        connection.execute(text(f"UPDATE {status} SET application_version = 'old'"))
        for at, (state, executor) in enumerate([("ENQUEUED", None), ("PENDING", "mine"), ("PENDING", "theirs"),
                                                ("SUCCESS", "mine")]):
            connection.execute(text(f"UPDATE {status} SET status = :state, executor_id = :executor WHERE"
                                    " workflow_uuid = :id"), {"state": state, "executor": executor, "id": ids[at]})
    with held.engine.begin() as connection:
        queue.take_over(connection, ["mine"])
    with held.engine.connect() as connection:
        found = {row[0]: row[1:] for row in connection.execute(text(
            f"SELECT workflow_uuid, status, executor_id, application_version FROM {status}"))}
    assert [found[one] for one in ids] == [("ENQUEUED", None, VERSION), ("PENDING", "mine", VERSION),
                                           ("PENDING", "theirs", "old"), ("SUCCESS", "mine", "old")]
    queue.close()
    held.close()


def test_workers_that_were_seen_live(store: Store) -> None:
    """Who was noted within the time counts as living, and being noted again changes nothing."""
    store.seen(["a-0", "a-1"])
    store.seen(["a-1"])
    assert sorted(store.living(30.0)) == ["a-0", "a-1"]
    assert store.living(-1.0) == []


def test_the_same_key_makes_one_plan(store: Store) -> None:
    """The same key and body give the same plan, another body is refused, and no key makes a plan each time."""
    first = store.submit(submission("k"))
    assert store.submit(submission("k")) == first
    assert store.find_key("k", "a") == first
    with pytest.raises(IdempotencyConflictError):
        store.submit(submission("k", body="b"))
    assert len({store.submit(submission()) for _ in range(2)}) == 2
    assert len(store.jobs("plan", 10, None)) == 3


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
    first = store.jobs("plan", 2, None)
    second = store.jobs("plan", 2, first[-1].seq)
    assert [row.id for row in first + second] == ids[:0:-1]


def test_kinds_and_states_are_told_apart(store: Store) -> None:
    """Lists may be of one kind or in one state; a job of another kind is not found as a plan."""
    first, second = store.submit(submission()), store.submit(replace(submission(), kind="forecast"))
    assert [row.id for row in store.jobs("forecast", 10, None)] == [second]
    assert store.job(second, "plan") is None
    begun(store, first)
    assert [row.id for row in store.jobs(None, 10, None, "running")] == [first]
    assert [row.id for row in store.jobs(None, 10, None, name="tiny")] == [second, first]
    assert store.jobs(None, 10, None, name="other") == []
    assert len(store.jobs(None, 10, None, since=datetime.now(UTC) - timedelta(minutes=1))) == 2
    assert store.jobs(None, 10, None, since=datetime.now(UTC) + timedelta(minutes=1)) == []


def test_plans_are_listed_by_how_far_they_are(store: Store) -> None:
    """A plan that is done is a draft; one that is waiting is nowhere yet."""
    first, _ = store.submit(submission()), store.submit(submission())
    assert store.finish_plan(begun(store, first), plan(), {})
    assert [row.id for row in store.jobs("plan", 10, None, state="draft")] == [first]
    assert store.jobs("plan", 10, None, state="in_force") == []


def test_the_newest_version_of_the_store_has_the_tables_of_this_program(database: str) -> None:
    """What the migrations make is what the program reads and writes, column by column; making it again changes nothing.
    """
    upgrade(database)
    engine = engine_of(database)
    found = inspect(engine)
    for table in metadata.sorted_tables:
        columns = {column["name"]: column["nullable"] for column in found.get_columns(table.name)}
        assert columns == {column.name: column.nullable for column in table.columns}
    engine.dispose()


def test_a_store_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """Plans that were done stay; those that waited are to be asked for again, and say so."""
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    config, engine = Config(), engine_of(url)
    config.set_main_option("script_location", str(ROOT / "api" / "database" / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql("DROP TABLE alembic_version")  # which that version did not have
        for name, status in (("a", "done"), ("b", "queued")):
            connection.exec_driver_sql(
                "INSERT INTO plans (id, name, status, attempt, created_at, request, clusters, errors, body_sha256,"
                " idempotency_key)"
                f" VALUES ('{name}', 'n', '{status}', 1, '2026-01-01T00:00:00Z', '{{}}', '[]', '[]', '', 'key-{name}')")
            connection.exec_driver_sql(f"INSERT INTO documents VALUES ('{name}', NULL, '{{}}')")
    engine.dispose()
    upgrade(url)
    store = Store(url).of("default")
    assert [(row.id, row.status, row.kind) for row in store.jobs("plan", 9, None)] == [
        ("b", "failed", "plan"), ("a", "done", "plan")]
    assert "ask for it again" in row_of(store, "b").errors
    assert store.result("a") == "{}"
    assert store.find_key("key-a", "") == "a"
    assert Store(url).of("other").jobs(None, 9, None) == []
    store.close()


def test_versions_of_the_store_follow_one_another() -> None:
    """Each version follows one other, and each file is named after its version."""
    folder = ROOT / "api" / "database" / "migrations" / "versions"
    files = sorted(path.name for path in folder.glob("v*.py"))
    scripts = list(ScriptDirectory(str(folder.parent)).walk_revisions())[::-1]
    assert [f"v{script.revision}" for script in scripts] == [name.split("_")[0] for name in files]


def test_a_newer_store_is_refused(database: str) -> None:
    """A database of a later version is left alone."""
    engine = engine_of(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(RuntimeError, match="newer version"):
        upgrade(database)


@pytest.mark.parametrize(("address", "says"), [("mysql://a/b", "mysql"), ("what", "not an address")])
def test_other_databases_are_refused_by_name(address: str, says: str) -> None:
    """Only PostgreSQL and SQLite are known."""
    with pytest.raises(InputError, match=says):
        checked_url(address)
