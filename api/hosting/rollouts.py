"""Which version of a hardware class is tried on which cluster, and what became of every step of retraining."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, delete, select

from api.database.tables import loop_steps, rollouts
from api.hosting.transactions import insert_new, now, writing

Hold = Callable[[Connection], None]
"""Makes sure, in a transaction and to its end, that who writes may: it does not come back otherwise."""


class Canary(NamedTuple):
    """A version that one cluster is scored by before others are; `at` is since when (POSIX seconds)."""

    run: str
    version: str
    cluster: str
    at: float


def canaries(engine: Engine) -> dict[str, Canary]:
    """What is tried, by hardware class."""
    query = select(rollouts.c.hardware_class, rollouts.c.run, rollouts.c.version, rollouts.c.cluster, rollouts.c.at)
    with engine.connect() as connection:
        return {row[0]: Canary(*row[1:]) for row in connection.execute(query)}


def still_tried(connection: Connection, runs: Collection[str]) -> bool:
    """Whether what these runs try is tried still; until the transaction ends it is."""
    query = select(rollouts.c.run).where(rollouts.c.run.in_(sorted(runs))).with_for_update(read=True)
    return not runs or set(connection.execute(query).scalars()) == set(runs)


def begin_canary(engine: Engine, hardware_class: str, run: str, version: str, cluster: str,
                 hold: Hold = lambda _: None) -> Canary:  # fmt: skip
    """Try a version on a cluster, unless one of the class is being tried: then that one."""
    with writing(engine) as connection:
        hold(connection)
        row = {"hardware_class": hardware_class, "run": run, "version": version, "cluster": cluster}
        insert_new(connection, rollouts, [row | {"at": now(connection)}])
    return canaries(engine)[hardware_class]


def end_canary(engine: Engine, hardware_class: str, run: str, hold: Hold = lambda _: None) -> None:
    """Try no more."""
    with writing(engine) as connection:
        hold(connection)
        mine = rollouts.c.hardware_class == hardware_class, rollouts.c.run == run
        connection.execute(delete(rollouts).where(*mine))


def end_left(engine: Engine, hardware_class: str, workload: str, hold: Hold) -> None:
    """Try no more what earlier runs of a workload began to try and never ended: none of them goes on."""
    with writing(engine) as connection:
        hold(connection)
        query = select(loop_steps.c.run).where(loop_steps.c.workload == workload).distinct()
        runs = list(connection.execute(query).scalars())
        here = rollouts.c.hardware_class == hardware_class, rollouts.c.run.in_(runs)
        connection.execute(delete(rollouts).where(*here))


def note(engine: Engine, run: tuple[str, str, str], step: str, outcome: str, detail: Mapping[str, Any],
         hold: Hold = lambda _: None) -> None:  # fmt: skip
    """Put on record what became of a step of a run (its id, workload, hardware class); what was noted before stays."""
    with writing(engine) as connection:
        hold(connection)
        row = {"run": run[0], "workload": run[1], "hardware_class": run[2], "step": step, "outcome": outcome,
               "detail": json.dumps(detail, sort_keys=True, default=str), "at": now(connection)}  # fmt: skip
        insert_new(connection, loop_steps, [row])


def record(engine: Engine, run: str | None = None) -> list[dict[str, Any]]:
    """What is on record, the oldest first, of one run or of all."""
    query = select(*[column for column in loop_steps.columns if column.name != "tenant"]).order_by(loop_steps.c.at)
    if run is not None:
        query = query.where(loop_steps.c.run == run)
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [dict(row) | {"detail": json.loads(row["detail"])} for row in rows]
