"""Plans: asked for, watched, cancelled."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import nullcontext
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import AwareDatetime

from api.access import Route
from api.context import Service, ServiceDep
from api.description.shapes import Explained
from api.directing.mending import Mend, check_names, mend_submission
from api.hosting.sealing import Sealing
from api.life_cycle.lives import Lives
from api.life_cycle.steps import State
from api.requests import IN_FORCE, NewMend, NewPlan
from api.routes.jobs import events_of, queued
from api.scenarios import NOWHERE, Scenarios
from api.store.files import PACKINGS, ROUTES
from api.store.jobs import ENDED, JobRow, Status, Submission
from api.store.placements import Placements
from api.views import PlanDetail, PlanList, PlanState, plan_detail, plan_state
from api.web.paging import PageDep
from api.web.problems import Problem
from api.web.representations import TABLE, rows_as, table_of
from planner.directing.routes import parse_routes
from planner.errors import InputError

router = APIRouter(prefix="/v1/plans", tags=["plans"], route_class=Route)

UNIT_COLUMNS = {"workload": "string", "user_region": "string", "copy": "int32", "part": "int32", "cluster": "string",
                "pool": "string", "start_slot": "int32"}
"""Columns of assignments."""
Key = Annotated[str | None, Header(min_length=1, max_length=255, description="the same key makes one plan")]


@router.post("", status_code=HTTPStatus.ACCEPTED, response_model=PlanState)
def ask_for_plan(body: NewPlan, service: ServiceDep, response: Response, idempotency_key: Key = None) -> PlanState:
    """Queue a plan. It is made in a process of its own; `Location` tells where to look."""
    digest = body.sha256()
    plan_id = queued(service, idempotency_key, digest, lambda: submission(service, body, digest, idempotency_key))
    response.headers["Location"] = f"/v1/plans/{plan_id}"
    if idempotency_key is None:  # it was made now, and has no life yet
        return plan_state(plan_row(service, plan_id), None)
    return _state(service, plan_id)


def submission(service: Service, body: NewPlan, digest: str, key: str | None) -> Submission:
    """Read the scenario, so that its mistakes are told now and not by a failed plan."""
    from planner.catalog import builtin_catalog
    from planner.plan_request import PlanRequest
    from planner.resolve import resolve

    request, text = body.settings.model_dump(), None
    asked = PlanRequest(**request)
    held = Scenarios.of(service.settings, service.store)
    named = held.pinned(body.scenario) if isinstance(body.scenario, str) else None
    unpacked = tempfile.TemporaryDirectory(prefix="planner-scenarios-") if named else nullcontext(NOWHERE)
    with unpacked as folder:
        scenario = held.read(named or body.scenario, Path(folder))
        asked.objective(scenario.objective)
        resolve(scenario, builtin_catalog())
    if body.incumbent is not None:
        _check_incumbent(service, body.incumbent, scenario.name)
        request |= {"incumbent": body.incumbent, "max_moves": body.max_moves, "now": body.now}
    if body.now is not None:
        from planner.frozen import slot_of  # numba: the service answers before it is loaded

        slot_of(body.now, scenario.horizon)
    if named is None:
        text = Sealing.of(service.settings).seal(json.dumps(body.scenario))
    else:
        request["scenario"] = named
    clusters = tuple(cluster.name for cluster in scenario.clusters)
    return Submission(scenario.name, request, text, clusters, digest, key, priority=body.priority)


def _check_incumbent(service: Service, named: str, scenario: str) -> None:
    """Raise InputError unless there is a plan to start from."""
    row = None if named == IN_FORCE else service.store.job(named, "plan")
    if named == IN_FORCE or (row is not None and row.status == "done" and row.name == scenario):
        return
    found = "not known" if row is None else row.status if row.status != "done" else f"of the scenario {row.name}"
    raise InputError([f"incumbent: {named}: {found}: a plan of {scenario} that is done is needed"])


@router.get("", response_model=PlanList)
def list_plans(
    service: ServiceDep,
    page: PageDep,
    scenario: Annotated[str | None, Query(description="name of the scenario")] = None,
    status: Status | None = None,
    state: Annotated[State | None, Query(description="on the way into force")] = None,
    since: Annotated[AwareDatetime | None, Query(description="only those asked for since then")] = None,
) -> PlanList:
    """Plans, the newest first."""
    rows = service.store.jobs("plan", page.limit, page.number, status, scenario, since, state)
    states = Lives(service.store.engine).states(row.id for row in rows)
    return PlanList(plans=[plan_state(row, states.get(row.id)) for row in rows], next=page.next([r.seq for r in rows]))


@router.get("/{plan_id}", response_model=PlanDetail)
def get_plan(plan_id: str, service: ServiceDep) -> Response:
    """A plan: how far it is, and `plan.json` when it is made. That no plan is feasible is an answer too."""
    row = plan_row(service, plan_id)
    headers = {} if row.status in ENDED else {"Retry-After": "1"}
    document = service.store.result(plan_id)
    return Response(plan_detail(row, _life(service, plan_id), document), media_type="application/json", headers=headers)


def _known(plan_id: str, service: ServiceDep) -> str:
    """The id of a plan that is there: an answer that streams can no longer say that it is not."""
    return str(plan_row(service, plan_id).id)


@router.get("/{plan_id}/events", response_class=EventSourceResponse)
async def plan_events(
    plan_id: Annotated[str, Depends(_known)], service: ServiceDep
) -> AsyncIterator[ServerSentEvent]:
    """How far the plan is, as server-sent events `progress`, until one named as its end: done, failed and so on."""
    async for event in events_of(service, plan_id):
        yield event


@router.post("/{plan_id}/cancel", response_model=PlanState)
def cancel_plan(plan_id: str, service: ServiceDep) -> PlanState:
    """Cancel a plan that is queued or being made."""
    cancelled = service.store.cancel(plan_row(service, plan_id).id)
    state = _state(service, plan_id)
    if not cancelled and state.status != "cancelled":
        raise Problem(
            HTTPStatus.CONFLICT, f"plan {plan_id}: {state.status}: only queued or running plans are cancelled"
        )
    return state


@router.post("/{plan_id}/replan", status_code=HTTPStatus.ACCEPTED, response_model=PlanState)
def ask_for_replan(
    plan_id: str, body: NewMend, service: ServiceDep, response: Response, idempotency_key: Key = None
) -> PlanState:
    """Queue a plan near this one that does without lost clusters, or goes back to those that are there again. The
    service asks for one itself when clusters of the plan in force are lost or return.
    """
    found = service.store.file(plan_row(service, plan_id).id, ROUTES)
    if found is None:
        raise Problem(HTTPStatus.CONFLICT, f"plan {plan_id}: only a plan that is done can be mended")
    check_names(body, parse_routes(found[1], f"plan {plan_id}"))
    mend = Mend(plan_id, tuple(body.down), tuple(body.restore), body.max_moves, body.time_limit_s)
    asked = mend_submission(service.store, mend, idempotency_key, body.priority)
    new_id = queued(service, idempotency_key, asked.body_sha256, lambda: asked)
    response.headers["Location"] = f"/v1/plans/{new_id}"
    return _state(service, new_id)


@router.get("/{plan_id}/assignments", response_class=Response, responses=TABLE)
def get_assignments(
    plan_id: str,
    service: ServiceDep,
    cluster: Annotated[str | None, Query(description="only units on this cluster")] = None,
    workload: Annotated[str | None, Query(description="only units of this workload")] = None,
    accept: Annotated[str | None, Header()] = None,
) -> Response:
    """Where every unit of a plan is, by workload: Parquet, or JSON a line with `Accept: application/x-ndjson`."""
    row = plan_row(service, plan_id)
    if row.status != "done":
        raise Problem(HTTPStatus.CONFLICT, f"plan {plan_id}: {row.status}: only a plan that is done has assignments")
    return rows_as(Placements(service.store.engine).pages(plan_id, cluster, workload), UNIT_COLUMNS, accept)


@router.get("/{plan_id}/packings", response_class=Response, responses=TABLE)
def get_packings(plan_id: str, service: ServiceDep, accept: Annotated[str | None, Header()] = None) -> Response:
    """Which replica lies on which machine, for plans that name such a table; types as of assignments."""
    found = service.store.file(plan_row(service, plan_id).id, PACKINGS)
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"plan {plan_id}: it shows no packings: simple orders find them all")
    return table_of(found[1], accept)


@router.get("/{plan_id}/explain/{workload:path}", response_model=None, responses={200: {"model": Explained}})
def explain(
    plan_id: str,
    workload: str,
    service: ServiceDep,
    at: Annotated[str | None, Query(description="CLUSTER or CLUSTER/POOL: why not there")] = None,
) -> dict[str, Any]:
    """Why a workload is where a plan has it, and what every other place would cost or which rule forbids it."""
    row = plan_row(service, plan_id)
    if service.store.result(plan_id) is None:
        raise Problem(HTTPStatus.CONFLICT, f"plan {plan_id}: {row.status}: only a plan that is made can be explained")
    return service.explainer.explain(row, workload, at)


def _state(service: Service, plan_id: str) -> PlanState:
    return plan_state(plan_row(service, plan_id), _life(service, plan_id))


def _life(service: Service, plan_id: str) -> State | None:
    return Lives(service.store.engine).states([plan_id]).get(plan_id)


def plan_row(service: Service, plan_id: str) -> JobRow:
    """A plan of the store. Raises Problem where there is none."""
    row = service.store.job(plan_id, "plan")
    if row is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"plan: {plan_id}: not known; GET /v1/plans lists them")
    return row
