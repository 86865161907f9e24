"""Exponential smoothing, its form chosen by information criterion (statsforecast)."""

from __future__ import annotations

from forecasting.history import Floats, History
from forecasting.models.one_interval import of_statsforecast
from forecasting.models.seasonal_naive import best_season

LONGEST = 24
"""The longest season whose states are smoothed one by one."""


def spread(history: History, horizon: int, seed: int) -> Floats:  # noqa: ARG001 - nothing is drawn
    """[H, 3]. Hyndman and Khandakar (2008), "Automatic time series forecasting: the forecast package for R"."""
    from statsforecast.models import AutoETS

    season = best_season(history.values, history.seasons[0], history.seasons[-1])
    shortest = history.seasons[0] if history.seasons[0] <= LONGEST else 1
    return of_statsforecast(AutoETS(season if season <= LONGEST else shortest), history.values, horizon)
