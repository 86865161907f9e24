"""ARIMA, its orders chosen step by step, of what is left without the seasons of a day and a week (statsforecast)."""

from __future__ import annotations

from forecasting.history import Floats, History
from forecasting.models.one_interval import of_statsforecast


def spread(history: History, horizon: int, seed: int) -> Floats:  # noqa: ARG001 - nothing is drawn
    """[H, 3]. Seasons are taken off by loess, as seasonal orders of 24 and 168 take minutes; orders as in Hyndman and
    Khandakar (2008).
    """
    from statsforecast.models import MSTL, AutoARIMA

    rest = AutoARIMA(seasonal=False, approximation=True, max_p=3, max_q=3)
    seasons = [season for season in history.seasons if season > 1]
    return of_statsforecast(MSTL(seasons, rest) if seasons else rest, history.values, horizon)
