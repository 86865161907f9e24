"""Ensembles that predict one column from others: by name in `ENSEMBLES`. Same rows and seed, same trees: one thread.

Trees predict nothing beyond what they have seen, so `linear_then_boosting` fits a ridge regression first and boosts
what it leaves: load twice as large as ever is then met with a line, not with a ceiling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # loaded only where a model is made or asked
    import lightgbm

Floats = npt.NDArray[np.float64]
State = dict[str, Any]

LEARNING_RATE = 0.08
LEAVES = 31
FEWEST_A_LEAF = 20
RIDGE = 1e-3
"""Times the number of rows: inputs are standardised."""


class Ensemble(NamedTuple):
    """`fit` takes inputs [rows, columns], what to predict [rows], a number of trees and a seed."""

    fit: Callable[[Floats, Floats, int, int], State]
    predict: Callable[[Mapping[str, Any], Floats], Floats]


def _fit_lightgbm(inputs: Floats, wanted: Floats, trees: int, seed: int) -> State:
    import lightgbm

    settings = {"objective": "regression", "learning_rate": LEARNING_RATE, "num_leaves": LEAVES,
                "min_data_in_leaf": FEWEST_A_LEAF, "num_threads": 1, "deterministic": True, "force_row_wise": True,
                "seed": seed, "verbose": -1, "feature_fraction": 0.9, "bagging_fraction": 0.8, "bagging_freq": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(inputs, wanted), num_boost_round=trees)
    return {"booster": booster.model_to_string()}


def _predict_lightgbm(state: Mapping[str, Any], inputs: Floats) -> Floats:
    return np.asarray(_booster(state["booster"]).predict(inputs, num_threads=1), dtype=np.float64)


@lru_cache(maxsize=256)
def _booster(text: str) -> lightgbm.Booster:
    """Trees from their text, which takes longer to read than a few rows to predict."""
    import lightgbm

    return lightgbm.Booster(model_str=text)


def _fit_hist(inputs: Floats, wanted: Floats, trees: int, seed: int) -> State:
    from sklearn.ensemble import HistGradientBoostingRegressor

    made = HistGradientBoostingRegressor(max_iter=trees, learning_rate=LEARNING_RATE, max_leaf_nodes=LEAVES,
                                         min_samples_leaf=FEWEST_A_LEAF, early_stopping=False, random_state=seed)
    return {"trees": made.fit(inputs, wanted)}


def _predict_hist(state: Mapping[str, Any], inputs: Floats) -> Floats:
    return np.asarray(state["trees"].predict(inputs), dtype=np.float64)


def _fit_linear(inputs: Floats, wanted: Floats) -> State:
    known = np.where(np.isnan(inputs), 0.0, inputs)
    mean, spread = known.mean(axis=0), known.std(axis=0)
    state: State = {"mean": mean, "spread": np.where(spread > 0, spread, 1.0), "offset": float(wanted.mean())}
    inside = (known - mean) / state["spread"]
    square = inside.T @ inside + RIDGE * len(inside) * np.eye(inside.shape[1])
    return state | {"slope": np.linalg.solve(square, inside.T @ (wanted - wanted.mean()))}


def _predict_linear(state: Mapping[str, Any], inputs: Floats) -> Floats:
    filled = np.where(np.isnan(inputs), state["mean"], inputs)
    return np.asarray((filled - state["mean"]) / state["spread"] @ state["slope"] + state["offset"])


def _fit_both(inputs: Floats, wanted: Floats, trees: int, seed: int) -> State:
    return {"lightgbm": _fit_lightgbm(inputs, wanted, trees, seed), "hist": _fit_hist(inputs, wanted, trees, seed)}


def _predict_both(state: Mapping[str, Any], inputs: Floats) -> Floats:
    return (_predict_lightgbm(state["lightgbm"], inputs) + _predict_hist(state["hist"], inputs)) / 2


def _fit_linear_then(inputs: Floats, wanted: Floats, trees: int, seed: int) -> State:
    linear = _fit_linear(inputs, wanted)
    rest = wanted - _predict_linear(linear, inputs)
    return {"linear": linear, "lightgbm": _fit_lightgbm(inputs, rest, trees, seed)}


def _predict_linear_then(state: Mapping[str, Any], inputs: Floats) -> Floats:
    return _predict_linear(state["linear"], inputs) + _predict_lightgbm(state["lightgbm"], inputs)


ENSEMBLES: dict[str, Ensemble] = {
    "lightgbm": Ensemble(_fit_lightgbm, _predict_lightgbm),
    "hist_gradient_boosting": Ensemble(_fit_hist, _predict_hist),
    "mean_of_both": Ensemble(_fit_both, _predict_both),
    "linear_then_boosting": Ensemble(_fit_linear_then, _predict_linear_then),
}
