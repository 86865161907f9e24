"""How far metrics moved: three scores that disagree in useful ways, and their average rank.

No score breaks a tie by position: equal scores share their mean rank, so that the order of metrics makes no difference.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]

NORMAL_IQR = 1.349
"""Interquartile range of a normal distribution of unit scale."""
FLOOR = 1e-3
"""No metric is steadier than this share of its level; a constant one would make every change infinite."""


class Shift(Protocol):
    """One score of change."""

    def __call__(self, before: Floats, now: Floats) -> float:
        """How far `now` [steps] is from `before` [steps], both without NaN and not empty; at least 0."""


def mean_z(before: Floats, now: Floats) -> float:
    """Distance of the mean from the median before, in standard deviations."""
    level = float(np.median(before))
    return abs(float(now.mean()) - level) / _at_least(float(before.std()), level)


def worst_z(before: Floats, now: Floats) -> float:
    """The farthest step in robust scales, as BARO's robust scorer has it (Pham et al., FSE 2024)."""
    level = float(np.median(before))
    low, high = np.percentile(before, [25, 75])
    return float(np.abs(now - level).max()) / _at_least(float(high - low) / NORMAL_IQR, level)


def distance(before: Floats, now: Floats) -> float:
    """Kolmogorov-Smirnov distance of both samples."""
    points = np.concatenate([before, now])
    one, other = (np.searchsorted(np.sort(part), points, side="right") / len(part) for part in (before, now))
    return float(np.abs(one - other).max())


SHIFTS: dict[str, Shift] = {"mean_z": mean_z, "worst_z": worst_z, "distance": distance}


def _at_least(scale: float, level: float) -> float:
    return max(scale, FLOOR * abs(level), 1e-12)


def shift_scores(before: Floats, now: Floats) -> dict[str, Floats]:
    """Every score of every metric; `before` and `now` are [metrics, steps], NaN where nothing was measured.

    A metric that was never measured before, or is not now, scores 0.
    """
    scores = {name: np.zeros(len(before)) for name in SHIFTS}
    for row, (earlier, later) in enumerate(zip(before, now, strict=True)):
        known, seen = earlier[np.isfinite(earlier)], later[np.isfinite(later)]
        if len(known) and len(seen):
            for name, shift in SHIFTS.items():
                scores[name][row] = shift(known, seen)
    return scores


def mean_rank(scores: dict[str, Floats]) -> Floats:
    """Average rank [metrics] over the scores, as a share of the best: rank fusion by Borda count."""
    ranks = [rankdata(score, method="average") / max(1, len(score)) for score in scores.values()]
    fused: Floats = np.mean(ranks, axis=0)
    return fused
