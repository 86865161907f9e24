"""Two months as counts over cells of equal mass, and how far apart they lie by chance.

What counts as far is a distance between two rows of counts, one file each. Its null comes from exchanging days between
the months, whole days of the same weekday (a stratified block permutation), so daily and weekly rhythm and dependence
within a day are part of it and raise no verdict. Where the level of a day follows that of the day before by `r`, months
hold fewer independent days than they have: the null is widened by the variance inflation of a mean under first-order
autocorrelation, (1 + r) / (1 - r).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagnostics.drift.contract import DriftSettings, Verdict, Windows

Floats = npt.NDArray[np.float64]
Choices = npt.NDArray[np.bool_]

_FIRST_DRAWS = 999
_DRAWS_PER_CHANCE = 20
_TIE = 1e-12
_LEAST_PAIRS = 10
_SURE = 1.65
"""Correlations under so many standard errors are taken for none: by chance one in twenty is not."""
_MOST_CORRELATED = 0.95
_NEARLY_ALL = 0.9
"""Of the variance of a month's levels: a wandering level hardly ever looks so much like one step or slope."""


@dataclass(frozen=True)
class Distance:
    """`between` takes counts of the recent and the earlier days [choices, cells] and the mean value of each cell
    [cells], and gives one distance a choice. Distances under `smallest` are never called drift, however certain.
    `power` says how a distance grows with the difference of the counts: 1 in proportion, 2 with its square.
    """

    between: Callable[[Floats, Floats, Floats], Floats]
    cells: int
    smallest: float
    power: int


def compare(windows: Windows, settings: DriftSettings, distance: Distance) -> tuple[Verdict, ...]:
    """Compare the recent days with the earlier ones, series by series.

    Distances too small to matter get their chance from 999 exchanges; the others from as many as it takes to see 20
    at or above the threshold.
    """
    few = _exchanges(windows, settings.seed, _FIRST_DRAWS)
    many: Choices | None = None
    verdicts = []
    for days in windows.days:
        counts, level = _counts(days, distance.cells)
        observed = float(_apart(distance, counts, level, windows.recent[None, :])[0])
        if observed >= distance.smallest and many is None:
            draws = max(_FIRST_DRAWS, int(np.ceil(_DRAWS_PER_CHANCE / settings.false_drift_chance)) - 1)
            many = _exchanges(windows, settings.seed, draws)
        null = _apart(distance, counts, level, few if observed < distance.smallest or many is None else many)
        null *= _inflation(days, windows) ** (distance.power / 2)
        verdicts.append(_verdict(observed, null, settings.false_drift_chance, distance.smallest))
    return tuple(verdicts)


def _apart(distance: Distance, counts: Floats, level: Floats, recent: Choices) -> Floats:
    """The distance for every choice of recent days [choices, days]: one matrix product."""
    now = recent.astype(np.float64) @ counts
    return distance.between(now, counts.sum(axis=0) - now, level)


def _verdict(observed: float, null: Floats, chance: float, smallest: float) -> Verdict:
    """Set an observed distance against those of exchanged days."""
    p = (1 + int((null >= observed - _TIE).sum())) / (1 + len(null))
    # The k-th largest of the null, so that at most the stated share of calm months is at or above it.
    allowed = max(1, int(chance * (1 + len(null))))
    threshold = max(float(np.sort(null)[-allowed]), smallest)
    return Verdict(observed, threshold, p, p <= chance and observed >= smallest)


def _counts(days: Floats, cells: int) -> tuple[Floats, Floats]:
    """How many values of each day are in each of `cells` cells of equal mass [days, cells], and the mean of each."""
    known = np.isfinite(days)
    values = days[known]
    if not len(values):
        return np.zeros((len(days), cells)), np.zeros(cells)
    edges = np.quantile(values, np.arange(1, cells) / cells)
    cell = np.searchsorted(edges, values, side="right")
    flat = np.bincount(np.nonzero(known)[0] * cells + cell, minlength=len(days) * cells)
    order = np.lexsort((values, cell))  # sums in one order, whatever the order of days
    sums = np.bincount(cell[order], values[order], minlength=cells)
    sizes = np.bincount(cell, minlength=cells)
    full = sizes > 0
    level = np.interp(np.arange(cells), np.flatnonzero(full), sums[full] / sizes[full])
    return flat.reshape(len(days), cells).astype(np.float64), level


def _inflation(days: Floats, windows: Windows) -> float:
    """How many times wider the variance of a month's mean is than that of as many independent days.

    The level of a day is its mean less that of its weekday in its own month, so that neither the rhythm of weeks nor a
    change between the months looks like dependence.
    """
    measured = np.isfinite(days).any(axis=1)
    level = np.full(len(days), np.nan)
    level[measured] = np.nanmean(days[measured], axis=1)
    for recent in (False, True):
        for weekday in np.unique(windows.weekday):
            at = (windows.recent == recent) & (windows.weekday == weekday)
            level[at] -= level[at & measured].mean() if (at & measured).any() else 0.0
        _take_shape_off(level, windows, recent)
    before, after = level[:-1], level[1:]
    pairs = np.isfinite(before) & np.isfinite(after) & (windows.recent[:-1] == windows.recent[1:])
    power = float(np.sqrt((before[pairs] ** 2).sum() * (after[pairs] ** 2).sum()))
    if pairs.sum() < _LEAST_PAIRS or not power > 0:
        return 1.0
    follows = float((before[pairs] * after[pairs]).sum()) / power
    if follows < _SURE / np.sqrt(pairs.sum()):
        return 1.0
    # Means of a weekday that were taken off took dependence with them: the usual correction for short series.
    follows = min(_MOST_CORRELATED, follows + (1 + 3 * follows) / (pairs.sum() / 2))
    return float((1 + follows) / (1 - follows))


def _take_shape_off(level: Floats, windows: Windows, recent: bool) -> None:
    """Take a step or a slope off the levels of a month [days], in place, where it is nearly all that there is: days
    follow each other then because something changed, and not because the level wanders.
    """
    month = np.flatnonzero(windows.recent == recent)
    known = month[np.isfinite(level[month])]
    if len(known) < 2 * _LEAST_PAIRS:
        return
    weekday = windows.weekday[known]
    at = np.arange(len(known), dtype=np.float64)
    shapes = np.array([at, *(at >= begin for begin in range(3, len(known) - 2))], dtype=np.float64)
    for day in np.unique(weekday):  # as the levels are: without the mean of their weekday
        shapes[:, weekday == day] -= shapes[:, weekday == day].mean(axis=1, keepdims=True)
    total, size = float((level[known] ** 2).sum()), (shapes**2).sum(axis=1)
    told = np.where(size > 0, (shapes @ level[known]) ** 2 / np.maximum(size, np.finfo(np.float64).tiny), 0.0)
    best = int(told.argmax())
    if told[best] > _NEARLY_ALL * total > 0:
        level[known] -= shapes[best] * (shapes[best] @ level[known]) / size[best]


def _exchanges(windows: Windows, seed: int, draws: int) -> Choices:
    """Other choices of the recent days, as many per weekday as there really are: [draws, days]."""
    generator = np.random.default_rng(seed)
    recent = np.zeros((draws, len(windows.recent)), dtype=bool)
    for weekday in np.unique(windows.weekday):
        members = np.flatnonzero(windows.weekday == weekday)
        rank = generator.random((draws, len(members))).argsort(axis=1)
        recent[:, members] = rank < windows.recent[members].sum()
    return recent


def shares(counts: Floats) -> Floats:
    """Counts [choices, cells] as shares; half a value more in each (Krichevsky-Trofimov) for logarithms."""
    more = counts + 0.5
    return np.asarray(more / more.sum(axis=1, keepdims=True))


def distribution_gap(now: Floats, before: Floats) -> Floats:
    """Difference of the distribution functions after each cell but the last: [choices, cells - 1]."""
    gap = now.cumsum(axis=1) / np.maximum(now.sum(axis=1, keepdims=True), 1)
    gap -= before.cumsum(axis=1) / np.maximum(before.sum(axis=1, keepdims=True), 1)
    return np.asarray(gap[:, :-1])
