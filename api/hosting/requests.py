"""What comes in and goes out of the routes about hosting."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from api.hosting.whereabouts import Tenure

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
    plan: str
    purpose: str
    hardware_class: str
    clusters: list[str]
    places: list[str]
    host: str | None
    served_on: str | None
    model_store: str | None = Field(description="where that cluster reads model files; null: from the store itself")
    epoch: int
    waiting_rows: int


class Hosting(BaseModel):
    """All hosted work of the plans in force."""

    plan: str = Field(description="the plan that was put in force last")
    work: list[Work]


class ScoredBy(BaseModel):
    """A version of a model, and the rows that it scored; `first` and `last` are times of rows."""

    version: str
    rows: int
    first: datetime
    last: datetime


class Served(BaseModel):
    """Who served a workload from when to when (null: does so now), by which plan, and with which versions."""

    workload: str
    epoch: int
    host: str
    cluster: str
    plan: str
    since: datetime
    until: datetime | None
    versions: list[ScoredBy]

    @classmethod
    def of(cls, tenure: Tenure) -> Self:
        """As it is kept."""
        until = None if tenure.until is None else _utc(tenure.until)
        return cls(workload=tenure.workload, epoch=tenure.epoch, host=tenure.host, cluster=tenure.cluster,
                   plan=tenure.plan, since=_utc(tenure.since), until=until,
                   versions=[ScoredBy(version=one.version, rows=one.rows, first=_utc(one.first), last=_utc(one.last))
                             for one in tenure.versions])  # fmt: skip


class VersionServes(BaseModel):
    """A version of a model that scored rows of clusters of one hardware class and software version (null: not said)."""

    hardware_class: str
    software_version: str | None
    model_version: str
    clusters: list[str]
    rows: int
    last: datetime


class VersionMatrix(BaseModel):
    """Which versions of models serve which hardware and software, by what the plan in force knows of clusters."""

    plan: str
    serves: list[VersionServes]


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


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
