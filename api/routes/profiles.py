"""What tasks will need that nobody has run yet."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body

from api.access import Route
from api.description.shapes import PredictedProfile
from api.web.problems import Problem

router = APIRouter(prefix="/v1/profiles", tags=["profiles"], route_class=Route)

_EXAMPLE = {"kind": "etl", "task": {"volume_gb": 200, "cadence": "daily"}}


@router.post("/predict", response_model=None, responses={200: {"model": dict[str, PredictedProfile]}})
def predict(body: Annotated[dict[str, Any], Body(examples=[_EXAMPLE])]) -> dict[str, Any]:
    """What a described task needs, or several under `tasks` that may work on what those before them make: the same
    description as `planner profile` takes. Answers by name.
    """
    from planner.errors import NotEnoughEvidenceError  # numba and pandas: the service answers before they are loaded
    from planner.profiles.described import parse_tasks, predict_tasks

    try:
        found = predict_tasks(parse_tasks(body, "body"), None, "body")
    except NotEnoughEvidenceError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"not enough evidence: {error}") from None
    return {name: profile.model_dump(mode="json") for name, profile in found.items()}
