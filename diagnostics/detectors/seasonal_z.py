"""Robust z against the same hour of earlier weeks, with its chance measured rather than assumed (`calm`).

The expected value is the median of the same step of up to eight earlier weeks.
"""

from __future__ import annotations

import numpy as np

from diagnostics.detectors.calm import WEEKS, Floats, judge, median
from diagnostics.detectors.contract import DetectorSettings, Scores


def detect(values: Floats, settings: DetectorSettings) -> Scores:
    """Score every step against earlier weeks only. `values` is [series, steps]."""
    expected = seasonal_median(values, 7 * settings.steps_per_day)
    # Smaller with every week the median rests on: the past never flatters the present.
    return judge(values - expected, expected, settings)


def seasonal_median(values: Floats, week: int) -> Floats:
    """Median of the same step of the weeks before, NaN where none had a value: [series, steps]."""
    rows, steps = values.shape
    weeks = -(-steps // week)
    padded = np.full((rows, weeks * week), np.nan)
    padded[:, :steps] = values
    by_week = padded.reshape(rows, weeks, week)
    expected = np.full_like(by_week, np.nan)
    for number in range(1, weeks):
        expected[:, number] = median(by_week[:, max(0, number - WEEKS) : number])
    return expected.reshape(rows, -1)[:, :steps]
