"""Check a plan of the service against its scenario as it is now, and against the plan that it replaces."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.jobs.job import CannotBeError, Task
from api.life_cycle.lives import Lives
from api.life_cycle.steps import verify
from api.scenarios import scenario_of
from api.store.files import PACKINGS
from planner.checking import verify_plan
from planner.in_force import strays
from planner.plan import Plan, write_plan

if TYPE_CHECKING:
    from planner.scenario import Scenario


def carry_out(task: Task) -> None:
    """Check; a plan that holds is verified from then on, and what is wrong with one that does not is kept."""
    plan_id, who = task.job.request["plan"], task.job.request["who"]
    row, document = task.store.job(plan_id, "plan"), task.store.result(plan_id)
    if row is None or document is None:
        raise CannotBeError(f"plan {plan_id}: there is no such plan that is done")
    plan = Plan.model_validate_json(document)
    scenario = scenario_of(task.settings, task.store, json.loads(row.request), plan_id, task.folder)
    found = _found(task, plan_id, plan, scenario)
    lives = Lives(task.store.engine)
    found["violations"] = [*found["violations"], *_strays(task, plan, lives)]
    standing = lives.standing(plan_id)
    if standing is not None and standing.life.state == "draft":
        lives.change(plan_id, lambda now: verify(now.life, found["violations"]) if now.life.state == "draft" else (),
                     who, task.job.request["why"], found)
    task.store.finish(task.job, json.dumps(found, ensure_ascii=False), {})


def _found(task: Task, plan_id: str, plan: Plan, scenario: Scenario) -> dict[str, Any]:
    """What `planner verify` finds, with the packings that lie beside the plan. What the plan itself says that it lacks
    is no violation: whoever approves it is told.
    """
    if scenario.source_sha256 != plan.provenance.scenario_sha256:
        return {"violations": [f"the scenario {plan.name} has changed since the plan was made: ask for a new plan"]}
    with tempfile.TemporaryDirectory(prefix="planner-verify-") as name:
        folder = Path(name)
        if (packings := task.store.file(plan_id, PACKINGS)) is not None:
            (folder / PACKINGS).write_bytes(packings[1])
            plan = plan.model_copy(update={"tables": {"packings": PACKINGS}})
        write_plan(plan, folder / "plan.json")
        check = verify_plan(scenario, folder / "plan.json")
    wrong = [line for line in check.violations if line not in check.stated]
    return {"violations": wrong, "lacks": list(plan.lacks), "cost_usd": check.cost_usd,
            "sla_attainment": check.attainment}


def _strays(task: Task, plan: Plan, lives: Lives) -> Iterator[str]:
    """What a plan says wrongly of the plan that it replaces."""
    if plan.parent is None:
        return
    parent = lives.with_content(plan.parent)
    document = None if parent is None else task.store.result(parent)
    if document is None:
        yield f"parent is {plan.parent}: this service has no plan with that content"
    else:
        yield from strays(plan, Plan.model_validate_json(document))
