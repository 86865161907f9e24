"""Train a model of healthy hosts on the service's telemetry, and register it as a candidate; nothing is promoted."""

from __future__ import annotations

import json
import time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.jobs.job import Task
from api.kinds.model_store import model_store, telemetry_of


class Asked(BaseModel):
    """What to train."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    hardware: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="a hardware class, `family:NAME` or `all`")
    countries: list[str] | Literal["all"] | None = Field(
        None, description="rows of these countries alone (ISO 3166); null: of the one that the telemetry has")
    opted_out: list[str] = Field(
        default=[], description="clusters whose rows are never used, beside those that the scenario of `watch` names; "
        "one that it does not know and that has no rows fails the job")
    time_limit_s: Annotated[float, Field(gt=0, le=21_600)] = Field(540.0, description="wall seconds for the search")
    false_alarms_per_host_day: Annotated[float, Field(gt=0, le=1)] = Field(0.02, description="budget of false alarms")
    step_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    why: str = Field("trained by a job of the service", max_length=1000, description="the reason, which history keeps")


def carry_out(task: Task) -> None:
    """Train; a search that was cut short goes on from what it tried when it is asked for again."""
    from diagnostics import lifecycle
    from diagnostics.training.features import BUILTIN
    from diagnostics.training.search import SearchSettings
    from planner.diagnose import alarm_policy

    began, asked = time.monotonic(), Asked(**task.job.request)
    named = frozenset(asked.countries) if isinstance(asked.countries, list) else None
    fleet = alarm_policy(task.settings.watch.alarms, task.settings.watch.scenario)
    allowed = fleet.allowed(named, asked.countries == "all", asked.opted_out)
    search = SearchSettings(asked.time_limit_s, asked.false_alarms_per_host_day, asked.seed)
    request = lifecycle.TrainRequest(
        telemetry_of(task.settings), asked.hardware, f"job {task.job.id}", asked.why,
        allowed, task.settings.feature_sets or BUILTIN, asked.step_minutes, search)

    def told(phase: str, share: float) -> None:
        task.report({"seconds": time.monotonic() - began, "phase": phase, "share": share})

    with model_store(task.settings) as store:
        done = lifecycle.train(store, request, told)
    found = done.version.to_dict() | {"serving": done.serving.id if done.serving else None,
                                      "left_out": dict(done.left_out), "notes": list(done.notes),
                                      "complete": done.complete}
    task.store.finish(task.job, json.dumps(found, ensure_ascii=False), {})
