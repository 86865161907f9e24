"""Who says when a limit is passed: our own paths, and what is usual. Each takes cases of one cut together.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.capacity_data import HOURS, Case
from benchmarks.forecasting_data import Floats
from forecasting import History
from forecasting.exhaustion import date_quantiles, first_passage, peak_paths
from forecasting.panel import make_panel


@dataclass(frozen=True, slots=True)
class Said:
    """Hours by which the limit is passed with a chance of 0.1, 0.5 and 0.9.

    `chance`, of methods with paths: that it is passed before the hour in which it really was, and by then; where it
    never was, by the end of the horizon (twice). `by_end` is the chance that it is passed by the end of the horizon.
    """

    hours: tuple[float, ...]
    chance: tuple[float, float] | None = None
    by_end: float | None = None


LEVELS = (0.1, 0.5, 0.9)
PATHS = 400
Z80 = 1.2815515594465726
"""Half width of an 80 % interval in standard deviations."""
START = np.datetime64("2026-01-05T00:00:00", "ns")


def planner(cases: Sequence[Case], seed: int) -> list[Said]:
    """Our own: first passage on sample paths."""
    def said(paths: Floats, case: Case) -> Said:
        steps = first_passage(paths, case.limit)
        by = float((steps <= (case.reached or len(case.ahead))).mean())
        chance = (float((steps < case.reached).mean()), by) if case.reached else (by, by)
        return Said(tuple(date_quantiles(steps, LEVELS)), chance, float(np.isfinite(steps).mean()))
    return _by_series(cases, seed, said)


def marginal(cases: Sequence[Case], seed: int) -> list[Said]:
    """Where the quantiles of each hour, of the same paths, pass the limit."""
    def said(paths: Floats, case: Case) -> Said:
        upper = np.quantile(paths, [0.9, 0.5, 0.1], axis=0)
        return Said(tuple(first_passage(upper, case.limit)))
    return _by_series(cases, seed, said)


def _by_series(cases: Sequence[Case], seed: int, said: Callable[[Floats, Case], Said]) -> list[Said]:
    names = list(dict.fromkeys(case.series for case in cases))
    first = {case.series: case for case in cases}
    hour = np.timedelta64(1, "h")
    panel = make_panel([History(name, START, hour, first[name].past) for name in names])
    paths = np.concatenate(list(peak_paths(panel, len(cases[0].ahead), PATHS, seed)), axis=2)
    return [said(paths[names.index(case.series)], case) for case in cases]


def regression(cases: Sequence[Case], seed: int) -> list[Said]:  # noqa: ARG001
    """A straight line through daily peaks, with its 80 % prediction interval."""
    out = []
    for case in cases:
        peaks = case.past.reshape(-1, HOURS).max(axis=1)
        x, days = np.arange(len(peaks)), len(case.ahead) // HOURS
        slope, level = np.polyfit(x, peaks, 1)
        off = peaks - level - slope * x
        sigma = np.sqrt((off**2).sum() / max(1, len(peaks) - 2))
        ahead = len(peaks) + np.arange(days)
        spread = sigma * np.sqrt(1 + 1 / len(x) + (ahead - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
        out.append(_bands(level + slope * ahead, spread, case.limit))
    return out


def holt(cases: Sequence[Case], seed: int) -> list[Said]:  # noqa: ARG001
    """Holt's linear trend of daily peaks (statsmodels), with the intervals of Hyndman et al. (2008, class 1)."""
    from statsmodels.tsa.holtwinters import Holt

    out, fits = [], {}
    for case in cases:
        peaks = case.past.reshape(-1, HOURS).max(axis=1)
        days = len(case.ahead) // HOURS
        if case.series not in fits:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = Holt(peaks, initialization_method="estimated").fit()
            alpha, beta = found.params["smoothing_level"], found.params["smoothing_trend"]
            grown = np.concatenate(([0.0], np.cumsum((alpha + alpha * beta * np.arange(1, days)) ** 2)))
            sigma = np.sqrt((found.resid**2).sum() / max(1, len(peaks) - 2))
            fits[case.series] = (np.asarray(found.forecast(days)), sigma * np.sqrt(1 + grown))
        out.append(_bands(*fits[case.series], case.limit))
    return out


def _bands(mean: Floats, spread: Floats, limit: float) -> Said:
    """When upper edge, middle and lower edge of daily peaks pass the limit: from the begin of a day to its end."""
    edges = np.stack([mean + Z80 * spread, mean, mean - Z80 * spread])
    day = first_passage(edges, limit)
    hour = np.array([1.0, HOURS / 2, HOURS])
    return Said(tuple(np.where(np.isfinite(day), (day - 1) * HOURS + hour, np.inf)))


METHODS: dict[str, Callable[[Sequence[Case], int], list[Said]]] = {
    "planner": planner, "marginal-quantiles": marginal, "linear-regression": regression, "holt": holt}
