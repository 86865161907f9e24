"""Rolling-origin back-test, and the choice of a model by it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from forecasting.history import WEEK, History, TooShortError, fewest_points
from forecasting.metrics import coverage, mase, weighted_quantile_loss
from forecasting.models import FLOOR, FORECASTERS, load
from forecasting.paths import quantiles_of

LEVELS = (0.1, 0.5, 0.9)
"""Quantile levels that the back-test scores."""

ORIGINS = 4
PATHS = 200

TIE = 0.05
"""A model must beat a simpler one by more than this share of its loss: four origins tell no finer differences apart."""


@dataclass(frozen=True, slots=True)
class Score:
    """How a model did from one origin: the loss, the MASE of its median, and the share of steps under its 0.9 quantile.

    `note` is None, or says why the model could not be tried; then the figures are NaN.
    """

    model: str
    origin: np.datetime64
    wql: float
    mase: float
    coverage_p90: float
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The model chosen, and the scores of all that were tried."""

    model: str
    scores: tuple[Score, ...]


def backtest(history: History, horizon: int, models: tuple[str, ...], seed: int) -> tuple[Score, ...]:
    """Scores of every model from every origin. Each sees what lies before the origin and is judged on what comes after.

    Empty when the history is too short to hold anything back.
    """
    length, origins = rolling_origins(history, horizon)
    return tuple(_score(history, origin, length, model, seed) for model in models for origin in origins)


def rolling_origins(history: History, horizon: int) -> tuple[int, tuple[int, ...]]:
    """How many steps are held back each time, and the origins, oldest first.

    There are 4 of them, apart by whole seasons so that they have the phase of the real origin, and far enough for short
    horizons to fall on different days of a week. Where the history is short, blocks are shorter and closer.
    """
    room = len(history) - fewest_points(history.step)
    if room < 1:
        return 0, ()
    length = min(horizon, max(1, room // ORIGINS))
    season = history.seasons[0]
    apart = max(length, int(WEEK // history.step) // ORIGINS)
    whole = -(-apart // season) * season
    spacing = whole if length + (ORIGINS - 1) * whole <= room else length
    count = min(ORIGINS, (room - length) // spacing + 1)
    return length, tuple(len(history) - length - spacing * k for k in range(count - 1, -1, -1))


def choose(history: History, horizon: int, models: tuple[str, ...], seed: int) -> Choice:
    """The model with the least mean loss in the back-test; of those within 5 % of it, the simplest.

    The seasonal naive forecast is always among the candidates, so that the choice is never worse than it on the
    back-test. A model that could not be tried from every origin is not chosen. A single name is taken as it is.
    """
    if len(models) == 1:
        return Choice(models[0], backtest(history, horizon, models, seed))
    candidates = tuple(name for name in FORECASTERS if name in models or name == FLOOR)
    scores = backtest(history, horizon, candidates, seed)
    means = {name: float(np.mean([s.wql for s in scores if s.model == name])) for name in candidates} if scores else {}
    tried = {name: loss for name, loss in means.items() if math.isfinite(loss)}
    if not tried:
        return Choice(FLOOR, scores)
    enough = (1 + TIE) * min(tried.values())
    return Choice(next(name for name, loss in tried.items() if loss <= enough), scores)


def _score(history: History, origin: int, length: int, model: str, seed: int) -> Score:
    past, truth = history.head(origin), history.values[origin : origin + length]
    begin = past.times_ahead(1)[0]
    try:
        paths = load(model).forecast(past, length, PATHS, seed)
    except TooShortError as reason:
        return Score(model, begin, math.nan, math.nan, math.nan, str(reason))
    said = quantiles_of(paths, LEVELS)
    loss = weighted_quantile_loss(truth, said, LEVELS)
    return Score(model, begin, loss, mase(truth, said[1], past.values, past.seasons[0]), coverage(truth, said[2]))
