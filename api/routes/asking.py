"""Jobs asked for by their kind and a request as data, as a schedule says them, beside the routes of single kinds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api import suppositions
from api.access import Route
from api.context import Service, ServiceDep
from api.folders import named_file
from api.jobs.schedules import Wanted
from api.kinds import drift, evaluate, purge, train, validate
from api.kinds.model_store import telemetry_of
from api.requests import ForecastOf, NewCapacity, NewPareto, NewPlan, NewWhatIf, Priority
from api.routes import capacity, plans
from api.routes.jobs import job_row, queued
from api.scenarios import Scenarios
from api.settings import Settings
from api.store.files import ENDINGS
from api.store.jobs import Repeatable, Submission
from api.views import JobState, job_state
from api.web.problems import line_of
from planner.errors import InputError

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=Route)

Key = Annotated[str | None, Header(min_length=1, max_length=255, description="the same key makes one job")]


class NewJob(BaseModel):
    """A job to be done once."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", json_schema_extra={
        "examples": [{"kind": "train", "request": {"hardware": "all-nvme", "time_limit_s": 600}}]})

    kind: Repeatable
    request: dict[str, Any] = Field(default={}, description="what the job is asked")
    priority: Priority = 0


@router.post("", status_code=HTTPStatus.ACCEPTED, response_model=JobState)
def ask_for_job(body: NewJob, service: ServiceDep, response: Response, idempotency_key: Key = None) -> JobState:
    """Queue a job of any kind: plan, forecast (of a history that the service holds, or of those that a scenario names),
    capacity, what_if, pareto (what more attainment and more nines cost), and on what the service holds train, evaluate
    (models of healthy hosts), validate (tables), drift (telemetry) and purge (what is older than the settings let it
    be).
    """
    digest = hashlib.sha256(json.dumps(body.model_dump(), sort_keys=True).encode()).hexdigest()

    def job() -> Submission:
        made = submission(service, body.kind, body.request, "request")
        return replace(made, body_sha256=digest, idempotency_key=idempotency_key, priority=body.priority)

    state = job_state(job_row(service, queued(service, idempotency_key, digest, job)))
    response.headers["Location"] = f"/v1/jobs/{state.id}"
    return state


def submission(service: Service, kind: Repeatable, request: Mapping[str, Any], where: str) -> Submission:
    """The job that a request means, checked as its route would. Raises InputError with every mistake, said `where`."""
    body, made = ASKS[kind]
    try:
        return made(service, body.model_validate(dict(request)))
    except ValidationError as error:
        raise InputError([f"{where}: {line_of(one)}" for one in error.errors()]) from None
    except InputError as error:
        raise InputError([f"{where}: {problem}" for problem in error.problems]) from None


def repeated(service: Service, kind: Repeatable, request: Mapping[str, Any], where: str) -> Submission:
    """The same for a job that is queued again and again: of a scenario that is named without a version, it reads what
    is the newest one each time.
    """
    made, named = submission(service, kind, request, where), request.get("scenario")
    return replace(made, request={**made.request, "scenario": named}) if isinstance(named, str) else made


def configure_schedules(service: Service) -> None:
    """Keep the schedules that the settings tell, and the nightly one where they say how long something is kept.

    Raises InputError for one that cannot be.
    """
    told = service.settings.schedules
    if service.settings.retention.any and all(one.kind != "purge" for one in told):
        told = (*told, purge.NIGHTLY)

    def job(one: Wanted) -> Submission:
        return repeated(service, one.kind, one.request, f"schedules: {one.name}")

    service.schedules.configure((Wanted(**dict(one)) for one in told), job)


def _plan(service: Service, body: NewPlan) -> Submission:
    return plans.submission(service, body, body.sha256(), None)


def _capacity(service: Service, body: NewCapacity) -> Submission:
    return capacity.submission(service, body, body.sha256(), None)


def _forecast(service: Service, body: ForecastOf) -> Submission:
    asked = body.asked()
    if body.history is not None:
        named_file(service.settings.histories, body.history, ENDINGS.values(), "history")
        asked["history"] = body.history
    else:
        asked["scenario"] = Scenarios.of(service.settings, service.store).pinned(body.scenario or "")
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return Submission(body.name, asked, None, (), digest, None, "forecast", body.priority)


def _simple(kind: Repeatable, check: Callable[[Settings, Any], object]) -> Callable[[Service, BaseModel], Submission]:
    """A job that is asked what its request says and no more, once `check` has not raised InputError."""

    def made(service: Service, body: BaseModel) -> Submission:
        check(service.settings, body)
        asked = body.model_dump()
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        return Submission(kind, asked, None, (), digest, None, kind)

    return made


def _tables(settings: Settings, body: validate.Asked) -> None:
    named_file(settings.tables, body.config, validate.RULES, "config")
    for what, name in (("table", body.table), ("baseline", body.baseline)):
        if name is not None:
            named_file(settings.tables, name, ENDINGS.values(), what)


def _telemetry(settings: Settings, _: BaseModel) -> None:
    telemetry_of(settings)


def _retention(settings: Settings, _: BaseModel) -> None:
    if not settings.retention.any:
        raise InputError(["retention: the settings let everything be kept for ever: nothing is removed"])


ASKS: dict[Repeatable, tuple[type[BaseModel], Callable[[Service, Any], Submission]]] = {
    "plan": (NewPlan, _plan),
    "forecast": (ForecastOf, _forecast),
    "capacity": (NewCapacity, _capacity),
    "what_if": (NewWhatIf, suppositions.what_if),
    "pareto": (NewPareto, suppositions.price_of_nines),
    "train": (train.Asked, _simple("train", _telemetry)),
    "evaluate": (evaluate.Asked, _simple("evaluate", _telemetry)),
    "validate": (validate.Asked, _simple("validate", _tables)),
    "drift": (drift.Asked, _simple("drift", _telemetry)),
    "purge": (purge.Asked, _simple("purge", _retention)),
}
"""What a request of each kind says, and the job it means."""
