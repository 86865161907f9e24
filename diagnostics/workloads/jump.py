"""Jump or drop of a feature from batch to batch: how far a batch is from the median of the five before it."""

from __future__ import annotations

import numpy as np

from diagnostics.detectors import DetectorSettings, Scores
from diagnostics.detectors.calm import Floats, judge, median

BATCHES = 5


def detect(values: Floats, settings: DetectorSettings) -> Scores:
    """Score a statistic of a feature (a mean, a share of nulls) over batches [series, batches].

    A level that moves for good alarms while it is news, for about three batches.
    """
    rows, batches = values.shape
    padded = np.hstack([np.full((rows, BATCHES), np.nan), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded, BATCHES, axis=1)[:, :batches]
    expected = median(windows.transpose(0, 2, 1))
    return judge(values - expected, expected, settings)
