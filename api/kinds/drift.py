"""Diagnose the service's telemetry: alarms and drift of every metric of every cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from api.database.events import GRAVITY, Event, Findings, stamp
from api.diagnoses import watch_of
from api.jobs.job import CannotBeError, Task
from api.marks import Marks

if TYPE_CHECKING:
    from planner.watch import Findings as Found


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
    found = watched(watch, Marks(task.store.engine).feedback()).findings
    document = json.dumps(found.diagnosis.to_dict(), ensure_ascii=False)
    task.store.finish(task.job, document, {}, Findings("telemetry", tuple(_events(found))))


def _events(found: Found) -> Iterator[Event]:
    """Alarms that last, those that belong together as one; rules of health that fire; and metrics that drifted."""
    for together in found.together:
        if together.until is None:
            runbook = {} if together.runbook is None else {"contact": together.runbook.contact}
            yield Event("alarm", GRAVITY[together.severity], f"alarm {together.id}", together.summary,
                        together.why_severity, fields={"since": stamp(together.since), **runbook}, identity=together.id)
    for firing in found.firings:
        if firing.until is None:
            yield Event("alarm", GRAVITY[firing.severity], firing.subject, f"{firing.rule} on {firing.subject}",
                        firing.sentence, fields={"since": firing.since})
    for drift in (one for cluster in found.diagnosis.clusters for one in cluster.drifts if one.drifted):
        yield Event("alarm", "info", f"cluster {drift.cluster}", f"{drift.metric} of {drift.cluster} has drifted",
                    drift.sentence, fields={"hardware_class": drift.hardware_class})
