"""How badly the next row is forecast from all features of the rows before, where calm rows are forecast well.

A ridge regression foretells every feature from all features: their last values, three exponential means, and what they
were around the same time of the day before. Its errors, in their standard deviations while calm, are told by the five
largest, smoothed over a few rows, and by the mean square of all, smoothed for as long as a fault lasts; the score is
their geometric mean, the latter counted twice. So what begins is seen soon, and what lasts stands out from what
flickers. What goes together and what follows what is part of calm; a row out of tune is strange even where each value
alone is not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diagnostics.jit import jit
from diagnostics.multivariate.contract import HOURLY, Floats, Pace, Usual

FADES = (2.0, 8.0, 32.0)
"""Half-lives, in rows, of the means that are forecast from."""
NEAR = 24
"""The day before is told by the mean within a 24th of a day of the same time."""
SOON = 2.0
"""Half-life, in rows, of single errors."""
LARGEST = 5
LATE = 2.0 / 3.0
"""Weight of the mean square of all."""
FARTHEST_ERROR = 20.0
"""Standard deviations beyond which an error adds no more to that: one feature would speak for all."""
RIDGE = 100.0

_LEAST_ERROR = 1e-3  # of the usual scale: what is foretold to the last bit is not strange by the next
_LEAST = 1e-9


class ForecastErrors:
    """Centre, scale, weights and usual size of errors."""

    def __init__(self, calm: Floats, pace: Pace = HOURLY) -> None:
        """Learn to forecast: `weights` [features, terms], the last term constant."""
        self._usual, self._pace = Usual.of(calm), pace
        away = self._usual.distance(calm, np.zeros(calm.shape[1]))
        terms = np.empty((len(away), _count_terms(away.shape[1])))
        _Past(away.shape[1], pace).fill(away, terms)
        gram = terms.T @ terms + RIDGE * np.eye(terms.shape[1])
        self._weights = np.ascontiguousarray(np.linalg.solve(gram, terms.T @ away).T)
        self._spread = np.maximum((away - terms @ self._weights.T).std(axis=0), _LEAST_ERROR)

    def begin(self) -> ForecastWatch:
        """Begin to watch."""
        return ForecastWatch(self._usual, self._weights, self._spread, self._pace)


class ForecastWatch:
    """Remembers a day of distances, their means, the smoothed errors, and last of these the mean square of all."""

    def __init__(self, usual: Usual, weights: Floats, spread: Floats, pace: Pace) -> None:
        """Begin at rest."""
        features = len(usual.centre)
        self._usual, self._weights, self._spread = usual, weights, spread
        self._past = _Past(features, pace)
        self._before = np.zeros(features)
        self._errors = np.zeros(features + 1)
        self._kept = 0.5 ** (1 / np.array([SOON, pace.lasting]))

    def feed(self, values: Floats) -> Floats:
        """Score the next rows."""
        away = self._usual.distance(values, self._before)
        self._before = away[-1] if len(away) else self._before
        score, past = np.empty(len(away)), self._past
        _errors(away, self._weights, self._spread, self._kept, self._errors, score, past.fades, past.near, past.clock,
                past.rows, past.around, past.terms)
        return np.where(np.isfinite(values).any(axis=1), score, np.nan)


class _Past:
    """What the next row is forecast from, `terms`, and the rows of a day that tell it."""

    def __init__(self, features: int, pace: Pace) -> None:
        """Nothing seen."""
        self.fades = 0.5 ** (1 / np.array(FADES))
        self.near = pace.day // NEAR
        self.clock = np.zeros(1, np.int64)
        self.rows = np.zeros((pace.day + self.near + 1, features))
        self.around = np.zeros(features)
        self.terms = np.zeros(_count_terms(features))
        self.terms[-1] = 1.0

    def fill(self, away: Floats, terms: Floats) -> None:
        """Write what every row is forecast from: [steps, terms]."""
        _fill(away, terms, self.fades, self.near, self.clock, self.rows, self.around, self.terms)


def _count_terms(features: int) -> int:
    return features * (2 + len(FADES)) + 1


@jit
def _take_in(row: Floats, fades: Floats, near: int, clock: npt.NDArray[np.int64], rows: Floats, around: Floats,
             terms: Floats) -> None:
    """Go on by a row: `rows` is a ring of the last day and a little more, `around` a sum over some of them."""
    features, length, now = len(row), len(rows), clock[0]
    after = now + 1
    first, last = after - length + 1, after - length + 1 + 2 * near  # of the day before, as seen from the next row
    count = last - max(first, 0) + 1
    for f in range(features):
        rows[now % length, f] = row[f]
        if last >= 0:
            around[f] += rows[last % length, f]
        if first >= 1:
            around[f] -= rows[(first - 1) % length, f]
        terms[f] = row[f]
        for k in range(len(fades)):
            at = (k + 1) * features + f
            terms[at] = fades[k] * terms[at] + (1.0 - fades[k]) * row[f]
        terms[(len(fades) + 1) * features + f] = around[f] / count if last >= 0 else 0.0
    clock[0] = after


@jit
def _fill(away: Floats, filled: Floats, fades: Floats, near: int, clock: npt.NDArray[np.int64], rows: Floats,
          around: Floats, terms: Floats) -> None:
    for t in range(len(away)):
        filled[t] = terms
        _take_in(away[t], fades, near, clock, rows, around, terms)


@jit
def _errors(away: Floats, weights: Floats, spread: Floats, kept: Floats, errors: Floats, score: Floats, fades: Floats,
            near: int, clock: npt.NDArray[np.int64], rows: Floats, around: Floats, terms: Floats) -> None:
    """Score every row, then take it in."""
    features = away.shape[1]
    first = max(0, features - LARGEST)
    for t in range(len(away)):
        square = 0.0
        for f in range(features):
            foretold = 0.0
            for j in range(len(terms)):
                foretold += weights[f, j] * terms[j]
            error = abs(away[t, f] - foretold) / spread[f]
            errors[f] = kept[0] * errors[f] + (1.0 - kept[0]) * error
            square += min(error, FARTHEST_ERROR) ** 2
        errors[features] = kept[1] * errors[features] + (1.0 - kept[1]) * square / features
        soon = np.sort(errors[:features])[first:].mean() + _LEAST
        score[t] = soon ** (1.0 - LATE) * np.sqrt(errors[features] + _LEAST) ** LATE
        _take_in(away[t], fades, near, clock, rows, around, terms)
