"""By which plans the fleet runs: those in force, one of a scenario; before any ever was, the newest draft."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Connection, Engine, func, literal, select

from api.database.tables import files, in_force, jobs, life_cycles, shadows
from api.life_cycle.lives import life_of
from api.life_cycle.steps import Life, State
from api.store.files import ROUTES

By = Literal["in_force", "draft"]
_WAITING: tuple[State, ...] = ("draft", "verified", "approved", "applying")


@dataclass(frozen=True, slots=True)
class Running:
    """A plan that requests and hosts go by, and the one that is being applied in its place. A `draft` is one that
    nobody put in force.
    """

    plan_id: str
    by: By = "in_force"
    applying: Life | None = None


def running(engine: Engine) -> tuple[Running, ...]:
    """The plans in force, the one put in force last first.

    Where none ever was put in force it is the newest draft that somebody asked for as if nothing ran, of a scenario
    that is no shadow: a schedule's plan, and one that mends or replaces another, wait for their steps. Where the last
    plan in force was rolled back or retired it is none.
    """
    with engine.connect() as connection:
        over = {life.predecessor: life for life in _in(connection, "applying")}  # first: what it replaces is read after
        there = [life.plan_id for life in _in(connection, "in_force")]
        if there:
            put = select(in_force.c.plan_id).where(in_force.c.plan_id.in_(there))
            last_first = put.group_by(in_force.c.plan_id).order_by(func.max(in_force.c.seq).desc())
            return tuple(Running(plan_id, "in_force", over.get(plan_id))
                         for plan_id in connection.execute(last_first).scalars())
        if connection.execute(select(in_force.c.seq).limit(1)).first() is not None:
            return ()
        draft = _draft(connection)
    return () if draft is None else (Running(draft, "draft"),)


def _in(connection: Connection, state: State) -> list[Life]:
    return [life_of(row) for row in connection.execute(select(life_cycles).where(_state_is(state)))]


def _state_is(state: State) -> ColumnElement[bool]:
    """The state in the text of the statement, by which SQLite finds the index of plans in that state."""
    return life_cycles.c.state == literal(state, literal_execute=True)


def _draft(connection: Connection) -> str | None:
    beside = list(connection.execute(select(shadows.c.scenario)).scalars())
    asked = jobs.c.kind == "plan", jobs.c.status == "done", jobs.c.schedule.is_(None), jobs.c.name.not_in(beside)
    waits = life_cycles.c.state.in_(_WAITING), life_cycles.c.parent.is_(None), files.c.name == ROUTES
    made = select(jobs.c.id).join(life_cycles, life_cycles.c.plan_id == jobs.c.id)
    made = made.join(files, files.c.job_id == jobs.c.id)
    return connection.execute(made.where(*asked, *waits).order_by(jobs.c.seq.desc()).limit(1)).scalar()
