"""Distance to the fifth nearest of the states seen while calm, on distances smoothed over the last steps.

Ramaswamy, Rastogi and Shim, Efficient algorithms for mining outliers (SIGMOD 2000). States are smoothed
exponentially, so that what lasts counts and what flickers does not.
"""

from __future__ import annotations

import numpy as np

from diagnostics.jit import jit
from diagnostics.multivariate.contract import HOURLY, Floats, Pace, Usual

STATES = 1500
"""States kept, evenly over the calm days."""
NEAREST = 5
HALF_LIFE = 8.0
"""Steps after which a value counts half."""


class Neighbours:
    """Centre, scale and states of calm days."""

    def __init__(self, calm: Floats, pace: Pace = HOURLY) -> None:  # noqa: ARG002 - alike at any pace
        """Learn the states; `states` are [states, features]."""
        self._usual = Usual.of(calm)
        smooth = self._usual.distance(calm, np.zeros(calm.shape[1]))
        _smooth(smooth, smooth[0].copy(), 0.5 ** (1 / HALF_LIFE))
        self._states = smooth[np.linspace(0, len(smooth) - 1, min(STATES, len(smooth))).astype(np.int64)]

    def begin(self) -> NeighboursWatch:
        """Begin to watch."""
        return NeighboursWatch(self._usual, self._states)


class NeighboursWatch:
    """Remembers the last distances and the smoothed state."""

    def __init__(self, usual: Usual, states: Floats) -> None:
        """Begin at rest."""
        self._usual, self._states = usual, states
        self._before = np.zeros(len(usual.centre))
        self._state = np.zeros(len(usual.centre))

    def feed(self, values: Floats) -> Floats:
        """Score the next rows."""
        away = self._usual.distance(values, self._before)
        self._before = away[-1].copy() if len(away) else self._before
        _smooth(away, self._state, 0.5 ** (1 / HALF_LIFE))
        score = np.empty(len(away))
        _nearest(away, self._states, min(NEAREST, len(self._states)), score)
        return np.where(np.isfinite(values).any(axis=1), score, np.nan)


@jit
def _smooth(rows: Floats, state: Floats, kept: float) -> None:
    """Smooth rows in place, going on from `state`, which is left at the last."""
    for t in range(len(rows)):
        for f in range(len(state)):
            state[f] = kept * state[f] + (1.0 - kept) * rows[t, f]
            rows[t, f] = state[f]


@jit
def _nearest(rows: Floats, states: Floats, nearest: int, score: Floats) -> None:
    """Distance of every row to its `nearest`-th nearest state."""
    features = rows.shape[1]
    best = np.empty(nearest)
    for t in range(len(rows)):
        best[:] = np.inf
        for s in range(len(states)):
            total = 0.0
            for begin in range(0, features, 8):
                for f in range(begin, min(begin + 8, features)):
                    e = rows[t, f] - states[s, f]
                    total += e * e
                if total >= best[nearest - 1]:
                    break
            place = nearest - 1
            if total < best[place]:
                while place > 0 and best[place - 1] > total:
                    best[place] = best[place - 1]
                    place -= 1
                best[place] = total
        score[t] = np.sqrt(best[nearest - 1])
