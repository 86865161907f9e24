"""Scenarios that are planned beside a running fleet until they are trusted: no plan of theirs is applied."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, delete, insert, select

from api.database.engine import alone_in
from api.database.tables import life_cycles, shadows
from api.database.times import written


class FleetRunsError(Exception):
    """The scenario has a plan that is in force or being applied: its id."""


class Shadows:
    """The shadow scenarios in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def names(self) -> list[str]:
        """All of them, by name."""
        with self._engine.connect() as connection:
            return list(connection.execute(select(shadows.c.scenario).order_by(shadows.c.scenario)).scalars())

    def find(self, scenario: str) -> tuple[str, str, str] | None:
        """Since when a scenario is a shadow, who said so and why; None where it is not."""
        query = select(shadows.c.at, shadows.c.by, shadows.c.why).where(shadows.c.scenario == scenario)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else (row.at, row.by, row.why)

    def add(self, scenario: str, by: str, why: str) -> None:
        """Make a scenario a shadow, unless it is one. Raises FleetRunsError."""
        with self._engine.begin() as connection:
            alone_in(connection, "life_cycles")
            running = life_cycles.c.scenario == scenario, life_cycles.c.state.in_(("in_force", "applying"))
            plan_id = connection.execute(select(life_cycles.c.plan_id).where(*running).limit(1)).scalar()
            if plan_id is not None:
                raise FleetRunsError(plan_id)
            if not is_shadow(connection, scenario):
                row = {"scenario": scenario, "at": written(datetime.now(UTC)), "by": by, "why": why}
                connection.execute(insert(shadows).values(**row))

    def remove(self, scenario: str) -> None:
        """Let plans of a scenario be applied again."""
        with self._engine.begin() as connection:
            connection.execute(delete(shadows).where(shadows.c.scenario == scenario))


def is_shadow(connection: Connection, scenario: str) -> bool:
    """Whether no plan of a scenario may be applied."""
    return connection.execute(select(shadows.c.scenario).where(shadows.c.scenario == scenario)).scalar() is not None
