"""Forecasters: one module each, found by name, loaded when used.

There are two kinds, behind one protocol. A module that learns from all series at once has `fit(panel, horizon, seed,
threads)`. One that looks at each series by itself has `forecast(history, horizon, n_paths, seed)`, which returns sample
paths [n_paths, horizon]; `each_series` makes the one of the other. Neither changes its input, both give the same answer
for the same seed, never go below 0, and raise `TooShortError` where the history is not enough for them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from forecasting.history import Floats
from forecasting.models.each_series import EachSeries
from forecasting.panel import Panel

FORECASTERS: dict[str, str] = {
    "seasonal_naive": "forecasting.models.seasonal_naive",
    "recent": "forecasting.models.recent",
    "boosting": "forecasting.models.boosting",
    "ridge": "forecasting.models.ridge",
    "ets": "forecasting.models.ets",
    "prophet": "forecasting.models.prophet",
}
"""Name to module, the simplest first: where two are as good, the one further up is taken."""

FLOOR = "seasonal_naive"
"""What every other model has to beat."""

FEW = 8
"""Up to so many series models of one series are tried too: beyond, pooled ones know more and cost a fraction."""


def default_models(series: int) -> tuple[str, ...]:
    """What is tried when nobody says what to try; prophet is slow and is loaded only when asked for by name."""
    pooled = ("seasonal_naive", "recent", "boosting")
    return (*pooled, "ridge", "ets") if series <= FEW else pooled


class Fitted(Protocol):
    """A model that has learned."""

    def spread(self, panel: Panel) -> Floats:
        """[N, H, 3]: the quantiles `LEVELS` of each step ahead, rising; rows of NaN for series too short for it."""

    def update(self, panel: Panel) -> Fitted:
        """The model after it has also learned from a panel that goes on where the one it was fitted to ended."""


class Forecaster(Protocol):
    """A module of this package, or one wrapped by `each_series`."""

    def fit(self, panel: Panel, horizon: int, seed: int, threads: int = 1) -> Fitted:
        """Learn from the panel what its series, or others like them, will need `horizon` steps ahead."""


def load(name: str) -> Forecaster:
    """The forecaster of that name. Raises ValueError when there is none."""
    if name not in FORECASTERS:
        raise ValueError(f"model {name!r}: there are {', '.join(FORECASTERS)}")
    module = import_module(FORECASTERS[name])
    return cast(Forecaster, module) if hasattr(module, "fit") else EachSeries(FORECASTERS[name])
