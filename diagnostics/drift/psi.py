"""Population stability index of this month against the month before, against exchanged days.

Credit scoring's measure: the Kullback-Leibler divergence one way and back, over ten cells of equal mass. Indices under
0.1 are never called drift, the usual border of "no change worth a look" (Siddiqi, Credit Risk Scorecards, 2006).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diagnostics.drift.contract import DriftSettings, Verdict, Windows
from diagnostics.drift.exchange import Distance, compare, shares

Floats = npt.NDArray[np.float64]


def test(windows: Windows, settings: DriftSettings) -> tuple[Verdict, ...]:
    """Compare the recent days with the earlier ones, series by series; the statistic is the index."""
    return compare(windows, settings, Distance(_index, cells=10, smallest=0.1, power=2))


def _index(now: Floats, before: Floats, _level: Floats) -> Floats:
    now, before = shares(now), shares(before)
    return np.asarray(((now - before) * np.log(now / before)).sum(axis=1))
