"""Models that look at one series at a time, applied to each series of a panel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Protocol, cast

import numpy as np

from forecasting.history import Floats, History, TooShortError
from forecasting.panel import LEVELS, Panel

PATHS = 400
"""Sample paths that quantiles are read of, where a model has no others."""


class Local(Protocol):
    """A module whose model knows one series."""

    def spread(self, history: History, horizon: int, seed: int) -> Floats:
        """[H, 3]: the quantiles `LEVELS` of each step after `history`, whose mean is 1 and which is not constant."""


@dataclass(frozen=True, slots=True)
class EachSeries:
    """A forecaster that fits the model of a module, which processes can be told by name, to each series it is shown."""

    module: str

    def fit(self, panel: Panel, horizon: int, seed: int, threads: int = 1) -> FittedEach:  # noqa: ARG002
        """Nothing is learned before the series are there."""
        return FittedEach(self.module, horizon, seed)


@dataclass(frozen=True, slots=True)
class FittedEach:
    """What `EachSeries.fit` gives."""

    module: str
    horizon: int
    seed: int

    def spread(self, panel: Panel) -> Floats:
        """[N, H, 3], rising and never below 0; NaN for series that are too short for the model."""
        model = cast(Local, import_module(self.module))
        said = np.full((len(panel), self.horizon, len(LEVELS)), np.nan)
        for i in range(len(panel)):
            history = panel.history(i)
            if history.constant:
                said[i] = history.values[0]
                continue
            scale = float(history.values.mean())
            try:
                found = model.spread(replace(history, values=history.values / scale), self.horizon, self.seed)
            except TooShortError:
                continue
            said[i] = np.sort(np.maximum(found, 0.0), axis=1) * scale
        return said

    def update(self, panel: Panel) -> FittedEach:  # noqa: ARG002
        """The same: nothing is kept of series that were seen."""
        return self


def of_paths(paths: Floats) -> Floats:
    """[H, 3]: the quantiles `LEVELS` of sample paths [K, H]."""
    found: Floats = np.quantile(paths, LEVELS, axis=0).T
    return found
