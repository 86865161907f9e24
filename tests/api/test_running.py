"""By which plans requests and hosts go: those in force, and drafts only before any ever was."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from api.jobs.durable import Queue
from api.life_cycle import steps
from api.life_cycle.lives import Lives
from api.life_cycle.shadows import Shadows
from api.life_cycle.steps import NotPossibleError
from api.store.files import JSON, ROUTES
from api.store.jobs import Submission
from api.store.running import Running, running
from api.store.store import Store
from planner.plan import Plan

Documents = Callable[..., Plan]


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    queue = Queue(database)
    queue.open()
    opened = Store(database, queue)
    yield opened.of("acme")
    opened.close()
    queue.close()


def made(store: Store, plan: Plan, schedule: str | None = None) -> str:
    """Id of a plan that is done."""
    plan_id = store.submit(Submission(plan.name, {}, "{}", ("cheap", "dear"), plan.plan_id, schedule=schedule))
    job = store.begin(plan_id, 3)
    assert job is not None
    assert store.finish_plan(job, plan, {ROUTES: (JSON, b"{}")})
    return plan_id


def taken(store: Store, plan_id: str, *names: str) -> str:
    """The same plan, after these steps."""
    ways: dict[str, Callable[[Any], Any]] = {
        "verify": lambda now: steps.verify(now.life, []), "approve": lambda now: steps.approve(now.life),
        "apply": lambda now: steps.apply(now.life, now.fleet, datetime.now(UTC)),
        "wave": lambda now: steps.wave(now.life, now.life.waves_done + 1, None, now.fleet),
        "put": lambda now: steps.put_in_force(now.life, now.fleet, datetime.now(UTC)),
        "back": lambda now: steps.roll_back(now.life, now.fleet),
        "retire": lambda now: steps.retire(now.life, now.fleet),
    }
    for name in names:
        Lives(store.engine).change(plan_id, ways[name], "ann")
    return plan_id


def in_force(store: Store, plan: Plan) -> str:
    return taken(store, made(store, plan), "verify", "approve", "put")


def test_a_draft_counts_until_a_plan_is_put_in_force(store: Store, document: Documents) -> None:
    """Before any plan ever was in force it is the newest draft that somebody asked for. Plans of schedules and of
    shadows, and those that mend or replace another, are waited with; so are drafts once a plan was in force.
    """
    assert running(store.engine) == ()
    first = made(store, document())
    assert running(store.engine) == (Running(first, "draft"),)
    Shadows(store.engine).add("trial", "ann", "")
    made(store, document("trial"))
    made(store, document(mark=1.0), schedule="nightly")
    made(store, document(parent=document(), mark=2.0))
    assert running(store.engine) == (Running(first, "draft"),)
    second = taken(store, made(store, document(mark=3.0)), "verify", "approve")
    assert running(store.engine) == (Running(second, "draft"),)
    taken(store, second, "retire")
    assert running(store.engine) == (Running(first, "draft"),)
    third = in_force(store, document(mark=4.0))
    made(store, document(mark=5.0))
    made(store, document("other"))
    assert running(store.engine) == (Running(third),)


@pytest.mark.parametrize("step", ["back", "retire"])
def test_after_the_only_plan_nothing_is_in_force(store: Store, document: Documents, step: str) -> None:
    """A first plan that is rolled back or retired is not gone by any more, and no draft takes its place."""
    first = in_force(store, document())
    made(store, document(mark=1.0))
    taken(store, first, step)
    assert running(store.engine) == ()
    second = in_force(store, document(mark=2.0))
    assert running(store.engine) == (Running(second),)


def test_each_scenario_has_its_plan(store: Store, document: Documents) -> None:
    """Plans of two scenarios are in force side by side, the one put in force last first, each with what is applied in
    its place; a rollback of the one leaves the other alone.
    """
    start = document("one")
    first = in_force(store, start)
    other = in_force(store, document("two", works=("c", "d")))
    assert running(store.engine) == (Running(other), Running(first))
    second = taken(store, made(store, document("one", start, waves=1)), "verify", "approve", "apply")
    standing = Lives(store.engine).standing(second)
    assert standing is not None
    assert running(store.engine) == (Running(other), Running(first, applying=standing.life))
    taken(store, second, "wave")
    assert running(store.engine) == (Running(second), Running(other))
    taken(store, second, "back")
    assert running(store.engine) == (Running(first), Running(other))
    taken(store, first, "retire")
    assert running(store.engine) == (Running(other),)


def test_no_two_scenarios_run_a_workload_of_one_name(store: Store, document: Documents) -> None:
    """Neither by a step into force nor by a rollback: the workload, the scenario and the plan are named, and nothing
    has changed; once the other plan is retired it is possible.
    """
    first = in_force(store, document("one"))
    rival = taken(store, made(store, document("two", works=("b", "c"))), "verify", "approve")
    for step in ("put", "apply"):
        with pytest.raises(NotPossibleError, match=f"workload b: the scenario one runs that, too, by plan {first}"):
            taken(store, rival, step)
    assert (running(store.engine), Lives(store.engine).states([rival])) == ((Running(first),), {rival: "approved"})
    later = in_force(store, document("one", works=("x", "y"), mark=1.0))
    taken(store, rival, "put")
    with pytest.raises(NotPossibleError, match=f"workload b: the scenario two runs that, too, by plan {rival}"):
        taken(store, later, "back")
    assert running(store.engine) == (Running(rival), Running(later))
    taken(store, rival, "retire")
    taken(store, later, "back")
    assert running(store.engine) == (Running(first),)


def test_what_is_being_applied_has_its_names_too(store: Store, document: Documents) -> None:
    """A plan on its way into force keeps others out as one that is there."""
    start = document("one", works=("x", "y"))
    in_force(store, start)
    coming = document("one", start, waves=1)
    taken(store, made(store, coming), "verify", "approve", "apply")
    rival = taken(store, made(store, document("two")), "verify", "approve")
    with pytest.raises(NotPossibleError, match="workload a and 1 more: the scenario one"):
        taken(store, rival, "put")


def test_the_newest_plan_is_none_of_a_shadow(store: Store, document: Documents) -> None:
    """What is told where no plan is gone by is never a shadow's."""
    first = made(store, document())
    Shadows(store.engine).add("trial", "ann", "")
    made(store, document("trial"))
    assert store.newest_done() == first
