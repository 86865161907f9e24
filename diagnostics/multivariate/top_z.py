"""Mean of the five largest distances from the usual, in standard deviations: the simple way that is hard to beat."""

from __future__ import annotations

import numpy as np

from diagnostics.multivariate.contract import HOURLY, Floats, Pace, Usual

LARGEST = 5


class TopZ:
    """The usual values, and nothing of how they go together."""

    def __init__(self, calm: Floats, pace: Pace = HOURLY) -> None:  # noqa: ARG002 - alike at any pace
        """Learn centre and scale."""
        self._usual = Usual.of(calm)

    def begin(self) -> TopZWatch:
        """Begin to watch."""
        return TopZWatch(self._usual)


class TopZWatch:
    """Remembers the last distances, for what is not measured."""

    def __init__(self, usual: Usual) -> None:
        """Begin at rest."""
        self._usual = usual
        self._before = np.zeros(len(usual.centre))

    def feed(self, values: Floats) -> Floats:
        """Score the next rows."""
        away = self._usual.distance(values, self._before)
        self._before = away[-1] if len(away) else self._before
        largest = np.sort(np.abs(away), axis=1)[:, -LARGEST:].mean(axis=1)
        return np.where(np.isfinite(values).any(axis=1), largest, np.nan)
