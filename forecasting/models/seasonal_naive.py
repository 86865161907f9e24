"""Seasonal naive: what was seen one season ago, with the errors that this made in the past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecasting.history import Floats
from forecasting.jit import jit
from forecasting.panel import LEVELS, Ints, Panel

ALIGNED = 10
"""Past errors are taken at the same phase of the season as long as there are this many of them."""

MOST_BLOCKS = 200


@dataclass(frozen=True, slots=True)
class Fitted:
    """Nothing is learned: `horizon` is what was asked for."""

    horizon: int

    def spread(self, panel: Panel) -> Floats:
        """[N, H, 3]: the last season repeated, plus quantiles of the errors that this made so many steps ahead."""
        said = np.empty((len(panel), self.horizon, len(LEVELS)))
        _say(panel.values, panel.first, *panel.seasons, np.array(LEVELS), said)
        return said

    def update(self, panel: Panel) -> Fitted:  # noqa: ARG002
        """The same: nothing was learned."""
        return self


def fit(panel: Panel, horizon: int, seed: int, threads: int = 1) -> Fitted:  # noqa: ARG001
    """Nothing is learned before the series are there."""
    return Fitted(horizon)


def best_season(values: Floats, day: int, week: int) -> int:
    """The natural season (day or week) whose last value foretells the next one best; the shorter when they tie."""
    return int(_best_season(values, *seasons_there(len(values), day, week)))


@jit
def seasons_there(points: int, day: int, week: int) -> tuple[int, int]:
    """The shortest and the longest season of which two whole ones are there."""
    short = day if 2 * day <= points else week if 2 * week <= points else 1
    return short, week if 2 * week <= points else short


@jit
def _best_season(values: Floats, short: int, long: int) -> int:
    by_short = by_long = 0.0
    for i in range(long, len(values)):
        by_short += abs(values[i] - values[i - short])
        by_long += abs(values[i] - values[i - long])
    return long if by_long < by_short * (1 - 1e-9) else short


@jit
def block_length(season: int, horizon: int, room: int) -> int:
    """The horizon where half of the room allows it, else a whole number of seasons, else what there is."""
    half = max(1, room // 2)
    return horizon if horizon <= half else max(half // season * season, min(half, season))


@jit
def quantile(ordered: Floats, level: float) -> float:
    """Between the two values nearest to the level, as numpy does it."""
    at = level * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (at - low) * (ordered[high] - ordered[low]))


@jit
def _say(values: Floats, first: Ints, day: int, week: int, levels: Floats, said: Floats) -> None:
    """Fill `said` [N, H, Q]; origins of past errors are counted back from the last: of one phase if there are enough,
    else evenly spread.
    """
    horizon = said.shape[1]
    for i in range(len(values)):
        past = values[i, first[i] :]
        points = len(past)
        short, long = seasons_there(points, day, week)
        season = _best_season(past, short, long)
        length = block_length(short, horizon, points - season)
        last = points - length
        stride = short if (last - season) // short + 1 >= ALIGNED else max(1, (last - season) // MOST_BLOCKS)
        blocks = (last - season) // stride + 1
        errors = np.empty(blocks)
        for h in range(horizon):
            if h < length:
                for b in range(blocks):
                    origin = last - b * stride
                    errors[b] = past[origin + h] - past[origin - season + h % season]
                errors.sort()
            repeated = past[points - season + h % season]
            for q in range(len(levels)):
                said[i, h, q] = max(0.0, repeated + quantile(errors, levels[q]))
