"""From a long frame to clean series: each one is accepted, with notes of what was mended, or refused with the reason.

The frame has a row for each observation: `unique_id` (text), `ds` (begin of the step, with a time zone), `y` (>= 0) and
columns known ahead, which go on over the horizon in rows whose `y` is NaN. What is wrong with the frame as a whole
raises `BadFrameError`; what is wrong with one series refuses that one and leaves the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecasting.calendars import Calendar, make_calendar
from forecasting.history import (
    DAY,
    FEWEST_FAR_DAYS,
    FEWEST_POINTS,
    FURTHEST,
    WEEK,
    Floats,
    History,
    fewest_points,
    goes_far,
    natural_seasons,
)

COLUMNS = ("unique_id", "ds", "y")

MOST_FILLED = 0.1
"""Share of the steps of a series that may be missing; in a row no more than one season (a day; of days, a week)."""
FAULT, MOST_FAULTS, FEWEST_OTHERS = 1000.0, 3, 10
"""Up to 3 values that are over 1000 times any other are faults of measurement, where there are 10 others above 0."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


Horizon = int | np.timedelta64
"""Steps; or a span of time, which series of different steps reach in as many steps each as they need."""


class BadFrameError(ValueError):
    """The frame cannot be read as series at all: a column is missing or has the wrong type."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A series that is not forecast, and why."""

    unique_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """What was made of a series before it was forecast."""

    unique_id: str
    note: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of a check: clean series and refusals, each by name in order; together they are all series given.

    Some of the series may be `young`: too short to be forecast by themselves.
    """

    series: tuple[History, ...]
    refused: tuple[Refusal, ...]
    notes: tuple[Note, ...]


class _RefusedError(Exception):
    """The series that is being read is refused; the message is the reason."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Observations sorted by series, then time: series k is rows first[k]:first[k + 1]; `ns` counts from 1970.

    `known` [rows, K] are columns known ahead, named `columns`; `calendar` adds one a country.
    """

    names: tuple[str, ...]
    first: Ints
    ns: Ints
    y: Floats
    known: Floats
    columns: tuple[str, ...]
    calendar: Calendar


def steps_ahead(horizon: Horizon, step: np.timedelta64) -> int:
    """Steps that a horizon takes."""
    return int(-(-horizon // step)) if isinstance(horizon, np.timedelta64) else horizon


def check(frame: pd.DataFrame, horizon: Horizon, known: Sequence[str] = (), holidays: Sequence[str] = ()) -> Checked:
    """Read the series of a long frame that is to be forecast `horizon` ahead. The order of rows does not matter.

    `known` names columns known ahead; `holidays` countries (`BR`, or `BR-SP` with a part) whose holidays become one
    each, on days of the time zone that `ds` is given in. Raises BadFrameError when a column is missing or of the wrong
    type, and ValueError for a horizon under 1 and countries that are not known.
    """
    if horizon < (np.timedelta64(1, "ns") if isinstance(horizon, np.timedelta64) else 1):
        raise ValueError(f"horizon {horizon}: at least 1 step")
    _check_columns(frame, known)
    rows = _sorted_rows(frame, horizon, tuple(known), tuple(holidays))
    series, refused, notes = [], [], []
    for k, name in enumerate(rows.names):
        said: list[str] = []
        try:
            series.append(_read(rows, k, horizon, said))
        except _RefusedError as reason:
            refused.append(Refusal(name, str(reason)))
        else:
            notes += [Note(name, text) for text in said]
    return Checked(tuple(series), tuple(refused), tuple(notes))


def young(series: History) -> bool:
    """Whether a series is too short to be forecast by itself, and has to borrow from others."""
    return len(series) < fewest_points(series.step)


def too_short(points: int, step: np.timedelta64) -> str:
    """Why a series of so many points is not forecast by itself."""
    enough = fewest_points(step)
    seen = f"{points} {'point' if points == 1 else 'points'} of history in steps of {_minutes(step)} min"
    if points < FEWEST_POINTS < enough:
        return f"{seen}; at least {FEWEST_POINTS} are needed, {enough} where there are no longer series to borrow from"
    return f"{seen}; at least {enough} are needed"


def _check_columns(frame: pd.DataFrame, known: Sequence[str]) -> None:
    missing = [name for name in (*COLUMNS, *known) if name not in frame.columns]
    if missing:
        columns = [str(name) for name in frame.columns]
        near = [f"{name}: did you mean {found[0]}?" for name in missing if (found := get_close_matches(name, columns))]
        hint = "".join(f"; {text}" for text in near)
        raise BadFrameError(f"missing column {', '.join(missing)}: found {', '.join(columns)}; "
                            f"needed are {', '.join((*COLUMNS, *known))}{hint}")
    clash = [name for name in known if name in COLUMNS]
    if clash:
        raise BadFrameError(f"known column {clash[0]}: it is what a series is made of, and not known ahead")
    ds = frame["ds"]
    if not isinstance(ds.dtype, pd.DatetimeTZDtype):
        naive = "times without a zone" if pd.api.types.is_datetime64_any_dtype(ds) else f"values of type {ds.dtype}"
        raise BadFrameError(f"ds: {naive}; times with a zone are needed, as 2026-11-02T00:00:00Z")
    if not pd.api.types.is_numeric_dtype(frame["y"]) or pd.api.types.is_bool_dtype(frame["y"]):
        raise BadFrameError(f"y: values of type {frame['y'].dtype}; numbers are needed")
    for name in known:
        if not pd.api.types.is_numeric_dtype(frame[name]):  # true and false are numbers here
            raise BadFrameError(f"known column {name}: values of type {frame[name].dtype}; numbers, or true and false, "
                                "are needed")
    for name, what in (("unique_id", "none"), ("ds", "no time")):
        if frame[name].isna().any():
            raise BadFrameError(f"{name}: {int(frame[name].isna().sum())} rows have {what}")


def _sorted_rows(frame: pd.DataFrame, horizon: Horizon, known: tuple[str, ...], holidays: tuple[str, ...]) -> _Rows:
    codes, names = pd.factorize(frame["unique_id"].astype(str), sort=True)
    ns = frame["ds"].dt.tz_convert("UTC").dt.as_unit("ns").to_numpy("datetime64[ns]").astype(np.int64)
    y = frame["y"].to_numpy(np.float64, na_value=np.nan)
    ahead = np.stack([frame[name].to_numpy(np.float64, na_value=np.nan) for name in known], axis=1) if known else \
        np.zeros((len(y), 0))
    ahead_of, later = np.diff(codes), np.diff(ns) > 0
    in_order = bool(((ahead_of > 0) | ((ahead_of == 0) & later)).all())
    order = np.arange(len(y)) if in_order else np.lexsort((y, ns, codes))
    first = np.searchsorted(codes[order], np.arange(len(names) + 1)).astype(np.int64)
    begin, end = (np.datetime64(int(at), "ns") for at in (ns.min(initial=0), ns.max(initial=0)))
    longest = (horizon if isinstance(horizon, np.timedelta64) else horizon * WEEK) + WEEK
    calendar = make_calendar(holidays, frame["ds"].dt.tz, begin, end + longest)
    return _Rows(tuple(map(str, names)), first, ns[order], y[order], ahead[order], known, calendar)


def _read(rows: _Rows, k: int, horizon: Horizon, notes: list[str]) -> History:
    """Series k, regular and clean; adds to `notes` what was made of it. Raises _RefusedError."""
    ns, y = rows.ns[rows.first[k] : rows.first[k + 1]], rows.y[rows.first[k] : rows.first[k + 1]]
    _refuse_values(ns, y)
    seen = np.flatnonzero(np.isfinite(y))
    first, last = int(seen[0]), int(seen[-1])
    if len(ns) == 1:
        raise _RefusedError(f"1 point of history; at least {FEWEST_POINTS} are needed")
    every = _step(ns)
    step, begin = np.timedelta64(every, "ns"), np.datetime64(int(ns[first]), "ns")
    _note_ends(ns, first, last, len(rows.columns) > 0, notes)
    slots = (ns[first : last + 1] - ns[first]) // every
    count = int(slots[-1]) + 1
    if count < FEWEST_POINTS:
        raise _RefusedError(too_short(count, step))
    ahead = steps_ahead(horizon, step)
    if fewest_points(step) <= count < ahead and not goes_far(count, step, ahead):
        raise _RefusedError(f"horizon of {ahead} steps is longer than the history of {count} points; from "
                            f"{FEWEST_FAR_DAYS} days on, up to {FURTHEST} times its length is forecast")
    values = np.full(count, np.nan)
    values[slots] = y[first : last + 1]
    values = _whole(values, begin, step, notes)
    if np.ptp(values) == 0:
        notes.append(f"every value is {values[0]:g}: it is forecast to stay so")
    return History(rows.names[k], begin, step, values, _known(rows, k, first, count, ahead, every))


def _refuse_values(ns: Ints, y: Floats) -> None:
    """Refuse values that no demand has, and a series without any."""
    for word, marked in (("infinite", np.isinf(y)), ("negative", y < 0)):
        if marked.any():
            count = int(marked.sum())
            raise _RefusedError(f"{_values(count)} {word}, the first at {_iso(ns[int(marked.argmax())])}; "
                                "numbers >= 0 are needed")
    if np.isnan(y).all():
        raise _RefusedError("no value is a number")


def _step(ns: Ints) -> int:
    """The step of sorted times in nanoseconds, 0 for a single one; refuses those twice and those of no common step."""
    gaps = np.diff(ns)
    if not len(gaps):
        return 0
    if (gaps == 0).any():
        at, count = int((gaps == 0).argmax()), int((gaps == 0).sum())
        many = "1 time appears" if count == 1 else f"{count} times appear"
        raise _RefusedError(f"{many} twice, the first is {_iso(ns[at])}; "
                            "one value for each time is needed")
    step = int(gaps.min())
    if (gaps % step != 0).any() or (gaps == step).mean() < 0.5:
        at = int((gaps != step).argmax())
        usual, other = (_minutes(np.timedelta64(int(gap), "ns")) for gap in (step, gaps[at]))
        found = f"{usual} min, and {other} min at {_iso(ns[at])}"
        raise _RefusedError(f"mixed frequency: {found}; one step is needed")
    return step


def _note_ends(ns: Ints, first: int, last: int, ahead: bool, notes: list[str]) -> None:
    """Say where a series begins later or ends earlier than its rows; rows after it are usual with columns known ahead.
    """
    after = len(ns) - 1 - last
    if first:
        notes.append(f"{_values(first)} NaN before the first number: the series begins at {_iso(ns[first])}")
    if after and not ahead:
        notes.append(f"{_values(after)} NaN after the last number: the forecast begins after {_iso(ns[last])}")


def _whole(values: Floats, begin: np.datetime64, step: np.timedelta64, notes: list[str]) -> Floats:
    """The values with faults taken out and what is missing filled in; a series that misses too much is refused."""
    lost, faulty = np.isnan(values), _faults(values)
    missing = lost | faulty
    if not missing.any():
        return values
    count, season = len(values), (*natural_seasons(step), 1)[0]
    longest, at = _longest_run(missing)
    if missing.sum() > MOST_FILLED * count or longest > season:
        raise _RefusedError(
            f"{int(missing.sum())} of {count} steps have no value, {longest} in a row from {_iso_at(begin, step, at)}; "
            f"up to a tenth and {season} in a row are filled in. Where no row means no demand, write rows of 0")
    how = "filled in from " + ("their neighbours" if season == 1 else
                               f"the same time of other {'days' if season * step == DAY else 'weeks'}")
    if lost.any():
        notes.append(f"{_steps_have(int(lost.sum()))} no value, the first at "
                     f"{_iso_at(begin, step, int(lost.argmax()))}: {how}")
    if faulty.any():
        first, many = int(faulty.argmax()), int(faulty.sum())
        notes.append(f"{_values(many)} over {FAULT:g} times any other, the first {values[first]:g} at "
                     f"{_iso_at(begin, step, first)}: taken for a fault and {how}")
    return _filled(np.where(missing, np.nan, values), season)


def _faults(values: Floats) -> Bools:
    """Values that are far beyond all others, where they are few."""
    some = values[values > 0]
    if len(some) < FEWEST_OTHERS + MOST_FAULTS:
        return np.zeros(len(values), np.bool_)
    top = np.sort(np.partition(some, -MOST_FAULTS - 1)[-MOST_FAULTS - 1 :])
    apart = np.flatnonzero(top[1:] > FAULT * top[:-1])
    return values >= top[apart[0] + 1] if len(apart) else np.zeros(len(values), np.bool_)


def _longest_run(marked: Bools) -> tuple[int, int]:
    """Length and begin of the longest run of marked steps."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marked, [False]))))
    begins, lengths = edges[::2], edges[1::2] - edges[::2]
    return int(lengths.max()), int(begins[lengths.argmax()])


def _filled(values: Floats, season: int) -> Floats:
    """What is NaN becomes the mean of the nearest values a whole number of seasons before and after, or lies straight
    between its neighbours where there are none.
    """
    there = np.flatnonzero(np.isfinite(values))
    filled = values.copy()
    for i in np.flatnonzero(np.isnan(values)).tolist():
        alike = values[i % season :: season]
        at, seen = i // season, np.flatnonzero(np.isfinite(alike))
        near = [*seen[seen < at][-1:], *seen[seen > at][:1]] if season > 1 else []
        filled[i] = alike[near].mean() if near else np.interp(i, there, values[there])
    return filled


def _known(rows: _Rows, k: int, begin: int, count: int, horizon: int, step: int) -> Floats:
    """Columns known ahead [count + horizon, K], the last of them of holidays; refuses those that do not reach so far.

    In steps that have no row they stay what they were.
    """
    first, last = rows.first[k] + begin, rows.first[k + 1]
    ns = rows.ns[first] + np.arange(count + horizon) * step
    holidays = rows.calendar.columns(ns)
    if not rows.columns:
        return holidays
    at = np.searchsorted(rows.ns[first:last], ns, side="right") - 1
    for name, column in zip(rows.columns, rows.known[first:last].T, strict=True):
        seen = np.flatnonzero(np.isfinite(column))
        until = int(rows.ns[first + seen[-1]]) if len(seen) else None
        if until is None or until < ns[-1]:
            given = f"is given up to {_iso(until)}" if until is not None else "has no number"
            raise _RefusedError(f"known column {name} {given}; it is needed up to {_iso(ns[-1])}, {horizon} "
                                f"{'step' if horizon == 1 else 'steps'} after the last value")
        if not np.isfinite(column[at]).all():
            hole = int(np.isnan(column[at]).argmax())
            raise _RefusedError(f"known column {name} has no number at {_iso(ns[hole])}; "
                                "numbers, or true and false, are needed in every row")
    return np.concatenate([rows.known[first:last][at], holidays], axis=1)


def _values(count: int) -> str:
    return "1 value is" if count == 1 else f"{count} values are"


def _steps_have(count: int) -> str:
    return "1 step has" if count == 1 else f"{count} steps have"


def _iso_at(begin: np.datetime64, step: np.timedelta64, i: int) -> str:
    return str((begin + i * step).astype("datetime64[s]")) + "Z"


def _iso(ns: int | np.int64) -> str:
    return str(np.datetime64(int(ns), "ns").astype("datetime64[s]")) + "Z"


def _minutes(step: np.timedelta64) -> str:
    return f"{step / np.timedelta64(1, 'm'):g}"
