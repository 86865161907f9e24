"""The fleet at a glance: the plan in force, its clusters and their health, alarms, and what is being done."""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, get_args

from fastapi import Request, Response

from api.context import Service, ServiceDep
from api.life_cycle.lives import Lives
from api.pages.shell import GIVEN, page, page_router
from api.store.files import FLEET
from api.store.running import running
from api.web.problems import Problem

router = page_router()

State = Literal["up", "returning", "down"]
STATES: Final[tuple[State, ...]] = get_args(State)
SHOWN: Final = 300
"""Clusters of the matrix, those that are lost first; filters show others."""


@router.get("/")
def fleet(request: Request, service: ServiceDep, provider: str = "", state: Annotated[State | None, GIVEN] = None,
          scenario: str = "") -> Response:
    """What runs by a plan in force, which clusters are lost, what is wrong."""
    known = [one.plan_id for one in running(service.store.engine)]
    rows_by_id = service.store.jobs_by_id(known)
    plans = [rows_by_id[one] for one in known]
    plan = next((one for one in plans if scenario in ("", one.name)), None)
    plan_id = None if plan is None else plan.id
    kept = None if plan_id is None else service.store.file(plan_id, FLEET)
    view = None if kept is None else _parsed(kept[1])
    states = _states(service, [] if view is None else [row["name"] for row in view["clusters"]])
    rows = [] if view is None else [row | {"state": states[row["name"]]} for row in view["clusters"]]
    found = [row for row in rows if (not provider or row["provider"] == provider) and state in (None, row["state"])]
    found.sort(key=lambda row: STATES.index(row["state"]), reverse=True)  # of equals by provider, region and name
    return page(request, "fleet.html.j2", plan=plan, plans=plans, view=view, clusters=found[:SHOWN],
                more=len(found) - SHOWN,
                life=None if plan_id is None else Lives(service.store.engine).states([plan_id]).get(plan_id),
                health=Counter(states.values()), provider=provider, state=state, states=STATES,
                providers=sorted({row["provider"] for row in rows}), alarms=_alarms(service), jobs=_jobs(service))


@lru_cache(maxsize=4)
def _parsed(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(content)
    return found


def _states(service: Service, clusters: list[str]) -> dict[str, State]:
    """Whether requests go to each cluster; one of which nothing was ever heard is up."""
    try:
        director = service.directing.director
    except Problem:  # nothing is in force
        return dict.fromkeys(clusters, "up")
    found: dict[str, State] = {}
    for name in clusters:
        health = director.health(name) if name in director.clusters else None
        lost = health is not None and health.lost
        found[name] = "up" if not lost else "down" if health is None or health.well_since is None else "returning"
    return found


def _alarms(service: Service) -> dict[str, int] | None:
    """Super alarms that last, by how grave they are, as the newest diagnosis has them; None where none was made."""
    newest = service.diagnoses.newest
    return None if newest is None else dict(Counter(one.severity for one in newest.together if one.until is None))


def _jobs(service: Service) -> dict[str, int]:
    """How many jobs wait, and how many run."""
    found = Counter[str]()
    for (_, status), count in service.store.counts().items():
        found[status] += count
    return {status: found[status] for status in ("running", "queued")}
