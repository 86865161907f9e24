"""Series too short to be forecast by themselves: their level is their own, shape and spread those of similar series.

Forecasting by analogues: of all stretches of longer series that end at the same time of the week (or day), those are
taken whose shape is most like what the young series has shown; what followed each, for its mean, is what may follow.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forecasting.combining import combine, learn_weights
from forecasting.conformal import Calibration, calibrate
from forecasting.history import Floats
from forecasting.panel import LEVELS, Ints, Panel

YOUNG = "similar"
"""What forecasts of it are named."""
FEWEST_TEACHERS, FEWEST_ALIKE = 10, 5
"""Longer series that must be there, and those of them that a stretch must come from: of fewer nobody can say that a new
one is like them.
"""
MOST_TEACHERS, MOST_PUPILS, NEAREST, MOST_STRETCHES = 400, 200, 60, 3000
"""Longer series that are borrowed from, those that it is tried out on, stretches that say what may follow, and those
that are compared.
"""


def teachers(panel: Panel, seed: int) -> Panel:
    """The series that others may borrow from: all, or some drawn by the seed where there are many."""
    if len(panel) <= MOST_TEACHERS:
        return panel
    return panel.pick(np.sort(np.random.default_rng(seed).choice(len(panel), MOST_TEACHERS, replace=False)))


def borrow(old: Panel, young: Panel, horizon: int, levels: Floats, seed: int) -> tuple[Floats, Ints]:
    """Quantiles [N, H, Q] at rising `levels` [Q] of young series, from a panel of longer ones of the same step; NaN
    where these are too few. And the row [N] of the longer series that each is most like: its errors stand for its own.

    What others were like is averaged with what the series itself has shown, by a weight that is learned, with the
    calibration, on half of the longer series: cut off to be as young, and told from the other half. What is said of a
    series does not hang on the other young ones.
    """
    said, likest = np.full((len(young), horizon, len(levels)), np.nan), np.zeros(len(young), np.int64)
    for points in np.unique(young.count).tolist():
        rows = np.flatnonzero(young.count == points)
        learned = _learn(old, points, horizon, levels, seed)
        if learned is not None:
            some, (weights, calibration) = young.pick(rows), learned
            both, likest[rows] = _both(old, some, horizon, seed)
            some = replace(some, values=some.values[:, -points:])
            said[rows] = calibration.quantiles(combine(both, np.tile(weights, (len(rows), 1))), *some.units())
    return said, likest


def _learn(old: Panel, points: int, horizon: int, levels: Floats, seed: int) -> tuple[Floats, Calibration] | None:
    """Weights [2] of own and borrowed quantiles, and their calibration, for series of so many points; None where too
    few longer ones are there to tell.
    """
    then = old.before(horizon)
    then = then.pick(np.flatnonzero(then.count >= points))
    mixed_up = np.random.default_rng(seed).permutation(len(then))  # names in turn may be kinds in turn
    pupils = then.pick(np.sort(mixed_up[: len(then) // 2][:MOST_PUPILS]))
    if len(old) < FEWEST_TEACHERS or len(pupils) < FEWEST_ALIKE:
        return None
    pupils = replace(pupils, values=pupils.values[:, -points:], count=np.full(len(pupils), points))
    at = {name: i for i, name in enumerate(old.ids)}
    truth = old.values[[at[name] for name in pupils.ids], old.columns - horizon :][None]
    unit, level = pupils.units()
    both, _ = _both(then.pick(np.sort(mixed_up[len(then) // 2 :])), pupils, horizon, seed)
    size = np.maximum(level, 1e-3 * float(level.mean()) + 1e-12)
    weights = learn_weights(truth, both[:, None], np.array(LEVELS), size)
    calibration = calibrate(truth, combine(both, weights)[None], levels, unit, level)
    return weights.mean(axis=0), calibration


def _both(old: Panel, young: Panel, horizon: int, seed: int) -> tuple[Floats, Ints]:
    """The quantiles `LEVELS` [2, N, H, 3] of what young series have shown, and of what followed stretches like them
    (NaN where there are too few); and the row of the likest [N].
    """
    said = np.full((2, len(young), horizon, len(LEVELS)), np.nan)
    nearest = np.zeros(len(young), np.int64)
    for i in range(len(young)):
        past = young.values[i, young.first[i] :]
        said[0, i] = np.quantile(past, LEVELS)
        series, origin = _stretches(old, len(past), horizon, int(young.phase()[i]), seed)
        before = old.values[series[:, None], origin[:, None] + np.arange(-len(past), 0)]
        mean = before.mean(axis=1)
        able = mean > 0
        series, origin, before, mean = series[able], origin[able], before[able], mean[able]
        if len(np.unique(series)) < FEWEST_ALIKE or past.mean() <= 0:
            continue
        far = np.sqrt(((before / mean[:, None] - past / past.mean()) ** 2).mean(axis=1))
        near = np.argsort(far, kind="stable")[:NEAREST]
        nearest[i] = series[near[0]]
        after = old.values[series[near][:, None], origin[near][:, None] + np.arange(horizon)] / mean[near, None]
        width = max(float(far[near[-1]]), 1e-12)
        said[1, i] = past.mean() * _quantiles(after, np.exp(-((far[near] / width) ** 2)), np.array(LEVELS))
    return said, nearest


def _stretches(old: Panel, points: int, horizon: int, phase: int, seed: int) -> tuple[Ints, Ints]:
    """Series and columns that `points` lie before and `horizon` steps after, at the same time of the week as `phase`
    where there are enough, else of the day.
    """
    day, week = old.seasons
    first, last = old.first + points, old.columns - horizon
    for season in (week, day):
        start = first + (phase - (old.phase() - old.columns + first)) % season
        count = np.maximum((last - start) // season + 1, 0)
        if count.sum() >= NEAREST and (count > 0).sum() >= FEWEST_ALIKE:
            break
    series = np.repeat(np.arange(len(old)), count)
    step = np.arange(len(series)) - np.repeat(np.cumsum(count) - count, count)
    origin = start[series] + step * season
    if len(series) > MOST_STRETCHES:
        kept = np.sort(np.random.default_rng(seed).choice(len(series), MOST_STRETCHES, replace=False))
        series, origin = series[kept], origin[kept]
    return series.astype(np.int64), origin.astype(np.int64)


def _quantiles(values: Floats, weight: Floats, levels: Floats) -> Floats:
    """Quantiles [H, Q] of values [K, H] that count by weight [K], straight between the middles of their shares."""
    order = np.argsort(values, axis=0)
    ordered, share = np.take_along_axis(values, order, axis=0), (weight / weight.sum())[order]
    middle = np.cumsum(share, axis=0) - share / 2
    return np.stack([np.interp(levels, middle[:, h], ordered[:, h]) for h in range(values.shape[1])])
