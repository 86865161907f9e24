"""Forecasters: one module each, found by name, loaded when used.

There are two kinds, behind one protocol. A module that learns from all series at once has `fit(panel, horizon, seed,
threads)`. One that looks at each series by itself has `spread(history, horizon, seed)`, which says quantiles [H, 3] of
one; `each_series` makes the one of the other. Neither changes its input, both give the same answer
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
    "intermittent": "forecasting.models.intermittent",
    "mstl": "forecasting.models.mstl",
    "theta": "forecasting.models.theta",
    "auto_ets": "forecasting.models.auto_ets",
    "arima": "forecasting.models.arima",
    "structural": "forecasting.models.structural",
    "prophet": "forecasting.models.prophet",
}
"""Name to module, the simplest first: where two are as good, the one further up is taken."""

FLOOR = "seasonal_naive"
"""What every other model has to beat."""

SPARSE = "intermittent"
"""Weighed level by level against what the others say together, where demand comes now and then."""

FEW, VERY_FEW = 8, 4
"""Up to so many series ridge, and MSTL, are tried too: beyond, pooled models know more and cost a fraction."""


LONG_DAY = 48
"""Steps in a day beyond which MSTL is not tried unasked: at 5 minutes one fit takes ten seconds and more."""


def default_models(series: int, a_day: int = 24) -> tuple[str, ...]:
    """What is tried of so many series, of up to `a_day` steps in a day, when nobody says what to try: what is worth its
    time on past demand (docs/forecasting.md). All others are used only when asked for by name.
    """
    tried = ["seasonal_naive", "recent", "boosting", "intermittent"]
    tried += ["ridge"] if series <= FEW else []
    tried += ["mstl"] if series <= VERY_FEW and a_day <= LONG_DAY else []
    return tuple(tried)


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
