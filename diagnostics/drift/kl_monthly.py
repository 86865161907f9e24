"""Kullback-Leibler divergence of this month's distribution from the month before, against exchanged days.

The values of both months are cut into ten cells of equal mass. Divergences under 0.05 nats are never called drift: that
is a shift of the mean by about a third of a standard deviation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diagnostics.drift.contract import DriftSettings, Verdict, Windows
from diagnostics.drift.exchange import Distance, compare, shares

Floats = npt.NDArray[np.float64]


def test(windows: Windows, settings: DriftSettings) -> tuple[Verdict, ...]:
    """Compare the recent days with the earlier ones, series by series; the statistic is KL(recent || earlier), nats."""
    return compare(windows, settings, Distance(_divergence, cells=10, smallest=0.05, power=2))


def _divergence(now: Floats, before: Floats, _level: Floats) -> Floats:
    now, before = shares(now), shares(before)
    return np.asarray((now * np.log(now / before)).sum(axis=1))
