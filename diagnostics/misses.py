"""What a budget of false alarms costs: how many true ones are missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SIZES = (5.0, 10.0, 20.0)
"""Faults, in robust standard deviations of the metric that they move."""


@dataclass(frozen=True)
class Miss:
    """The share of single steps that raise no alarm of their own though their metric is `size` deviations off."""

    size: float
    share: float


def misses(z: Floats, limit: Floats) -> tuple[Miss, ...]:
    """What is missed of metrics whose z while calm is `z` [series, steps] and that alarm where |z| reaches `limit`
    [series]; the fault is put on top of what is there, up as often as down. Empty where nothing is known.
    """
    rows = np.flatnonzero(np.isfinite(limit) & np.isfinite(z).any(axis=1))
    if not len(rows):
        return ()
    found = []
    for size in SIZES:
        with np.errstate(invalid="ignore"):
            silent = [np.where(np.isfinite(z[rows]), np.abs(z[rows] + way) < limit[rows, None], np.nan)
                      for way in (size, -size)]
        found.append(Miss(size, round(float(np.nanmean(np.stack(silent))), 4)))
    return tuple(found)
