"""What hosts say: verdicts and drift, written in the transaction that notes how far was read, and read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, and_, func, or_, select

from api.database.tables import drifts, verdicts
from api.hosting.leases import fenced
from api.hosting.rollouts import still_tried
from api.hosting.scoring import Verdict
from api.hosting.streams import done
from api.hosting.transactions import insert_new, now, writing
from diagnostics.months import Drift


class Said(NamedTuple):
    """A verdict, the version of the model that it is of, and the run of retraining that tries this one, if one does."""

    verdict: Verdict
    version: str
    run: str | None = None


NO_ALARMS = json.dumps([])
"""What is kept as the alarms of a row without any."""
Held = Callable[[], AbstractContextManager[Callable[[], bool]]]
"""Keeps models from changing while it lasts, and says whether they have changed before."""


def keep_verdicts(
    engine: Engine, host: str, epochs: Mapping[str, int], said: Sequence[Said],
    held: Held = lambda: nullcontext(lambda: True),
) -> list[float]:  # fmt: skip
    """Keep what a host says of rows, and that these are done; seconds from each row to its verdict.

    What belongs to a workload that somebody else serves by now is left out: they have done it, or will. Nothing is kept
    where models have changed since, or are tried no more: the rows are scored again. `held` is asked at first, to spare
    the work, and last: from then on to the end of the transaction nobody changes any.
    """
    with suppress(_OutdatedError), held() as current:
        if not current():
            return []
        with writing(engine) as connection:
            mine = fenced(connection, host, epochs)
            moment = now(connection)
            kept = [one for one in said if one.verdict.row.workload in mine]
            if not kept or not still_tried(connection, {one.run for one in kept if one.run is not None}):
                return []
            _write(connection, host, epochs, kept, moment)
            if not current():
                raise _OutdatedError
        return [max(0.0, moment - one.verdict.row.arrived_at) for one in kept]
    return []


class _OutdatedError(Exception):
    """Another version serves by now: nothing is written."""


def _write(connection: Connection, host: str, epochs: Mapping[str, int], kept: Sequence[Said], moment: float) -> None:
    insert_new(
        connection,
        verdicts,
        [
            {
                "cluster": one.verdict.row.cluster,
                "ts": one.verdict.row.ts,
                "model_version": one.version,
                "status": one.verdict.status,
                "score": one.verdict.score,
                "threshold": one.verdict.threshold,
                "alarms": json.dumps(one.verdict.alarms),
                "workload": one.verdict.row.workload,
                "host": host,
                "epoch": epochs[one.verdict.row.workload],
                "seconds": max(0.0, moment - one.verdict.row.arrived_at),
            }
            for one in kept
        ],
    )
    last: dict[tuple[str, str], int] = {}
    for one in kept:
        row = one.verdict.row
        last[row.workload, row.cluster] = max(row.number, last.get((row.workload, row.cluster), 0))
    for (workload, cluster), number in sorted(last.items()):
        done(connection, workload, cluster, number)


def keep_drifts(
    engine: Engine, host: str, lease: tuple[str, int], period: tuple[str, int], found: Sequence[Drift]
) -> bool:
    """Keep what was found of a cluster's months up to a day, and that the day is done; False where somebody else
    serves it by now.
    """
    (workload, epoch), (cluster, day) = lease, period
    with writing(engine) as connection:
        if not fenced(connection, host, {workload: epoch}):
            return False
        rows = [
            {
                "cluster": one.cluster,
                "day": day,
                "metric": one.metric,
                "statistic": one.statistic,
                "threshold": one.threshold,
                "p": one.p,
                "drifted": int(one.drifted),
                "host": host,
            }
            for one in found
            if one.statistic is not None
        ]
        insert_new(connection, drifts, rows)
        done(connection, workload, cluster, day)
    return True


def verdicts_of(engine: Engine, clusters: Sequence[str], first: int, after: int, limit: int,
                past: tuple[int, str] | None = None) -> list[dict[str, Any]]:
    """Verdicts of clusters on rows from `first` to before `after`, the newest first; of one cluster those that come
    after that of a moment and a version.
    """
    query = (
        select(*[column for column in verdicts.columns if column.name != "tenant"])
        .where(verdicts.c.cluster.in_(sorted(clusters)), verdicts.c.ts >= first, verdicts.c.ts < after)
        .order_by(verdicts.c.ts.desc(), verdicts.c.cluster, verdicts.c.model_version)
        .limit(limit)
    )
    if past is not None:
        same = and_(verdicts.c.ts == past[0], verdicts.c.model_version > past[1])
        query = query.where(or_(verdicts.c.ts < past[0], same))
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [dict(row) | {"alarms": json.loads(row["alarms"])} for row in rows]


class InAlarm(NamedTuple):
    """Rows that tell which alarms there were: all with an alarm, and all others of the clusters in alarm, with none.
    From `first` (POSIX seconds) on none is missing.
    """

    rows: list[dict[str, Any]]
    first: int


def rows_in_alarm(engine: Engine, clusters: Sequence[str], first: int, after: int, most: int) -> InAlarm:
    """Rows of clusters from `first` to before `after`, whichever version scored them: the newest, `most` at most of
    those with an alarm, and of those without. Of clusters without alarms there is the newest row at most, which says
    how late it is.
    """
    known = (verdicts.c.cluster.in_(sorted(clusters)), verdicts.c.ts >= first, verdicts.c.ts < after)
    alarmed = select(verdicts.c.cluster, verdicts.c.ts, verdicts.c.alarms).where(*known, verdicts.c.alarms != NO_ALARMS)
    with engine.connect() as connection:
        found = connection.execute(alarmed.order_by(verdicts.c.ts.desc()).limit(most + 1)).all()
        first = _whole_from(first, [row.ts for row in found], most)
        theirs = verdicts.c.cluster.in_(sorted({row.cluster for row in found}))
        quiet = select(verdicts.c.cluster, verdicts.c.ts).where(*known, verdicts.c.alarms == NO_ALARMS,
                                                                verdicts.c.ts >= first,
                                                                or_(theirs, verdicts.c.ts == after - 1))
        others = connection.execute(quiet.order_by(verdicts.c.ts.desc()).limit(most + 1)).all()
    first = _whole_from(first, [row.ts for row in others], most)
    rows = [{"cluster": row.cluster, "ts": row.ts, "alarms": json.loads(row.alarms)}
            for row in found if row.ts >= first]  # fmt: skip
    rows += [{"cluster": row.cluster, "ts": row.ts, "alarms": []} for row in others if row.ts >= first]
    return InAlarm(rows, first)


def _whole_from(first: int, times: Sequence[int], most: int) -> int:
    """From when on no row is missing where no more than `most` were to be read: of the time of the first that is not
    among them others may be.
    """
    return first if len(times) <= most else times[most] + 1


def newest_row(engine: Engine, clusters: Sequence[str]) -> int:
    """The time of the newest row with a verdict; 0 where there is none."""
    with engine.connect() as connection:
        query = select(func.max(verdicts.c.ts)).where(verdicts.c.cluster.in_(sorted(clusters)))
        return int(connection.execute(query).scalar() or 0)


def drifts_of(engine: Engine, clusters: Sequence[str]) -> list[dict[str, Any]]:
    """The newest comparison of the months of each cluster, by metric."""
    query = (
        select(*[column for column in drifts.columns if column.name != "tenant"])
        .where(drifts.c.cluster.in_(sorted(clusters)))
        .order_by(drifts.c.cluster, drifts.c.day.desc())
    )
    newest: dict[str, int] = {}
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    for row in rows:
        newest.setdefault(row["cluster"], row["day"])
    return [dict(row) | {"drifted": bool(row["drifted"])} for row in rows if row["day"] == newest[row["cluster"]]]
