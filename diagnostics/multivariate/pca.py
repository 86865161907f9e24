"""What the leading principal components of calm days do not explain (Shyu et al., ICDM workshop 2003)."""

from __future__ import annotations

import numpy as np

from diagnostics.multivariate.contract import HOURLY, Floats, Pace, Usual

EXPLAINED = 0.9
"""Share of the variance of calm days that the components kept explain."""


class Pca:
    """Centre, scale and the projection onto what the components leave over."""

    def __init__(self, calm: Floats, pace: Pace = HOURLY) -> None:  # noqa: ARG002 - alike at any pace
        """Learn the components."""
        self._usual = Usual.of(calm)
        away = self._usual.distance(calm, np.zeros(calm.shape[1]))
        variances, directions = np.linalg.eigh(away.T @ away / len(away))
        variances, directions = variances[::-1], directions[:, ::-1]
        share = np.cumsum(variances) / max(variances.sum(), np.finfo(np.float64).tiny)
        kept = directions[:, : int(np.searchsorted(share, EXPLAINED)) + 1 if variances[0] > 0 else 0]
        self._left_over = np.eye(len(kept)) - kept @ kept.T

    def begin(self) -> PcaWatch:
        """Begin to watch."""
        return PcaWatch(self._usual, self._left_over)


class PcaWatch:
    """Remembers the last distances, for what is not measured."""

    def __init__(self, usual: Usual, left_over: Floats) -> None:
        """Begin at rest."""
        self._usual, self._left_over = usual, left_over
        self._before = np.zeros(len(usual.centre))

    def feed(self, values: Floats) -> Floats:
        """Score the next rows."""
        away = self._usual.distance(values, self._before)
        self._before = away[-1] if len(away) else self._before
        # One row at a time: a product of matrices may round differently by the number of rows.
        rest = np.array([self._left_over @ row for row in away]).reshape(away.shape)
        return np.where(np.isfinite(values).any(axis=1), np.sqrt((rest**2).sum(axis=1)), np.nan)
