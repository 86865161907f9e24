"""Make a plan of a scenario that came with the request, or that the service holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from api.job import CannotBeError, Task
from api.kinds.files import HOSTED, JSON, PACKINGS, PARQUET, ROUTES
from api.kinds.mended import mended
from api.scenarios import read
from planner.directing.routes import routes_of, routes_text
from planner.hosting import hosted_of, hosted_text
from planner.packings import packing_bytes
from planner.planning import NoPlanFound, Planned, PlanRequest, make_plan

if TYPE_CHECKING:
    from placement.worker import Progress


def carry_out(task: Task) -> None:
    """Plan or mend a plan, and keep the plan with the packings it names, and where it sends requests."""
    planned = mended(task) if "mends" in task.job.request else _planned(task)
    plan, made = planned.plan, dict[str, tuple[str, bytes]]()
    if planned.packings is not None:
        made[PACKINGS] = PARQUET, packing_bytes(planned.packings)
        plan = plan.model_copy(update={"tables": {"packings": f"/v1/plans/{task.job.id}/packings"}})
    if plan.status != "infeasible":
        routes = routes_of(plan, planned.scenario.clusters, planned.formulation.demand)
        made[ROUTES] = JSON, routes_text(routes).encode()
        made[HOSTED] = JSON, hosted_text(hosted_of(plan, planned.scenario)).encode()
    task.store.finish_plan(task.job, plan, made)


def _planned(task: Task) -> Planned:
    """A plan from nothing but its scenario."""
    job, store = task.job, task.store
    settings = dict(job.request)
    name, text = settings.pop("scenario", None), store.given(job.id)
    scenario = read(task.settings.scenarios, json.loads(text) if text is not None else name)
    store.about(job, [cluster.name for cluster in scenario.clusters])

    def report(progress: Progress) -> None:
        task.report({"seconds": progress.seconds, "objective": progress.objective, "bound": progress.bound,
                     "gap": progress.gap, "phase": progress.phase})

    try:
        return make_plan(scenario, PlanRequest(**settings), report)
    except NoPlanFound as why:
        raise CannotBeError(str(why)) from why
