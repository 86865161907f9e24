"""Lives of plans in the store: history that only grows, and one plan in force whoever tries at once."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from api.database.engine import engine_of, upgrade
from api.database.tables import life_cycles
from api.jobs.durable import Queue
from api.life_cycle import steps
from api.life_cycle.lives import Lives, Standing
from api.life_cycle.shadows import FleetRunsError, Shadows
from api.life_cycle.steps import Change, NotPossibleError
from api.store.jobs import Submission
from api.store.running import Running, running
from api.store.store import Store
from planner.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
Documents = Callable[..., Plan]


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    queue = Queue(database)
    queue.open()
    made = Store(database, queue)
    yield made.of("acme")
    made.close()
    queue.close()


def made(store: Store, plan: Plan, files: dict[str, tuple[str, bytes]] | None = None) -> str:
    """Id of the plan in the store, done."""
    plan_id = store.submit(Submission(plan.name, {}, "{}", (), plan.plan_id))
    job = store.begin(plan_id, 3)
    assert job is not None
    assert store.finish_plan(job, plan, files or {})
    return plan_id


def approve(store: Store, plan_id: str) -> None:
    lives = Lives(store.engine)
    lives.change(plan_id, lambda now: steps.verify(now.life, []), "planner")
    lives.change(plan_id, lambda now: steps.approve(now.life), "ann", "looks right")


def apply(now: Standing) -> Iterable[Change]:
    return steps.apply(now.life, now.fleet, datetime.now(UTC))


def standing(store: Store, plan_id: str) -> Standing:
    found = Lives(store.engine).standing(plan_id)
    assert found is not None
    return found


def test_every_step_is_kept_with_who_and_why(store: Store, document: Documents) -> None:
    """A plan is a draft once it is made; its history has every step, and its version changes with each."""
    plan_id, versions = made(store, document()), set[str]()
    assert standing(store, plan_id).life.state == "draft"
    versions.add(standing(store, plan_id).version)
    approve(store, plan_id)
    versions.add(standing(store, plan_id).version)
    after = Lives(store.engine).change(plan_id, apply, "bob", "now", {"violations": []})
    versions.add(after.version)
    assert [(event.who, event.step, event.before, event.after, event.why) for event in after.events] == [
        ("planner", "verify", "draft", "verified", ""), ("ann", "approve", "verified", "approved", "looks right"),
        ("bob", "apply", "approved", "in_force", "now"),
    ]  # fmt: skip
    assert after.verification == {"violations": []}
    assert len(versions) == 3
    assert [one.plan_id for one in running(store.engine)] == [plan_id]
    assert Lives(store.engine).standing("nope") is None


def test_a_step_that_is_refused_leaves_no_trace(store: Store, document: Documents) -> None:
    """What raises within a step has changed nothing, and the next one is not kept waiting."""
    plan_id = made(store, document())
    before = standing(store, plan_id)
    with pytest.raises(NotPossibleError, match="draft: apply is for a plan that is approved"):
        Lives(store.engine).change(plan_id, apply, "bob")
    assert standing(store, plan_id) == before


def test_the_plan_before_comes_back(store: Store, document: Documents) -> None:
    """Midway the predecessor stays in force and nothing else is; after the end it is put in force again."""
    lives, first = Lives(store.engine), made(store, document())
    approve(store, first)
    lives.change(first, apply, "ann")
    second = made(store, document(parent=document(), waves=2))
    approve(store, second)
    lives.change(second, apply, "ann")
    for number in (1, 2):
        assert standing(store, first).life.state == "in_force"
        lives.change(second, lambda now, number=number: steps.wave(now.life, number, None, now.fleet), "ann")
    assert (standing(store, first).life.state, running(store.engine)) == ("retired", (Running(second),))
    assert lives.of_scenario("tiny", "in_force") == second
    lives.change(second, lambda now: steps.roll_back(now.life, now.fleet), "ann", "errors")
    assert (standing(store, first).life.state, running(store.engine)) == ("in_force", (Running(first),))
    assert [event.note for event in standing(store, first).events][-2:] == [
        f"plan {second} took its place", f"again: plan {second} was rolled back"]


def rivals(store: Store, document: Documents, count: int) -> list[str]:
    """Approved plans that all replace the one in force, each in a wave."""
    first = made(store, document())
    approve(store, first)
    Lives(store.engine).change(first, apply, "ann")
    ids = [made(store, document(parent=document(), waves=1, mark=float(mark))) for mark in range(count)]
    for plan_id in ids:
        approve(store, plan_id)
    return ids


def test_of_threads_that_apply_at_once_exactly_one_wins(store: Store, document: Documents) -> None:
    """Eight plans over one scenario are applied at the same moment: one is, and the others are told of it."""
    ids, start, told = rivals(store, document, 8), threading.Barrier(8), list[str]()

    def one(plan_id: str) -> None:
        start.wait()
        try:
            Lives(store.engine).change(plan_id, apply, "ann")
        except NotPossibleError as why:
            told.append(str(why))

    threads = [threading.Thread(target=one, args=(plan_id,)) for plan_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [standing(store, plan_id).life.state for plan_id in ids]
    assert sorted(found) == ["applying", *["approved"] * 7]
    winner = ids[found.index("applying")]
    assert len(told) == 7
    assert all(f"plan {winner} is being applied over tiny" in why for why in told)


_PROCESS = """
import sys
from datetime import UTC, datetime
from api.life_cycle import steps
from api.life_cycle.steps import NotPossibleError
from api.life_cycle.lives import Lives
from api.store.store import Store
lives, plan_id = Lives(Store(sys.argv[1]).of("acme").engine), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
try:
    lives.change(plan_id, lambda now: steps.put_in_force(now.life, now.fleet, datetime.now(UTC)), "me")
    print("won")
except NotPossibleError as why:
    print(why)
"""


def test_of_processes_that_put_in_force_at_once_exactly_one_wins(store: Store, database: str,
                                                                 document: Documents) -> None:
    """Three services on one database put three plans in force, made from the same one: the others are stale then."""
    ids = rivals(store, document, 3)
    running = [subprocess.Popen([sys.executable, "-c", _PROCESS, database, plan_id], cwd=ROOT, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE) for plan_id in ids]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].strip() for process in running]
    assert sorted(line == "won" for line in said) == [False, False, True], said
    assert sum("stale: it was made to replace" in line for line in said) == 2
    assert sorted(standing(store, plan_id).life.state for plan_id in ids) == ["approved", "approved", "in_force"]


def test_plans_of_a_shadow_are_not_applied(store: Store, document: Documents) -> None:
    """They are checked and approved, and neither applied nor followed, until the scenario is no shadow any more; one
    with a plan in force does not become a shadow.
    """
    shadows, plan_id = Shadows(store.engine), made(store, document())
    shadows.add("tiny", "ann", "on trial")
    shadows.add("tiny", "bob", "again")
    assert (shadows.find("tiny") or ())[1:] == ("ann", "on trial")
    approve(store, plan_id)
    with pytest.raises(NotPossibleError, match="the scenario tiny is a shadow"):
        Lives(store.engine).change(plan_id, apply, "ann")
    job = store.submit(Submission("real", {}, "{}", (), "x"))
    begun = store.begin(job, 3)
    assert begun is not None
    assert store.finish_plan(begun, document("real"), {"routes.json": ("a/b", b"{}")})
    newer = made(store, document(mark=2.0), {"routes.json": ("a/b", b"{}")})
    assert running(store.engine) == (Running(job, "draft"),)
    shadows.remove("tiny")
    assert running(store.engine) == (Running(newer, "draft"),)
    assert Lives(store.engine).change(plan_id, apply, "ann").life.state == "in_force"
    with pytest.raises(FleetRunsError, match=plan_id):
        shadows.add("tiny", "ann", "")


def test_the_database_itself_refuses_two_in_force(store: Store, document: Documents) -> None:
    """Also what passes by every check cannot put a second plan in force."""
    ids = rivals(store, document, 2)
    for state in ("in_force", "applying"):
        both = update(life_cycles).where(life_cycles.c.plan_id.in_(ids)).values(state=state)
        with store.engine.connect() as connection, pytest.raises(IntegrityError):
            connection.execute(both)


def test_plans_of_before_start_where_they_were(tmp_path: Path, document: Documents) -> None:
    """Plans in a store of an earlier version are drafts; the one that was put in force last is in force."""
    url, after = f"sqlite:///{tmp_path / 'old.sqlite'}", document(parent=document(), waves=2)
    config, engine = Config(), engine_of(url)
    config.set_main_option("script_location", str(ROOT / "api" / "database" / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        for name in ("a", "b", "c"):
            columns = "id, kind, name, status, priority, attempt, created_at, request, clusters, errors, body_sha256"
            values = f"'{name}', 'plan', 'tiny', 'done', 0, 1, '2026-01-01T00:00:00Z', '{{}}', '[]', '[]', ''"
            connection.exec_driver_sql(f"INSERT INTO jobs ({columns}) VALUES ({values})")
            result = json.dumps(after.to_dict())
            connection.exec_driver_sql("INSERT INTO documents VALUES (?, NULL, ?)", (name, result))
        for name in ("a", "b"):
            connection.exec_driver_sql("INSERT INTO in_force (plan_id, at) VALUES (?, '2026-01-01T00:00:00Z')", (name,))
    engine.dispose()
    upgrade(url)
    store = Store(url).of("default")
    found = {name: standing(store, name).life for name in ("a", "b", "c")}
    assert [life.state for life in found.values()] == ["retired", "in_force", "draft"]
    assert (found["c"].parent, found["c"].moves, found["c"].scenario) == (after.parent, (2, 2), "tiny")
    assert found["c"].content_id == after.plan_id
    store.close()
