"""Telemetry as streams, one a cluster: rows come in once, are numbered, and are read from where the last reader was.

Rows of a cluster are numbered one by one and become visible in that order (its row in `streams` is locked meanwhile): a
reader that goes on after the highest number it has done leaves nothing out, however late a row comes. Numbers that are
not there are of rows that were removed because of their age.

Rows never leave their country: whoever reads them says in which country it is (`Reader`), and gets those only.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf, isfinite
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Select, and_, func, insert, select, update

from api.database.tables import cursors, drifts, stream_rows, streams, verdicts
from api.hosting.sealing import Sealing
from api.hosting.transactions import insert_new, now, writing
from planner.errors import InputError
from planner.hosting import Watched

Measures = Mapping[str, Mapping[str, float]]
"""Values by host and metric."""
Purpose = Literal["score", "drift"]
MOST_AHEAD_S = 300.0
"""How far ahead of its arrival a row may be."""
DAY_S = 86_400
MOST_AT_ONCE = 2000
"""Rows that a reader takes at a time, over all clusters."""
_READ = (stream_rows.c.cluster, stream_rows.c.number, stream_rows.c.ts, stream_rows.c.arrived_at, stream_rows.c.content)


@dataclass(frozen=True, slots=True)
class Given:
    """A row as it is sent: all metrics of all hosts of a cluster at one time (POSIX seconds)."""

    cluster: str
    ts: int
    hosts: Measures


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it is read, by the workload that reads it."""

    workload: str
    cluster: str
    number: int
    ts: int
    arrived_at: float
    hosts: Measures


@dataclass(frozen=True)
class Pushed:
    """What became of rows: `again` were there already; `refused` says whose were not taken, and why."""

    stored: int
    again: int
    refused: tuple[str, ...]


def push(engine: Engine, rows: Sequence[Given], clusters: Mapping[str, Watched], sealing: Sealing,
         kept_days: float | None = None) -> Pushed:
    """Take in rows of clusters that the plan in force knows; each (cluster, time) counts once.

    Rows of other clusters, without a finite value, from the future, before 1970, or older than rows are kept
    (`kept_days`: nobody knows any more whether they came before) are refused by name, the others are stored.
    """
    refused = dict[str, int]()
    kept: dict[str, dict[int, Given]] = defaultdict(dict)
    with engine.connect() as connection:
        moment = now(connection)
    earliest = -inf if kept_days is None else moment - kept_days * DAY_S
    for row in rows:
        why = _wrong(row, clusters, (earliest, moment + MOST_AHEAD_S))
        if why is None:
            kept[row.cluster].setdefault(row.ts, row)
        else:
            refused[why] = refused.get(why, 0) + 1
    stored = 0
    if kept:
        with writing(engine) as connection:
            insert_new(connection, streams, [_stream(name, clusters[name]) for name in sorted(kept)])
            for name in sorted(kept):  # in one order, so that no two wait for each other
                stored += _append(connection, name, kept[name], clusters[name], sealing)
    given = len(rows) - sum(refused.values())
    said = (f"{why}; {count} row{'s are' if count > 1 else ' is'} not stored" for why, count in sorted(refused.items()))
    return Pushed(stored, given - stored, tuple(said))


def _wrong(row: Given, clusters: Mapping[str, Watched], times: tuple[float, float]) -> str | None:
    """Why a row is refused."""
    known = clusters.get(row.cluster)
    if known is None:
        near = get_close_matches(row.cluster, list(clusters), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"cluster: {row.cluster!r}: not a cluster of the plan in force{hint}"
    if known.hardware_class is None:
        return f"cluster: {row.cluster}: hardware_class: not given in the scenario: nothing knows what is usual there"
    if row.ts < 0:
        return f"cluster: {row.cluster}: ts: before 1970: set its clock"
    if row.ts < times[0]:
        return f"cluster: {row.cluster}: ts: older than rows are kept (retention.telemetry_days)"
    if row.ts > times[1]:
        return f"cluster: {row.cluster}: ts: more than {MOST_AHEAD_S / 60:.0f} minutes ahead: set its clock"
    if not any(isfinite(value) for host in row.hosts.values() for value in host.values()):
        return f"cluster: {row.cluster}: hosts: no finite value"
    return None


def _stream(name: str, cluster: Watched) -> dict[str, object]:
    return {
        "cluster": name,
        "hardware_class": cluster.hardware_class,
        "country": cluster.country,
        "opted_in": int(cluster.opted_in),
        "last": 0,
    }


def _append(connection: Connection, name: str, rows: Mapping[int, Given], cluster: Watched, sealing: Sealing) -> int:
    """Number the rows that are new and add them; nobody else adds to the cluster until the transaction ends."""
    said = {key: value for key, value in _stream(name, cluster).items() if key not in ("cluster", "last")}
    locked = update(streams).where(streams.c.cluster == name).values(**said).returning(streams.c.last)
    last = int(connection.execute(locked).scalar_one())
    first, final = min(rows), max(rows)
    there = set(
        connection.execute(
            select(stream_rows.c.ts).where(
                stream_rows.c.cluster == name, stream_rows.c.ts >= first, stream_rows.c.ts <= final
            )
        ).scalars()
    )
    fresh = [rows[ts] for ts in sorted(rows) if ts not in there]
    if not fresh:
        return 0
    arrived = now(connection)
    connection.execute(
        insert(stream_rows),
        [
            {
                "cluster": name,
                "number": last + at,
                "ts": row.ts,
                "arrived_at": arrived,
                "content": sealing.seal(json.dumps(_finite(row.hosts), separators=(",", ":"))),
            }
            for at, row in enumerate(fresh, 1)
        ],
    )
    connection.execute(update(streams).where(streams.c.cluster == name).values(last=last + len(fresh)))
    return len(fresh)


def _finite(hosts: Measures) -> dict[str, dict[str, float]]:
    return {
        host: {metric: value for metric, value in metrics.items() if isfinite(value)} for host, metrics in hosts.items()
    }


def _got(connection: Connection, cluster: str, purpose: Purpose) -> int:
    """How far a cluster was scored (number of a row) or compared (day) by whatever workload; 0 where it was not."""
    if purpose == "drift":
        query = select(func.max(drifts.c.day)).where(drifts.c.cluster == cluster)
    else:
        same = and_(verdicts.c.cluster == stream_rows.c.cluster, verdicts.c.ts == stream_rows.c.ts)
        query = select(func.max(stream_rows.c.number)).join(verdicts, same).where(stream_rows.c.cluster == cluster)
    return int(connection.execute(query).scalar() or 0)


class Reader:
    """Reads streams in one country, and none of another: the one place where rows come out."""

    def __init__(self, engine: Engine, country: str, sealing: Sealing) -> None:
        """`broken` has, by cluster, why the next of its rows cannot be opened; what comes after it waits."""
        self._engine, self.country, self._sealing = engine, country, sealing
        self.broken: dict[str, str] = {}

    def begin(self, watching: Iterable[tuple[str, str]], purpose: Purpose = "score") -> None:
        """Let workloads read clusters, where they have not begun yet: from their first row on, or from where another
        workload for the same purpose got.
        """
        pairs = list(watching)
        if not pairs:
            return
        with self._engine.connect() as connection:
            there = {(row.workload, row.cluster) for row in connection.execute(select(cursors))}
        missing = [pair for pair in pairs if pair not in there]
        if not missing:
            return
        with writing(self._engine) as connection:
            got = {cluster: _got(connection, cluster, purpose) for _, cluster in missing}
            rows = [{"workload": workload, "cluster": cluster, "number": got[cluster]} for workload, cluster in missing]
            insert_new(connection, cursors, rows)

    def pending(self, workloads: Collection[str]) -> list[Row]:
        """Rows that these workloads have not done yet, of each cluster the first ones, in their order, to before the
        first that cannot be opened (`broken`).
        """
        self.broken = {}
        if not workloads:
            return []
        depth = max(1, MOST_AT_ONCE // len(workloads))
        here = and_(
            stream_rows.c.cluster == cursors.c.cluster,
            stream_rows.c.number > cursors.c.number,
            stream_rows.c.number <= cursors.c.number + depth,
        )
        behind = self._behind(workloads)
        query = (
            select(cursors.c.workload, *_READ)
            .select_from(cursors)
            .join(streams, and_(streams.c.cluster == cursors.c.cluster, streams.c.last > cursors.c.number))
            .join(stream_rows, here)
            .where(cursors.c.workload.in_(sorted(workloads)), streams.c.country == self.country)
            .order_by(stream_rows.c.cluster, stream_rows.c.number)
        )
        with self._engine.connect() as connection:
            found = list(connection.execute(query))
            read = {(row.workload, row.cluster) for row in found}
            for one in connection.execute(behind).all():
                if (one.workload, one.cluster) not in read:
                    found += connection.execute(self._beyond(one.workload, one.cluster, depth))
        rows = []
        for row in found:
            if row.cluster in self.broken:
                continue
            try:
                rows.append(Row(*row[:-1], self._sealing.open_json(row.content)))
            except InputError as error:
                self.broken[row.cluster] = f"row {row.number} of {row.cluster}: {error.problems[0]}"
        return rows

    def _behind(self, workloads: Collection[str]) -> Select[tuple[str, str]]:
        """What of these workloads may have rows to read."""
        return (
            select(cursors.c.workload, cursors.c.cluster)
            .join(streams, and_(streams.c.cluster == cursors.c.cluster, streams.c.last > cursors.c.number))
            .where(cursors.c.workload.in_(sorted(workloads)), streams.c.country == self.country)
        )

    def _beyond(self, workload: str, cluster: str, depth: int) -> Select[tuple[Any, ...]]:
        """The first rows of a cluster that a workload has not done, where so many after those were removed."""
        return (
            select(cursors.c.workload, *_READ)
            .select_from(cursors)
            .join(streams, streams.c.cluster == cursors.c.cluster)
            .join(stream_rows, and_(stream_rows.c.cluster == cursors.c.cluster,
                                    stream_rows.c.number > cursors.c.number))
            .where(cursors.c.workload == workload, cursors.c.cluster == cluster, streams.c.country == self.country)
            .order_by(stream_rows.c.number)
            .limit(depth)
        )  # fmt: skip

    def at(self, clusters: Collection[str], times: Collection[int]) -> dict[tuple[str, int], Measures]:
        """Rows of clusters at some times, for models that look back."""
        query = (
            select(stream_rows.c.cluster, stream_rows.c.ts, stream_rows.c.content)
            .join(streams, streams.c.cluster == stream_rows.c.cluster)
            .where(
                streams.c.country == self.country,
                stream_rows.c.cluster.in_(sorted(clusters)),
                stream_rows.c.ts.in_(sorted(times)),
            )
        )
        with self._engine.connect() as connection:
            return {(row.cluster, row.ts): self._sealing.open_json(row.content) for row in connection.execute(query)}

    def between(self, cluster: str, first: int, after: int) -> list[tuple[int, Measures]]:
        """Rows of a cluster from `first` to before `after`, in the order of time."""
        query = (
            select(stream_rows.c.ts, stream_rows.c.content)
            .join(streams, streams.c.cluster == stream_rows.c.cluster)
            .where(
                streams.c.country == self.country,
                stream_rows.c.cluster == cluster,
                stream_rows.c.ts >= first,
                stream_rows.c.ts < after,
            )
            .order_by(stream_rows.c.ts)
        )
        with self._engine.connect() as connection:
            return [(row.ts, self._sealing.open_json(row.content)) for row in connection.execute(query)]

    def newest(self, clusters: Collection[str]) -> dict[str, int]:
        """The time of the newest row of each cluster."""
        query = (
            select(stream_rows.c.cluster, func.max(stream_rows.c.ts))
            .join(streams, streams.c.cluster == stream_rows.c.cluster)
            .where(streams.c.country == self.country, stream_rows.c.cluster.in_(sorted(clusters)))
            .group_by(stream_rows.c.cluster)
        )
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def due(self, monitors: Mapping[str, str], length_s: int) -> list[tuple[str, int]]:
        """Clusters with their last period (of `length_s`, numbered since 1970) that has ended by the time of their
        newest row, where the workload that monitors them has not done it; `monitors` are workloads by cluster.
        """
        if not monitors:
            return []
        query = select(cursors.c.cluster, cursors.c.number).where(cursors.c.workload.in_(sorted(monitors.values())))
        with self._engine.connect() as connection:
            seen = {row.cluster: row.number for row in connection.execute(query)}
        last = {name: ts // length_s - 1 for name, ts in self.newest(monitors).items()}
        return sorted((name, period) for name, period in last.items() if period > seen.get(name, period))

    def opted_in(self, clusters: Collection[str]) -> list[str]:
        """Of clusters, those that agreed to be trained on, as it was said with their last rows."""
        query = select(streams.c.cluster).where(
            streams.c.country == self.country, streams.c.opted_in == 1, streams.c.cluster.in_(sorted(clusters))
        )
        with self._engine.connect() as connection:
            return sorted(connection.execute(query).scalars())

    def lag(self, workloads: Collection[str]) -> int:
        """How many rows these workloads have not done yet."""
        ahead = and_(stream_rows.c.cluster == cursors.c.cluster, stream_rows.c.number > cursors.c.number)
        query = (
            select(func.count())
            .select_from(cursors)
            .join(streams, streams.c.cluster == cursors.c.cluster)
            .join(stream_rows, ahead)
            .where(cursors.c.workload.in_(sorted(workloads)), streams.c.country == self.country)
        )
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())


def watched_metrics(engine: Engine, clusters: Collection[str], sealing: Sealing) -> dict[str, set[tuple[str, str]]]:
    """Hosts and their metrics in the newest row of each cluster: names and no values."""
    query = select(stream_rows.c.cluster, stream_rows.c.content).join(
        streams, and_(streams.c.cluster == stream_rows.c.cluster, streams.c.last == stream_rows.c.number)
    ).where(stream_rows.c.cluster.in_(sorted(clusters)))  # fmt: skip
    with engine.connect() as connection:
        return {row.cluster: {(host, metric) for host, metrics in sealing.open_json(row.content).items()
                              for metric in metrics} for row in connection.execute(query)}  # fmt: skip


def done(connection: Connection, workload: str, cluster: str, number: int) -> None:
    """Note how far a workload has read a cluster."""
    here = cursors.c.workload == workload, cursors.c.cluster == cluster
    connection.execute(update(cursors).where(*here).values(number=number))
