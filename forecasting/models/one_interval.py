"""Point forecast and one interval, as libraries of statistical models give them, as the quantiles `LEVELS`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from forecasting.history import Floats
from forecasting.panel import LEVELS

WIDTH = round(100 * (LEVELS[2] - LEVELS[0]), 6)
"""Per cent that lie between low and high."""


def of_statsforecast(model: Any, values: Floats, horizon: int) -> Floats:  # noqa: ANN401 - the library is not typed
    """[H, 3] of a model of statsforecast, which has symmetric intervals."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a search that stops early is judged by the back-test, not by a warning
        found = model.forecast(values, horizon, level=[WIDTH])
    low, high = (next(column for name, column in found.items() if name.startswith(end)) for end in ("lo", "hi"))
    said = np.stack([low, found["mean"], high], axis=1).astype(np.float64)
    said[~np.isfinite(said).all(axis=1)] = np.nan
    return said
