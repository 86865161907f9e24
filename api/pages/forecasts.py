"""Forecasts: fans beside what was seen, scores from past origins, and who was refused."""

from __future__ import annotations

from fastapi import Request, Response

from api.context import ServiceDep
from api.folders import names_in
from api.pages.outcomes import outcome_page, outcomes_page
from api.pages.shell import page_router
from api.scenarios import Scenarios
from api.store.files import ENDINGS
from api.web.paging import PageDep

router = page_router()


@router.get("/forecasts")
def list_forecasts(request: Request, service: ServiceDep, asked: PageDep, scenario: str = "", history: str = ""
                   ) -> Response:
    """Forecasts that there are, and asking for one."""
    return outcomes_page(request, service, "forecasts.html.j2", "forecast", asked, scenario=scenario, history=history,
                         scenarios=Scenarios.of(service.settings, service.store).names(),
                         histories=names_in(service.settings.histories, ENDINGS.values()))


@router.get("/forecasts/{job_id}")
def one_forecast(job_id: str, request: Request, service: ServiceDep) -> Response:
    """One forecast."""
    return outcome_page(request, service, "forecast", job_id)
