"""Rows of ETL runs against the same run of earlier weeks, in ratios: half the rows are as far off as twice the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diagnostics.detectors import DetectorSettings, Scores
from diagnostics.detectors.calm import Floats, judge
from diagnostics.detectors.seasonal_z import seasonal_median
from diagnostics.workloads.contract import refuse


def detect(values: Floats, settings: DetectorSettings) -> Scores:
    """Score counts of rows [series, runs]; none where some should be is an error like any. Raises ValueError."""
    refuse(values, values < 0, "rows", "a count, 0 or more")
    logs = np.log1p(values)
    expected = seasonal_median(logs, 7 * settings.steps_per_day)
    return replace(judge(logs - expected, expected, settings), expected=np.expm1(expected))
