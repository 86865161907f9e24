"""Whether the service lives, and whether it can work."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError

from api.access import Route
from api.context import ServiceDep
from api.observability.requests import Metrics
from api.views import Health
from api.web.problems import Problem

router = APIRouter(tags=["health"], route_class=Route)
LOG = structlog.get_logger("api")


@router.get("/healthz", response_model=Health)
async def alive() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz", response_model=Health)
def ready(service: ServiceDep) -> Health:
    """The store answers and jobs are being taken from the queue."""
    try:
        service.store.check()
    except SQLAlchemyError as error:
        LOG.warning("store does not answer", reason=str(error).splitlines()[0])
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "store: does not answer; the log says more") from error
    if not service.workers.alive():
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "no jobs are taken from the queue: restart the service")
    return Health(status="ok")


@router.get("/metrics", response_class=Response, responses={200: {"content": {CONTENT_TYPE_LATEST: {}}}})
def metrics(request: Request) -> Response:
    """Figures for Prometheus: requests by route, seconds they took, jobs by kind and state, the last plan."""
    found: Metrics = request.app.state.metrics
    return Response(found.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
async def description(request: Request) -> dict[str, Any]:
    """What is offered, as OpenAPI has it."""
    found: dict[str, Any] = request.app.openapi()
    return found
