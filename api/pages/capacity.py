"""Capacity: when room runs out, what to order by when, what is worth committing to."""

from __future__ import annotations

from fastapi import Request, Response

from api.context import ServiceDep
from api.pages.outcomes import outcome_page, outcomes_page
from api.pages.shell import page_router
from api.scenarios import Scenarios
from api.web.paging import PageDep

router = page_router()


@router.get("/capacity")
def list_capacity(request: Request, service: ServiceDep, asked: PageDep, scenario: str = "") -> Response:
    """Answers that there are, and asking for one."""
    names = Scenarios.of(service.settings, service.store).names()
    return outcomes_page(request, service, "capacities.html.j2", "capacity", asked, scenarios=names, scenario=scenario)


@router.get("/capacity/{job_id}")
def one_capacity(job_id: str, request: Request, service: ServiceDep) -> Response:
    """Dates, orders and commitments of one answer."""
    return outcome_page(request, service, "capacity", job_id)
