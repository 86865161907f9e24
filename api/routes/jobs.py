"""Jobs of every kind: listed, watched, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import AwareDatetime

from api.access import Route
from api.context import Service, ServiceDep
from api.store.jobs import ENDED, IdempotencyConflictError, JobRow, Kind, Status, Submission
from api.views import JobList, JobState, ResultDetail, job_state, result_detail
from api.web.paging import PageDep
from api.web.problems import Problem

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=Route)

WATCH_S = 0.25
"""How often a job that somebody watches is looked at."""


@router.get("", response_model=JobList)
def list_jobs(
    service: ServiceDep,
    page: PageDep,
    kind: Kind | None = None,
    status: Status | None = None,
    name: Annotated[str | None, Query(description="of plans the scenario's")] = None,
    since: Annotated[AwareDatetime | None, Query(description="only those asked for since then")] = None,
) -> JobList:
    """Jobs, the newest first; of one kind, in one state, of one name if given."""
    rows = service.store.jobs(kind, page.limit, page.number, status, name, since)
    return JobList(jobs=[job_state(row) for row in rows], next=page.next([row.seq for row in rows]))


@router.get("/{job_id}", response_model=JobState)
async def get_job(job_id: str, service: ServiceDep) -> Response:
    """One job and how far it is; `address` tells where its result is."""
    row = _there(await service.states.row(job_id), job_id)
    return Response(job_state(row).model_dump_json(), media_type="application/json")


@router.get("/{job_id}/result", response_model=ResultDetail)
def get_result(job_id: str, service: ServiceDep) -> Response:
    """A job of any kind with the document that it made, null until it is done."""
    row = job_row(service, job_id)
    headers = {} if row.status in ENDED else {"Retry-After": "1"}
    return Response(result_detail(row, service.store.result(job_id)), media_type="application/json", headers=headers)


def _known(job_id: str, service: ServiceDep) -> str:
    """The id of a job that is there: an answer that streams can no longer say that it is not."""
    return str(job_row(service, job_id).id)


@router.get("/{job_id}/events", response_class=EventSourceResponse)
async def job_events(job_id: Annotated[str, Depends(_known)], service: ServiceDep) -> AsyncIterator[ServerSentEvent]:
    """How far a job is, as server-sent events `progress`, until one named as its end: done, failed and so on."""
    async for event in events_of(service, job_id):
        yield event


@router.post("/{job_id}/cancel", response_model=JobState)
def cancel_job(job_id: str, service: ServiceDep) -> JobState:
    """Cancel a job that is queued or running; its process ends within a second."""
    cancelled = service.store.cancel(job_row(service, job_id).id)
    state = job_state(job_row(service, job_id))
    if not cancelled and state.status != "cancelled":
        raise Problem(HTTPStatus.CONFLICT, f"job {job_id}: {state.status}: only queued or running jobs are cancelled")
    return state


def job_row(service: Service, job_id: str, kind: Kind | None = None) -> JobRow:
    """A job of the store. Raises Problem where there is none (of that kind)."""
    return _there(service.store.job(job_id, kind), job_id, kind)


def _there(row: JobRow | None, job_id: str, kind: Kind | None = None) -> JobRow:
    if row is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"{kind or 'job'}: {job_id}: not known; GET /v1/jobs lists all jobs")
    return row


def queued(service: Service, key: str | None, digest: str, submission: Callable[[], Submission]) -> str:
    """The id of the job that a request makes, or made before under the same key. Raises Problem for another body."""
    try:
        return service.store.find_key(key, digest) or service.store.submit(submission())
    except IdempotencyConflictError as conflict:
        detail = f"Idempotency-Key: used before for job {conflict.job_id} with another body: use a new key"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail) from None


async def events_of(service: Service, job_id: str) -> AsyncIterator[ServerSentEvent]:
    """The state of a job whenever it has changed; the last event is named after the state in which it ended."""
    shown: JobState | None = None
    while True:
        state = job_state(_there(await service.states.row(job_id), job_id))
        if state != shown:
            name = state.status if state.status in ENDED else "progress"
            yield ServerSentEvent(event=name, data=state)
            shown = state
        if state.status in ENDED:
            return
        await asyncio.sleep(WATCH_S)
