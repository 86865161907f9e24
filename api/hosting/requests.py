"""What comes in and goes out of the routes about hosting."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

Name = Annotated[str, Field(min_length=1, max_length=200)]
_EXAMPLE: JsonValue = {"rows": [{"cluster": "frankfurt", "ts": "2026-11-02T00:00:00Z",
                      "hosts": {"host-001": {"iops": 5200.0, "read_latency_ms": 0.8}}}]}  # fmt: skip


class TelemetryRow(BaseModel):
    """All metrics of all hosts of a cluster at one time; a cluster without hosts names itself as one."""

    model_config = ConfigDict(extra="forbid")

    cluster: Name
    ts: AwareDatetime
    hosts: Annotated[dict[Name, dict[Name, float]], Field(min_length=1, max_length=10_000)]


class TelemetryRows(BaseModel):
    """Rows, at most 10,000 at a time."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    rows: Annotated[list[TelemetryRow], Field(min_length=1, max_length=10_000)]


class Accepted(BaseModel):
    """What became of rows: `again` were there already."""

    stored: int
    again: int
    refused: list[str]


class HostAlarm(BaseModel):
    """A metric of a host that is off: its value, what was expected, and how many robust deviations lie between."""

    host: str
    metric: str
    value: float
    expected: float
    z: float


class RowVerdict(BaseModel):
    """What a model said of a row; `seconds` passed from the row's arrival to the verdict."""

    ts: datetime
    status: Literal["ok", "alarm", "unknown"]
    score: float | None
    threshold: float
    alarms: list[HostAlarm]
    model_version: str
    workload: str
    host: str
    seconds: float


class VerdictsOf(BaseModel):
    """Verdicts of a cluster, the newest first."""

    cluster: str
    verdicts: list[RowVerdict]
    next: str | None = Field(description="address of the verdicts after these; null when there are none")


class Work(BaseModel):
    """A workload of the planner's own: what it watches, where the plan has it, and who serves it now."""

    workload: str
    purpose: str
    hardware_class: str
    clusters: list[str]
    places: list[str]
    host: str | None
    served_on: str | None
    epoch: int
    waiting_rows: int


class Hosting(BaseModel):
    """All hosted work of the plan in force."""

    plan: str
    work: list[Work]


class StepTaken(BaseModel):
    """What became of a step of retraining: `go_on`, or why the run ended there; `detail` has its figures."""

    run: str
    step: str
    workload: str
    hardware_class: str
    at: datetime
    outcome: str
    detail: dict[str, JsonValue]


class Retrained(BaseModel):
    """Steps, the oldest first."""

    steps: list[StepTaken]
