"""Exponential smoothing in state space form (statsmodels): level, damped trend and season, each additive."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.linalg import toeplitz
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

from forecasting.history import Floats, History, TooShortError
from forecasting.models.each_series import PATHS, of_paths
from forecasting.models.seasonal_naive import best_season

MOST_ITERATIONS = 20

MOST_SEASONS = 12
"""Older seasons hardly move the smoothed state and cost time."""


def spread(history: History, horizon: int, seed: int) -> Floats:
    """[H, 3] of sample paths simulated from the fitted states with its own past errors drawn again.

    ETS(A, Ad, A) of Hyndman et al., "Forecasting with Exponential Smoothing" (2008); the season is the one that the
    seasonal naive forecast does best with. Raises TooShortError where the state cannot be started.
    """
    season = best_season(history.values, history.seasons[0], history.seasons[-1])
    if len(history) < max(10, 2 * season + 5):
        raise TooShortError(f"ets needs {max(10, 2 * season + 5)} points, there are {len(history)}")
    values = history.values[-MOST_SEASONS * season :] if season > 1 else history.values
    return of_paths(_simulate(values, season, horizon, PATHS, seed))


def _simulate(values: Floats, season: int, horizon: int, n_paths: int, seed: int) -> Floats:
    """The point forecast plus past errors e drawn again and carried on: y(h) = point(h) + e(h) + sum of c(j) e(h - j).

    c(j) = alpha + beta (phi + ... + phi^j) + gamma [season divides j] (Hyndman et al. 2008, table 6.1, class 1).
    """
    kind = {"seasonal": "add", "seasonal_periods": season} if season > 1 else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a search that stops early is judged by the back-test, not by a warning
        model = ETSModel(values, error="add", trend="add", damped_trend=True, initialization_method="heuristic", **kind)
        fitted = model.fit(disp=False, maxiter=MOST_ITERATIONS)
        point = np.asarray(fitted.forecast(horizon), np.float64)
    ahead = np.arange(1, horizon)
    carried = fitted.alpha + fitted.beta * np.cumsum(fitted.phi**ahead)
    carried += fitted.gamma * (ahead % season == 0) if season > 1 else 0.0
    past = np.asarray(fitted.resid, np.float64)
    errors = past[np.random.default_rng(seed).integers(0, past.size, (n_paths, horizon))]
    return point + errors @ toeplitz(np.eye(1, horizon)[0], np.concatenate(([1.0], carried)))
