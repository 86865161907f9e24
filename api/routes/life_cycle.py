"""From a plan that was made to the plan in force, step by step, and back. Every step names the state it expects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Path, Response

from api.access import CallerDep, Route
from api.context import Service, ServiceDep
from api.description.shapes import Difference
from api.hosting.plans import check_beside
from api.life_cycle import steps
from api.life_cycle.lives import Lives, Standing
from api.life_cycle.steps import Change, NotPossibleError
from api.life_cycle.views import LifeCycle, WayBack, back, life_cycle
from api.requests import Reason, WaveReport
from api.routes.jobs import job_row
from api.routes.plans import plan_row
from api.store.files import ROUTES
from api.store.jobs import Submission
from api.views import JobState, job_state
from api.web.preconditions import expect, tag
from api.web.problems import Problem
from planner.diff import diff
from planner.errors import InputError
from planner.plan import Plan

router = APIRouter(prefix="/v1/plans/{plan_id}", tags=["life cycle"], route_class=Route)

Taken = TypeVar("Taken")
FIRST = 50
"""Checks of plans go before other jobs: somebody waits for them."""
_SHOWN = 20
"""Streams shown of a difference that stands in the way; GET .../diff/... has all."""


@dataclass(frozen=True)
class Asked:
    """A step that is asked for: by whom, of which plan, and in which state it is thought to be."""

    service: Service
    who: str
    plan_id: str
    if_match: str | None
    response: Response


def _asked(
    service: ServiceDep,
    caller: CallerDep,
    plan_id: str,
    response: Response,
    if_match: Annotated[str | None, Header(description="ETag of the plan's life cycle; * for whatever it is")] = None,
) -> Asked:
    return Asked(service, caller.name, plan_id, if_match, response)


AskedDep = Annotated[Asked, Depends(_asked)]


@router.get("/life-cycle", response_model=LifeCycle)
def get_life_cycle(plan_id: str, service: ServiceDep, response: Response) -> LifeCycle:
    """How far a plan is: its state, waves, last check and history, and which plan of its scenario is in force."""
    return _shown(_standing(service, plan_id), response)


@router.post("/verify", status_code=HTTPStatus.ACCEPTED, response_model=JobState)
def verify(asked: AskedDep, body: Reason | None = None) -> JobState:
    """Queue a check of a draft against its scenario, and against the plan that it replaces. It is verified when it
    holds; what is wrong stands in its life cycle.
    """
    service, standing = asked.service, _standing(asked.service, asked.plan_id)
    _taken(asked, lambda: expect(asked.if_match, standing.version))
    _taken(asked, lambda: steps.verify(standing.life, ()))
    request = {"plan": asked.plan_id, "who": asked.who, "why": (body or Reason()).why}
    digest, name = hashlib.sha256(repr(request).encode()).hexdigest(), standing.life.scenario
    job_id = service.store.submit(Submission(name, request, None, (), digest, kind="verification", priority=FIRST))
    asked.response.headers["Location"] = f"/v1/jobs/{job_id}"
    return job_state(job_row(service, job_id))


@router.post("/approve", response_model=LifeCycle)
def approve(asked: AskedDep, body: Reason | None = None) -> LifeCycle:
    """Say that a plan that holds may be applied. What it sheds, as its check found, stands in the history then."""
    return _step(asked, body, lambda now: steps.approve(now.life, (now.verification or {}).get("lacks", ())))


@router.post("/apply", response_model=LifeCycle)
def apply(asked: AskedDep, body: Reason | None = None) -> LifeCycle:
    """Begin with the waves of an approved plan. The plan that it replaces stays in force until the last one is done; a
    plan without waves is in force at once. One plan of a scenario is applied at a time.
    """
    _with_routes(asked)
    return _step(asked, body, lambda now: steps.apply(now.life, now.fleet, datetime.now(UTC)))


@router.post("/waves/{wave}", response_model=LifeCycle)
def report_wave(wave: Annotated[int, Path(ge=1)], asked: AskedDep, body: WaveReport | None = None) -> LifeCycle:
    """Say that the wave on its way is made, or which of its moves are. After the last wave the plan is in force."""
    moves = None if body is None else body.moves
    return _step(asked, body, lambda now: steps.wave(now.life, wave, moves, now.fleet))


@router.put("/in-force", response_model=LifeCycle)
def put_in_force(asked: AskedDep, body: Reason | None = None) -> LifeCycle:
    """Put an approved plan in force at once, without going through its waves: requests go by it from now on."""
    _with_routes(asked)
    return _step(asked, body, lambda now: steps.put_in_force(now.life, now.fleet, datetime.now(UTC)))


@router.get("/roll-back", response_model=WayBack)
def get_way_back(plan_id: str, service: ServiceDep) -> WayBack:
    """What of a plan is made, and the moves that undo it; after it was rolled back, what was to be undone."""
    return back(_standing(service, plan_id), _plan(service, plan_id))


@router.post("/roll-back", response_model=WayBack)
def roll_back(asked: AskedDep, body: Reason | None = None) -> WayBack:
    """Give up on a plan that is being applied or in force: the plan before it is in force again, if there was one, and
    the answer has the moves that undo what was made of this one.
    """
    before = _standing(asked.service, asked.plan_id).life.predecessor
    if before is not None:
        _check_hosts(asked, before)
    _step(asked, body, lambda now: steps.roll_back(now.life, now.fleet))
    return get_way_back(asked.plan_id, asked.service)


@router.post("/retire", response_model=LifeCycle)
def retire(asked: AskedDep, body: Reason | None = None) -> LifeCycle:
    """Say that a plan is not wanted any more. Where it was in force nothing of its scenario is then."""
    return _step(asked, body, lambda now: steps.retire(now.life, now.fleet))


@router.get("/diff/{other}", response_model=None, responses={200: {"model": Difference}})
def difference(plan_id: str, other: str, service: ServiceDep) -> dict[str, Any]:
    """What changes from a plan to another one: moves, machines, cost by part and owner, cover, as `planner diff`."""
    return diff(_plan(service, plan_id), _plan(service, other)).to_dict()


def _step(asked: Asked, body: Reason | None, step: Callable[[Standing], Iterable[Change]]) -> LifeCycle:
    """Take a step, unless things are not as the client thinks, or it is not possible."""
    service, before = asked.service, _standing(asked.service, asked.plan_id)

    def expected(standing: Standing) -> Iterable[Change]:
        expect(asked.if_match, standing.version)
        return step(standing)

    lives = Lives(service.store.engine)
    changed = _taken(asked, lambda: lives.change(asked.plan_id, expected, asked.who, (body or Reason()).why))
    if changed.fleet != before.fleet:
        service.directing.refresh()
    return _shown(changed, asked.response)


def _taken(asked: Asked, step: Callable[[], Taken]) -> Taken:
    """What a step gives. 409 where it may not be taken, with what differs from the plan that is in the way; 412 for a
    client that has not seen how things stand, with that and what differs from the plan in force.
    """
    try:
        return step()
    except NotPossibleError as why:
        raise Problem(HTTPStatus.CONFLICT, str(why), more=_against(asked, why.against)) from None
    except Problem as stale:
        if stale.status == HTTPStatus.PRECONDITION_FAILED:
            now = life_cycle(_standing(asked.service, asked.plan_id))
            stale.more |= {"life_cycle": now.model_dump(), **_against(asked, now.in_force)}
        raise


def _against(asked: Asked, other: str | None) -> dict[str, Any]:
    """What differs from another plan, shortened."""
    if other is None or other == asked.plan_id:
        return {}
    found = difference(other, asked.plan_id, asked.service)
    found["changed"] = found["changed"][:_SHOWN]
    return {"against": other, "difference": found, "all": f"/v1/plans/{other}/diff/{asked.plan_id}"}


def _shown(standing: Standing, response: Response) -> LifeCycle:
    response.headers["ETag"] = tag(standing.version)
    return life_cycle(standing)


def _standing(service: Service, plan_id: str) -> Standing:
    """How far a plan is. Raises Problem for one that is not made, or that is none."""
    standing = Lives(service.store.engine).standing(plan_id)
    if standing is None:
        status = plan_row(service, plan_id).status
        detail = f"plan {plan_id}: {status}: only a plan that is done has a life cycle"
        raise Problem(HTTPStatus.CONFLICT, detail)
    return standing


def _plan(service: Service, plan_id: str) -> Plan:
    """The document of a plan. Raises Problem where there is none."""
    row, document = plan_row(service, plan_id), service.store.result(plan_id)
    if document is None:
        raise Problem(HTTPStatus.CONFLICT, f"plan {plan_id}: {row.status}: there is no document of it")
    return Plan.model_validate_json(document)


def _with_routes(asked: Asked) -> None:
    """Refuse plans by which nobody can be directed, or that hosts cannot follow beside those of other scenarios."""
    if asked.service.store.file(asked.plan_id, ROUTES) is None:
        _standing(asked.service, asked.plan_id)
        detail = f"plan {asked.plan_id}: made by an earlier version, which kept no routes: ask for a new plan"
        raise Problem(HTTPStatus.CONFLICT, detail)
    _check_hosts(asked, asked.plan_id)


def _check_hosts(asked: Asked, plan_id: str) -> None:
    """Refuse to put a plan in force that hosts cannot follow beside those of other scenarios."""
    try:
        check_beside(asked.service.store.engine, plan_id)
    except InputError as why:
        raise Problem(HTTPStatus.CONFLICT, f"plan {plan_id}: {why}") from None
