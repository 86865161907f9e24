"""Set versions of diagnostics models to one exam on the service's telemetry, and tell differences from chance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.jobs.job import Task
from api.kinds.model_store import model_store, telemetry_of

if TYPE_CHECKING:
    from diagnostics.store.records import Kind


class Asked(BaseModel):
    """What to measure."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    versions: Annotated[list[str], Field(min_length=2, max_length=20)] = Field(
        description="ids, or how they alone begin; the first is compared with")
    shadow: bool = Field(default=False, description="on live rows, without injected faults")


def carry_out(task: Task) -> None:
    """Measure and compare."""
    from diagnostics import lifecycle
    from diagnostics.store.compare import compare
    from diagnostics.training.features import BUILTIN

    asked = Asked(**task.job.request)
    kind: Kind = "shadow" if asked.shadow else "validation"
    with model_store(task.settings) as store:
        task.report({"phase": "measuring", "share": 0.1})
        notes = lifecycle.measure(store, asked.versions, telemetry_of(task.settings), kind,
                                  features=task.settings.feature_sets or BUILTIN)
        found = compare(store, asked.versions, kind)
    task.store.finish(task.job, json.dumps(found.to_dict() | {"notes": notes}, ensure_ascii=False), {})
