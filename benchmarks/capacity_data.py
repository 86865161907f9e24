"""Traces of the capacity benchmark by the hour, and the questions asked of them: when is this limit first passed?

A folder holds wide files (a series a column, five minutes apart) and files of two columns, a time and a value; plain or
`.xz`, in sub-folders too. Files of single requests and of machine instances are left out, and so are series shorter
than two weeks: nothing is known of their days.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.forecasting_data import TIMES, VALUES, Floats

HOURS = 24
LEAST_DAYS = 14
STEP = "5min"
SHARES = (0.5, 0.75)
"""Cuts lie between these shares of a trace, a day apart; the horizon is what is left of it."""
LIMITS = {"often": (0.8, 1.0), "peak": (1.0, 1.0), "beyond": (1.0, 1.15)}
"""Limits: a quantile of the daily peaks seen before the cut, times a factor."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One question: `past` by the hour, a `limit` chosen from the past alone, and the hours `ahead`.

    `reached` is the first hour ahead (from 1) above the limit, or 0 where there is none.
    """

    series: str
    past: Floats
    limit: float
    ahead: Floats

    @property
    def reached(self) -> int:
        """When the limit was passed."""
        above = self.ahead > self.limit
        return int(above.argmax()) + 1 if above.any() else 0


def read_traces(folder: Path) -> dict[str, dict[str, Floats]]:
    """Hourly means by data set (file, or sub-folder) and series."""
    found: dict[str, dict[str, Floats]] = {}
    for file in sorted(path for path in folder.rglob("*.csv*") if path.is_file()):
        name = file.name.split(".")[0]
        group = file.parent.name if file.parent != folder else name
        for series, values in _series(pd.read_csv(file), name):
            if len(values) >= LEAST_DAYS * HOURS:
                found.setdefault(group, {})[series] = values
    return found


def _series(table: pd.DataFrame, name: str) -> Iterator[tuple[str, Floats]]:
    time = next((column for column in TIMES if column in table.columns), None)
    value = next((column for column in VALUES if column in table.columns), None)
    if time and value:
        seen = pd.Series(table[value].to_numpy(float), pd.to_datetime(table[time], utc=True)).sort_index()
        hourly = seen.resample("1h").mean().interpolate(limit=6)
        if hourly.notna().all():
            yield name, np.maximum(hourly.to_numpy(), 0.0)
    elif all(str(column).isdigit() for column in table.columns):
        for column in table.columns:
            values = table[column].dropna().to_numpy(float)
            yield f"{name}/{column}", values[: len(values) // 12 * 12].reshape(-1, 12).mean(axis=1)


def cases_of(traces: dict[str, Floats]) -> list[Case]:
    """All cuts and limits of a data set. Constant pasts and limits passed in the last day are left out."""
    return [case for name, values in sorted(traces.items()) for case in _cases(name, values)]


def _cases(name: str, values: Floats) -> Iterator[Case]:
    days = len(values) // HOURS
    for cut in range(int(SHARES[0] * days), int(SHARES[1] * days) + 1):
        past = values[: cut * HOURS]
        peaks = past.reshape(-1, HOURS).max(axis=1)
        if np.ptp(past) <= 0:
            continue
        for level, factor in LIMITS.values():
            limit = float(np.quantile(peaks, level)) * factor
            if past[-HOURS:].max() <= limit:
                yield Case(name, past, limit, values[cut * HOURS : days * HOURS])
