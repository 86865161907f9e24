"""Right-sizing on traces of CPU use: what requests leave unused, and how often they do not do.

Every request is set anew each day from what lay before it, on the last seven days of each trace, by the hour; per cents
of a machine count as hundredths of a core. Slack is summed over all series (requested and not used, over requested), as
a cluster pays for it; shortfall is the mean over series of the share of hours in which more was used.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks.forecasting_data import Floats
from benchmarks.harness import Row
from forecasting import History
from forecasting.panel import make_panel
from forecasting.rightsizing import CPU, held_out

DAYS = 7
LEVELS = {"planner": 0.95, "planner-p90": 0.9, "planner-p99": 0.99}
"""Shares of time that our own requests are meant to be enough."""
PEERS = {"vpa": "histogram", "max": "max"}
START = np.datetime64("2026-01-05T00:00:00", "ns")


def sizing_rows(instance: str, traces: dict[str, Floats], seed: int) -> list[Row]:
    """Rows of one data set; none where no trace is one of CPU use."""
    used = {name: values[: len(values) // 24 * 24] / 100 for name, values in traces.items()
            if "cpu" in name or "azurevm" in name}
    if not used:
        return []
    panel = make_panel([History(name, START, np.timedelta64(1, "h"), values) for name, values in used.items()])
    whole = np.nansum(panel.values[:, -DAYS * 24 :], axis=1)
    rows = []
    for method, level in LEVELS.items():
        began, cpu = time.monotonic(), time.process_time()
        found = held_out(panel, CPU, level, DAYS, seed)
        took = round(time.monotonic() - began, 2), round(time.process_time() - cpu, 2)
        named = {method: "forecast"} | (PEERS if method == "planner" else {})
        for name, kind in named.items():
            held = found[kind]
            asked = whole * (1 - held.lost) / np.maximum(1 - held.slack, 1e-9)
            slack = float(np.nansum(asked * held.slack) / np.nansum(asked))
            figures = {"slack": slack, "shortfall": float(np.nanmean(held.shortfall)),
                       "lost": float(np.nansum(held.lost * whole) / whole.sum())}
            rows += [Row(f"rightsizing-{instance}", name, metric, round(value, 6), "share", *took, 0.0)
                     for metric, value in figures.items()]
    return rows
