"""What runs where by plans: their placed units and machines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, func, literal, select, tuple_

from api.database.tables import assignments, machines
from api.store.rows import insert_all
from planner.plan import Plan

_SHOWN = [column for column in assignments.columns if column.name not in ("tenant", "plan_id")]
_KEY = (assignments.c.workload, func.coalesce(assignments.c.user_region, ""), assignments.c.copy, assignments.c.part)


class Placements:
    """What runs where, in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def units(
        self, plan_id: str, *, cluster: str | None = None, workload: str | None = None
    ) -> list[dict[str, Any]]:
        """Placed units of a plan, of one cluster or one workload, by workload, user region, copy and part."""
        query = select(*_SHOWN).where(assignments.c.plan_id == plan_id).order_by(*_KEY)
        if cluster is not None:
            query = query.where(assignments.c.cluster == cluster)
        if workload is not None:
            query = query.where(assignments.c.workload == workload)
        with self._engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name

    def pages(self, plan_id: str, cluster: str | None = None, workload: str | None = None,
                         rows: int = 5_000) -> Iterator[list[dict[str, Any]]]:
        """Placed units of a plan by workload, user region, copy and part, so many at a time; no connection is held
        while the reader takes them.
        """
        query = select(*_SHOWN).where(assignments.c.plan_id == plan_id).order_by(*_KEY).limit(rows)
        for column, value in ((assignments.c.cluster, cluster), (assignments.c.workload, workload)):
            if value is not None:
                query = query.where(column == value)
        last: dict[str, Any] | None = None
        while True:
            beyond = query
            if last is not None:
                after = last["workload"], last["user_region"] or "", last["copy"], last["part"]
                beyond = query.where(tuple_(*_KEY) > tuple_(*(literal(value) for value in after)))
            with self._engine.connect() as connection:
                found = [dict(row) for row in connection.execute(beyond).mappings()]
            if found:
                yield found
            if len(found) < rows:
                return
            last = found[-1]

    def workloads(self, plan_id: str) -> list[str]:
        """Names of the placed workloads of a plan."""
        query = select(assignments.c.workload).where(assignments.c.plan_id == plan_id).distinct()
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def machines(self, plan_id: str, cluster: str) -> list[dict[str, Any]]:
        """Machines of a cluster, slot by slot."""
        columns = (machines.c.pool, machines.c.purchase, machines.c.count)
        query = select(*columns).where(machines.c.plan_id == plan_id, machines.c.cluster == cluster)
        with self._engine.connect() as connection:
            found = connection.execute(query).all()
        return [{"pool": row[0], "purchase": row[1], "count": json.loads(row[2])} for row in found]


def place(connection: Connection, plan: Plan, job_id: str) -> None:
    """Keep what runs where by the plan that a job made."""
    units = [unit.model_dump(by_alias=True) for unit in plan.assignments]
    insert_all(connection, assignments, "plan_id", job_id, units)
    rows = [row.model_dump() | {"count": json.dumps(row.count)} for row in plan.machines]
    insert_all(connection, machines, "plan_id", job_id, rows)
