"""From a long frame to clean series: each one is accepted, or refused with the reason.

The frame has a row for each observation: `unique_id` (text), `ds` (begin of the step, with a time zone) and `y` (>= 0).
What is wrong with the frame as a whole raises `BadFrameError`; what is wrong with one series refuses that one and
leaves the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecasting.history import Floats, History, fewest_points, goes_far

COLUMNS = ("unique_id", "ds", "y")

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class BadFrameError(ValueError):
    """The frame cannot be read as series at all: a column is missing or has the wrong type."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A series that is not forecast, and why."""

    unique_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of a check: clean series and refusals, each by name in order; together they are all series given."""

    series: tuple[History, ...]
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Observations sorted by series, then time: series k is rows first[k]:first[k + 1]; `ns` counts from 1970."""

    names: tuple[str, ...]
    first: Ints
    ns: Ints
    y: Floats

    def counted(self, marked: Bools) -> Ints:
        """Number of marked rows of every series."""
        return np.diff(np.concatenate(([0], np.cumsum(marked)))[self.first])

    def first_marked(self, marked: Bools, series: int) -> int:
        """The first marked row of a series that has one."""
        begin, end = self.first[series], self.first[series + 1]
        return int(begin + np.flatnonzero(marked[begin:end])[0])


def check(frame: pd.DataFrame, horizon: int) -> Checked:
    """Read the series of a long frame that is to be forecast `horizon` steps ahead. The order of rows does not matter.

    Raises BadFrameError when a column is missing or of the wrong type, and ValueError for a horizon under 1.
    """
    if horizon < 1:
        raise ValueError(f"horizon {horizon}: at least 1 step")
    rows = _sorted_rows(_checked_columns(frame))
    reasons = _value_reasons(rows)
    steps = _read_steps(rows, reasons)
    series, refused = [], []
    for k, name in enumerate(rows.names):
        count = int(rows.first[k + 1] - rows.first[k])
        reason = reasons.get(k) or _length_reason(count, int(steps[k]), horizon)
        if reason:
            refused.append(Refusal(name, reason))
        else:
            begin, end = rows.first[k], rows.first[k + 1]
            step = np.timedelta64(int(steps[k]), "ns")
            series.append(History(name, np.datetime64(int(rows.ns[begin]), "ns"), step, rows.y[begin:end]))
    return Checked(tuple(series), tuple(refused))


def _checked_columns(frame: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        found = ", ".join(map(str, frame.columns))
        raise BadFrameError(f"missing column {', '.join(missing)}: found {found}; needed are {', '.join(COLUMNS)}")
    ds, y = frame["ds"], frame["y"]
    if not isinstance(ds.dtype, pd.DatetimeTZDtype):
        naive = "times without a zone" if pd.api.types.is_datetime64_any_dtype(ds) else f"values of type {ds.dtype}"
        raise BadFrameError(f"ds: {naive}; times with a zone are needed, as 2026-11-02T00:00:00Z")
    if not pd.api.types.is_numeric_dtype(y) or pd.api.types.is_bool_dtype(y):
        raise BadFrameError(f"y: values of type {y.dtype}; numbers are needed")
    if frame["unique_id"].isna().any():
        raise BadFrameError(f"unique_id: {int(frame['unique_id'].isna().sum())} rows have none")
    if ds.isna().any():
        raise BadFrameError(f"ds: {int(ds.isna().sum())} rows have no time")
    return frame


def _sorted_rows(frame: pd.DataFrame) -> _Rows:
    codes, names = pd.factorize(frame["unique_id"].astype(str), sort=True)
    ns = frame["ds"].dt.tz_convert("UTC").dt.as_unit("ns").to_numpy("datetime64[ns]").astype(np.int64)
    y = frame["y"].to_numpy(np.float64, na_value=np.nan)
    order = np.lexsort((y, ns, codes))
    first = np.searchsorted(codes[order], np.arange(len(names) + 1))
    return _Rows(tuple(map(str, names)), first.astype(np.int64), ns[order], y[order])


def _value_reasons(rows: _Rows) -> dict[int, str]:
    """The first thing wrong with the values of each series, by position of the series."""
    checks = {
        "NaN": np.isnan(rows.y),
        "infinite": np.isinf(rows.y),
        "negative": np.nan_to_num(rows.y, nan=0.0) < 0,
    }
    reasons: dict[int, str] = {}
    for word, marked in checks.items():
        counts = rows.counted(marked)
        for k in np.flatnonzero(counts).tolist():
            found = f"{_values(int(counts[k]))} {word}, the first at {_iso(rows.ns[rows.first_marked(marked, k)])}"
            reasons.setdefault(k, f"{found}; numbers >= 0 are needed")
    return reasons


def _read_steps(rows: _Rows, reasons: dict[int, str]) -> Ints:
    """The step of each series in nanoseconds (0 for a single point); adds to `reasons` what is wrong with the times."""
    steps = np.zeros(len(rows.names), np.int64)
    for k in range(len(rows.names)):
        ns = rows.ns[rows.first[k] : rows.first[k + 1]]
        if ns.size > 1:
            gaps = np.diff(ns)
            steps[k] = np.min(gaps[gaps > 0], initial=np.iinfo(np.int64).max)
            reason = _time_reason(ns, gaps, int(steps[k]))
            if reason:
                reasons.setdefault(k, reason)
    return steps


def _time_reason(ns: Ints, gaps: Ints, step: int) -> str | None:
    """What is wrong with sorted times: twice the same, no common step, or steps left out."""
    if (gaps == 0).any():
        at = int(np.flatnonzero(gaps == 0)[0])
        twice = int((gaps == 0).sum())
        return f"{twice} times appear twice, the first is {_iso(ns[at])}; one value for each time is needed"
    odd = (gaps % step != 0) | ((gaps == step).mean() < 0.5)
    if odd.any():
        at = int(np.flatnonzero(gaps != step)[0])
        found = f"{_minutes(step)} min, and {_minutes(gaps[at])} min at {_iso(ns[at])}"
        return f"mixed frequency: {found}; one step is needed"
    if (gaps != step).any():
        at = int(np.flatnonzero(gaps != step)[0])
        lost = int((gaps // step - 1).sum())
        return f"{lost} steps of {_minutes(step)} min are missing, the first after {_iso(ns[at])}; fill them in"
    return None


def _length_reason(count: int, step_ns: int, horizon: int) -> str | None:
    fewest = fewest_points(np.timedelta64(step_ns, "ns")) if step_ns else 2
    if count < fewest:
        unit = f" at {_minutes(step_ns)} min" if step_ns else ""
        return f"{count} points of history; at least {fewest} are needed{unit}"
    if horizon > count and not goes_far(count, np.timedelta64(step_ns, "ns"), horizon):
        return f"horizon of {horizon} steps is longer than the history of {count} points"
    return None


def _values(count: int) -> str:
    return "1 value is" if count == 1 else f"{count} values are"


def _iso(ns: int | np.int64) -> str:
    return str(np.datetime64(int(ns), "ns").astype("datetime64[s]")) + "Z"


def _minutes(ns: int | np.int64) -> str:
    return f"{int(ns) / 60e9:g}"
