"""Drift of recorded telemetry: every month of four weeks against the one before, and what a drift looks like in time.

A drift is a step (an update, a move, a new customer: something happened at a moment) or a slope (it gets worse day by
day: wear, a store that fills up), whichever leaves less of the medians of days unexplained, each fitted to its best
begin. Only two months are looked at, so the begin is a day at best.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from diagnostics.drift import DRIFT_TESTS, DriftSettings, Verdict, Windows
from diagnostics.telemetry import Series, Telemetry
from diagnostics.words import named

Floats = npt.NDArray[np.float64]
Cause = Literal["update", "degradation"]

MONTH_DAYS = 28
"""Four weeks, so that every weekday counts equally often."""
MOST_MONTHS = 12
LEAST_SIDE = 3
"""Days that a step has on either side."""
_CAUSES: dict[Cause, str] = {
    "update": "at once on {day}: an update, a move or a new load",
    "degradation": "day by day since {day}: wear, or something that fills up",
}


@dataclass(frozen=True)
class Month:
    """One month from `start` (UTC) against the month before it."""

    start: str
    drifted: bool
    statistic: float
    threshold: float
    p: float


@dataclass(frozen=True)
class Drift:
    """One metric, this month against the month before; the figures are null where there is too little history.

    `months` are all months that have one before them, this one last; `cause` and `began` are what a drift looks like.
    """

    cluster: str
    hardware_class: str
    metric: str
    drifted: bool
    statistic: float | None
    threshold: float | None
    p: float | None
    sentence: str
    workload: str = ""
    months: tuple[Month, ...] = ()
    cause: Cause | None = None
    began: str | None = None
    device: str = ""

    @property
    def name(self) -> str:
        """The metric, and whose it is."""
        return named(self.metric, self.workload, self.device)


@dataclass(frozen=True)
class DriftBudget:
    """The test, and how often a cluster may be said to drift in a calm month."""

    test: str = "kl_monthly"
    false_drifts_per_month: float = 0.01
    seed: int = 0


def drifts_of(telemetry: Telemetry, budget: DriftBudget, most_months: int = MOST_MONTHS) -> list[Drift]:
    """One verdict a series on the last two months of whole days, with the months before, as far as there are any."""
    whole = telemetry.values.shape[1] // telemetry.steps_per_day
    pairs = min(most_months, whole // MONTH_DAYS - 1)
    if pairs < 1:
        return [_no_verdict(series, f"{whole} days are here") for series in telemetry.series]
    months: list[list[Month]] = [[] for _ in telemetry.series]
    last: list[Verdict | None] = [None] * len(telemetry.series)
    for back in reversed(range(pairs)):
        last = _compared(telemetry, budget, back)
        for row, verdict in enumerate(last):
            if verdict is not None:
                months[row].append(_month(telemetry, back, verdict))
    return [_no_verdict(series, "one of them is less than half known") if verdict is None
            else _drift(telemetry, row, verdict, budget.test, tuple(months[row]))
            for row, (series, verdict) in enumerate(zip(telemetry.series, last, strict=True))]


def _days(telemetry: Telemetry, back: int) -> Floats:
    """Two months of days, the last `back` months left out: [series, days, steps]."""
    day, steps = telemetry.steps_per_day, telemetry.values.shape[1]
    end = steps - back * MONTH_DAYS * day
    return telemetry.values[:, end - 2 * MONTH_DAYS * day : end].reshape(-1, 2 * MONTH_DAYS, day)


def _compared(telemetry: Telemetry, budget: DriftBudget, back: int) -> list[Verdict | None]:
    """Verdicts on a month against the one before; None where one of them is less than half known."""
    tail = _days(telemetry, back)
    recent = np.arange(2 * MONTH_DAYS) >= MONTH_DAYS
    tests = Counter(series.cluster for series in telemetry.series)
    found: list[Verdict | None] = [None] * len(telemetry.series)
    parts: dict[int, list[int]] = {}
    for row, series in enumerate(telemetry.series):
        if _half_known(tail[row], recent):
            parts.setdefault(tests[series.cluster], []).append(row)
    for count, rows in parts.items():
        settings = DriftSettings(budget.false_drifts_per_month / count, budget.seed)
        windows = Windows(tail[rows], recent, np.arange(2 * MONTH_DAYS) % 7)
        for row, verdict in zip(rows, DRIFT_TESTS[budget.test](windows, settings), strict=True):
            found[row] = verdict
    return found


def _half_known(days: Floats, recent: npt.NDArray[np.bool_]) -> bool:
    """Whether at least half of each month was measured."""
    known = np.isfinite(days)
    return bool(known[recent].mean() >= 0.5 and known[~recent].mean() >= 0.5)


def _month(telemetry: Telemetry, back: int, verdict: Verdict) -> Month:
    start = telemetry.values.shape[1] - (back + 1) * MONTH_DAYS * telemetry.steps_per_day
    return Month(telemetry.when(start), verdict.drifted, verdict.statistic, verdict.threshold, verdict.p)


def _no_verdict(series: Series, why: str) -> Drift:
    """Say why a series has no verdict."""
    sentence = f"no verdict yet on {series.name}: two months of {MONTH_DAYS} days are compared, {why}"
    return Drift(*series[:3], drifted=False, statistic=None, threshold=None, p=None, sentence=sentence,
                 workload=series.workload, device=series.device)


def _drift(telemetry: Telemetry, row: int, verdict: Verdict, test: str, months: Sequence[Month]) -> Drift:
    """A verdict in words."""
    series = telemetry.series[row]
    what, side = ("drifted", "at or above") if verdict.drifted else ("did not drift", "below")
    sentence = (f"{series.name} {what}: {test} {verdict.statistic:.3g} is {side} its threshold {verdict.threshold:.3g}"
                f" (chance {verdict.p:.1g})")
    cause: Cause | None = None
    began = None
    if verdict.drifted:
        tail = _days(telemetry, 0)[row]
        cause, day = shape_of(np.array([np.median(one[np.isfinite(one)]) if np.isfinite(one).any() else np.nan
                                        for one in tail]))
        first = telemetry.values.shape[1] - tail.size
        began = telemetry.when(first + day * telemetry.steps_per_day)
        sentence += f", {_CAUSES[cause].format(day=began[:10])}"
    return Drift(*series[:3], verdict.drifted, verdict.statistic, verdict.threshold, verdict.p, sentence,
                 series.workload, tuple(months), cause, began, series.device)


def shape_of(days: Floats) -> tuple[Cause, int]:
    """What medians of days look like, NaN where nothing is known: a step or a slope, and the day that it begins on.

    A line that is flat and then rises or falls, against a level and then another: both have three numbers, and the one
    that leaves the smaller sum of absolute errors is it (absolute, so that a bad day decides nothing).
    """
    at = np.arange(len(days))
    known = np.isfinite(days)
    best: tuple[float, Cause, int] = (np.inf, "update", len(days) // 2)
    for begin in range(LEAST_SIDE, len(days) - LEAST_SIDE):
        before, after = known & (at < begin), known & (at >= begin)
        if before.sum() < LEAST_SIDE or after.sum() < LEAST_SIDE:
            continue
        level = np.median(days[before])
        left = np.abs(days[before] - level).sum()
        step = left + np.abs(days[after] - np.median(days[after])).sum()
        run = at[after] - begin + 1.0
        rise = np.median((days[after] - level) / run)
        slope = left + np.abs(days[after] - level - rise * run).sum()
        best = min(best, (float(step), "update", begin), (float(slope), "degradation", begin))
    return best[1], best[2]
