"""What really came, beside a plan: demand and costs in, forecast error, misses and cost so far out."""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from api.access import Route
from api.context import Service, ServiceDep
from api.routes.jobs import job_row, queued
from api.routes.plans import plan_row
from api.store.files import ACTUALS, ENDINGS, NDJSON, PARQUET
from api.store.jobs import Submission
from api.views import JobState, job_state
from api.web.problems import Problem

router = APIRouter(prefix="/v1/plans/{plan_id}/actuals", tags=["life cycle"], route_class=Route)

Key = Annotated[str | None, Header(min_length=1, max_length=255, description="the same key takes it in once")]
TYPES = (*ENDINGS, NDJSON)
_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {
    kind: {"schema": {"type": "string"} | ({"format": "binary"} if kind == PARQUET else {})} for kind in TYPES}}}


class PlanAgainstActual(BaseModel):
    """A plan beside what came of it so far."""

    model_config = ConfigDict(json_schema_extra={"example": {
        "plan": "6f1c", "pending": 0, "found": {
            "slots": 24, "of": 48, "policy": "autoscale", "forecast": {"wape": 0.12, "bias": 0.08, "above_plan": 0.03},
            "misses": {"asked": 2400, "missed": 3, "workloads": {"web": 3}},
            "machines_usd": {"planned": 2650.4, "realised": 2701.9}, "billed_usd": 2710.2}}})

    plan: str
    pending: int = Field(description="reports that are still being worked in")
    found: dict[str, Any] | None = Field(description="of the slots that all workloads have; null until there are any")


@router.post("", status_code=HTTPStatus.ACCEPTED, response_model=JobState, openapi_extra=_BODY)
async def report_actuals(
    plan_id: str,
    request: Request,
    response: Response,
    service: ServiceDep,
    what: Annotated[Literal["demand", "costs"], Query(description="what the rows of the body are")],
    content_type: Annotated[str | None, Header()] = None,
    idempotency_key: Key = None,
) -> JobState:
    """Take in demand (rows of `workload`, `replicas` and `slot` or `ts`) or costs (rows of FOCUS) that really came, and
    judge the plan anew by all of it. Of what is said twice of a slot the last word counts.
    """
    kind = (content_type or "").split(";")[0].strip().lower()
    if kind not in TYPES:
        detail = f"Content-Type: {kind or 'missing'}: rows come as {', '.join(TYPES)}"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    content = await request.body()
    if not content:
        raise Problem(HTTPStatus.BAD_REQUEST, f"body: empty: it is the {what}, row by row")
    report = (kind, content)
    return await run_in_threadpool(_queue, service, plan_id, what, report, idempotency_key, response)


def _queue(service: Service, plan_id: str, what: str, report: tuple[str, bytes], key: str | None,
           response: Response) -> JobState:
    row = plan_row(service, plan_id)
    if row.status != "done":
        detail = f"plan {plan_id}: {row.status}: only a plan that is done is set beside what came"
        raise Problem(HTTPStatus.CONFLICT, detail)
    asked, (kind, content) = {"plan": plan_id, "what": what}, report
    digest = hashlib.sha256(repr(asked).encode() + kind.encode() + content).hexdigest()
    job_id = queued(service, key, digest, lambda: Submission(
        plan_id, asked, None, (), digest, key, "judgement", file=(ACTUALS, kind, content)))
    response.headers["Location"] = f"/v1/jobs/{job_id}"
    return job_state(job_row(service, job_id))


@router.get("", response_model=PlanAgainstActual)
def get_actuals(plan_id: str, service: ServiceDep) -> PlanAgainstActual:
    """Forecast error, misses and cost so far against what was planned, by the newest report that was worked in."""
    plan_row(service, plan_id)
    rows = service.store.reports(plan_id)
    done = [row.id for row in rows if row.status == "done"]
    document = service.store.result(done[-1]) if done else None
    return PlanAgainstActual(plan=plan_id, pending=len(rows) - len(done),
                             found=None if document is None else json.loads(document))
