"""Seasons of a day and a week by loess (MSTL), exponential smoothing of the rest (statsforecast)."""

from __future__ import annotations

from forecasting.history import Floats, History
from forecasting.models.one_interval import of_statsforecast


def spread(history: History, horizon: int, seed: int) -> Floats:  # noqa: ARG001 - nothing is drawn
    """[H, 3]. Bandara, Hyndman and Bergmeir (2021), "MSTL: A seasonal-trend decomposition algorithm for time series
    with multiple seasonal patterns"; the smoothing without season is chosen by information criterion.
    """
    from statsforecast.models import MSTL, AutoETS

    rest = AutoETS(model="ZZN")
    seasons = [season for season in history.seasons if season > 1]
    return of_statsforecast(MSTL(seasons, rest) if seasons else rest, history.values, horizon)
