"""What the service answers, as documented in its OpenAPI description."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field

from api.store import PlanRow, Status


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


class PlanDetail(PlanState):
    """A plan with its document."""

    plan: dict[str, Any] | None = Field(description="plan.json; null until the plan is done or infeasible")


class PlanList(BaseModel):
    """The newest plans first."""

    plans: list[PlanState]
    next: str | None = Field(description="address of the plans before these, null when there are none")


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
    runs: list[Unit]
    machines: list[Machines]


class Whereabouts(BaseModel):
    """Where a plan runs a workload."""

    workload: str
    plan: str
    units: list[Unit]


class Health(BaseModel):
    """`ok`, or why not."""

    status: str


def plan_state(row: PlanRow) -> PlanState:
    """A row of the store as the service shows it."""
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
    )


def plan_detail(row: PlanRow) -> bytes:
    """A plan with its document, which is kept as text and may be large: it is put in without being read."""
    head = plan_state(row).model_dump_json()
    return f'{head[:-1]},"plan":{row.plan or "null"}}}'.encode()
