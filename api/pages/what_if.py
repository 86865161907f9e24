"""What if: a scenario with changes, planned beside the plan in force; and what more attainment and more nines cost."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query, Request, Response

from api.context import ServiceDep
from api.pages.outcomes import outcome_page, outcomes_page
from api.pages.shell import page_router
from api.scenarios import Scenarios
from api.web.paging import PageDep

router = page_router()

CHANGES: Final[dict[str, tuple[str, str]]] = {
    "demand": ("Demand", "serving:+40%"),
    "price": ("Prices", "aws:p5*:-20%"),
    "remove-cluster": ("Clusters lost", "aws-*"),
    "max": ("Machines at most", "onprem-a/gpu:=50"),
    "latency": ("Latency, ms", "checkout:=100"),
    "availability": ("Availability", "serving:=0.9999"),
}
"""What may be changed, in words, with an example."""


@router.get("/what-if")
def list_what_if(request: Request, service: ServiceDep, asked: PageDep, scenario: str = "", against: str = "",
                 change: Annotated[tuple[str, ...], Query()] = ()) -> Response:
    """What was asked, and asking; an address may say the scenario, the changes and the plan to compare with."""
    split = [text.partition(" ") for text in change]
    lines = {what: [rest for name, _, rest in split if name == what] for what in (*CHANGES, "survive")}
    return outcomes_page(request, service, "what_ifs.html.j2", "what_if", asked, scenario=scenario, against=against,
                         changes=CHANGES, lines=lines, scenarios=Scenarios.of(service.settings, service.store).names())


@router.get("/what-if/{job_id}")
def one_what_if(job_id: str, request: Request, service: ServiceDep) -> Response:
    """The two plans side by side."""
    return outcome_page(request, service, "what_if", job_id)


@router.get("/price-of-nines")
def list_nines(request: Request, service: ServiceDep, asked: PageDep, scenario: str = "") -> Response:
    """Curves that there are, and asking for one."""
    names = Scenarios.of(service.settings, service.store).names()
    return outcomes_page(request, service, "nines.html.j2", "pareto", asked, scenarios=names, scenario=scenario)


@router.get("/price-of-nines/{job_id}")
def one_curve(job_id: str, request: Request, service: ServiceDep) -> Response:
    """One curve."""
    return outcome_page(request, service, "pareto", job_id)
