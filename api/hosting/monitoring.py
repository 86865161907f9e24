"""Drift of a stream: the last month of hourly means against the month before."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain

import numpy as np

from api.hosting.streams import DAY_S, Reader
from diagnostics.diagnose import drifts
from diagnostics.months import Drift
from diagnostics.telemetry import Series, Telemetry

DAYS = 56
HOUR_S = 3600


def compare(reader: Reader, cluster: str, hardware_class: str, day: int) -> tuple[Drift, ...]:
    """Compare the four weeks up to the end of `day` (days since 1970, UTC) with the four before, metric by metric."""
    telemetry = hourly(reader, cluster, hardware_class, (day + 1 - DAYS) * DAY_S, (day + 1) * DAY_S)
    return () if telemetry is None else drifts(telemetry)


def hourly(reader: Reader, cluster: str, hardware_class: str, first: int, after: int) -> Telemetry | None:
    """Hourly means over hosts and rows of a cluster, whose rows are read a day at a time; None where there is none."""
    sums: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    days = (reader.between(cluster, day, min(after, day + DAY_S)) for day in range(first, after, DAY_S))
    for ts, hosts in chain.from_iterable(days):
        hour = (ts - first) // HOUR_S
        for metrics in hosts.values():
            for metric, value in metrics.items():
                cell = sums[metric][hour]
                cell[0] += value
                cell[1] += 1.0
    if not sums:
        return None
    names = sorted(sums)
    values = np.full((len(names), (after - first) // HOUR_S), np.nan)
    for row, metric in enumerate(names):
        for hour, (total, count) in sums[metric].items():
            values[row, hour] = total / count
    series = tuple(Series(cluster, hardware_class, metric) for metric in names)
    return Telemetry(series, values, np.datetime64(first, "s").astype("datetime64[m]"), 60)
