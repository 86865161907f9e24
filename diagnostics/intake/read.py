"""Rows out of the store: on regular steps, counters as rates, each moment once; and how complete they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from diagnostics.intake.contract import COUNTER, RATE, IntakeError, IntakeSettings
from diagnostics.intake.store import LATEST, Store, connect, quoted
from diagnostics.telemetry import MINUTES_PER_DAY, Series, Telemetry

if TYPE_CHECKING:  # pandas and duckdb are only loaded when rows are really read
    import duckdb
    import pandas as pd

LONGEST_STEPS = 3
"""A rate is known across so many steps at most: over longer gaps a counter may have started again more than once."""

_IS_COUNTER = f"suffix(metric, '{COUNTER}')"


@dataclass(frozen=True)
class Wanted:
    """Which rows: None is all. `clusters` are hashes. By cluster a value is the mean over its hosts, by host each host
    has its own.
    """

    hardware_class: str | None = None
    countries: Collection[str] | None = None
    clusters: Collection[str] | None = None
    by: Literal["cluster", "host"] = "cluster"
    step_minutes: int = 60

    def __post_init__(self) -> None:
        """Refuse steps that do not fill a day."""
        if self.step_minutes < 1 or MINUTES_PER_DAY % self.step_minutes:
            raise IntakeError(f"step_minutes: {self.step_minutes}: a whole number of minutes that divides a day")


@dataclass(frozen=True)
class Coverage:
    """How complete the telemetry of one cluster and hardware class is, of which `cluster` is the hash.

    `rows` count each moment of each series once; `again` are those that were sent more than once. `known` is the share
    of steps between a series' first and last that have a value, over all series; `gaps` counts the holes,
    `longest_gap_hours` is the longest. `restarts` counts falls of counters, `late` rows that came long after.
    """

    cluster: str
    country: str
    hardware_class: str
    hosts: int
    metrics: int
    rows: int
    again: int
    first: str
    last: str
    known: float
    gaps: int
    longest_gap_hours: float
    restarts: int
    late: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def read_frame(store: Store, wanted: Wanted | None = None, settings: IntakeSettings | None = None) -> pd.DataFrame:
    """Rows as country, cluster (a hash), by host also host (a hash, empty where the cluster names none),
    hardware_class, metric, ts (UTC), value, sorted; no row where none is.

    Counters become rates a second: the rise since the row before, or, where a counter fell, what it counted since it
    began again at 0 (as Prometheus does it); across more than three steps a rate is not known. Where a moment was sent
    again, what came last counts.

    Raises:
        IntakeError: nothing in the store is wanted.

    """
    wanted, settings = wanted or Wanted(), settings or IntakeSettings()
    with store.reading(), connect(store, settings.memory_mib) as database:
        frame = database.execute(_rows(store, wanted), _values(wanted)).df()
    if not len(frame):
        raise _nothing(store, wanted)
    return frame


def read_pool(
    store: Store, hardware_class: str, countries: Collection[str], step_minutes: int = 60,
    settings: IntakeSettings | None = None,
) -> Telemetry:  # fmt: skip
    """All hosts of a hardware class in `countries`, as one grid to train on; a series' cluster is "cluster/host".

    The countries have no default: which rows may be pooled where is a decision, not a habit.
    """
    wanted = Wanted(hardware_class, frozenset(countries), by="host", step_minutes=step_minutes)
    settings = settings or IntakeSettings()
    step_us = step_minutes * 60_000_000
    with store.reading(), connect(store, settings.memory_mib) as database:
        # Names stay in the database: a row comes out as a number of its series, a step and a value.
        database.execute(f"CREATE TEMP TABLE pooled AS {_rows(store, wanted)}", _values(wanted))
        keys = "cluster, host, hardware_class, metric"
        names = database.execute(f"SELECT DISTINCT {keys} FROM pooled ORDER BY {keys}").fetchall()
        if not names:
            raise _nothing(store, wanted)
        found = database.execute(f"""
            WITH series AS (SELECT {keys}, row_number() OVER (ORDER BY {keys}) - 1 AS number FROM
                            (SELECT DISTINCT {keys} FROM pooled))
            SELECT number::INTEGER AS series, (epoch_us(ts) // {step_us})::INTEGER AS step, value
            FROM pooled JOIN series USING ({keys})""").fetchnumpy()
    series, step, value = (np.asarray(found[column]) for column in ("series", "step", "value"))
    first = int(step.min())
    grid = np.full((len(names), int(step.max()) - first + 1), np.nan)
    grid[series, step - first] = value
    start = np.datetime64(first * step_us, "us").astype("datetime64[m]")
    hosts = tuple(Series(f"{cluster}/{host}" if host else cluster, *name) for cluster, host, *name in names)
    return Telemetry(hosts, grid, start, step_minutes)


def _nothing(store: Store, wanted: Wanted) -> IntakeError:
    hint = "`planner telemetry show` lists what is there"
    return IntakeError(f"{store.folder}: no rows of {_in_words(wanted)}; {hint}")


def coverage(
    store: Store, wanted: Wanted | None = None, settings: IntakeSettings | None = None
) -> tuple[Coverage, ...]:
    """One row a cluster and hardware class, sorted; empty when nothing is there."""
    wanted, settings = wanted or Wanted(), settings or IntakeSettings()
    step_us, late_us = wanted.step_minutes * 60_000_000, int(settings.late_hours * 3_600_000_000)
    keys = "country, hardware_class, cluster"
    with store.reading(), connect(store, settings.memory_mib) as database:
        if not _any(store):
            return ()
        given = _given(database, store, wanted, keys)
        found = database.execute(f"""
            WITH once AS ({_once(store, wanted)}),
            steps AS (
                SELECT *, epoch_us(ts) // {step_us} AS step, lag(step) OVER series AS before,
                       {_IS_COUNTER} AND value < lag(value) OVER series AS fell
                FROM once WINDOW series AS (PARTITION BY {keys}, host, metric ORDER BY ts)),
            series AS (
                SELECT {keys}, host, metric, count(*) AS rows, min(ts) AS first, max(ts) AS last,
                       count(DISTINCT step) AS known, max(step) - min(step) + 1 AS span,
                       count(*) FILTER (step - before > 1) AS gaps, max(step - before) AS longest,
                       count(*) FILTER (fell) AS restarts,
                       count(*) FILTER (epoch_us(arrived) - epoch_us(ts) > {late_us}) AS late
                FROM steps GROUP BY ALL)
            SELECT cluster, country, hardware_class, count(DISTINCT host), count(DISTINCT metric), sum(rows)::BIGINT,
                   epoch_us(min(first)), epoch_us(max(last)), sum(known) / sum(span), sum(gaps)::BIGINT,
                   coalesce(max(longest) FILTER (longest > 1), 0), sum(restarts)::BIGINT, sum(late)::BIGINT
            FROM series GROUP BY {keys} ORDER BY {keys}""", _values(wanted)).fetchall()  # fmt: skip
    return tuple(_covered(row, given, wanted.step_minutes) for row in found)


def _covered(row: tuple[Any, ...], given: dict[tuple[str, str, str], int], step_minutes: int) -> Coverage:
    cluster, country, hardware_class, hosts, metrics, rows, first, last, known, gaps, longest, restarts, late = row
    return Coverage(
        cluster, country, hardware_class, hosts, metrics, rows, given[country, hardware_class, cluster] - rows,
        _iso(first), _iso(last), round(float(known), 6), gaps, round(longest * step_minutes / 60, 2), restarts, late,
    )  # fmt: skip


def _iso(moment_us: int) -> str:
    return f"{np.datetime_as_string(np.datetime64(moment_us, 'us'), unit='m')}Z"


def _given(
    database: duckdb.DuckDBPyConnection, store: Store, wanted: Wanted, keys: str
) -> dict[tuple[str, str, str], int]:
    """Rows as they were given, by country, hardware class and cluster."""
    found = database.execute(f"""
        SELECT {keys}, count(*)
        FROM read_parquet({_files(store)}, hive_partitioning = true, hive_types_autocast = false)
        {_where(wanted)} GROUP BY ALL""", _values(wanted)).fetchall()  # fmt: skip
    return {(country, hardware_class, cluster): count for country, hardware_class, cluster, count in found}


def _rows(store: Store, wanted: Wanted) -> str:
    """The query behind `read_frame`."""
    if not _any(store):
        raise IntakeError(f"{store.folder}: nothing is stored yet")
    step_us = wanted.step_minutes * 60_000_000
    names = "cluster" if wanted.by == "cluster" else "cluster, host"
    keys = "country, hardware_class, cluster, host, metric"
    return f"""
        WITH once AS ({_once(store, wanted)}),
        counted AS (
            SELECT *, value - lag(value) OVER series AS rise, epoch_us(ts) - lag(epoch_us(ts)) OVER series AS span_us
            FROM once WHERE {_IS_COUNTER} WINDOW series AS (PARTITION BY {keys} ORDER BY ts)),
        gauges AS (
            SELECT {keys}, ts, value FROM once WHERE NOT {_IS_COUNTER}
            UNION ALL
            SELECT country, hardware_class, cluster, host, left(metric, -{len(COUNTER)}) || '{RATE}' AS metric, ts,
                   if(rise < 0, value, rise) / (span_us / 1e6) AS value
            FROM counted WHERE span_us <= {LONGEST_STEPS * step_us}),
        stepped AS (
            SELECT {keys}, make_timestamptz(epoch_us(ts) // {step_us} * {step_us}) AS moment, avg(value) AS value
            FROM gauges GROUP BY ALL)
        SELECT country, {names}, hardware_class, metric, moment AS ts, avg(value) AS value
        FROM stepped GROUP BY ALL ORDER BY ALL"""


def _once(store: Store, wanted: Wanted) -> str:
    return LATEST.format(files=_files(store), extra="country, hardware_class, cluster,", where=_where(wanted))


def _files(store: Store) -> str:
    return f"'{quoted(store.rows)}/**/*.parquet'"


def _any(store: Store) -> bool:
    return next(iter(Path(store.rows).rglob("*.parquet")), None) is not None


def _conditions(wanted: Wanted) -> list[tuple[str, list[str]]]:
    chosen = {"hardware_class": [wanted.hardware_class] if wanted.hardware_class is not None else None,
              "country": wanted.countries, "cluster": wanted.clusters}  # fmt: skip
    return [(column, sorted(values)) for column, values in chosen.items() if values is not None]


def _where(wanted: Wanted) -> str:
    found = [f"list_contains(${number}, {column})" for number, (column, _) in enumerate(_conditions(wanted), 1)]
    return f"WHERE {' AND '.join(found)}" if found else ""


def _values(wanted: Wanted) -> list[list[str]]:
    return [values for _, values in _conditions(wanted)]


def _in_words(wanted: Wanted) -> str:
    found = [f"{column} {' or '.join(values) or 'none'}" for column, values in _conditions(wanted)]
    return ", ".join(found) or "any kind"
