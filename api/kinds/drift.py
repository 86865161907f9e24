"""Diagnose the service's telemetry: alarms and drift of every metric of every cluster."""

from __future__ import annotations

import json

from pydantic import BaseModel, ConfigDict

from api.diagnoses import watch_of
from api.job import CannotBeError, Task
from api.marks import Marks


class Asked(BaseModel):
    """Nothing: the telemetry is what the service holds."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def carry_out(task: Task) -> None:
    """Diagnose, and keep what `GET /v1/diagnostics/clusters` says."""
    from planner.watch import watched

    task.report({"phase": "diagnosing"})
    watch = watch_of(task.settings)
    if watch is None:
        raise CannotBeError("no telemetry: start the service with a telemetry file")
    found = watched(watch, Marks(task.store.engine).feedback()).diagnosis
    task.store.finish(task.job, json.dumps(found.to_dict(), ensure_ascii=False), {})
