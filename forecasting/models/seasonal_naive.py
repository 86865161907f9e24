"""Seasonal naive: what was seen one season ago, with the errors that this made in the past."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.history import Floats, History
from forecasting.paths import bootstrap

ALIGNED = 10
"""Past errors are taken at the same phase of the season as long as there are this many of them."""

MOST_BLOCKS = 200


def forecast(history: History, horizon: int, n_paths: int, seed: int) -> Floats:
    """Sample paths [n_paths, horizon]: the last season repeated, plus blocks of its own past errors."""
    season = best_season(history)
    errors = _past_errors(history, season, horizon)
    return bootstrap(_repeat_last(history.values, season, horizon), errors, n_paths, seed)


def best_season(history: History) -> int:
    """The natural season (day or week) whose last value foretells the next one best; the shorter when they tie."""
    longest = history.seasons[-1]
    recent = history.values[longest:]

    def mistake(season: int) -> float:
        return float(np.abs(recent - history.values[longest - season : len(history) - season]).mean())

    return min(history.seasons, key=lambda season: (round(mistake(season), 12), season))


def _repeat_last(values: Floats, season: int, horizon: int) -> Floats:
    return np.resize(values[-season:], horizon)


def _past_errors(history: History, season: int, horizon: int) -> Floats:
    """Errors [B, L] that repeating the season would have made from B past origins, L steps ahead."""
    values, n = history.values, len(history)
    length = _block_length(history.seasons[0], horizon, n - season)
    origins = _origins(season, n - length, history.seasons[0])
    truth = sliding_window_view(values, length)[origins]
    before = sliding_window_view(values, season)[origins - season]
    return truth - before[:, np.arange(length) % season]


def _block_length(season: int, horizon: int, room: int) -> int:
    """The horizon where half of the room allows it, else a whole number of seasons, else what there is."""
    half = max(1, room // 2)
    return horizon if horizon <= half else max(half // season * season, min(half, season))


def _origins(first: int, last: int, season: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Origins in first..last, counted back from the last one: of one phase if there are enough, else evenly spread."""
    stride = season if (last - first) // season + 1 >= ALIGNED else max(1, (last - first) // MOST_BLOCKS)
    return np.arange(last, first - 1, -stride)
