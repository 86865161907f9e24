"""The theta method, its form chosen by how well it did (statsforecast)."""

from __future__ import annotations

from forecasting.history import Floats, History
from forecasting.models.one_interval import of_statsforecast
from forecasting.models.seasonal_naive import best_season


def spread(history: History, horizon: int, seed: int) -> Floats:  # noqa: ARG001 - nothing is drawn
    """[H, 3], the season taken off by classical decomposition, additive as demand may be 0. Fiorucci, Pellegrini,
    Louzada, Petropoulos and Koehler (2016), "Models for optimising the theta method".
    """
    from statsforecast.models import AutoTheta

    season = best_season(history.values, history.seasons[0], history.seasons[-1])
    return of_statsforecast(AutoTheta(season, "additive"), history.values, horizon)
