"""Requests served at once, against the same time yesterday, last week and last year, in ratios.

What is unlike all of them is news; what is like one of them has been seen: a Monday is unlike the Sunday before,
Christmas unlike last week. Last year is 364 days ago, the same weekday.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diagnostics.detectors import DetectorSettings, Scores
from diagnostics.detectors.calm import Floats, judge
from diagnostics.workloads.contract import refuse

DAYS_AGO = (1, 7, 364)


def detect(values: Floats, settings: DetectorSettings) -> Scores:
    """Score concurrency [series, steps] by the least surprising of what is known of the three; last week must be known.

    `expected` is the value that it is the likeliest by. Raises ValueError for values below 0.
    """
    refuse(values, values < 0, "concurrency", "a count, 0 or more")
    logs = np.log1p(values)
    best: Scores | None = None
    week_known = np.zeros(values.shape, dtype=bool)
    for days in DAYS_AGO:
        expected = np.full_like(logs, np.nan)
        back = days * settings.steps_per_day
        expected[:, back:] = logs[:, : max(logs.shape[1] - back, 0)]
        scores = judge(logs - expected, expected, settings)
        if days == 7:
            week_known = np.isfinite(scores.p)
        best = scores if best is None else _likelier(best, scores)
    if best is None:
        raise ValueError("DAYS_AGO: there is nothing to compare with")
    blank = ~week_known
    expected, z, p = (np.where(blank, np.nan, one) for one in (np.expm1(best.expected), best.z, best.p))
    return replace(best, expected=expected, z=z, p=p, alarm=p < settings.chance_per_step)


def _likelier(one: Scores, other: Scores) -> Scores:
    """At every step the scores with the larger chance; those that are known where only one is."""
    take = np.isfinite(other.p) & ~(one.p >= other.p)
    expected, z, p = (np.where(take, b, a) for a, b in (
        (one.expected, other.expected), (one.z, other.z), (one.p, other.p)))
    def limit(chance: Floats) -> Floats:
        return np.fmax(one.limit(chance), other.limit(chance))

    needs_days = max(one.needs_days, other.needs_days)
    return Scores(expected, z, p, np.where(take, other.alarm, one.alarm), needs_days, limit)
