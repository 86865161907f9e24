"""How far values moved between two months (first Wasserstein distance, in standard deviations), against exchanged days.

The one distance here that grows without end with the size of a shift, so it also says how much. The values are those of
64 cells of equal mass, each at its mean. Distances under a quarter of a standard deviation of both months together are
never called drift.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diagnostics.drift.contract import DriftSettings, Verdict, Windows
from diagnostics.drift.exchange import Distance, compare, distribution_gap

Floats = npt.NDArray[np.float64]


def test(windows: Windows, settings: DriftSettings) -> tuple[Verdict, ...]:
    """Compare the recent days with the earlier ones, series by series; the statistic is in standard deviations."""
    return compare(windows, settings, Distance(_moved, cells=64, smallest=0.25, power=1))


def _moved(now: Floats, before: Floats, level: Floats) -> Floats:
    weight = now[0] + before[0]  # the same for every choice
    total = max(float(weight.sum()), 1.0)
    mean = float(weight @ level) / total
    spread = float(np.sqrt(weight @ (level - mean) ** 2 / total))
    if not spread > 0:
        return np.zeros(len(now))
    return np.asarray(np.abs(distribution_gap(now, before)) @ (np.diff(level) / spread))
