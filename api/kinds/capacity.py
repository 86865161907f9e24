"""Say how long room lasts in a scenario that came with the request, or that the service holds."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from api.job import CannotBeError, Task
from api.scenarios import scenario_of
from planner.catalog import builtin_catalog
from planner.commands.capacity import without_history
from planner.growth import Growth
from planner.profiles import profile
from planner.remaining import Asked, remaining
from planner.resolve import resolve


def carry_out(task: Task) -> None:
    """Look ahead, and keep what was found."""
    began, request = time.monotonic(), task.job.request
    scenario = scenario_of(task.settings, request, task.store.given(task.job.id))
    resolved = resolve(scenario, builtin_catalog())

    def told(share: float) -> None:
        task.report({"seconds": time.monotonic() - began, "phase": "looking ahead", "share": share})

    with tempfile.TemporaryDirectory(prefix="planner-capacity-") as folder:
        plan = None
        if request["plan"] is not None:
            plan, document = Path(folder) / "plan.json", task.store.result(request["plan"])
            if document is None:
                raise CannotBeError(f"plan: {request['plan']}: there is no such plan that is done")
            plan.write_text(document, encoding="utf-8")
        asked = Asked(request["days"], tuple(map(Growth.parse, request["growth"])), plan, request["seed"])
        found = remaining(resolved, profile(without_history(resolved), request["seed"]), asked, told)
    task.store.finish(task.job, json.dumps(found.to_dict(), ensure_ascii=False), {})
