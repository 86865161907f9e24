"""Forecasts of histories that come with the request."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api.access import Route
from api.context import Service, ServiceDep
from api.requests import ForecastSettings
from api.routes.jobs import job_row, queued
from api.store.files import BACKTEST, ENDINGS, HISTORY, PARQUET, QUANTILES
from api.store.jobs import ENDED, Submission
from api.views import JobState, ResultDetail, job_state, result_detail
from api.web.problems import Problem
from api.web.representations import TABLE, table_of

router = APIRouter(prefix="/v1/forecasts", tags=["forecasts"], route_class=Route)

Key = Annotated[str | None, Header(min_length=1, max_length=255, description="the same key makes one forecast")]
_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {
    kind: {"schema": {"type": "string"} | ({"format": "binary"} if kind == PARQUET else {})} for kind in ENDINGS}}}


@router.post("", status_code=HTTPStatus.ACCEPTED, response_model=JobState, openapi_extra=_BODY)
async def ask_for_forecast(
    request: Request,
    response: Response,
    service: ServiceDep,
    settings: Annotated[ForecastSettings, Query()],
    content_type: Annotated[str | None, Header()] = None,
    idempotency_key: Key = None,
) -> JobState:
    """Queue the forecast of a history: CSV or Parquet, long (`unique_id`, `ds`, `y`, or `ts`, `workload`, `metric`,
    `value`) or wide, as `planner forecast` takes it.
    """
    kind = (content_type or "").split(";")[0].strip().lower()
    if kind not in ENDINGS:
        detail = f"Content-Type: {kind or 'missing'}: a history is {' or '.join(ENDINGS)}"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    content = await request.body()
    if not content:
        raise Problem(HTTPStatus.BAD_REQUEST, "body: empty: it is the history, as CSV or Parquet")
    return await run_in_threadpool(_queue, service, settings, kind, content, idempotency_key, response)


def _queue(service: Service, settings: ForecastSettings, kind: str, content: bytes, key: str | None,
           response: Response) -> JobState:
    asked = settings.asked()
    digest = hashlib.sha256(repr(sorted(asked.items())).encode() + kind.encode() + content).hexdigest()
    job_id = queued(service, key, digest, lambda: Submission(
        settings.name, asked, None, (), digest, key, "forecast", settings.priority, (HISTORY, kind, content)))
    response.headers["Location"] = f"/v1/forecasts/{job_id}"
    return job_state(job_row(service, job_id))


@router.get("/{job_id}", response_model=ResultDetail)
def get_forecast(job_id: str, service: ServiceDep) -> Response:
    """A forecast: how far it is, and its run report once it is done."""
    row = job_row(service, job_id, "forecast")
    headers = {} if row.status in ENDED else {"Retry-After": "1"}
    return Response(result_detail(row, service.store.result(job_id)), media_type="application/json", headers=headers)


@router.get("/{job_id}/quantiles", response_class=Response, responses=TABLE)
def get_quantiles(job_id: str, service: ServiceDep, accept: Annotated[str | None, Header()] = None) -> Response:
    """A row a series and step: as Parquet, or with `Accept: application/x-ndjson` a JSON object a line."""
    return _table(service, job_id, QUANTILES, accept)


@router.get("/{job_id}/backtest", response_class=Response, responses=TABLE)
def get_backtest(job_id: str, service: ServiceDep, accept: Annotated[str | None, Header()] = None) -> Response:
    """Scores of every series, model and past origin, for forecasts asked for with `backtest`; types as of quantiles."""
    return _table(service, job_id, BACKTEST, accept)


def _table(service: Service, job_id: str, name: str, accept: str | None) -> Response:
    row = job_row(service, job_id, "forecast")
    if row.status != "done":
        raise Problem(HTTPStatus.CONFLICT, f"forecast {job_id}: {row.status}: only one that is done has tables")
    found = service.store.file(job_id, name)
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"forecast {job_id}: asked for without backtest=true, so there is no table")
    return table_of(found[1], accept)
