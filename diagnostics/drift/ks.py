"""Largest gap between the distribution functions of two months (Kolmogorov-Smirnov), against exchanged days.

The textbook null of the statistic is for independent values and far too narrow for telemetry; here it is that of
exchanged days. The gap is read at 63 quantiles of both months together. Gaps under 0.13 are never called drift: that
is a shift of the mean by about a third of a standard deviation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diagnostics.drift.contract import DriftSettings, Verdict, Windows
from diagnostics.drift.exchange import Distance, compare, distribution_gap

Floats = npt.NDArray[np.float64]


def test(windows: Windows, settings: DriftSettings) -> tuple[Verdict, ...]:
    """Compare the recent days with the earlier ones, series by series; the statistic is a gap of shares, 0..1."""
    return compare(windows, settings, Distance(_gap, cells=64, smallest=0.13, power=1))


def _gap(now: Floats, before: Floats, _level: Floats) -> Floats:
    return np.asarray(np.abs(distribution_gap(now, before)).max(axis=1))
