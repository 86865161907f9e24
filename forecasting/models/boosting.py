"""Gradient boosting (LightGBM), one model a quantile for all series: direct forecasts of every step ahead.

A row says what is known at an origin about one step ahead (`forecasting.features`); the target is how far demand is
from the same time of the last day. Direct pooled boosting won the M5 competition (Makridakis, Spiliotis and
Assimakopoulos 2022); quantiles come from the pinball loss (Koenker and Bassett 1978).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from forecasting.features import Table, make_table
from forecasting.history import Floats, TooShortError
from forecasting.panel import LEVELS, Ints, Panel

if TYPE_CHECKING:
    import lightgbm

BASE_ROWS, ROWS_A_SERIES, MOST_ROWS = 10_000, 200, 200_000
"""Rows to learn from grow with the series there are: more take longer and say little more."""
STEPS = 12
"""Steps ahead that one origin teaches, drawn anew each time."""
FEWEST_ROWS = 500
LEAST_TREES, MOST_TREES, ROWS_A_TREE = 60, 250, 800
"""Few rows are learned by few trees that learn fast."""
LEARNING = 12.5
"""Trees times learning rate."""
PARAMETERS: dict[str, Any] = {
    "num_leaves": 63, "min_data_in_leaf": 50, "feature_fraction": 0.5,
    "bagging_fraction": 0.7, "bagging_freq": 1, "max_bin": 127, "verbose": -1, "deterministic": True,
    "force_row_wise": True,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Boosters of the levels `LEVELS`, for `horizon` steps."""

    horizon: int
    boosters: tuple[lightgbm.Booster, ...]

    def spread(self, panel: Panel) -> Floats:
        """[N, H, 3], rising: they never cross, and are never below 0."""
        count = len(panel)
        steps = np.tile(np.arange(1, self.horizon + 1), (count, 1))
        table = make_table(panel, np.arange(count), np.full(count, panel.columns), steps)
        said = np.stack([_predict(booster, table) for booster in self.boosters], axis=-1)
        return np.sort(np.maximum(said, 0.0), axis=-1).reshape(count, self.horizon, -1)


def fit(panel: Panel, horizon: int, seed: int, threads: int = 1) -> Fitted:
    """Learn from past origins of the panel; targets never lie beyond its last column.

    Raises TooShortError where the panel holds too few steps to learn from.
    """
    lightgbm = _load()
    rng = np.random.default_rng(seed)
    series, origin = _origins(panel, horizon, rng)
    steps = rng.integers(1, horizon + 1, (len(series), STEPS))
    table = make_table(panel, series, origin, steps)
    truth = panel.values[np.repeat(series, STEPS), np.repeat(origin, STEPS) + steps.ravel() - 1]
    target = (truth - table.base) / np.repeat(table.scale, STEPS)
    weight = np.repeat(_weights(table), STEPS)
    data = lightgbm.Dataset(table.rows, target, weight=weight, free_raw_data=False,
                            params={"max_bin": PARAMETERS["max_bin"], "verbose": -1, "num_threads": threads})
    trees = int(np.clip(len(target) // ROWS_A_TREE, LEAST_TREES, MOST_TREES))
    shared = PARAMETERS | {"learning_rate": LEARNING / trees, "seed": seed, "num_threads": threads}
    boosters = []
    for level in LEVELS:
        aim = {"objective": "l1"} if level == 0.5 else {"objective": "quantile", "alpha": level}
        boosters.append(lightgbm.train(shared | aim, data, trees))
    return Fitted(horizon, tuple(boosters))


def _load() -> ModuleType:
    """LightGBM, which is slow to import. Raises OSError that says what to install where the system lacks OpenMP."""
    try:
        return import_module("lightgbm")
    except OSError as error:
        raise OSError(f"boosting needs the OpenMP library of the system: {error}; install libgomp1 (Debian, Ubuntu), "
                      "libgomp (Fedora) or libomp (macOS)") from error


def _origins(panel: Panel, horizon: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Origins drawn evenly over the steps that have a past of two days, or weeks if there, and a whole horizon ahead.
    """
    day, week = panel.seasons
    past = np.where(panel.count >= 2 * week + horizon + day, 2 * week, 2 * day)
    room = np.maximum(panel.count - past - horizon + 1, 0)
    if room.sum() * STEPS < FEWEST_ROWS:
        raise TooShortError(f"boosting learns from {FEWEST_ROWS} rows, {len(panel)} series hold {room.sum() * STEPS}")
    most = min(MOST_ROWS, BASE_ROWS + ROWS_A_SERIES * len(panel))
    pairs = int(min(most // STEPS, room.sum()))
    share = room / room.sum()
    series = np.sort(rng.choice(len(panel), pairs, p=share))
    origin = panel.first[series] + past[series] + rng.integers(0, room[series])
    return series.astype(np.int64), origin.astype(np.int64)


def _weights(table: Table) -> Floats:
    """Half the loss counts in units of each series' daily change, half as a share of its level."""
    relative = table.scale / np.maximum(table.level, 1e-12)
    weight: Floats = 0.5 + 0.5 * np.minimum(relative / max(float(np.median(relative)), 1e-12), 10.0)
    return weight


def _predict(booster: lightgbm.Booster, table: Table) -> Floats:
    said = np.asarray(booster.predict(table.rows, num_threads=1), np.float64)
    return table.base + np.repeat(table.scale, len(table.base) // len(table.scale)) * said
