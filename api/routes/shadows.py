"""Scenarios that are shadows: planned beside what runs, never applied."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from api.access import CallerDep, Route
from api.context import ServiceDep
from api.life_cycle.shadows import FleetRunsError, Shadows
from api.requests import Reason
from api.web.problems import Problem

router = APIRouter(prefix="/v1/scenarios/{name}/shadow", tags=["scenarios"], route_class=Route)


class ShadowState(BaseModel):
    """Whether a scenario is a shadow, since when, who said so and why."""

    model_config = ConfigDict(json_schema_extra={"example": {
        "scenario": "medical", "shadow": True, "at": "2026-11-02T08:00:00.000Z", "by": "ann", "why": "on trial"}})

    scenario: str
    shadow: bool
    at: str | None
    by: str | None
    why: str | None


@router.get("", response_model=ShadowState)
def get_shadow(name: str, service: ServiceDep) -> ShadowState:
    """Whether plans of a scenario are made only to be looked at."""
    at, by, why = Shadows(service.store.engine).find(name) or (None, None, None)
    return ShadowState(scenario=name, shadow=at is not None, at=at, by=by, why=why)


@router.put("", response_model=ShadowState)
def make_shadow(name: str, service: ServiceDep, caller: CallerDep, body: Reason | None = None) -> ShadowState:
    """Plan a scenario beside what runs: its plans are made, checked and compared, but none is applied, put in force or
    followed. Not while a plan of it is in force.
    """
    try:
        Shadows(service.store.engine).add(name, caller.name, (body or Reason()).why)
    except FleetRunsError as plan:
        detail = f"scenario {name}: plan {plan} of it is in force or being applied: roll it back or retire it first"
        raise Problem(HTTPStatus.CONFLICT, detail) from None
    return get_shadow(name, service)


@router.delete("", status_code=HTTPStatus.NO_CONTENT)
def end_shadow(name: str, service: ServiceDep) -> None:
    """Let plans of a scenario be applied, from the next step on."""
    Shadows(service.store.engine).remove(name)
