"""Jobs asked for by their kind and a request as data: what a schedule says, beside the routes of each kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from api.context import Service
from api.folders import named_file
from api.kinds.files import ENDINGS
from api.problems import line_of
from api.requests import ForecastOf, NewCapacity, NewPlan
from api.routes import capacity, plans
from api.schedules import Wanted
from api.store import Kind, Submission
from planner.errors import InputError


def submission(service: Service, kind: Kind, request: Mapping[str, Any], where: str) -> Submission:
    """The job that a request means, checked as its route would. Raises InputError with every mistake, said `where`."""
    body, made = ASKS[kind]
    try:
        return made(service, body.model_validate(dict(request)))
    except ValidationError as error:
        raise InputError([f"{where}: {line_of(one)}" for one in error.errors()]) from None
    except InputError as error:
        raise InputError([f"{where}: {problem}" for problem in error.problems]) from None


def configure_schedules(service: Service) -> None:
    """Keep the schedules that the settings tell. Raises InputError for one that cannot be."""
    def job(one: Wanted) -> Submission:
        return submission(service, one.kind, one.request, f"schedules: {one.name}")

    service.schedules.configure((Wanted(**dict(one)) for one in service.settings.schedules), job)


def _plan(service: Service, body: NewPlan) -> Submission:
    return plans.submission(service, body, body.sha256(), None)


def _capacity(service: Service, body: NewCapacity) -> Submission:
    return capacity.submission(service, body, body.sha256(), None)


def _forecast(service: Service, body: ForecastOf) -> Submission:
    named_file(service.settings.histories, body.history, ENDINGS.values(), "history")
    asked = body.asked() | {"history": body.history}
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return Submission(body.name, asked, None, (), digest, None, "forecast", body.priority)


ASKS: dict[Kind, tuple[type[BaseModel], Callable[[Service, Any], Submission]]] = {
    "plan": (NewPlan, _plan),
    "forecast": (ForecastOf, _forecast),
    "capacity": (NewCapacity, _capacity),
}
"""What a request of each kind says, and the job it means."""
