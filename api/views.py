"""What the service answers, as documented in its OpenAPI description."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import inf
from typing import Any, Literal

from pydantic import BaseModel, Field

from api.hosting.requests import Served
from api.life_cycle.steps import State
from api.store.jobs import JobRow, Kind, Status
from planner.directing import ClusterHealth


class Progress(BaseModel):
    """How far the solve is; figures are null while not known."""

    seconds: float
    objective: float | None = Field(description="USD (min_cost) or attainment (max_sla) of the best plan so far")
    bound: float | None
    gap: float | None
    phase: str | None


class PlanState(BaseModel):
    """A plan and how far it is."""

    id: str
    name: str
    status: Status
    attempts: int = Field(
        description="how often making it was begun; more than 1 when the service was killed meanwhile"
    )
    created_at: str
    started_at: str | None
    finished_at: str | None
    settings: dict[str, Any]
    progress: Progress | None
    errors: list[str] = Field(description="why it failed, one line for each mistake")
    state: State | None = Field(description="how far it is on its way into force, once it is done")


class JobProgress(BaseModel):
    """How far a job is: the share that is done where that is known."""

    seconds: float
    share: float | None
    phase: str | None


class JobState(BaseModel):
    """Any job and how far it is."""

    id: str
    kind: Kind
    name: str
    status: Status
    priority: int
    attempts: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    settings: dict[str, Any]
    progress: JobProgress | None
    errors: list[str]
    address: str = Field(description="where its result is, once it is done")


class JobList(BaseModel):
    """The newest jobs first."""

    jobs: list[JobState]
    next: str | None = Field(description="address of the jobs after these; null when there are none")


class ResultDetail(JobState):
    """A job with what it made."""

    result: dict[str, Any] | None = Field(description="null until the job is done")


class PlanDetail(PlanState):
    """A plan with its document."""

    plan: dict[str, Any] | None = Field(description="plan.json; null until the plan is done or infeasible")


class PlanList(BaseModel):
    """The newest plans first."""

    plans: list[PlanState]
    next: str | None = Field(description="address of the plans after these; null when there are none")


class Unit(BaseModel):
    """One placed unit."""

    workload: str
    user_region: str | None
    copy_number: int = Field(alias="copy")
    part: int
    cluster: str
    pool: str
    start_slot: int | None


class Machines(BaseModel):
    """Machines of one offer, slot by slot."""

    pool: str
    purchase: str
    count: list[int]


class ClusterRuns(BaseModel):
    """What a plan runs on a cluster."""

    cluster: str
    plan: str
    plans: list[str] = Field(description="the plans that this is of: more than one where several in force use the "
                                         "cluster and none was asked for; `plan` is the one put in force last")
    state: str | None = Field(description="of the life of that plan")
    in_force: str | None = Field(description="the plan of its scenario that is in force, perhaps another")
    runs: list[Unit]
    machines: list[Machines]
    served: list[Served] = Field(description="the planner's own work that its hosts serve now")


class Whereabouts(BaseModel):
    """Where a plan runs a workload."""

    workload: str
    plan: str
    state: str | None = Field(description="of the life of that plan")
    in_force: str | None = Field(description="the plan of its scenario that is in force, perhaps another")
    units: list[Unit]
    served: list[Served] = Field(description="of the planner's own work: who served it, the newest first")


class Directed(BaseModel):
    """Where a request goes."""

    workload: str
    user_region: str | None
    cluster: str
    home: str = Field(description="the plan's own place; another than `cluster` while it is lost")
    plan: str
    state: Literal["in_force", "applying", "draft"] = Field(
        description="of that plan; draft: nobody has put a plan in force yet, and this is the newest one")


class StandingReport(BaseModel):
    """A report that counts."""

    state: Literal["up", "down"]
    by: str
    source: str
    at: str
    until: str | None = Field(description="when it expires; null: never")
    note: str


class ClusterState(BaseModel):
    """Whether requests go to a cluster, and what was reported."""

    cluster: str
    state: Literal["up", "down", "returning"] = Field(description="returning: said to be up again, still on hold")
    since: str | None = Field(description="when it was lost, or came back; null: never lost")
    returns_at: str | None = Field(description="when requests go there again, unless somebody reports otherwise")
    losses: int = Field(description="losses of late; each doubles the hold")
    reports: list[StandingReport]


class Health(BaseModel):
    """`ok`, or why not."""

    status: str


def plan_state(row: JobRow, state: State | None = None) -> PlanState:
    """A row of the store as the service shows it, and the state of its life."""
    progress = None
    if row.seconds is not None:
        progress = Progress(seconds=row.seconds, objective=row.objective, bound=row.bound, gap=row.gap, phase=row.phase)
    return PlanState(
        id=row.id,
        name=row.name,
        status=row.status,
        attempts=row.attempt,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        settings=json.loads(row.request),
        progress=progress,
        errors=json.loads(row.errors),
        state=state,
    )


ADDRESSES: dict[Kind, str] = {"plan": "/v1/plans", "forecast": "/v1/forecasts", "capacity": "/v1/capacity"}
"""Where results of a kind are; of others, at `/result` of the job."""


def job_state(row: JobRow) -> JobState:
    """A row of the store as the service shows any job."""
    progress = None
    if row.seconds is not None:
        progress = JobProgress(seconds=row.seconds, share=row.share, phase=row.phase)
    return JobState(
        id=row.id,
        kind=row.kind,
        name=row.name,
        status=row.status,
        priority=row.priority,
        attempts=row.attempt,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        settings=json.loads(row.request),
        progress=progress,
        errors=json.loads(row.errors),
        address=f"{ADDRESSES[row.kind]}/{row.id}" if row.kind in ADDRESSES else f"/v1/jobs/{row.id}/result",
    )


def result_detail(row: JobRow, document: str | None) -> bytes:
    """A job with what it made, which is kept as text and may be large: it is put in without being read."""
    head = job_state(row).model_dump_json()
    return f'{head[:-1]},"result":{document or "null"}}}'.encode()


def plan_detail(row: JobRow, state: State | None, document: str | None) -> bytes:
    """A plan with its document, which is kept as text and may be large: it is put in without being read."""
    head = plan_state(row, state).model_dump_json()
    return f'{head[:-1]},"plan":{document or "null"}}}'.encode()


def cluster_state(cluster: str, health: ClusterHealth, returns_at: float | None) -> ClusterState:
    """What is known of a cluster as the service shows it."""
    waiting = "down" if health.well_since is None else "returning"
    return ClusterState(
        cluster=cluster,
        state=waiting if health.lost else "up",
        since=_time(health.since) if health.losses else None,
        returns_at=None if returns_at is None else _time(returns_at),
        losses=len(health.losses),
        reports=[
            StandingReport(
                state=one.state, by=one.by, source=one.source, at=_time(one.at), note=one.note,
                until=None if one.until == inf else _time(one.until),
            )
            for one in health.reports
        ],
    )  # fmt: skip


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
