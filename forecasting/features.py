"""What is known at an origin about a step ahead: one row a (series, origin, step), for models pooled over series.

A target is told as its difference from a base, in units of how much the series changes from day to day; so series of
any size can share one model. The base is what foretold the series best in the two weeks before the origin: the last
value seen at the same time of day, the median of seven of these, or the median of the last day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasting.history import Floats
from forecasting.jit import jit
from forecasting.panel import Ints, Panel

SAME_TIME, SAME_WEEKTIME = 7, 4
"""Days and weeks back at the same time that a row tells."""
NEAR = 2
"""Steps to either side of the same time a day and a week before."""
RECENT = np.array([1, 2, 3, 4, 6, 9, 12, 18, 24])
"""Steps before the origin of which the change against the day before is told, in 24ths of a day at least."""
WINDOW_WEEKS = 8
"""What a series is like is told of so many weeks before the origin."""
JUDGED_DAYS = 14
"""Bases are judged on so many days before the origin."""
SURE = 0.95
"""Another base than the last value at the same time must make less than this share of its errors."""
_LEAST_SCALE = 1e-3
"""A series that hardly changes from day to day counts as if it changed by this share of its mean."""

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows [P * S, F] for P (series, origin) pairs and S steps each, pair by pair.

    A target is `base` [P * S] + `scale` [P] x what a model says.
    """

    rows: Rows
    base: Floats
    scale: Floats


def make_table(panel: Panel, series: Ints, origin: Ints, steps: Ints) -> Table:
    """Features of `steps` [P, S] (1 is the step right after) seen from column `origin` [P] of `series` [P].

    Only values before the origin are read. Where a lag lies before the begin of a series the feature is NaN.
    """
    day, week = panel.seasons
    pairs, ahead = steps.shape
    recent = np.unique(np.maximum(1, RECENT * day // 24)) if day > 1 else RECENT[:4]
    width = count_features(len(recent), panel.known.shape[2])
    rows = np.empty((pairs * ahead, width), np.float32)
    base, scale = np.empty(pairs * ahead), np.empty(pairs)
    phase = panel.phase() - panel.columns
    _fill(panel.values, panel.first, phase, panel.known, series, origin, steps, day, week, recent.astype(np.int64),
          rows, base, scale)
    return Table(rows, base, scale)


def count_features(recent: int, known: int) -> int:
    """Columns of a row."""
    return 3 + SAME_TIME + 2 + 2 * SAME_WEEKTIME + 4 * NEAR + 2 * recent + 16 + 3 + 2 * known


@jit
def _at(row: Floats, first: int, i: int, end: int) -> float:
    """Value in column i, NaN before `first` and from `end` on."""
    return row[i] if first <= i < end else np.nan


@jit
def _mean(row: Floats, first: int, begin: int, end: int) -> float:
    """Mean of columns begin..end that are there; NaN where none is."""
    total, count = 0.0, 0
    for i in range(max(begin, first), end):
        total += row[i]
        count += 1
    return total / count if count else np.nan


@jit
def _mean_change(row: Floats, begin: int, end: int, lag: int) -> float:
    """Mean absolute difference over `lag` steps within begin..end; NaN where there is none."""
    total, count = 0.0, 0
    for i in range(begin + lag, end):
        total += abs(row[i] - row[i - lag])
        count += 1
    return total / count if count else np.nan


@jit
def _median(row: Floats, first: int, begin: int, end: int) -> float:
    """Median of columns begin..end that are there; NaN where none is."""
    begin = max(begin, first)
    return float(np.median(row[begin:end])) if end > begin else np.nan


@jit
def _same_time(row: Floats, first: int, t: int, day: int, end: int) -> float:
    """Median of the values at t and up to six days before it that lie before `end`; NaN where none does."""
    seen = np.empty(SAME_TIME)
    count = 0
    for j in range(SAME_TIME):
        value = _at(row, first, t - j * day, end)
        if value == value:
            at = count
            while at > 0 and seen[at - 1] > value:  # kept in order: far faster than a median of so few
                seen[at] = seen[at - 1]
                at -= 1
            seen[at] = value
            count += 1
    return 0.5 * (seen[(count - 1) // 2] + seen[count // 2]) if count else np.nan


@jit
def _judge(row: Floats, first: int, begin: int, end: int, day: int, usual: Floats) -> None:
    """Fill `usual` [L]: what the median of seven days said of the columns begin..end that have a day before them."""
    for t in range(max(begin, first + day), end):
        usual[t] = _same_time(row, first, t - day, day, t)


@jit
def _best_base(row: Floats, first: int, o: int, day: int, usual: Floats) -> int:
    """What foretold the days before column o best: 0 the day before, 1 the median of seven days (`usual` [L]), 2 that
    of the last.
    """
    errors = np.zeros(3)
    for d in range(1, JUDGED_DAYS + 1):
        if o - (d + 1) * day < first:
            break
        calm = _median(row, first, o - (d + 1) * day, o - d * day)
        for t in range(o - d * day, o - (d - 1) * day):
            errors[0] += abs(row[t] - row[t - day])
            errors[1] += abs(row[t] - usual[t])
            errors[2] += abs(row[t] - calm)
    if min(errors[1], errors[2]) >= SURE * errors[0]:
        return 0
    return 1 if errors[1] <= errors[2] else 2


@jit
def _fill(values: Floats, first: Ints, phase: Ints, known: Floats, series: Ints, origin: Ints, steps: Ints, day: int,
          week: int, recent: Ints, rows: Rows, base: Floats, scale: Floats) -> None:
    """Rows of all pairs: what concerns the step, then what is the same for all steps of a pair, then the calendar."""
    pairs, ahead = steps.shape
    same, usual, last = np.empty(2 * len(recent) + 16), np.empty(values.shape[1]), 0
    for p in range(pairs):
        row, o, begin = values[series[p]], origin[p], first[series[p]]
        if p == last:  # pairs that follow each other share what hangs on the series alone
            while last < pairs and series[last] == series[p]:
                last += 1
            least, most = int(origin[p:last].min()), int(origin[p:last].max())
            _judge(row, begin, least - JUDGED_DAYS * day, most, day, usual)
        scale[p] = _tell_series(row, begin, o, day, week, recent, same)
        last_day, calm = _mean(row, begin, o - day, o), _median(row, begin, o - day, o)
        kind = _best_base(row, begin, o, day, usual)
        for s in range(ahead):
            at, h = p * ahead + s, steps[p, s]
            x, t = rows[at], o + h - 1
            base[at], c = _tell_step(row, begin, o, h, day, week, scale[p], kind, calm, x)
            for i in range(len(same)):
                x[c + i] = same[i]
            c += len(same)
            x[c] = (last_day - base[at]) / scale[p]
            x[c + 1] = (calm - base[at]) / scale[p]
            x[c + 2] = (phase[series[p]] + t) % week if week > 1 else 0.0
            then = max(begin, t - (h + day - 1) // day * day)
            for i in range(known.shape[2]):  # what is known of the step, and how that differs from the last day's
                x[c + 3 + 2 * i] = known[series[p], t, i]
                x[c + 4 + 2 * i] = known[series[p], t, i] - known[series[p], then, i]


@jit
def _tell_step(row: Floats, begin: int, o: int, h: int, day: int, week: int, unit: float, kind: int, calm: float,
               x: Rows) -> tuple[float, int]:
    """Features of step h from origin o, of its times of the day and the week before; the base, and how many they are.
    """
    t, k, w = o + h - 1, (h + day - 1) // day, (h + week - 1) // week
    anchor = _at(row, begin, t - k * day, o)
    if anchor != anchor:  # NaN
        anchor = row[o - 1]
    usual = _same_time(row, begin, t - k * day, day, o)
    if usual != usual:
        usual = anchor
    base = anchor if kind == 0 else usual if kind == 1 else calm
    x[0], x[1], x[2] = h / day, k, kind
    c, total, count = 3, 0.0, 0
    for j in range(SAME_TIME):
        value = _at(row, begin, t - (k + j) * day, o)
        x[c] = (value - base) / unit
        c += 1
        if value == value:
            total += value
            count += 1
    x[c] = (total / count - base) / unit if count else np.nan
    x[c + 1] = (usual - base) / unit
    c += 2
    total, count = 0.0, 0
    for j in range(SAME_WEEKTIME):
        value = _at(row, begin, t - (w + j) * week, o)
        x[c] = (value - base) / unit
        c += 1
        if value == value:
            total += value
            count += 1
    x[c] = (total / count - base) / unit if count else np.nan
    c += 1
    for j in range(SAME_WEEKTIME - 1):  # what the same span brought in past weeks
        then = t - (w + j) * week
        x[c] = (_at(row, begin, then, o) - _at(row, begin, then - k * day, o)) / unit
        c += 1
    weekly = _at(row, begin, t - w * week, o)
    for d in range(1, NEAR + 1):
        x[c] = (_at(row, begin, t - k * day - d, o) - anchor) / unit
        x[c + 1] = (_at(row, begin, t - k * day + d, o) - anchor) / unit
        x[c + 2] = (_at(row, begin, t - w * week - d, o) - weekly) / unit
        x[c + 3] = (_at(row, begin, t - w * week + d, o) - weekly) / unit
        c += 4
    return base, c


@jit
def _tell_series(row: Floats, begin: int, o: int, day: int, week: int, recent: Ints, x: Floats) -> float:
    """What is the same for all steps from origin o: news against the day and the week before, and what the series is
    like; its scale.
    """
    start = max(begin, o - WINDOW_WEEKS * max(week, 7))
    mean = _mean(row, begin, start, o)
    spread, zeros, least, most = 0.0, 0, np.inf, -np.inf
    for i in range(start, o):
        spread += (row[i] - mean) ** 2
        zeros += row[i] == 0.0
        least, most = min(least, row[i]), max(most, row[i])
    spread = np.sqrt(spread / max(1, o - start))
    by_day = _mean_change(row, start, o, day)
    unit = max(by_day if by_day == by_day else spread, _LEAST_SCALE * abs(mean), 1e-12)
    c = 0
    for j in range(len(recent)):
        seen = row[o - recent[j]] if o - recent[j] >= begin else np.nan
        x[c] = (seen - _at(row, begin, o - recent[j] - day, o)) / unit
        x[c + 1] = (seen - _at(row, begin, o - recent[j] - week, o)) / unit
        c += 2
    last_day, last_week = _mean(row, begin, o - day, o), _mean(row, begin, o - week, o)
    eighth = max(1, day // 8)
    x[c] = (_mean(row, begin, o - eighth, o) - _mean(row, begin, o - eighth - day, o - day)) / unit
    x[c + 1] = (last_day - _mean(row, begin, o - 2 * day, o - day)) / unit
    x[c + 2] = (last_day - _mean(row, begin, o - week - day, o - week)) / unit
    x[c + 3] = (last_week - _mean(row, begin, o - 2 * week, o - week)) / unit
    x[c + 4] = (_mean(row, begin, o - 2 * eighth, o) - _mean(row, begin, o - 2 * eighth - week, o - week)) / unit
    x[c + 5] = (row[o - 1] - last_day) / unit
    x[c + 6] = (mean - last_week) / unit
    x[c + 7] = min(o - begin, WINDOW_WEEKS * week) / week
    x[c + 8] = _mean_change(row, start, o, week) / unit
    x[c + 9] = _mean_change(row, start, o, 1) / unit
    x[c + 10] = mean / unit
    x[c + 11] = spread / unit
    x[c + 12] = (mean - least) / unit
    x[c + 13] = (most - mean) / unit
    x[c + 14] = zeros / max(1, o - start)
    x[c + 15] = mean / max(spread, 1e-12)
    return unit
