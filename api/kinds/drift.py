"""Diagnose the service's telemetry: alarms and drift of every metric of every cluster."""

from __future__ import annotations

import json

from pydantic import BaseModel, ConfigDict

from api.job import Task
from api.kinds.model_store import telemetry_of


class Asked(BaseModel):
    """Nothing: the telemetry is what the service holds."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def carry_out(task: Task) -> None:
    """Diagnose, and keep what `GET /v1/diagnostics/clusters` says."""
    from planner.diagnose import run_diagnose

    task.report({"phase": "diagnosing"})
    found = run_diagnose(telemetry_of(task.settings))
    task.store.finish(task.job, json.dumps(found.to_dict(), ensure_ascii=False), {})
