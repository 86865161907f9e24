"""Make a plan of a scenario that came with the request, or that the service holds."""

from __future__ import annotations

from typing import Any

from api.jobs.job import CannotBeError, Task
from api.kinds.mended import mended
from api.kinds.shown import shown
from api.kinds.solving import told
from api.life_cycle.lives import Lives
from api.requests import IN_FORCE
from api.scenarios import AT, Scenarios, scenario_of
from api.store.files import HOSTED, JSON, PACKINGS, PARQUET, ROUTES
from api.store.jobs import MENDS
from planner.directing.routes import routes_of, routes_text
from planner.hosting import hosted_of, hosted_text
from planner.in_force import InForce
from planner.packings import packing_bytes
from planner.plan import Plan
from planner.planning import NoPlanFound, Planned, PlanRequest, make_plan


def carry_out(task: Task) -> None:
    """Plan or mend a plan, and keep the plan with the packings it names, where it sends requests, and what pages show
    of it.
    """
    planned = mended(task) if MENDS in task.job.request else _planned(task)
    plan, made = planned.plan, shown(planned)
    if planned.packings is not None:
        made[PACKINGS] = PARQUET, packing_bytes(planned.packings)
        plan = plan.model_copy(update={"tables": {"packings": f"/v1/plans/{task.job.id}/packings"}})
    if plan.exists:
        routes = routes_of(plan, planned.scenario.clusters, planned.formulation.demand)
        made[ROUTES] = JSON, routes_text(routes).encode()
        made[HOSTED] = JSON, hosted_text(hosted_of(plan, planned.scenario)).encode()
    task.store.finish_plan(task.job, plan, made)


def _planned(task: Task) -> Planned:
    """A plan from its scenario, and from the plan in force where that is named."""
    job, store = task.job, task.store
    request = dict(job.request)
    if AT not in request.get("scenario", AT):  # a schedule says the name alone: the newest version of the moment
        request["scenario"] = Scenarios.of(task.settings, store).pinned(request["scenario"])
    scenario = scenario_of(task.settings, store, request, job.id, task.folder)
    about = request | {"mode": request.get("mode") or scenario.objective.mode}  # so that what it reached can be read
    store.about(job, [cluster.name for cluster in scenario.clusters], about)
    settings = {name: value for name, value in request.items() if name != "scenario"}
    start = _in_force(task, settings, scenario.name)

    try:
        return make_plan(scenario, PlanRequest(**settings, in_force=start), told(task))
    except NoPlanFound as why:
        raise CannotBeError(str(why)) from why


def _in_force(task: Task, settings: dict[str, Any], scenario: str) -> InForce | None:
    """The plan to start from, which is taken out of the settings; None where they name none. Raises InputError."""
    incumbent, *how = (settings.pop(name, None) for name in ("incumbent", "max_moves", "now"))
    if incumbent == IN_FORCE:
        incumbent = Lives(task.store.engine).of_scenario(scenario, "in_force")
    if incumbent is None:
        return None
    return InForce(Plan.model_validate_json(task.store.result(incumbent) or ""), *how)
