"""Answers that the library makes as plain documents, as the OpenAPI document describes them. Nothing is checked against
these on its way out; what a part holds that has no shape here is in the docs of the command that shows the same.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Part = dict[str, Any]


class ExplainedUnit(BaseModel):
    """A placed unit, what it costs there, and all other places."""

    user_region: str | None
    copy_number: int = Field(alias="copy")
    copies: int
    cluster: str
    pool: str
    start_slot: int | None
    why: str
    costs_usd: Part
    runner_up: Part | None
    places: list[Part] = Field(description="every other place: what it would cost, or which rule forbids it")


class Explained(BaseModel):
    """Why a workload is where it is, as `planner explain --json`."""

    workload: str
    kind: str
    owner: str | None
    droppable: bool
    plan_id: str
    plan_cost_usd: float
    needs: str = Field(description="its replicas and where they come from")
    cost_usd: float
    units: list[ExplainedUnit]
    rules: list[Any] = Field(description="its rules, and what they leave")
    binding: list[Any] = Field(description="limits that it runs into")
    shares_with: list[str]
    fallbacks: list[Part]
    not_placed: list[str] = Field(description="why streams have no place")
    resolved: Part | None = Field(description="with `at`: the plan with the workload forced there")


class ComparedPlan(BaseModel):
    """One of two plans in figures."""

    plan_id: str
    status: Literal["optimal", "feasible", "infeasible"]
    mode: Literal["min_cost", "max_sla"]
    cost_usd: float
    costs: dict[str, float]
    sla_attainment: float
    bound: float
    gap: float
    unplaced: int
    streams: int
    covered: int = Field(description="streams that lose nothing when one cluster is lost")
    peak_machines: int
    machine_hours: float


class Difference(BaseModel):
    """What changes from one plan to another, as `planner diff --json`."""

    same: bool
    before: ComparedPlan
    after: ComparedPlan
    changed: list[Part] = Field(description="streams that are elsewhere")
    routes: list[Part] = Field(description="how many go from where to where")
    pools: list[Part]
    owners: list[Part]
    diagnostics: list[Part] = Field(description="what these cost, by kind")
    fallbacks: list[Part]
    unplaced: list[Any] = Field(description="no longer placed, and why")
    placed_again: list[str]
    uncovered: list[str]
    covered_again: list[str]
    notes: list[str]


class PastTask(BaseModel):
    """A past task, how like it is (0 to 1), and what it used."""

    application: str
    finished: str | None
    likeness: float
    used: dict[str, float | str]


class PredictedProfile(BaseModel):
    """What a described task will need, each figure with its interval, confidence, reason and source."""

    kind: str
    request: dict[str, float | None] = Field(description="of one replica")
    hardware: Part
    replicas: list[int] = Field(description="slot by slot")
    batch: Part | None
    figures: list[Part]
    neighbours: list[PastTask] = Field(description="the three past tasks that are most like it, the likest first")
    produces: Part | None


class Drift(BaseModel):
    """Whether a metric drifted."""

    cluster: str
    metric: str
    drifted: bool
    sentence: str


class Alarm(BaseModel):
    """A metric that was off, and by what chance that would be."""

    cluster: str
    metric: str
    since: str
    until: str | None
    p: float | None
    value: float
    expected: float
    sentence: str
    detector: str


class DiagnosedCluster(BaseModel):
    """A cluster: its status, alarms and drifts."""

    cluster: str
    hardware_classes: list[str]
    status: str
    sentence: str
    last_value: str
    alarms: list[Alarm]
    drifts: list[Drift]
    changes: list[Part]
    note: str


class _Diagnosed(BaseModel):
    start: str
    end: str
    reported_from: str
    detector: str
    drift_test: str
    false_alarms_per_day: float
    expected_false_alarms: float
    merged_rows: int
    rules: list[Any]
    misses: list[Part]
    models: list[Part] = Field(description="which versions answer for which hardware")


class Diagnosis(_Diagnosed):
    """All clusters that send telemetry."""

    clusters: list[DiagnosedCluster]


class GroupedAlarm(BaseModel):
    """One alarm of a super alarm."""

    fingerprint: str
    condition: str
    attributes: dict[str, str]
    since: str
    until: str | None
    muted: str | None
    reopened: int
    sentence: str


class SuperAlarm(BaseModel):
    """Alarms that belong together: how grave they are, what they may come from, and what to do."""

    id: str
    since: str
    until: str | None
    severity: Literal["page", "ticket", "log"]
    why_severity: str
    summary: str
    users_affected: float | None
    told: list[str]
    counts: dict[str, int]
    hypotheses: list[Part]
    remedies: list[Part]
    moved: list[Part]
    services: list[Part]
    runbook: Part | None
    alarms: list[GroupedAlarm]


class SeenAlarm(SuperAlarm):
    """A super alarm, and who looks after it."""

    acknowledged: Part | None


class AlarmList(BaseModel):
    """The newest super alarms first; `singly`: how many alarms they are made of."""

    from_: str = Field(alias="from")
    to: str
    singly: int
    expected_false_alarms: float
    alarms: list[SeenAlarm]
    next: str | None


class OneClusterDiagnosed(_Diagnosed, DiagnosedCluster):
    """All that is known of a cluster."""

    super_alarms: list[SuperAlarm]
    health: list[Part] = Field(description="rules of health that fired")
    stuck_jobs: list[Part] | None = Field(description="null where no jobs are watched")


class HostedAlarms(BaseModel):
    """Super alarms of what hosts said."""

    complete_from: str | None = Field(description="rows before it were not looked at, asked for or not; of those since "
                                      "then none is left out. null where no row has a verdict")
    super_alarms: list[SuperAlarm]


class Said(BaseModel):
    """Whether an alarm was right, by whom and when."""

    fingerprint: str
    since: str
    cluster: str
    metric: str
    workload: str
    p: float
    verdict: Literal["true_positive", "false_positive"]
    by: str
    at: str
    note: str


class Judged(BaseModel):
    """What was just said of alarms."""

    feedback: list[Said]


class FeedbackList(Judged):
    """The oldest first."""

    next: str | None


class ListedModel(BaseModel):
    """A version of a model: where it comes from, its figures, and whether it serves."""

    id: str
    hardware: str
    data_sha256: str
    data_source: str
    code_version: str
    parameters: Part
    metrics: Part
    parent: str | None
    file_sha256: str
    file_bytes: int
    created_at: str
    created_by: str
    stage: str
    serves: bool


class Model(ListedModel):
    """A version with everything that was tried beside it."""

    trials: list[Part]


class ModelList(BaseModel):
    """The oldest first."""

    models: list[ListedModel]
    next: str | None


class ComparedModels(BaseModel):
    """Versions side by side; `differences` are those that chance does not explain, and those that it does."""

    versions: list[str]
    kind: Literal["validation", "shadow"]
    parameters: dict[str, list[Any]]
    metrics: dict[str, list[Any]]
    differences: list[Part]
    note: str


class ModelChange(BaseModel):
    """One line of the history of a hardware class: `before` served until then, `after` serves since."""

    hardware: str
    revision: int
    at: str
    by: str
    action: str
    version: str
    before: str | None
    after: str | None
    why: str


class ModelHistory(BaseModel):
    """The oldest first."""

    history: list[ModelChange]
    next: str | None
