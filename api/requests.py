"""What a client may ask for."""

from __future__ import annotations

import difflib
import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_TIME_LIMIT_S = 3600.0


class PlanSettings(BaseModel):
    """How to plan. What is left out is as the scenario says."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    mode: Literal["min_cost", "max_sla"] | None = Field(None, description="overrides the scenario's objective")
    sla_floor: Annotated[float, Field(ge=0, le=1)] | None = Field(None, description="least attainment (min_cost)")
    budget_usd: Annotated[float, Field(ge=0)] | None = Field(None, description="most USD over the horizon (max_sla)")
    time_limit_s: Annotated[float, Field(gt=0, le=MAX_TIME_LIMIT_S)] = Field(60.0, description="wall seconds")
    thorough: bool = Field(default=False, description="use all of the time unless the gap closes")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    solver: str = "planner"


class NewPlan(PlanSettings):
    """A plan to be made of a scenario: given here in full, or the name of a folder that the service holds."""

    scenario: str | dict[str, Any] = Field(description="a scenario, or the name of a scenario folder of the service")

    @model_validator(mode="before")
    @classmethod
    def _nearest_key(cls, body: object) -> object:
        if isinstance(body, dict):
            for key in body:
                near = difflib.get_close_matches(str(key), cls.model_fields, n=1)
                if key not in cls.model_fields:
                    allowed = f"'{near[0]}'?" if near else f"allowed are {', '.join(cls.model_fields)}"
                    raise ValueError(f"{key}: not known; {allowed}")
        return body

    @field_validator("scenario", mode="before")
    @classmethod
    def _text_or_object(cls, scenario: object) -> object:
        if not isinstance(scenario, str | dict):
            raise ValueError("must be a scenario (an object) or the name of a scenario folder (text)")  # noqa: TRY004
        return scenario

    @property
    def settings(self) -> PlanSettings:
        """How to plan, without the scenario."""
        return PlanSettings(**self.model_dump(exclude={"scenario"}))

    def sha256(self) -> str:
        """Hash of the request, the same however its JSON was written."""
        text = json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
