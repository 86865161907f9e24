"""Gradient boosting (LightGBM) on all series at once: direct forecasts of every step ahead.

A row says what is known at an origin about one step ahead (`forecasting.features`); the target is how far demand is
from a base that repeats the past. One booster learns the middle by absolute errors, two more how far below and above
it low and high lie, by the pinball loss (Koenker and Bassett 1978). Direct pooled boosting won the M5 competition
(Makridakis, Spiliotis and Assimakopoulos 2022).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from forecasting.features import Rows, make_table
from forecasting.history import Floats, TooShortError
from forecasting.panel import LEVELS, Ints, Panel

if TYPE_CHECKING:
    import lightgbm

BASE_ROWS, ROWS_A_SERIES, MOST_ROWS = 10_000, 400, 200_000
"""Rows to learn from grow with the series there are: more take longer and say little more."""
BIN_ROWS = 50_000
"""Rows that the bins of features are found on."""
STEPS = 12
"""Steps ahead that one origin teaches, drawn anew each time."""
FAR = 30.0
"""Units that a target is away from its base at most. Where a series stood still its unit is next to nothing, and one
that starts again would teach leaves that send others beyond all bounds."""
FEWEST_ROWS = 500
LEAST_TREES, MOST_TREES, ROWS_A_TREE = 60, 220, 800
"""Few rows are learned by few trees that learn fast."""
LEARNING = 12.5
"""Trees times learning rate."""
LATE, LATE_ROWS = 0.14, 1 / 3
"""Shares of trees that an update adds, and of rows that it learns them from: what came since is not much."""
SPREAD_TREES, SPREAD_LEARNING, SPREAD_ROWS = 60, 0.1, 60_000
"""Of low and high each: they start from the middle, so less is left to learn."""
PARAMETERS: dict[str, Any] = {
    "num_leaves": 63, "min_data_in_leaf": 50, "feature_fraction": 0.3, "bagging_fraction": 0.7, "bagging_freq": 1,
    "max_bin": 63, "verbose": -1, "deterministic": True, "force_row_wise": True,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Boosters of the middle, and of how far low and high lie from it, for `horizon` steps."""

    horizon: int
    seed: int
    threads: int
    middle: lightgbm.Booster
    below: lightgbm.Booster
    above: lightgbm.Booster

    def spread(self, panel: Panel) -> Floats:
        """[N, H, 3], rising: they never cross, and are never below 0."""
        count = len(panel)
        steps = np.tile(np.arange(1, self.horizon + 1), (count, 1))
        table = make_table(panel, np.arange(count), np.full(count, panel.columns), steps)
        middle = _predict(self.middle, table.rows)
        scaled = np.stack([middle + np.minimum(_predict(self.below, table.rows), 0.0), middle,
                           middle + np.maximum(_predict(self.above, table.rows), 0.0)], axis=-1)
        said = table.base[:, None] + np.repeat(table.scale, self.horizon)[:, None] * scaled
        found: Floats = np.maximum(said, 0.0).reshape(count, self.horizon, -1)
        return found

    def update(self, panel: Panel) -> Fitted:
        """Some more trees for the middle, learned from all that the panel holds now; the spread stays as it is."""
        trees = max(1, round(LATE * self.middle.num_trees()))
        lesson = _draw(panel, self.horizon, round(LATE_ROWS * _most_rows(panel)), _worth(panel),
                       np.random.default_rng(self.seed + 1))
        given = self.middle.params
        middle = _train(_binned(lesson, self.threads), {"objective": "l1", "learning_rate": given["learning_rate"]},
                        trees, self.seed, self.threads, self.middle)
        return replace(self, middle=middle)


def fit(panel: Panel, horizon: int, seed: int, threads: int = 1) -> Fitted:
    """Learn from past origins of the panel; targets never lie beyond its last column.

    Raises TooShortError where the panel holds too few steps to learn from.
    """
    rng = np.random.default_rng(seed)
    lesson = _draw(panel, horizon, _most_rows(panel), _worth(panel), rng)
    trees = int(np.clip(len(lesson.target) // ROWS_A_TREE, LEAST_TREES, MOST_TREES))
    binned = _binned(lesson, threads)
    middle = _train(binned, {"objective": "l1", "learning_rate": LEARNING / trees}, trees, seed, threads)
    rest = _draw(panel, horizon, min(SPREAD_ROWS, _most_rows(panel)), np.ones(len(panel)), rng)
    rest = replace(rest, target=rest.target - _predict(middle, rest.rows))
    binned = _binned(rest, threads)
    below, above = (
        _train(binned, {"objective": "quantile", "alpha": level, "learning_rate": SPREAD_LEARNING, "num_leaves": 31},
               SPREAD_TREES, seed, threads)
        for level in (LEVELS[0], LEVELS[2]))
    return Fitted(horizon, seed, threads, middle, below, above)


@dataclass(frozen=True, slots=True, eq=False)
class _Lesson:
    """`rows` [R, F], and what they should say [R] in units of the series."""

    rows: Rows
    target: Floats


def _most_rows(panel: Panel) -> int:
    return min(MOST_ROWS, BASE_ROWS + ROWS_A_SERIES * len(panel))


def _draw(panel: Panel, horizon: int, most: int, worth: Floats, rng: np.random.Generator) -> _Lesson:
    """At most so many rows from past origins, of each series [N] in proportion to its `worth` and its length."""
    series, origin = _origins(panel, horizon, most // STEPS, worth, rng)
    steps = rng.integers(1, horizon + 1, (len(series), STEPS))
    table = make_table(panel, series, origin, steps)
    truth = panel.values[np.repeat(series, STEPS), np.repeat(origin, STEPS) + steps.ravel() - 1]
    target = (truth - table.base) / np.repeat(table.scale, STEPS)
    return _Lesson(table.rows, np.clip(target, -FAR, FAR))


def _binned(lesson: _Lesson, threads: int) -> lightgbm.Dataset:
    """Rows sorted into bins, which takes as long as many trees: boosters that learn from the same rows share it.

    Rows sorted into bins found on others (`reference`) are not to be learned from: where a feature was mostly 0 there,
    LightGBM 4.7 writes beyond its memory.
    """
    found: lightgbm.Dataset = _load().Dataset(
        lesson.rows, lesson.target, free_raw_data=False,
        params={"max_bin": PARAMETERS["max_bin"], "verbose": -1, "num_threads": threads,
                "bin_construct_sample_cnt": BIN_ROWS})
    return found


def _train(data: lightgbm.Dataset, aim: dict[str, Any], trees: int, seed: int, threads: int,
           begun: lightgbm.Booster | None = None) -> lightgbm.Booster:
    """So many trees, on top of those of a booster that has begun."""
    shared = PARAMETERS | {"seed": seed, "num_threads": threads}
    booster: lightgbm.Booster = _load().train(shared | aim, data, trees, init_model=begun)
    return booster


def _load() -> ModuleType:
    """LightGBM, which is slow to import. Raises OSError that says what to install where the system lacks OpenMP."""
    try:
        return import_module("lightgbm")
    except OSError as error:
        raise OSError(f"boosting needs the OpenMP library of the system: {error}; install libgomp1 (Debian, Ubuntu), "
                      "libgomp (Fedora) or libomp (macOS)") from error


def _origins(panel: Panel, horizon: int, pairs: int, worth: Floats,
             rng: np.random.Generator) -> tuple[Ints, Ints]:
    """At most so many origins, within an eighth of a day of the phase of the real one, after a past of two days, or
    weeks if there, and before a whole horizon.
    """
    day, week = panel.seasons
    near = day // 8
    past = np.where(panel.count >= 2 * week + horizon + day, 2 * week, 2 * day)
    room = np.maximum(panel.count - past - horizon + 1, 0)
    if room.sum() * STEPS < FEWEST_ROWS:  # few origins have two weeks before them: two days must do
        past = np.full_like(past, 2 * day)
        room = np.maximum(panel.count - past - horizon + 1, 0)
    if room.sum() * STEPS < FEWEST_ROWS:
        raise TooShortError(f"boosting learns from {FEWEST_ROWS} rows, {len(panel)} series hold {room.sum() * STEPS}")
    chance = room * worth / (room * worth).sum()
    series = np.sort(rng.choice(len(panel), min(pairs, int(room.sum())), p=chance)).astype(np.int64)
    days = np.maximum(room[series] // day, 1)
    back = -(-horizon // day) * day + day * rng.integers(0, days) + rng.integers(-near, near + 1, len(series))
    back = np.clip(back, horizon, panel.count[series] - past[series])
    return series, (panel.columns - back).astype(np.int64)


def _worth(panel: Panel) -> Floats:
    """How often a series is drawn [N]: half the loss counts in units of its daily change, half as a share of its level.

    Weights of rows would do the same, and double the time of a tree: its leaves are then weighted medians.
    """
    unit, level = panel.units()
    relative = unit / np.maximum(level, 1e-12)
    worth: Floats = 0.5 + 0.5 * np.minimum(relative / max(float(np.median(relative)), 1e-12), 10.0)
    return worth


def _predict(booster: lightgbm.Booster, rows: Rows) -> Floats:
    return np.asarray(booster.predict(rows, num_threads=1), np.float64)
