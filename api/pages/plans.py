"""Plans: those that were asked for, and asking for one."""

from __future__ import annotations

from typing import Annotated, get_args

from fastapi import Request, Response

from api.context import ServiceDep
from api.life_cycle.lives import Lives
from api.life_cycle.steps import STATES, State
from api.pages.shell import GIVEN, page, page_router
from api.scenarios import Scenarios
from api.store.jobs import Status
from api.views import plan_state
from api.web.paging import PageDep

router = page_router()


@router.get("/plans")
def list_plans(request: Request, service: ServiceDep, asked: PageDep, scenario: str = "",
               status: Annotated[Status | None, GIVEN] = None, state: Annotated[State | None, GIVEN] = None
               ) -> Response:
    """Plans, the newest first."""
    rows = service.store.jobs("plan", asked.limit, asked.number, status, scenario or None, None, state)
    states = Lives(service.store.engine).states(row.id for row in rows)
    return page(request, "plans.html.j2", plans=[plan_state(row, states.get(row.id)) for row in rows],
                scenario=scenario, status=status, state=state, statuses=get_args(Status), states=STATES,
                scenarios=Scenarios.of(service.settings, service.store).names(),
                next=asked.next([row.seq for row in rows]))
