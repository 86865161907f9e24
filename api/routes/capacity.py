"""How long room lasts."""

from __future__ import annotations

import json
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Response

from api.access import Route
from api.context import Service, ServiceDep
from api.hosting.sealing import Sealing
from api.requests import NewCapacity
from api.routes.jobs import job_row, queued
from api.scenarios import Scenarios
from api.store.jobs import ENDED, Submission
from api.views import JobState, ResultDetail, job_state, result_detail

router = APIRouter(prefix="/v1/capacity", tags=["capacity"], route_class=Route)

Key = Annotated[str | None, Header(min_length=1, max_length=255, description="the same key makes one answer")]


@router.post("", status_code=HTTPStatus.ACCEPTED, response_model=JobState)
def ask_for_capacity(body: NewCapacity, service: ServiceDep, response: Response, idempotency_key: Key = None
                     ) -> JobState:
    """Queue the question when each cluster, pool and shared limit runs out, and what to order by when."""
    digest = body.sha256()
    job_id = queued(service, idempotency_key, digest, lambda: submission(service, body, digest, idempotency_key))
    response.headers["Location"] = f"/v1/capacity/{job_id}"
    return job_state(job_row(service, job_id))


@router.get("/{job_id}", response_model=ResultDetail)
def get_capacity(job_id: str, service: ServiceDep) -> Response:
    """How far the answer is, and the answer once it is there: what `planner capacity --json` says."""
    row = job_row(service, job_id, "capacity")
    headers = {} if row.status in ENDED else {"Retry-After": "1"}
    return Response(result_detail(row, service.store.result(job_id)), media_type="application/json", headers=headers)


def submission(service: Service, body: NewCapacity, digest: str, key: str | None) -> Submission:
    """Read the scenario and the growth, so that their mistakes are told now."""
    from planner.growth import Growth  # numba and pandas: the service answers before they are loaded

    held = Scenarios.of(service.settings, service.store)
    named = held.pinned(body.scenario) if isinstance(body.scenario, str) else None
    with tempfile.TemporaryDirectory(prefix="planner-scenarios-") as folder:
        scenario = held.read(named or body.scenario, Path(folder))
    for growth in body.growth:
        Growth.parse(growth)
    if body.plan is not None:
        job_row(service, body.plan, "plan")
    request = body.model_dump(exclude={"scenario"})
    text = Sealing.of(service.settings).seal(json.dumps(body.scenario)) if named is None else None
    if named is not None:
        request["scenario"] = named
    clusters = tuple(cluster.name for cluster in scenario.clusters)
    return Submission(scenario.name, request, text, clusters, digest, key, "capacity", body.priority)
