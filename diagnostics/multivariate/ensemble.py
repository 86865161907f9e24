"""The geometric mean of forecast errors, counted twice, and the distance to calm states.

Errors see a step out of tune, the distance a state that lasts; each is strange to the other's false alarms.
"""

from __future__ import annotations

import numpy as np

from diagnostics.multivariate.contract import Floats, Watch
from diagnostics.multivariate.forecast_errors import ForecastErrors
from diagnostics.multivariate.neighbours import Neighbours

_LEAST = 1e-9


class Ensemble:
    """Both models of the same calm days."""

    def __init__(self, calm: Floats) -> None:
        """Learn both."""
        self._errors, self._states = ForecastErrors(calm), Neighbours(calm)

    def begin(self) -> EnsembleWatch:
        """Begin to watch with both."""
        return EnsembleWatch(self._errors.begin(), self._states.begin())


class EnsembleWatch:
    """Both watches."""

    def __init__(self, errors: Watch, states: Watch) -> None:
        """Keep both."""
        self._errors, self._states = errors, states

    def feed(self, values: Floats) -> Floats:
        """Score the next rows by both."""
        errors, states = self._errors.feed(values), self._states.feed(values)
        return np.asarray(np.cbrt((errors + _LEAST) ** 2 * (states + _LEAST)))
