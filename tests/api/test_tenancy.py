"""Tenants: what is one's own is not there for another, whichever way it is asked for."""

import gc
import json
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, exists, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from api.database.engine import engine_of
from api.database.tables import documents, files, in_force, jobs, metadata, workers
from api.database.tenancy import EVERYONE, NAME, narrowed, of_tenant
from api.jobs.durable import Queue
from api.life_cycle import steps
from api.life_cycle.lives import Lives
from api.marks import Marks, Said
from api.store.health import Heard
from api.store.jobs import IdempotencyConflictError, Job, Submission
from api.store.placements import Placements
from api.store.running import Running, running
from api.store.store import Store
from planner.plan import Plan

SERVICE_WIDE = {"workers"}
"""Tables that belong to the service and to no tenant."""


@pytest.fixture
def stores(database: str) -> Iterator[tuple[Store, Store, Store]]:
    """One of each of two tenants, and that of everyone."""
    queue = Queue(database)
    queue.open()
    made = Store(database, queue)
    yield made.of("acme"), made.of("globex"), made
    made.close()
    queue.close()


def submission(key: str | None = None, body: str = "a") -> Submission:
    return Submission("tiny", {}, '{"name": "tiny"}', ("cheap",), body, key, file=("history", "text/csv", b"a"))


def done(store: Store, everyone: Store) -> Job:
    """A plan with one unit, made and in force."""
    unit = {"workload": "etl", "user_region": None, "copy": 0, "part": 0, "cap": None, "cluster": "cheap", "pool": "p",
            "start_slot": None}  # fmt: skip
    plan: dict[str, Any] = {
        "schema": 1, "name": "tiny", "status": "optimal", "mode": "min_cost", "cost_usd": 4.0,
        "costs": {"machines": 4.0, "egress": 0, "storage": 0, "moves": 0, "carbon": 0},
        "sla_attainment": 1.0, "bound": 4.0, "gap": 0.0, "assignments": [unit],
        "machines": [{"cluster": "cheap", "pool": "p", "purchase": "on_demand", "count": [1]}],
    }  # fmt: skip
    job = everyone.begin(store.submit(submission("k")), 3)
    assert job is not None
    assert store.finish_plan(job, Plan.model_validate(plan, strict=False), {"routes.json": ("a/b", b"{}")})
    lives = Lives(store.engine)
    for step in (lambda now: steps.verify(now.life, []), lambda now: steps.approve(now.life),
                 lambda now: steps.put_in_force(now.life, now.fleet, datetime.now(UTC))):
        lives.change(job.id, step, "secret")
    Heard(store.engine).hear("cheap", lambda _: '{"is": "secret"}')
    return job


READS: dict[str, Callable[[Store, str], Any]] = {
    "jobs": lambda store, _: store.jobs(None, 9, None),
    "job": lambda store, plan_id: store.job(plan_id),
    "given": lambda store, plan_id: store.given(plan_id),
    "result": lambda store, plan_id: store.result(plan_id),
    "file": lambda store, plan_id: store.file(plan_id, "history"),
    "counts": lambda store, _: store.counts(),
    "oldest_queued": lambda store, _: store.oldest_queued(),
    "newest_done": lambda store, _: store.newest_done(),
    "clusters": lambda store, plan_id: store.clusters(plan_id),
    "assignments": lambda store, plan_id: Placements(store.engine).units(plan_id),
    "workloads": lambda store, plan_id: Placements(store.engine).workloads(plan_id),
    "machines": lambda store, plan_id: Placements(store.engine).machines(plan_id, "cheap"),
    "running": lambda store, _: running(store.engine),
    "health": lambda store, _: Heard(store.engine).since(0),
    "find_key": lambda store, _: store.find_key("k", "a"),
}


def test_nothing_of_another_tenant_is_read(stores: tuple[Store, Store, Store]) -> None:
    """Every question is answered to a tenant as if the other had never been; its own answers are there."""
    acme, globex, everyone = stores
    job = done(acme, everyone)
    waiting = acme.submit(submission())
    assert [name for name, read in READS.items() if not read(acme, job.id)] == []
    for plan_id in (job.id, waiting):
        found = {name: read(globex, plan_id) for name, read in READS.items()}
        assert {name: answer for name, answer in found.items() if answer} == {}


def test_nothing_of_another_tenant_is_changed(stores: tuple[Store, Store, Store]) -> None:
    """Cancelling, finishing, failing, reporting and putting back change nothing of another tenant's job."""
    acme, globex, everyone = stores
    job_id = acme.submit(submission())
    assert not globex.cancel(job_id)
    assert globex.begin(job_id, 3) is None
    job = everyone.begin(job_id, 3)
    assert job is not None
    assert job.tenant == "acme"
    assert not globex.goes_on(job)
    assert not globex.fail(job, ["no"])
    assert not globex.finish(job, "{}", {"x": ("a/b", b"c")})
    globex.report(job, {"seconds": 9.0})
    globex.requeue(job)
    row = acme.job(job_id)
    assert row is not None
    assert (row.status, row.seconds, row.attempt) == ("running", None, 1)
    assert acme.cancel(job_id)


def test_a_key_of_a_request_is_the_tenants_own(stores: tuple[Store, Store, Store]) -> None:
    """Two tenants use the same key for different bodies; within one it still makes one job, and a conflict."""
    acme, globex, _ = stores
    first, second = acme.submit(submission("k")), globex.submit(submission("k", body="b"))
    assert acme.submit(submission("k")) == first != second == globex.submit(submission("k", body="b"))
    with pytest.raises(IdempotencyConflictError) as conflict:
        globex.submit(submission("k"))
    assert conflict.value.job_id == second


def test_reports_of_clusters_of_one_name_do_not_meet(stores: tuple[Store, Store, Store]) -> None:
    """Two tenants have a cluster of one name, each with its own health and its own versions."""
    acme, globex, _ = stores
    assert Heard(acme.engine).hear("cheap", lambda known: json.dumps([known])) == (1, "[null]")
    assert Heard(globex.engine).hear("cheap", lambda known: json.dumps([known, "b"])) == (1, '[null, "b"]')
    assert Heard(acme.engine).hear("cheap", lambda known: json.dumps([known]))[0] == 2
    assert [row[:2] for row in Heard(globex.engine).since(0)] == [("cheap", 1)]


def test_marks_of_alarms_are_the_tenants_own(stores: tuple[Store, Store, Store]) -> None:
    """Who saw an alarm and what was said of it is not there for another tenant, and the last word of a person counts.
    """
    acme, globex = (Marks(store.engine) for store in stores[:2])
    acme.see([("f", "s"), ("g", "s")], "ann", "mine")
    acme.see([("f", "s")], "bob", "mine too")
    first = Said("f", "s", "c", "m", "", 1e-9, "true_positive", "ann", "t", "")
    acme.judge([first])
    acme.judge([replace(first, verdict="false_positive"), replace(first, by="bob")])
    assert {mark.by for mark in acme.seen().values()} == {"ann"}
    assert [(one.by, one.verdict) for one in acme.judgements()] == [("ann", "false_positive"), ("bob", "true_positive")]
    assert acme.said() == 3
    assert (globex.seen(), globex.judgements(), globex.said()) == ({}, [], 0)


def test_another_tenants_plan_is_not_put_in_force(stores: tuple[Store, Store, Store]) -> None:
    """A plan that is another's has no life; a scenario of the same name has no plan in force."""
    acme, globex, everyone = stores
    job = done(acme, everyone)
    assert Lives(acme.engine).of_scenario("tiny", "in_force") == job.id
    assert Lives(globex.engine).standing(job.id) is None
    assert Lives(globex.engine).of_scenario("tiny", "in_force") is None
    assert done(globex, everyone).id != job.id
    assert running(globex.engine) != running(acme.engine) == (Running(job.id),)


def test_every_table_is_a_tenants_or_the_services() -> None:
    """A new table says whose its rows are."""
    without = {table.name for table in metadata.sorted_tables if "tenant" not in table.c}
    assert without == SERVICE_WIDE
    assert all(not table.c.tenant.nullable for table in metadata.sorted_tables if "tenant" in table.c)


@pytest.mark.parametrize(
    "statement",
    [
        select(jobs.c.id),
        select(jobs.c.id).where(jobs.c.tenant == "globex"),
        select(jobs.c.id).join(files),
        select(jobs.c.id).join(files, isouter=True),
        select(jobs, documents).where(jobs.c.id == documents.c.job_id),
        update(jobs).values(status="done"),
        update(jobs).values(status="done").returning(jobs.c.id),
        delete(documents),
    ],
    ids=str,
)  # fmt: skip
def test_each_table_of_a_statement_is_narrowed(statement: Any) -> None:
    """Every table in it gets the condition, whatever other conditions it has."""
    compiled = str(narrowed(statement, "acme").compile(compile_kwargs={"literal_binds": True}))
    tables = [table.name for table in metadata.sorted_tables if f" {table.name}" in compiled.replace(",", " ")]
    assert tables
    assert all(f"{table}.tenant = 'acme'" in compiled for table in tables)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (select(select(jobs.c.id).subquery()), "Subquery"),
        (select(jobs.alias().c.id), "Alias"),
        (select(select(jobs.c.id).cte()), "CTE"),
        (select(jobs.c.id).where(exists(select(files.c.name))), "Select"),
        (select(jobs.c.id).where(jobs.c.id.in_(select(files.c.job_id))), "Select"),
        (select(jobs.c.id).union(select(files.c.job_id)), "Select"),
        (insert(in_force).from_select(["plan_id"], select(jobs.c.id)), "Select"),
    ],
    ids=str,
)
def test_what_cannot_be_narrowed_is_refused(statement: Any, says: str) -> None:
    """A statement whose inner rows would not be seen is a fault of the program that is told at once."""
    with pytest.raises(RuntimeError, match=says):
        narrowed(statement, "acme")


def test_nobody_reads_without_saying_for_whom(database: str) -> None:
    """A bare engine does not read a tenant's tables, and everyone's adds no rows; the service's own tables are free."""
    engine = engine_of(database)
    with engine.connect() as connection:
        connection.execute(select(workers.c.executor))
        connection.execute(text("SELECT 1"))
        with pytest.raises(RuntimeError, match="whose rows"):
            connection.execute(select(jobs.c.id))
    with of_tenant(engine, EVERYONE).begin() as connection, pytest.raises(RuntimeError, match="for one tenant"):
        connection.execute(insert(in_force).values(plan_id="x", at="y"))
    engine.dispose()


def test_a_row_is_its_tenants_even_if_the_statement_says_otherwise(database: str) -> None:
    """What is added through a tenant's engine belongs to it, one row or many."""
    engine = engine_of(database)
    row = {"tenant": "globex", "kind": "plan", "name": "n", "status": "done", "priority": 0, "created_at": "",
           "request": "", "clusters": "", "body_sha256": ""}  # fmt: skip
    rows = [row | {"id": name} for name in ("a", "b", "c")]
    with of_tenant(engine, "acme").begin() as connection:
        connection.execute(insert(jobs).values(**rows[0]))
        with pytest.raises(RuntimeError, match="the engine says"):
            connection.execute(insert(jobs), rows[1:])
        connection.execute(insert(jobs), [{name: row[name] for name in row if name != "tenant"} for row in rows[1:]])
    with of_tenant(engine, EVERYONE).connect() as connection:
        assert connection.execute(select(jobs.c.tenant)).scalars().all() == ["acme"] * 3
    with of_tenant(engine, "globex").begin() as connection, pytest.raises(IntegrityError):
        connection.execute(insert(jobs).values(**rows[0]))  # ids are one space, and random
    engine.dispose()


def test_names_of_tenants_are_plain() -> None:
    """They stand in paths, addresses and logs."""
    assert all(NAME.fullmatch(name) for name in ("a", "acme", "acme-2", "default", "a" * 63))
    odd = ("", "*", "-a", "a-", "A", "a b", "a/b", "..", "a_b", "ä", "a\n", "a" * 64)
    assert not any(NAME.fullmatch(name) for name in odd)


def test_a_statement_made_for_a_request_is_let_go_with_it(database: str) -> None:
    """It holds what it adds, a whole scenario perhaps; the last thousand of them were kept in memory."""
    engine = engine_of(database)
    given = insert(jobs).values(id="a", kind="plan", name="n", status="done", priority=0, created_at="",
                                request="x" * 1_000_000, clusters="", body_sha256="")  # fmt: skip
    seen = select(jobs.c.id).where(jobs.c.request == "x")
    kept = [weakref.ref(given), weakref.ref(seen)]
    with of_tenant(engine, "acme").begin() as connection:
        connection.execute(given)
        connection.execute(seen).all()
    del given, seen
    gc.collect()
    assert [one() for one in kept] == [None, None]
    engine.dispose()
