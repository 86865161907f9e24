"""What tasks will need that nobody has run yet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body

from api.access import Route
from api.context import ServiceDep
from api.description.shapes import PredictedProfile
from api.web.problems import Problem
from planner.errors import InputError

router = APIRouter(prefix="/v1/profiles", tags=["profiles"], route_class=Route)

_EXAMPLES: Final = [
    {"kind": "etl", "task": {"volume_gb": 200, "cadence": "daily"}},
    {"name": "web", "kind": "serving", "description": "Answer shoppers in real time",
     "history": {"rows": [{"ts": "2026-11-01T00:00:00Z", "value": 410}, {"ts": "2026-11-01T01:00:00Z", "value": 385}],
                 "per_replica": 40}},
]
_FORECASTING = threading.Lock()
_PLACES = threading.BoundedSemaphore(4)
"""Histories are forecast one at a time, as it takes memory, and few wait for that: others need the threads."""


@router.post("/predict", response_model=None, responses={200: {"model": dict[str, PredictedProfile]}})
def predict(body: Annotated[dict[str, Any], Body(examples=_EXAMPLES)], service: ServiceDep) -> dict[str, Any]:
    """What a task needs by its description, by its past demand (`history`) or by both; or several tasks under `tasks`
    that may work on what those before them make: the same description as `planner profile` takes, with the rows of a
    history in it. Past tasks are those of the tenant's `library`. Answers by name.
    """
    from planner.errors import NotEnoughEvidenceError
    from planner.profiles.described import parse_tasks, predict_tasks  # numba and pandas: the service answers before

    tasks = parse_tasks(body, "body")
    past = service.past_tasks.current()
    try:
        with _turn() if any(task.history for task in tasks) else nullcontext():
            found = predict_tasks(tasks, past, "body", _no_file)
    except NotEnoughEvidenceError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"not enough evidence: {error}") from None
    return {name: profile.model_dump(mode="json") for name, profile in found.items()}


@contextmanager
def _turn() -> Iterator[None]:
    """The turn of a request with a history. Raises Problem where too many wait for theirs."""
    if not _PLACES.acquire(blocking=False):
        detail = "history: others are being forecast and wait for it: ask again in 5 s"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "5"})
    try:
        with _FORECASTING:
            yield
    finally:
        _PLACES.release()


def _no_file(name: str) -> Path:
    """Files of the service's machine are no business of who asks."""
    rows = "rows as [{ts: 2026-11-02T00:00:00Z, value: 40}, ...]"
    raise InputError([f"history.file: {name}: a request brings its history along: {rows}"])
