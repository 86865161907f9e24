"""A model of one series at a time, applied to each series of a panel."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

import numpy as np

from forecasting.history import Floats, History, TooShortError
from forecasting.panel import LEVELS, Panel

PATHS = 200
"""Sample paths a series of which the quantiles are read."""


class Local(Protocol):
    """A module whose model knows one series."""

    def forecast(self, history: History, horizon: int, n_paths: int, seed: int) -> Floats:
        """Sample paths [n_paths, horizon] of the steps after `history`."""


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
        """[N, H, 3]; NaN for series that are too short for the model."""
        model = cast(Local, import_module(self.module))
        said = np.full((len(panel), self.horizon, len(LEVELS)), np.nan)
        for i in range(len(panel)):
            try:
                paths = model.forecast(panel.history(i), self.horizon, PATHS, self.seed)
            except TooShortError:
                continue
            said[i] = np.quantile(paths, LEVELS, axis=0).T
        return said

    def update(self, panel: Panel) -> FittedEach:  # noqa: ARG002
        """The same: nothing is kept of series that were seen."""
        return self
