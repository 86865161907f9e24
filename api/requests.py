"""What a client may ask for."""

from __future__ import annotations

import difflib
import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_TIME_LIMIT_S = 3600.0


Priority = Annotated[int, Field(ge=-50, le=50, description="of jobs that wait, the highest is first")]


IN_FORCE = "in_force"
"""Names the plan of a scenario that is in force."""


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

    @property
    def settings(self) -> PlanSettings:
        """How to plan, without all else that is asked."""
        return PlanSettings(**self.model_dump(include=set(PlanSettings.model_fields)))


class HealthReport(BaseModel):
    """What somebody says of a cluster."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    state: Literal["up", "down", "unknown"] = Field(description="unknown withdraws what the same source said before")
    by: Literal["host", "probe", "person"] = Field(description="a person outdoes probes, a probe hosts")
    source: str = Field("", max_length=200, description="tells hosts and probes apart; of a person, who it was")
    expires_in_s: Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        None, description="how long this counts; when left out, up for 15 minutes, down until somebody says otherwise"
    )
    note: str = Field("", max_length=1000)


class _WithScenario(BaseModel):
    """A request about a scenario: given here in full, or by its name."""

    scenario: str | dict[str, Any] = Field(description="a scenario, or NAME or NAME@VERSION of one that is there")

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
            raise ValueError("must be a scenario (an object) or the name of one (text)")  # noqa: TRY004
        return scenario

    def sha256(self) -> str:
        """Hash of the request, the same however its JSON was written."""
        said = self.model_dump(exclude={"scenario"}) | {"scenario": self.scenario}  # which may be large: not a copy
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class NewPlan(_WithScenario, PlanSettings):
    """A plan to be made, anew or from the plan in force (its incumbent)."""

    priority: Priority = 0
    incumbent: str | None = Field(
        None, description="id of the plan that the new one replaces; in_force: the one of its scenario that is when "
        "it is begun, if any"
    )
    max_moves: Annotated[int, Field(ge=0)] | None = Field(
        None, description="most places of the incumbent that may be left"
    )
    now: str | None = Field(
        None, description="slot or time from which it is planned; what the incumbent did before stays as it was"
    )

    @model_validator(mode="after")
    def _from_something(self) -> NewPlan:
        for name in ("max_moves", "now"):
            if self.incumbent is None and getattr(self, name) is not None:
                raise ValueError(f"{name}: from what? name the plan in force as incumbent")
        return self


class Reason(BaseModel):
    """Why a step is taken, for its history."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    why: str = Field("", max_length=1000)


class WaveReport(Reason):
    """What was made of a wave."""

    moves: list[Annotated[int, Field(ge=0)]] | None = Field(
        None, max_length=1_000_000, description="positions in the wave's list of moves that are made; all when left out"
    )


class NewMend(BaseModel):
    """What happened to the clusters of a plan, and what may be done about it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    down: list[str] = Field(default=[], max_length=1000, description="clusters, provider/region or providers lost")
    restore: list[str] = Field(default=[], max_length=1000, description="those that are back")
    max_moves: Annotated[int, Field(ge=0)] | None = Field(
        None, description="units that may move beside the lost ones; null: none after a loss, else what is worth it"
    )
    time_limit_s: Annotated[float, Field(gt=0, le=MAX_TIME_LIMIT_S)] = Field(120.0, description="wall seconds")
    priority: Priority = 50


class NewCapacity(_WithScenario):
    """A question how long room lasts."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    days: Annotated[int, Field(ge=1, le=730)] = Field(365, description="how far to look ahead")
    growth: list[str] = Field(default=[], max_length=100, description="growth that is assumed: serving=+3%/month")
    plan: str | None = Field(None, description="id of the plan that says what runs where; else pins and incumbents")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    priority: Priority = 0


class ForecastSettings(BaseModel):
    """How to forecast; the history is the body."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon: str = Field(description="how far ahead: 48h, 7d, 90min")
    quantiles: str = Field("0.5,0.9,0.99", description="levels between 0 and 1, by commas")
    known: list[str] = Field(default=[], description="columns of the history that are known ahead")
    holidays: list[str] = Field(default=[], description="countries whose holidays are known ahead: DE, BR")
    models: list[str] = Field(
        default=[], max_length=100, description="forecasters that are weighed beside seasonal_naive; a single one is "
        "used as it is; those worth their time when left out: ets, theta, arima, structural, prophet"
    )
    backtest: bool = Field(default=False, description="score every series on its past")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    name: Annotated[str, Field(min_length=1, max_length=200)] = Field("forecast", description="for people")
    priority: Priority = 0

    def asked(self) -> dict[str, Any]:
        """The settings as the job reads them. Raises InputError for a horizon, levels or models that make no sense."""
        from planner.outlook import parse_levels, parse_models, span_minutes

        return {"horizon_minutes": span_minutes(self.horizon), "quantiles": list(parse_levels(self.quantiles)),
                "known": self.known, "holidays": self.holidays, "models": list(parse_models(self.models)),
                "backtest": self.backtest, "seed": self.seed}


class ForecastOf(ForecastSettings):
    """A forecast of what the service holds, read anew each time: a history, or all that a scenario names."""

    history: str | None = Field(
        None, description="name of a file in the service's folder of histories, without its ending"
    )
    scenario: str | None = Field(None, description="a scenario whose workloads name their histories")

    @model_validator(mode="after")
    def _of_one(self) -> ForecastOf:
        if (self.history is None) == (self.scenario is None):
            raise ValueError("history or scenario: of what? name one of them")
        return self


class NewWhatIf(_WithScenario, PlanSettings):
    """A question what would be otherwise if something of a scenario were; the objective may change too."""

    changes: list[str] = Field(
        default=[], max_length=100, description="as `planner what-if` takes them, without the dashes: "
        "demand serving:+40%, price aws:p5*:-20%, remove-cluster aws-*, max, latency, availability, survive"
    )
    against: str | None = Field(
        None, description="id of the plan to compare with; in_force: that of the scenario; left out: the scenario is "
        "planned as it is first"
    )
    priority: Priority = 0

    @model_validator(mode="after")
    def _of_something(self) -> NewWhatIf:
        if not self.changes and self.mode is None and self.sla_floor is None and self.budget_usd is None:
            raise ValueError("changes: nothing is changed: give one, as 'demand serving:+40%', or another objective")
        return self


class NewPareto(_WithScenario):
    """A question what more attainment and more nines cost."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    points: Annotated[int, Field(ge=2, le=100)] = Field(6, description="floors, and budgets, that are swept")
    time_limit_s: Annotated[float, Field(gt=0, le=MAX_TIME_LIMIT_S)] = Field(120.0, description="seconds for all")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    solver: str = "planner"
    priority: Priority = 0
