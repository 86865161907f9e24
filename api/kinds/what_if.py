"""Answer a what-if: how the plan in force fares, the plan made anew, and what differs."""

from __future__ import annotations

import json

from api.jobs.job import CannotBeError, Task
from api.kinds.solving import told
from api.kinds.view import shown
from api.life_cycle.lives import Lives
from api.requests import IN_FORCE, PlanSettings
from api.scenarios import scenario_of
from planner.plan import Plan
from planner.planning import NoPlanFound, PlanRequest
from planner.report.suppose import suppose_view
from planner.suppose import suppose
from planner.whatif import Change


def carry_out(task: Task) -> None:
    """Suppose, and keep what `planner what-if --json` says."""
    request = task.job.request
    scenario = scenario_of(task.settings, task.store, request, task.job.id, task.folder)
    settings = {name: request[name] for name in PlanSettings.model_fields}
    asked = PlanRequest(**settings, what_if=tuple(map(Change.read, request["changes"])))
    try:
        found = suppose(scenario, asked, _against(task, scenario.name), on_progress=told(task))
    except NoPlanFound as why:
        raise CannotBeError(str(why)) from why
    task.store.finish(task.job, json.dumps(found.to_dict(), ensure_ascii=False), shown(suppose_view(found)))


def _against(task: Task, scenario: str) -> Plan | None:
    """The plan to compare with, None where the scenario is planned as it is first."""
    named: str | None = task.job.request["against"]
    if named is None:
        return None
    if named == IN_FORCE:
        named = Lives(task.store.engine).of_scenario(scenario, "in_force")
    document = None if named is None else task.store.result(named)
    if document is None:
        raise CannotBeError(f"against: {task.job.request['against']}: no such plan of {scenario} any more")
    return Plan.model_validate_json(document)
