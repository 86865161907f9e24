"""What a service answers. Fields that a newer service adds are passed over."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["plan", "forecast", "capacity", "train", "evaluate", "validate", "drift", "purge", "verification",
               "judgement"]
Status = Literal["queued", "running", "done", "infeasible", "failed", "cancelled"]
State = Literal["draft", "verified", "approved", "applying", "in_force", "rolled_back", "retired"]
Step = Literal["verify", "approve", "apply", "wave", "put_in_force", "roll_back", "retire"]
Json = dict[str, Any]


class Answer(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(frozen=True)


# Scenarios ------------------------------------------------------------------------------------------------------------


class ScenarioVersion(Answer):
    """One version of a scenario that was sent; `reference` is what jobs may name as their scenario."""

    name: str
    version: str
    reference: str
    at: str
    by: str
    why: str
    media_type: str
    bytes: int
    clusters: int
    workloads: int
    slots: int
    retired_at: str | None
    retired_by: str | None


class ScenarioState(Answer):
    """A scenario that jobs may name. `etag` is what the next version expects, empty of a folder of the service."""

    name: str
    origin: Literal["folder", "sent"]
    versions: int
    retired: int
    newest: ScenarioVersion | None
    etag: str = Field("", exclude=True)


class ScenarioChange(Answer):
    """A field that differs between two versions."""

    path: str
    before: Any
    after: Any


# Jobs and plans -------------------------------------------------------------------------------------------------------


class Progress(Answer):
    """How far a plan is; figures are None while not known."""

    seconds: float
    objective: float | None
    bound: float | None
    gap: float | None
    phase: str | None


class PlanState(Answer):
    """A plan and how far it is."""

    id: str
    name: str
    status: Status
    attempts: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    settings: Json
    progress: Progress | None
    errors: list[str]
    state: State | None

    @property
    def ended(self) -> bool:
        """Whether it is neither queued nor running."""
        return self.status not in ("queued", "running")


class PlanDetail(PlanState):
    """A plan with its document (`plan.json`), None until there is one."""

    plan: Json | None


class JobProgress(Answer):
    """How far a job is: the share that is done where that is known."""

    seconds: float
    share: float | None
    phase: str | None


class JobState(Answer):
    """Any job and how far it is; `address` is where its result is."""

    id: str
    kind: Kind
    name: str
    status: Status
    priority: int
    attempts: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    settings: Json
    progress: JobProgress | None
    errors: list[str]
    address: str

    @property
    def ended(self) -> bool:
        """Whether it is neither queued nor running."""
        return self.status not in ("queued", "running")


class ResultDetail(JobState):
    """A job with what it made, None until it has."""

    result: Json | None


# The life of a plan ---------------------------------------------------------------------------------------------------


class WaveState(Answer):
    """A wave of a plan, and how many of its moves are made."""

    wave: int
    moves: int
    made: int


class Event(Answer):
    """A step that was taken: when, by whom, from which state to which, what happened and why."""

    at: str
    who: str
    step: Step
    before: State
    after: State
    note: str
    why: str


class LifeCycle(Answer):
    """How far a plan is on its way from draft to in force and beyond. `etag` is what the next step expects."""

    plan: str
    scenario: str
    state: State
    next: list[Step]
    parent: str | None
    in_force: str | None
    predecessor: str | None
    valid_until: str
    shadow: bool
    waves: list[WaveState]
    verification: Json | None
    history: list[Event]
    etag: str = Field("*", exclude=True)


class WayBack(Answer):
    """The moves that undo what is made of a plan."""

    plan: str
    to: str | None
    waves: list[Json]
    unreported: list[Json]
    notes: list[str]


class PlanAgainstActual(Answer):
    """A plan beside what came of it so far."""

    plan: str
    pending: int
    found: Json | None


class ShadowState(Answer):
    """Whether plans of a scenario are made beside a running fleet, and never applied."""

    scenario: str
    shadow: bool
    at: str | None
    by: str | None
    why: str | None


# The fleet ------------------------------------------------------------------------------------------------------------


class Directed(Answer):
    """Where a request goes; `home` is the plan's own place, another than `cluster` while it is lost. `state` is the
    plan's: it is a draft as long as nobody has put a plan in force.
    """

    workload: str
    user_region: str | None
    cluster: str
    home: str
    plan: str
    state: Literal["in_force", "applying", "draft"]


class StandingReport(Answer):
    """A report that counts."""

    state: Literal["up", "down"]
    by: str
    source: str
    at: str
    until: str | None
    note: str


class ClusterState(Answer):
    """Whether requests go to a cluster, and what was reported."""

    cluster: str
    state: Literal["up", "down", "returning"]
    since: str | None
    returns_at: str | None
    losses: int
    reports: list[StandingReport]


class Unit(Answer):
    """One placed unit."""

    workload: str
    user_region: str | None
    copy_number: int = Field(alias="copy")
    part: int
    cluster: str
    pool: str
    start_slot: int | None


class Machines(Answer):
    """Machines of one offer, slot by slot."""

    pool: str
    purchase: str
    count: list[int]


class ScoredBy(Answer):
    """A version of a model, and the rows that it scored; `first` and `last` are times of rows."""

    version: str
    rows: int
    first: datetime
    last: datetime


class Served(Answer):
    """Who served a workload of the planner's own from when to when (None: does so now), and with which versions."""

    workload: str
    epoch: int
    host: str
    cluster: str
    plan: str
    since: datetime
    until: datetime | None
    versions: list[ScoredBy]


class ClusterRuns(Answer):
    """What a plan runs on a cluster, or all `plans` in force that use it, of which `plan` is the one put in force last;
    `in_force` is the plan of its scenario that is, perhaps another; `served` what hosts serve now.
    """

    cluster: str
    plan: str
    plans: list[str]
    state: str | None
    in_force: str | None
    runs: list[Unit]
    machines: list[Machines]
    served: list[Served]


class Whereabouts(Answer):
    """Where a plan runs a workload."""

    workload: str
    plan: str
    state: str | None
    in_force: str | None
    units: list[Unit]
    served: list[Served]


class VersionServes(Answer):
    """A version of a model that scored rows of clusters of one hardware class and software version (None: not said)."""

    hardware_class: str
    software_version: str | None
    model_version: str
    clusters: list[str]
    rows: int
    last: datetime


class VersionMatrix(Answer):
    """Which versions of models serve which hardware and software, by what the plan in force knows of clusters."""

    plan: str
    serves: list[VersionServes]


# Schedules ------------------------------------------------------------------------------------------------------------


class Moment(Answer):
    """A moment of a schedule, and the job that it queued."""

    at: str
    job: str | None
    status: str | None


class ScheduleState(Answer):
    """A schedule, when it is next, and its last moments."""

    name: str
    cron: str
    kind: Kind
    request: Json
    origin: Literal["api", "settings"]
    created_at: datetime
    next: datetime | None
    moments: list[Moment]


# Diagnostics ----------------------------------------------------------------------------------------------------------


class Accepted(Answer):
    """Rows of telemetry that were stored, that were known already, and that were refused, with why."""

    stored: int
    again: int
    refused: list[str]


class HostAlarm(Answer):
    """What is off at a host."""

    host: str
    metric: str
    value: float
    expected: float
    z: float


class RowVerdict(Answer):
    """What a model said of a row of telemetry."""

    ts: datetime
    status: Literal["ok", "alarm", "unknown"]
    score: float | None
    threshold: float
    alarms: list[HostAlarm]
    model_version: str
    workload: str
    host: str
    seconds: float


class Work(Answer):
    """A workload of the planner's own diagnostics, and who serves it."""

    workload: str
    plan: str
    purpose: str
    hardware_class: str
    clusters: list[str]
    places: list[str]
    host: str | None
    served_on: str | None
    model_store: str | None
    epoch: int
    waiting_rows: int


class Hosting(Answer):
    """Who serves what by the plans in force; `plan` is the one put in force last."""

    plan: str
    work: list[Work]


class StepTaken(Answer):
    """A step of a model's retraining."""

    run: str
    step: str
    workload: str
    hardware_class: str
    at: datetime
    outcome: str
    detail: Json


class Retrained(Answer):
    """Steps of retraining."""

    steps: list[StepTaken]


# The service itself ---------------------------------------------------------------------------------------------------


class Health(Answer):
    """`ok`, or why not."""

    status: str


class Notification(Answer):
    """What people were told, or are about to be."""

    id: int
    at: str
    about: Literal["alarm", "plan", "run_out", "job", "test"]
    severity: Literal["info", "warning", "critical"]
    subject: str
    title: str
    text: str
    fields: Json
    resolved: bool
    fingerprint: str
    channel: str
    state: Literal["queued", "held", "sent", "repeated", "failed"]
    attempts: int
    error: str | None
    created_at: str
    not_before: str | None
    sent_at: str | None


class Entry(Answer):
    """Who did what to what, and what came of it."""

    seq: int
    at: str
    caller: str
    action: str
    target: str
    result: str
    request_id: str
