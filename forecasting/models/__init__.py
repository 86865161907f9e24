"""Forecasters: one module each, found by name, loaded when used.

A module has one function, `forecast(history, horizon, n_paths, seed)`, which returns sample paths [n_paths, horizon].
It does not change its input, gives the same answer for the same seed, never goes below 0, and raises `TooShortError`
when the history is not enough for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from forecasting.history import Floats, History

FORECASTERS: dict[str, str] = {
    "seasonal_naive": "forecasting.models.seasonal_naive",
    "ridge": "forecasting.models.ridge",
    "ets": "forecasting.models.ets",
    "prophet": "forecasting.models.prophet",
}
"""Name to module, the simplest first: where two are as good, the one further up is taken."""

FLOOR = "seasonal_naive"
"""What every other model has to beat."""

DEFAULT_MODELS = ("seasonal_naive", "ridge", "ets")
"""What is tried when nobody says what to try; prophet is slow and is loaded only when asked for by name."""


class Forecaster(Protocol):
    """A module of this package."""

    def forecast(self, history: History, horizon: int, n_paths: int, seed: int) -> Floats:
        """Sample paths [n_paths, horizon] of the steps after `history`."""


def load(name: str) -> Forecaster:
    """The forecaster of that name. Raises ValueError when there is none."""
    if name not in FORECASTERS:
        raise ValueError(f"model {name!r}: there are {', '.join(FORECASTERS)}")
    return cast(Forecaster, import_module(FORECASTERS[name]))
