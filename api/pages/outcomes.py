"""What jobs made, as pages: each kind has a page that asks for it, and one for each answer.

What an answer shows was made with it by its job; nothing here computes.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from fastapi import Request, Response

from api.context import Service
from api.pages.asked import facts
from api.pages.shell import page, query_of
from api.routes.jobs import job_row
from api.scenarios import AT
from api.store.files import VIEW
from api.store.jobs import Kind
from api.views import JobState, job_state
from api.web.paging import Page


class Outcome(NamedTuple):
    """Where answers of a kind are, what they are called, and the template and script of the report that shows them."""

    address: str
    words: str
    body: str
    script: str


OUTCOMES: Final[dict[Kind, Outcome]] = {
    "forecast": Outcome("/forecasts", "forecast", "forecast_body.html.j2", "forecast.js"),
    "capacity": Outcome("/capacity", "how long room lasts", "capacity_body.html.j2", "capacity.js"),
    "what_if": Outcome("/what-if", "what if", "suppose_body.html.j2", "suppose.js"),
    "pareto": Outcome("/price-of-nines", "the price of nines", "curve_body.html.j2", "curve.js"),
}


def outcomes_page(request: Request, service: Service, template: str, kind: Kind, asked: Page, **context: object
                  ) -> Response:
    """A page that asks for answers of a kind, and has those that there are, the newest first."""
    rows = service.store.jobs(kind, asked.limit, asked.number)
    return page(request, template, HTTPStatus.OK, jobs=[_told(job_state(row)) for row in rows], outcome=OUTCOMES[kind],
                next=asked.next([row.seq for row in rows]), **context)


def outcome_page(request: Request, service: Service, kind: Kind, job_id: str) -> Response:
    """One answer, or how far it is. Raises Problem where nothing of the kind was asked for."""
    state, found = job_state(job_row(service, job_id, kind)), service.store.file(job_id, VIEW)
    view: dict[str, Any] = {} if found is None else json.loads(found[1])
    again = _again(kind, state.settings) if "scenario" in state.settings else None
    return page(request, "outcome.html.j2", outcome=OUTCOMES[kind], job=_told(state), asked=facts(state.settings),
                view=found is not None, again=again, **view)


def _again(kind: Kind, asked: dict[str, Any]) -> str:
    """The page that asks, filled in with what was asked."""
    scenario = str(asked.get("scenario", "")).partition(AT)[0]
    return OUTCOMES[kind].address + query_of({"scenario": scenario, "against": asked.get("against"),
                                              "change": asked.get("changes")})


def _told(state: JobState) -> dict[str, Any]:
    """A job with what the macro of progress says of it."""
    now = state.progress
    return state.model_dump() | {"percent": None if now is None or now.share is None else round(100 * now.share),
                                 "phase": "" if now is None else now.phase or ""}
