"""Work that comes again, by the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.access import Route
from api.context import Service, ServiceDep
from api.jobs.schedules import Origin, Schedule, Schedules
from api.routes.asking import repeated
from api.store.jobs import Repeatable
from api.web.paging import PageDep
from api.web.problems import Problem, unknown

router = APIRouter(prefix="/v1/schedules", tags=["schedules"], route_class=Route)

SHOWN = 20
"""How many moments of a schedule are shown."""
_NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_EXAMPLE: JsonDict = {"name": "nightly", "cron": "0 2 * * *", "kind": "plan", "request": {"scenario": "hybrid"}}


class NewSchedule(BaseModel):
    """A job to be queued again and again."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    name: str = Field(pattern=_NAME, description="lower case, digits and hyphens")
    cron: str = Field(max_length=200, description="when, in UTC: minute hour day month weekday, or with seconds before")
    kind: Repeatable
    request: dict[str, Any] = Field(description="what the job is asked; of a forecast with `history`, a file's name")


class Moment(BaseModel):
    """One moment of a schedule."""

    at: str
    job: str | None = Field(description="null where the job of an earlier moment was not done yet")
    status: str | None = Field(description="that of the job")


class ScheduleState(BaseModel):
    """A schedule and what came of it."""

    name: str
    cron: str
    kind: Repeatable
    request: dict[str, Any]
    origin: Origin = Field(description="settings: told by the settings of the service, and changed there")
    created_at: datetime
    next: datetime | None
    moments: list[Moment] = Field(description="the newest first")


class ScheduleList(BaseModel):
    """Schedules by name."""

    schedules: list[ScheduleState]
    next: str | None = Field(description="address of the schedules after these; null when there are none")


@router.post("", status_code=HTTPStatus.CREATED, response_model=ScheduleState)
def add_schedule(body: NewSchedule, service: ServiceDep, response: Response) -> ScheduleState:
    """Queue a job at every moment of a cron expression: one each, also with several services on one database; none
    while the job before is not done; and one for those that nobody was there for.
    """
    job = repeated(service, body.kind, body.request, "request")
    schedule = Schedule(**body.model_dump(), submission=job, origin="api", created_at=datetime.now(UTC))
    if not service.schedules.add(schedule):
        raise Problem(HTTPStatus.CONFLICT, f"schedule: {body.name}: there is one of that name: DELETE it first")
    response.headers["Location"] = f"/v1/schedules/{body.name}"
    return _state(service.schedules, _schedule(service, body.name))


@router.get("", response_model=ScheduleList)
def list_schedules(service: ServiceDep, page: PageDep, kind: Repeatable | None = None) -> ScheduleList:
    """Schedules by name, of one kind if given."""
    some = [one for one in service.schedules.all() if kind in (None, one.kind)]
    found, following = page.cut(some, lambda one: one.name)
    return ScheduleList(schedules=[_state(service.schedules, one) for one in found], next=following)


@router.get("/{name}", response_model=ScheduleState)
def get_schedule(name: str, service: ServiceDep) -> ScheduleState:
    """A schedule, its next moment and its last ones."""
    return _state(service.schedules, _schedule(service, name))


@router.delete("/{name}", status_code=HTTPStatus.NO_CONTENT)
def remove_schedule(name: str, service: ServiceDep) -> None:
    """Queue no more jobs by a schedule; those that it made stay."""
    if _schedule(service, name).origin == "settings":
        raise Problem(HTTPStatus.CONFLICT, f"schedule: {name}: the settings of the service say it: take it out there")
    service.schedules.remove(name)


def _schedule(service: Service, name: str) -> Schedule:
    found = service.schedules.find(name)
    if found is None:
        raise unknown("schedule", name, [one.name for one in service.schedules.all()])
    return found


def _state(schedules: Schedules, schedule: Schedule) -> ScheduleState:
    return ScheduleState(
        name=schedule.name, cron=schedule.cron, kind=schedule.kind, request=dict(schedule.request),
        origin=schedule.origin, created_at=schedule.created_at, next=schedule.next(datetime.now(UTC)),
        moments=[Moment(**tick._asdict()) for tick in schedules.ticks(schedule, SHOWN)],
    )  # fmt: skip
