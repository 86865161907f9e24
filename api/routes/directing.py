"""Where requests go, and the health of clusters that decides it."""

from __future__ import annotations

import difflib
import json
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from api.access import Route, record_this
from api.context import ServiceDep, service_of
from api.requests import HealthReport
from api.views import ClusterState, Directed, cluster_state
from api.web.problems import Problem
from planner.directing import Report

router = APIRouter(prefix="/v1", tags=["directing"], route_class=Route)

_ASKED = ("region", "key")


def _parameter(name: str, where: str, what: str) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "description": what, "schema": {"type": "string"}}


@router.get(
    "/direct/{workload:path}",
    responses={200: {"model": Directed}},
    openapi_extra={
        "parameters": [
            _parameter("workload", "path", "a workload of a plan in force"),
            _parameter("region", "query", "the user region that the request comes from, as aws/eu-west-1"),
            _parameter("key", "query", "the same key goes to the same cluster while that is there"),
        ]
    },
)
async def direct(request: Request) -> Response:
    """Where a request for a workload goes now: by the plan's shares of this slot, and to a fallback where a cluster is
    lost.
    """
    # Nothing but this between the socket and the answer: no thread, no store, no validation by reflection.
    asked = request.query_params
    if asked and (odd := [name for name in asked if name not in _ASKED]):
        near = difflib.get_close_matches(odd[0], _ASKED, n=1)
        hint = f"'{near[0]}'?" if near else f"allowed are {', '.join(_ASKED)}"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"query: {odd[0]}: not known; {hint}")
    directing = (await service_of(request)).directing
    found = directing.director.direct(request.path_params["workload"], asked.get("region"), asked.get("key"))
    way = "home" if found.cluster == found.home else "fallback"
    request.app.state.metrics.directed.labels(found.cluster, way).inc()
    answer = {
        "workload": found.workload, "user_region": found.user_region, "cluster": found.cluster, "home": found.home,
        "plan": found.plan_id, "state": directing.by(found.plan_id),
    }  # fmt: skip
    body = json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get("/clusters/{name}/health", response_model=ClusterState)
async def get_health(name: str, service: ServiceDep) -> ClusterState:
    """Whether requests go to a cluster, since when, and what was reported of it."""
    director = service.directing.director
    health = director.health(name)
    return cluster_state(name, health, director.returns_at(health))


@router.put("/clusters/{name}/health", response_model=ClusterState)
async def put_health(name: str, body: HealthReport, service: ServiceDep, request: Request) -> ClusterState:
    """Say how a cluster is. A loss counts for the next request; a return after the hold, or by a person's word at once.

    When this is answered it is written down, and holds after a restart.
    """
    director = service.directing.director
    report = Report(**body.model_dump())
    if body.by == "person":
        record_this(request)
    service.directing.report(name, report)
    health = await run_in_threadpool(service.directing.keep, name, report)
    return cluster_state(name, health, director.returns_at(health))
