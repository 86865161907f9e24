"""What the service answers about the life of a plan, as documented in its OpenAPI description."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.life_cycle.lives import Standing
from api.life_cycle.steps import State, Step
from planner.plan import Plan, Wave

_EXAMPLE: dict[str, JsonValue] = {
    "plan": "6f1c", "scenario": "medical", "state": "applying", "next": ["wave", "roll_back"], "parent": "9b2e",
    "in_force": "1d07", "predecessor": "1d07", "valid_until": "2026-11-04T00:00:00Z",
    "shadow": False,
    "waves": [{"wave": 1, "moves": 12, "made": 12}, {"wave": 2, "moves": 3, "made": 1}],
    "verification": {"violations": [], "cost_usd": 5301.9, "sla_attainment": 1.0},
    "history": [{"at": "2026-11-02T08:00:00.000Z", "who": "ann", "step": "wave", "before": "applying",
                 "after": "applying", "note": "wave 1 of 2 done", "why": ""}],
}  # fmt: skip


class WaveState(BaseModel):
    """A wave of a plan, and how many of its moves are made."""

    wave: int
    moves: int
    made: int


class Event(BaseModel):
    """A step that was taken: when, by whom, from which state to which, what happened and why."""

    at: str
    who: str
    step: Step
    before: State
    after: State
    note: str
    why: str


class LifeCycle(BaseModel):
    """How far a plan is on its way from draft to in force and beyond. Its ETag is what the next step expects."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    plan: str
    scenario: str
    state: State
    next: list[Step] = Field(description="steps that may be taken in this state")
    parent: str | None = Field(description="plan_id of the content of the plan that it was made to replace")
    in_force: str | None = Field(description="the plan of the same scenario that is in force")
    predecessor: str | None = Field(description="the plan that was in force when this one was applied")
    valid_until: str
    shadow: bool = Field(description="plans of this scenario are looked at and never applied")
    waves: list[WaveState]
    verification: dict[str, Any] | None = Field(description="what its last check found")
    history: list[Event]


class WayBack(BaseModel):
    """What of a plan's waves is made, and the moves that undo it, wave by wave."""

    plan: str
    to: str | None = Field(description="the plan that is in force again afterwards")
    waves: list[dict[str, Any]] = Field(description="to be made in this order; each as in plan.json")
    unreported: list[dict[str, Any]] = Field(
        description="moves of the wave on its way that nobody said were made: what has begun of them is to be stopped"
    )
    notes: list[str]


def life_cycle(standing: Standing) -> LifeCycle:
    """How a plan stands, as the service shows it."""
    life, force = standing.life, standing.fleet.in_force
    done = [count if at < life.waves_done else len(life.made) if at == life.waves_done else 0
            for at, count in enumerate(life.moves)]
    return LifeCycle(
        plan=life.plan_id, scenario=life.scenario, state=life.state, next=list(life.steps), parent=life.parent,
        in_force=None if force is None else force.plan_id, predecessor=life.predecessor, valid_until=life.valid_until,
        shadow=standing.fleet.shadow,
        waves=[WaveState(wave=at, moves=count, made=made)
               for at, (count, made) in enumerate(zip(life.moves, done, strict=True), 1)],
        verification=None if standing.verification is None else dict(standing.verification),
        history=[Event(**{name: getattr(row, name) for name in Event.model_fields}) for row in standing.events],
    )  # fmt: skip


def back(standing: Standing, plan: Plan) -> WayBack:
    """The way back from where a plan is."""
    from planner.roll_back import back_to_lost, way_back  # numba: the service answers before it is loaded

    life = standing.life
    waves = way_back(plan, life.waves_done, life.made)
    lost = sorted({move.workload for move in back_to_lost(plan, waves)})
    notes = [f"{name}: goes back to a cluster that is down by this plan" for name in lost]
    if any(wave.stops for wave in waves):
        notes.append("waves that stop first stop on the way back, too")
    rest: list[dict[str, Any]] = []
    if life.state in ("applying", "rolled_back") and life.waves_done < len(plan.waves):
        on_its_way = plan.waves[life.waves_done]
        rest = [move.model_dump(mode="json", by_alias=True)
                for at, move in enumerate(on_its_way.moves) if at not in life.made]
    return WayBack(plan=life.plan_id, to=life.predecessor, waves=_dumped(waves), unreported=rest, notes=notes)


def _dumped(waves: Iterable[Wave]) -> list[dict[str, Any]]:
    return [json.loads(wave.model_dump_json(by_alias=True)) for wave in waves]
