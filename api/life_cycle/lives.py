"""How far plans are, in the store: one step after another, each with who took it and why, and never two plans in force
over one scenario.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update

from api.database.bell import ring
from api.database.engine import alone_in
from api.database.events import Event, note
from api.database.tables import assignments, in_force, life_cycles, life_events
from api.database.times import written
from api.life_cycle.shadows import is_shadow
from api.life_cycle.steps import Change, Fleet, Life, NotPossibleError, State
from planner.plan import Plan

_RUNS: tuple[State, ...] = ("in_force", "applying")
"""States in which requests go by a plan."""
_WORKLOADS = select(assignments.c.workload).distinct()
EventRow = Row[*tuple[Any, ...]]
"""Columns of `life_events`, by name."""


@dataclass(frozen=True)
class Standing:
    """A plan's life, what else there is of its scenario, its history, and what its last check found."""

    life: Life
    fleet: Fleet
    events: tuple[EventRow, ...]
    verification: Mapping[str, Any] | None

    @property
    def version(self) -> str:
        """A hash that changes with every step of the plan, and with the plan in force of its scenario."""
        force = None if self.fleet.in_force is None else self.fleet.in_force.plan_id
        last = self.events[-1].seq if self.events else 0
        return hashlib.sha256(json.dumps([self.life.plan_id, last, force]).encode()).hexdigest()[:32]


class Lives:
    """The lives of the plans in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def standing(self, plan_id: str) -> Standing | None:
        """How far a plan is; None where there is none that was made and is feasible."""
        with self._engine.connect() as connection:
            return _standing(connection, plan_id)

    def of_scenario(self, scenario: str, state: State) -> str | None:
        """Id of the plan of a scenario that is in force, or being applied; None when there is none."""
        with self._engine.connect() as connection:
            life = _of_scenario(connection, scenario, state)
        return None if life is None else life.plan_id

    def states(self, plan_ids: Iterable[str]) -> dict[str, State]:
        """States of plans by id; those that have no life are left out."""
        query = select(life_cycles.c.plan_id, life_cycles.c.state).where(life_cycles.c.plan_id.in_(list(plan_ids)))
        with self._engine.connect() as connection:
            return {row.plan_id: row.state for row in connection.execute(query)}

    def with_content(self, content_id: str) -> str | None:
        """Id of a plan that has this content; None when there is none."""
        query = select(life_cycles.c.plan_id).where(life_cycles.c.content_id == content_id).limit(1)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def change(self, plan_id: str, step: Callable[[Standing], Iterable[Change]], who: str, why: str = "",
               verification: Mapping[str, Any] | None = None) -> Standing:
        """Take a step: `step` is told how things stand, and nobody else changes that until its changes are kept.

        What `step` raises is raised, and nothing has changed then; so is NotPossibleError for a plan with a workload
        that a plan in force of another scenario has, too.
        """
        with self._engine.begin() as connection:
            alone_in(connection, "life_cycles")
            standing = _standing(connection, plan_id)
            assert standing is not None
            changes = tuple(step(standing))
            for change in changes:
                _keep(connection, change, who, why)
            for change in changes:
                if change.after.state in _RUNS and change.before.state not in _RUNS:
                    _check_apart(connection, change.after)
            if verification is not None:
                found = {"verification": json.dumps(dict(verification))}
                connection.execute(update(life_cycles).where(life_cycles.c.plan_id == plan_id).values(**found))
            changed = _standing(connection, plan_id)
        assert changed is not None
        return changed


def begin_life(connection: Connection, plan_id: str, plan: Plan) -> None:
    """Note a plan that was just made as a draft."""
    moves = json.dumps([len(wave.moves) for wave in plan.waves])
    row = {"plan_id": plan_id, "scenario": plan.name, "state": "draft", "content_id": plan.plan_id,
           "parent": plan.parent, "valid_until": plan.valid_until, "moves": moves, "waves_done": 0, "made": "[]"}
    connection.execute(insert(life_cycles).values(**row))


def _keep(connection: Connection, change: Change, who: str, why: str) -> None:
    life, at = change.after, written(datetime.now(UTC))
    where = life_cycles.c.plan_id == life.plan_id
    kept = {"state": life.state, "waves_done": life.waves_done, "made": json.dumps(life.made),
            "predecessor": life.predecessor}
    connection.execute(update(life_cycles).where(where).values(**kept))
    event = {"plan_id": life.plan_id, "at": at, "who": who, "step": change.step, "before": change.before.state,
             "after": life.state, "note": change.note, "why": why}
    connection.execute(insert(life_events).values(**event))
    if life.state != change.before.state:
        said = f"{who}: {why}" if why else who
        note(connection, Event("plan", "warning" if life.state == "rolled_back" else "info", f"plan {life.plan_id}",
                               f"plan {life.plan_id} of {life.scenario} is {life.state.replace('_', ' ')}",
                               f"{said} ({change.note})" if change.note else said, fields={"step": change.step}))
    if life.state == "in_force" != change.before.state:
        connection.execute(insert(in_force).values(plan_id=life.plan_id, at=at))
    if life != change.before:
        ring(connection)


def _check_apart(connection: Connection, life: Life) -> None:
    """Requests name a workload and no scenario: no two scenarios may run one of the same name."""
    there = select(life_cycles.c.plan_id, life_cycles.c.scenario).where(
        life_cycles.c.scenario != life.scenario, life_cycles.c.state.in_(_RUNS))
    others = {row.plan_id: row.scenario for row in connection.execute(there)}
    if not others:
        return
    mine = set(connection.execute(_WORKLOADS.where(assignments.c.plan_id == life.plan_id)).scalars())
    for other, scenario in sorted(others.items()):
        theirs = set(connection.execute(_WORKLOADS.where(assignments.c.plan_id == other)).scalars())
        if both := sorted(mine & theirs):
            more = f" and {len(both) - 1} more" if both[1:] else ""
            raise NotPossibleError(f"plan {life.plan_id}: workload {both[0]}{more}: the scenario {scenario} runs that, "
                                   f"too, by plan {other}: rename it in one of the scenarios, or retire or roll back "
                                   f"plan {other} first")


def _standing(connection: Connection, plan_id: str) -> Standing | None:
    row = connection.execute(select(life_cycles).where(life_cycles.c.plan_id == plan_id)).one_or_none()
    if row is None:
        return None
    life = life_of(row)
    fleet = Fleet(_of_scenario(connection, life.scenario, "in_force"),
                  _of_scenario(connection, life.scenario, "applying"),
                  None if life.predecessor is None else _by_id(connection, life.predecessor),
                  is_shadow(connection, life.scenario))
    events = connection.execute(
        select(life_events).where(life_events.c.plan_id == plan_id).order_by(life_events.c.seq)).all()
    return Standing(life, fleet, tuple(events), None if row.verification is None else json.loads(row.verification))


def _of_scenario(connection: Connection, scenario: str, state: State) -> Life | None:
    query = select(life_cycles).where(life_cycles.c.scenario == scenario, life_cycles.c.state == state)
    row = connection.execute(query).one_or_none()
    return None if row is None else life_of(row)


def _by_id(connection: Connection, plan_id: str) -> Life:
    return life_of(connection.execute(select(life_cycles).where(life_cycles.c.plan_id == plan_id)).one())


def life_of(row: EventRow) -> Life:
    """A row of `life_cycles`."""
    return Life(row.plan_id, row.scenario, row.content_id, row.parent, row.valid_until, tuple(json.loads(row.moves)),
                row.state, row.waves_done, tuple(json.loads(row.made)), row.predecessor)
