"""Fall of a model's precision while it trains, batch by batch, so that nobody waits for the whole retraining.

The mean log-odds of the last four batches against the median of the batches before them, over eight weeks at most.
Only falls are news: a model that gets better needs no alarm. (Log-odds: from 0.99 to 0.98 errors double, as from 0.9
to 0.8.)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diagnostics.detectors import DetectorSettings, Scores
from diagnostics.detectors.calm import WEEKS, Floats, judge, median
from diagnostics.workloads.contract import refuse

LAST = 4
LEAST_SHARE = 1e-4
"""Precision is cut to this much off 0 and 1, where log-odds have no end."""


def detect(values: Floats, settings: DetectorSettings) -> Scores:
    """Score precision [series, batches], each a share. Raises ValueError for what is none."""
    refuse(values, (values < 0) | (values > 1), "precision", "a share, 0 to 1")
    share = np.clip(values, LEAST_SHARE, 1 - LEAST_SHARE)
    odds = np.log(share / (1 - share))
    expected = _usual(odds, settings.steps_per_day)
    error = _mean_of_last(odds) - expected
    error[np.isnan(values)] = np.nan
    scores = judge(error, expected, settings)
    fell = scores.z < 0
    p = np.where(fell | np.isnan(scores.p), scores.p, 1.0)
    return replace(scores, expected=1 / (1 + np.exp(-expected)), p=p, alarm=scores.alarm & fell)


def _mean_of_last(odds: Floats) -> Floats:
    """Mean of what is known of the last batches, this one included: [series, batches]."""
    padded = np.hstack([np.full((len(odds), LAST), np.nan), odds])
    windows = np.lib.stride_tricks.sliding_window_view(padded, LAST, axis=1)[:, 1:]
    known = np.isfinite(windows)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, windows, 0.0).sum(axis=2) / known.sum(axis=2))


def _usual(odds: Floats, day: int) -> Floats:
    """Median of eight weeks of batches before the last ones, looked up anew every day: [series, batches]."""
    usual = np.full_like(odds, np.nan)
    for begin in range(day, odds.shape[1], day):
        past = odds[:, max(0, begin - 7 * WEEKS * day) : begin - LAST + 1]
        if past.shape[1]:
            usual[:, begin : begin + day] = median(past)[:, None]
    return usual
