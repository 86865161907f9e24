"""Sweep what more attainment and more nines cost."""

from __future__ import annotations

import json

from api.jobs.job import CannotBeError, Task
from api.kinds.solving import told
from api.kinds.view import shown
from api.scenarios import scenario_of
from planner.pareto import pareto
from planner.planning import PlanRequest
from planner.report.curve import curve_view


def carry_out(task: Task) -> None:
    """Sweep, and keep what `planner pareto --json` says."""
    request = task.job.request
    scenario = scenario_of(task.settings, task.store, request, task.job.id, task.folder)
    asked = PlanRequest(seed=request["seed"], solver=request["solver"])
    found = pareto(scenario, asked, request["points"], request["time_limit_s"], on_progress=told(task))
    if not found.plans:
        raise CannotBeError("; ".join(sorted({point.why for point in found.points if point.why})))
    task.store.finish(task.job, json.dumps(found.to_dict(), ensure_ascii=False), shown(curve_view(found)))
