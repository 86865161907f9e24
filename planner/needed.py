"""Replicas that workloads will need, hour by hour on joint sample paths: from histories, else flat as stated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planner.profiles.build import serving_replicas
from planner.profiles.history import Wanted, select_history, wanted
from planner.profiles.model import Profiles
from planner.scenario.model import Horizon, Scenario, Workload
from planner.timeline import Timeline

if TYPE_CHECKING:

    from forecasting.panel import Panel

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]

HOUR_MINUTES = 60
GRID = 4096
MOST_GROWN = 1e3
"""Times the highest past demand up to which replicas are tabulated; beyond, they grow in proportion."""


@dataclass(frozen=True, slots=True)
class Untold:
    """A workload, pool or limit of which nothing can be told, and why."""

    what: str
    name: str
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class NeededPaths:
    """Joint paths of W workloads: `told` [W] says which are in them, `moving` are positions of those that are forecast
    or grow, `flat` the names of those held as the scenario states them. Of `gangs`, which are batch, replicas are those
    of a run: the most of every `cycle` hours; when runs are depends on where (`planner.located`).
    """

    told: tuple[bool, ...]
    moving: Ints
    flat: tuple[str, ...]
    untold: tuple[Untold, ...]
    panel: Panel | None
    row: Mapping[int, int]
    tables: Mapping[int, tuple[Floats, Floats]]
    stated: Mapping[int, Floats]
    growth: Floats
    gangs: frozenset[int]
    cycle: int
    hours: int
    paths: int
    seed: int

    def blocks(self) -> Iterator[tuple[int, Singles]]:
        """(first hour, replicas [W, K, T]) a week at a time. Memory is bounded by one week."""
        from forecasting.exhaustion import peak_paths

        weeks = range(0, self.hours, 168)
        if self.panel is None:
            blocks: Iterator[Floats | None] = iter([None] * len(weeks))
        else:
            blocks = iter(peak_paths(self.panel, self.hours, self.paths, self.seed))
        for hour, block in zip(weeks, blocks, strict=True):
            steps = min(168, self.hours - hour)
            out = np.zeros((len(self.told), self.paths, steps), np.float32)
            grown = np.exp(self.growth[:, None] * (hour + np.arange(steps)) / 24)
            for w, row in self.row.items():
                assert block is not None
                out[w] = _replicas(block[row] * grown[w], *self.tables[w])
                if w in self.gangs:
                    out[w] = _most(out[w], hour, self.cycle)
            for w, stated in self.stated.items():
                out[w] = np.ceil(stated[(hour + np.arange(steps)) % len(stated)] * grown[w] - 1e-9)
            yield hour, out


def needed_paths(scenario: Scenario, profiles: Profiles, growth: Floats, hours: int, paths: int, seed: int
                 ) -> NeededPaths:
    """Read histories up to the start of the horizon; what cannot be read is named, and the others go on."""
    wants = {want.workload: want for workload in scenario.workloads if (want := wanted(workload, scenario.folder))}
    panel, problems = _panel(list(wants.values()), scenario.horizon)
    at = {} if panel is None else {name: row for row, name in enumerate(panel.ids)}
    row: dict[int, int] = {}
    tables: dict[int, tuple[Floats, Floats]] = {}
    stated: dict[int, Floats] = {}
    gangs = frozenset(w for w, workload in enumerate(profiles.workloads) if workload.batch)
    for w, workload in enumerate(profiles.workloads):
        per = scenario.workloads[w].per_replica
        if workload.name in at and per is None:
            problems[workload.name] = "replicas.history.per_replica: missing; how much one replica does is needed"
        elif workload.name in at:
            assert panel is not None
            assert per is not None
            row[w] = at[workload.name]
            tables[w] = _table(workload, per, float(np.nanmax(panel.values[row[w]])), scenario.service_level)
        elif workload.name not in wants:
            replicas = profiles.replicas[w].astype(float)
            stated[w] = replicas.max(keepdims=True) if w in gangs else hourly(replicas, scenario.horizon)
    told = tuple(w in row or w in stated for w in range(len(profiles.workloads)))
    moving = np.array([w for w, known in enumerate(told) if known and (w in row or growth[w])], np.int64)
    flat = tuple(profiles.workloads[w].name for w in stated if not growth[w])
    untold = tuple(Untold("workload", name, why) for name, why in problems.items())
    cycle = len(hourly(np.zeros(scenario.horizon.slots), scenario.horizon))
    return NeededPaths(told, moving, flat, untold, panel, row, tables, stated, growth, gangs, cycle, hours, paths, seed)


def _panel(wants: list[Wanted], horizon: Horizon) -> tuple[Panel | None, dict[str, str]]:
    """All histories by the hour, the busiest step of an hour counting; and why others are not among them."""
    import pandas as pd

    from forecasting import History, check
    from forecasting.exhaustion import FEWEST_DAYS
    from forecasting.panel import make_panel

    if not wants:
        return None, {}
    start = pd.Timestamp(horizon.start)
    frame = select_history(wants)
    frame = frame[frame["ds"] < start]
    checked = check(frame, 1)
    problems = {want.workload: f"no history before {start:%Y-%m-%d}" for want in wants
                if want.workload not in set(frame["unique_id"])}
    problems |= {refusal.unique_id: refusal.reason for refusal in checked.refused}
    series = []
    hour = np.timedelta64(1, "h").astype("timedelta64[ns]")
    for one in checked.series:
        values, end = by_hour(one.values, one.step), one.times_ahead(1)[0]
        if values is None:
            problems[one.unique_id] = f"steps of {one.step / np.timedelta64(1, 'm'):g} min and an hour do not divide"
        elif end != np.datetime64(horizon.start.replace(tzinfo=None), "ns"):
            problems[one.unique_id] = (f"its history ends at {pd.Timestamp(end):%Y-%m-%dT%H:%MZ}, the horizon begins "
                                       f"at {start:%Y-%m-%dT%H:%MZ}: add what is missing")
        elif len(values) < FEWEST_DAYS * 24:
            problems[one.unique_id] = f"{len(values)} hours of history; at least {FEWEST_DAYS} days are needed"
        else:
            series.append(History(one.unique_id, end - len(values) * hour, hour, values))
    return (make_panel(series) if series else None), problems


def by_hour(values: Floats, step: np.timedelta64) -> Floats | None:
    """Hours that end where the steps end: the busiest step of each, or a longer step's value in all of its hours."""
    minutes = int(step / np.timedelta64(1, "m"))
    if minutes >= HOUR_MINUTES:
        return None if minutes % HOUR_MINUTES else np.repeat(values, minutes // HOUR_MINUTES)
    if minutes == 0 or HOUR_MINUTES % minutes:
        return None
    many = HOUR_MINUTES // minutes
    found: Floats = values[len(values) % many :].reshape(-1, many).max(axis=1)
    return found


def _table(workload: Workload, per: float, highest: float, level: float) -> tuple[Floats, Floats]:
    """Demand up to which so many replicas are enough: rising demands, and the replicas that each needs."""
    demand = np.concatenate(([0.0], np.geomspace(1e-3, MOST_GROWN, GRID) * max(highest, per)))
    if workload.kind == "serving" and workload.slo.latency_ms is not None:
        return demand, serving_replicas(demand, per, workload.slo, level).astype(float)
    return np.array([0.0, per]), np.array([0.0, 1.0])


def _replicas(demand: Floats, known: Floats, replicas: Floats) -> Floats:
    """Replicas for a demand; a table of two rows is a straight line, others round up to the next row."""
    if len(known) == 2:
        found: Floats = np.ceil(demand / known[1] - 1e-9)
        return found
    at = np.searchsorted(known, demand)
    inside = replicas[np.minimum(at, len(known) - 1)]
    return np.where(at < len(known), inside, np.ceil(replicas[-1] * demand / known[-1]))


def _most(replicas: Singles, hour: int, cycle: int) -> Singles:
    """The most [K, T] of each cycle, for all of its hours; of a cycle longer than a week, of each week."""
    steps = replicas.shape[1]
    begins = np.flatnonzero(np.diff((hour + np.arange(steps)) // cycle, prepend=-1))
    most: Singles = np.maximum.reduceat(replicas, begins, axis=1)
    return np.repeat(most, np.diff(begins, append=steps), axis=1)


def hourly(row: Floats, horizon: Horizon, window: int = 0) -> Floats:
    """The slots of a window of a row [T] by the hour, to be repeated; the last hour may be begun only."""
    mine = row[Timeline.of(horizon).window == window]
    mine = np.pad(mine, (0, -len(mine) % max(1, HOUR_MINUTES // horizon.slot_minutes)))
    found = by_hour(mine, np.timedelta64(horizon.slot_minutes, "m"))
    return np.array([mine.max(initial=0.0)]) if found is None or not len(found) else found
