"""Plans: asked for, watched, cancelled."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import FileResponse

from api.context import Service, ServiceDep
from api.problems import Problem
from api.requests import NewPlan
from api.scenarios import read
from api.store import IdempotencyConflictError, Submission
from api.views import PlanDetail, PlanList, PlanState, plan_detail, plan_state

router = APIRouter(prefix="/v1/plans", tags=["plans"])

ENDED = ("done", "infeasible", "failed", "cancelled")
Key = Annotated[str | None, Header(min_length=1, max_length=255, description="the same key makes one plan")]


@router.post("", status_code=HTTPStatus.ACCEPTED, response_model=PlanState)
def ask_for_plan(body: NewPlan, service: ServiceDep, response: Response, idempotency_key: Key = None) -> PlanState:
    """Queue a plan. It is made in a process of its own; `Location` tells where to look."""
    digest = body.sha256()
    try:
        plan_id = service.store.find_key(idempotency_key, digest)
        if plan_id is None:
            plan_id = service.store.submit(_submission(service, body, digest, idempotency_key))
    except IdempotencyConflictError as conflict:
        detail = f"Idempotency-Key: used before for plan {conflict.plan_id} with another body: use a new key"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail) from None
    service.dispatcher.wake()
    response.headers["Location"] = f"/v1/plans/{plan_id}"
    return _state(service, plan_id)


def _submission(service: Service, body: NewPlan, digest: str, key: str | None) -> Submission:
    """Read the scenario, so that its mistakes are told now and not by a failed plan."""
    from planner.catalog import builtin_catalog  # numba and pandas: the service answers before they are loaded
    from planner.planning import PlanRequest
    from planner.resolve import resolve

    request, text = body.settings.model_dump(), None
    asked = PlanRequest(**request)
    scenario = read(service.settings.scenarios, body.scenario)
    asked.objective(scenario.objective)
    resolve(scenario, builtin_catalog())
    if isinstance(body.scenario, str):
        request["scenario"] = body.scenario
    else:
        text = json.dumps(body.scenario)
    clusters = tuple(cluster.name for cluster in scenario.clusters)
    return Submission(scenario.name, request, text, clusters, digest, key)


@router.get("", response_model=PlanList)
def list_plans(
    service: ServiceDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1)] = None,
) -> PlanList:
    """Plans, the newest first."""
    rows = service.store.plans(limit, before)
    following = f"/v1/plans?limit={limit}&before={rows[-1].seq}" if len(rows) == limit else None
    return PlanList(plans=[plan_state(row) for row in rows], next=following)


@router.get("/{plan_id}", response_model=PlanDetail)
def get_plan(plan_id: str, service: ServiceDep) -> Response:
    """A plan: how far it is, and `plan.json` when it is made. That no plan is feasible is an answer too."""
    row = service.store.plan(plan_id)
    if row is None:
        raise _unknown(plan_id)
    headers = {} if row.status in ENDED else {"Retry-After": "1"}
    return Response(plan_detail(row), media_type="application/json", headers=headers)


@router.post("/{plan_id}/cancel", response_model=PlanState)
def cancel_plan(plan_id: str, service: ServiceDep) -> PlanState:
    """Cancel a plan that is queued or being made."""
    cancelled = service.store.cancel(plan_id)
    state = _state(service, plan_id)
    if not cancelled and state.status != "cancelled":
        raise Problem(
            HTTPStatus.CONFLICT, f"plan {plan_id}: {state.status}: only queued or running plans are cancelled"
        )
    service.dispatcher.end(plan_id)
    return state


@router.get("/{plan_id}/packings", response_class=FileResponse)
def get_packings(plan_id: str, service: ServiceDep) -> FileResponse:
    """Which replica lies on which machine, as Parquet, for plans that name such a table."""
    if service.store.plan(plan_id) is None:
        raise _unknown(plan_id)
    file = service.settings.packings(plan_id)
    if not file.is_file():
        raise Problem(HTTPStatus.NOT_FOUND, f"plan {plan_id}: it shows no packings: simple orders find them all")
    return FileResponse(file, media_type="application/vnd.apache.parquet")


@router.get("/{plan_id}/explain/{workload:path}")
def explain(
    plan_id: str,
    workload: str,
    service: ServiceDep,
    at: Annotated[str | None, Query(description="CLUSTER or CLUSTER/POOL: why not there")] = None,
) -> dict[str, Any]:
    """Why a workload is where a plan has it, and what every other place would cost or which rule forbids it."""
    row = service.store.plan(plan_id)
    if row is None:
        raise _unknown(plan_id)
    if row.plan is None:
        raise Problem(HTTPStatus.CONFLICT, f"plan {plan_id}: {row.status}: only a plan that is made can be explained")
    return service.explainer.explain(row, workload, at)


def _state(service: Service, plan_id: str) -> PlanState:
    row = service.store.plan(plan_id)
    if row is None:
        raise _unknown(plan_id)
    return plan_state(row)


def _unknown(plan_id: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"plan: {plan_id}: not known; GET /v1/plans lists them")
