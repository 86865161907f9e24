"""How badly the next row is forecast from all features of the rows before, where calm rows are forecast well.

A ridge regression foretells every feature from the last values and three exponential means of all features. Its
errors, in their standard deviations while calm, are smoothed over a few steps, and the score is the mean of the five
largest. What goes together and what follows what is so part of calm; a step out of tune is strange even where each
value alone is not.
"""

from __future__ import annotations

import numpy as np

from diagnostics.jit import jit
from diagnostics.multivariate.contract import Floats, Usual

FADES = (2.0, 8.0, 32.0)
"""Half-lives, in steps, of the means that are forecast from."""
SMOOTHED = 4.0
"""Half-life, in steps, of the errors."""
LARGEST = 5
RIDGE = 10.0

_LEAST_ERROR = 1e-3  # of the usual scale: what is foretold to the last bit is not strange by the next


class ForecastErrors:
    """Centre, scale, weights and usual size of errors."""

    def __init__(self, calm: Floats) -> None:
        """Learn to forecast: `weights` [features, terms], the last term constant."""
        self._usual = Usual.of(calm)
        away = self._usual.distance(calm, np.zeros(calm.shape[1]))
        terms = _terms(away)
        gram = terms.T @ terms + RIDGE * np.eye(terms.shape[1])
        self._weights = np.ascontiguousarray(np.linalg.solve(gram, terms.T @ away).T)
        self._spread = np.maximum((away - terms @ self._weights.T).std(axis=0), _LEAST_ERROR)

    def begin(self) -> ForecastWatch:
        """Begin to watch."""
        return ForecastWatch(self._usual, self._weights, self._spread)


class ForecastWatch:
    """Remembers the last distances, their means and the smoothed errors."""

    def __init__(self, usual: Usual, weights: Floats, spread: Floats) -> None:
        """Begin at rest."""
        features = len(usual.centre)
        self._usual, self._weights, self._spread = usual, weights, spread
        self._before = np.zeros(features)
        self._terms = np.zeros(weights.shape[1])
        self._terms[-1] = 1.0
        self._errors = np.zeros(features)

    def feed(self, values: Floats) -> Floats:
        """Score the next rows."""
        away = self._usual.distance(values, self._before)
        self._before = away[-1] if len(away) else self._before
        score = np.empty(len(away))
        kept = 0.5 ** (1 / np.array(FADES))
        _errors(away, self._weights, self._spread, kept, 0.5 ** (1 / SMOOTHED), min(LARGEST, away.shape[1]),
                self._terms, self._errors, score)
        return np.where(np.isfinite(values).any(axis=1), score, np.nan)


def _terms(away: Floats) -> Floats:
    """What each row is forecast from: [steps, terms]."""
    terms = np.zeros((len(away), away.shape[1] * (1 + len(FADES)) + 1))
    terms[:, -1] = 1.0
    _lagged(away, 0.5 ** (1 / np.array(FADES)), terms)
    return terms


@jit
def _lagged(away: Floats, kept: Floats, terms: Floats) -> None:
    """Fill the terms of every row from the rows before it; the first has none."""
    features = away.shape[1]
    for t in range(1, len(away)):
        for f in range(features):
            terms[t, f] = away[t - 1, f]
            for k in range(len(kept)):
                at = (k + 1) * features + f
                terms[t, at] = kept[k] * terms[t - 1, at] + (1.0 - kept[k]) * away[t - 1, f]


@jit
def _errors(away: Floats, weights: Floats, spread: Floats, kept: Floats, smoothed: float, largest: int, terms: Floats,
            errors: Floats, score: Floats) -> None:
    """Score every row and take it into `terms` and `errors`."""
    features = away.shape[1]
    for t in range(len(away)):
        for f in range(features):
            foretold = 0.0
            for j in range(len(terms)):
                foretold += weights[f, j] * terms[j]
            errors[f] = smoothed * errors[f] + (1.0 - smoothed) * abs(away[t, f] - foretold) / spread[f]
        score[t] = np.sort(errors)[features - largest :].mean()
        for f in range(features):
            terms[f] = away[t, f]
            for k in range(len(kept)):
                at = (k + 1) * features + f
                terms[at] = kept[k] * terms[at] + (1.0 - kept[k]) * away[t, f]
