"""Which metric moved most, and which service is to blame, where alarms of recorded telemetry belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from diagnostics.causes.services import ServiceWindow, Suspect, suspects
from diagnostics.causes.shifts import mean_rank, shift_scores
from diagnostics.telemetry import Telemetry
from diagnostics.words import named

Floats = npt.NDArray[np.float64]

BEFORE_DAYS, NOW_DAYS = 7, 1
MOST = 5
BADNESS, CALLS = ("latency*", "*_latency*", "error*"), ("requests_per_s", "requests", "calls", "calls_per_s")
"""Names of metrics of services that say how bad a call is, and how many there are."""


@dataclass(frozen=True)
class Moved:
    """A metric and how far it moved since the alarms began: `rank` is the average of three scores' ranks among the
    metrics of the same clusters, 1 for the farthest; `before` and `now` are its medians.
    """

    cluster: str
    metric: str
    workload: str
    rank: float
    before: float
    now: float
    device: str = ""

    @property
    def name(self) -> str:
        """The metric, and whose it is."""
        return named(self.metric, self.workload, self.device)


def moved_most(telemetry: Telemetry, clusters: Sequence[str], first: int, after: int) -> tuple[Moved, ...]:
    """Metrics of clusters by how far they moved from the week before step `first` to the steps up to `after`."""
    rows = [row for row, series in enumerate(telemetry.series) if series.cluster in clusters]
    before, now = _windows(telemetry, rows, first, after)
    known = np.flatnonzero(np.isfinite(before).any(axis=1) & np.isfinite(now).any(axis=1))
    rows, before, now = [rows[at] for at in known], before[known], now[known]
    if not rows:
        return ()
    ranks = np.round(mean_rank(shift_scores(before, now)), 4)
    found = [Moved(series.cluster, series.metric, series.workload, float(rank), float(np.nanmedian(then)),
                   float(np.nanmedian(later)), series.device)
             for series, rank, then, later in zip((telemetry.series[row] for row in rows), ranks, before, now,
                                                  strict=True)]
    return tuple(sorted(found, key=lambda one: (-one.rank, one.cluster, one.workload, one.metric, one.device))[:MOST])


def to_blame(telemetry: Telemetry, target: str, callees: Mapping[str, tuple[str, ...]] | None, first: int,
             after: int) -> tuple[Suspect, ...]:
    """Services by how likely they are the cause of what `target` shows, by the badness of their calls; none where the
    telemetry has no such metric of at least two services.
    """
    bad, calls = (_by_service(telemetry, likes) for likes in (BADNESS, CALLS))
    services = tuple(sorted(bad))
    if target not in bad or len(services) < 2:
        return ()
    before, now = _windows(telemetry, [bad[name] for name in services], first, after)
    count = np.ones_like(now)
    for at, name in enumerate(services):
        if name in calls:
            count[at] = _windows(telemetry, [calls[name]], first, after)[1][0]
    found = suspects(ServiceWindow(services, before, now, count, target, callees))
    return tuple(one for one in found if one.own > 0 or callees is None)[:MOST]


def _by_service(telemetry: Telemetry, likes: Sequence[str]) -> dict[str, int]:
    """The row of the first metric of each workload that has such a name, on all devices."""
    found: dict[str, int] = {}
    for row, series in enumerate(telemetry.series):
        if series.kind == "serving" and not series.device and any(fnmatchcase(series.metric, like) for like in likes):
            found.setdefault(series.workload, row)
    return found


def _windows(telemetry: Telemetry, rows: Sequence[int], first: int, after: int) -> tuple[Floats, Floats]:
    """What some series were before and are since: both [series, steps]."""
    day = telemetry.steps_per_day
    values = telemetry.values[list(rows)]
    now = values[:, first : max(first + 1, min(after, first + NOW_DAYS * day))]
    return values[:, max(0, first - BEFORE_DAYS * day) : first], now
