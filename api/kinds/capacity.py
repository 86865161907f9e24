"""Say how long room lasts in a scenario that came with the request, or that the service holds."""

from __future__ import annotations

import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from api.database.events import Event, Findings
from api.jobs.job import CannotBeError, Task
from api.kinds.view import shown
from api.scenarios import scenario_of
from planner.catalog import builtin_catalog
from planner.commands.capacity import without_history
from planner.growth import Growth
from planner.profiles import profile
from planner.remaining import Asked, Remaining, remaining
from planner.report.capacity import capacity_view
from planner.resolve import resolve

SOON_DAYS, NEAR_DAYS = 90, 14
"""What has a chance to run out within the first is told of, and is grave within the second."""


def carry_out(task: Task) -> None:
    """Look ahead, and keep what was found."""
    began, request = time.monotonic(), task.job.request
    scenario = scenario_of(task.settings, task.store, request, task.job.id, task.folder)
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
    task.store.finish(task.job, json.dumps(found.to_dict(), ensure_ascii=False), shown(capacity_view(found)),
                      _findings(found, task.job.id))


def _findings(found: Remaining, job_id: str) -> Findings:
    """What has a chance of one in ten to run out soon; grave where an order of today comes too late, or it is near."""
    late = {f"{order.cluster}/{order.pool}" for order in found.orders if order.late}
    now = datetime.now(UTC)
    soon, near = now + timedelta(days=SOON_DAYS), now + timedelta(days=NEAR_DAYS)
    rows = [row for row in found.left if row.p10 is not None and row.p10 <= soon]
    return Findings(f"capacity {found.name}", tuple(Event(
        "run_out", "critical" if row.name in late or (row.p50 is not None and row.p50 <= near) else "warning",
        f"{row.what} {row.name}", f"{row.what} {row.name} of {found.name} runs out of {row.resource}",
        f"more than {row.limit:g} is needed by {_day(row.p50)}, or with a chance of one in ten by {_day(row.p10)}",
        fields={"job": job_id}) for row in rows))


def _day(moment: datetime | None) -> str:
    return "later than was looked" if moment is None else f"{moment:%Y-%m-%d}"
