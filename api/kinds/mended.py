"""Mend a plan that clusters were lost from, or came back to."""

from __future__ import annotations

import time

from api.jobs.job import CannotBeError, Task
from api.scenarios import scenario_of
from planner.plan import Plan
from planner.planning import Planned
from planner.replan import ReplanRequest, replan


def mended(task: Task) -> Planned:
    """The plan again after what the job says has happened. Raises CannotBeError where nothing changes by it."""
    began, request = time.monotonic(), task.job.request
    scenario = scenario_of(task.settings, task.store, request, task.job.id, task.folder)
    before = Plan.model_validate_json(task.store.result(request["mends"]) or "")
    asked = ReplanRequest(tuple(request["down"]), tuple(request["restore"]), request["max_moves"])
    task.report({"seconds": 0.0, "phase": "mending"})
    found = replan(scenario, before, asked, stopped=lambda: time.monotonic() - began > request["time_limit_s"])
    if found is None:
        raise CannotBeError(f"nothing changes: the plan does without {', '.join(before.provenance.down)} already")
    return found.planned
