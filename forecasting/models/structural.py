"""Unobserved components (statsmodels): a level that wanders, waves of a day and a week, columns known ahead."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.special import ndtri

from forecasting.history import Floats, History, TooShortError
from forecasting.panel import LEVELS

WAVES = {0: 6, 1: 4}
"""Pairs of sine and cosine of the shorter and the longer season."""
MOST_SEASONS = 6
"""Of the longest season: older points hardly move the states and cost time."""
MOST_ITERATIONS = 30


def spread(history: History, horizon: int, seed: int) -> Floats:  # noqa: ARG001 - nothing is drawn
    """[H, 3] of the basic structural model by the Kalman filter (Harvey 1989, "Forecasting, structural time series
    models and the Kalman filter", chapter 2). Raises TooShortError under 10 points.
    """
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    seasons = [season for season in history.seasons if season > 1]
    kept = MOST_SEASONS * max([*seasons, 50])
    values = history.values[-kept:]
    if len(values) < max([10, *(2 * season for season in seasons)]):
        raise TooShortError(f"structural needs two seasons and 10 points, there are {len(values)}")
    begin, end = len(history) - len(values), len(history)
    waves = [{"period": season, "harmonics": min(WAVES[i], season // 2)} for i, season in enumerate(seasons)]
    changing = [i for i, column in enumerate(history.known[begin:end].T) if np.ptp(column) > 0]
    known = history.known[:, changing]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a search that stops early is judged by the back-test, not by a warning
        model = UnobservedComponents(values, "local level", freq_seasonal=waves or None,
                                     exog=known[begin:end] if changing else None,
                                     stochastic_freq_seasonal=[False] * len(waves) or None)
        fitted = model.fit(disp=False, maxiter=MOST_ITERATIONS)
        ahead = fitted.get_forecast(horizon, exog=known[end : end + horizon] if changing else None)
    middle, width = np.asarray(ahead.predicted_mean), np.asarray(ahead.se_mean)
    found: Floats = middle[:, None] + width[:, None] * ndtri(np.array(LEVELS))
    return found
