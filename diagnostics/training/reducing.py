"""Fewer inputs than metrics: by name in `REDUCTIONS`. Inputs are standardised first, and missing ones count as usual.

`pca` keeps the principal components that hold `KEPT_SHARE` of the variance. `autoencoder` is a small network that is
taught to give back its input through a narrow middle layer, whose values are kept. `none` passes inputs on, gaps too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
State = dict[str, Any]

KEPT_SHARE = 0.95
FEWEST_COLUMNS = 4
"""With fewer inputs there is nothing to reduce."""
_LEARNED_ROWS = 8_000
_EPOCHS = 25


class Reduction(NamedTuple):
    """`fit` learns from inputs [rows, columns] and a seed, `apply` gives [rows, fewer columns]."""

    fit: Callable[[Floats, int], State]
    apply: Callable[[Mapping[str, Any], Floats], Floats]


def _keep(_: Floats, __: int) -> State:
    return {}


def _as_is(_: Mapping[str, Any], values: Floats) -> Floats:
    return values


def _standard(values: Floats) -> State:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without any value
        mean, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    return {"mean": np.nan_to_num(mean), "spread": np.where(np.nan_to_num(spread) > 0, spread, 1.0)}


def _filled(state: Mapping[str, Any], values: Floats) -> Floats:
    return np.asarray(np.nan_to_num((values - state["mean"]) / state["spread"], nan=0.0))


def _fit_pca(values: Floats, _: int) -> State:
    state = _standard(values)
    filled = _filled(state, values)
    variance, components = np.linalg.eigh(filled.T @ filled / max(1, len(filled)))
    variance, components = variance[::-1], components[:, ::-1]
    total = variance.sum()
    share = np.cumsum(variance) / total if total > 0 else np.ones_like(variance)
    kept = components[:, : int(np.searchsorted(share, KEPT_SHARE - 1e-12) + 1)]
    largest = np.abs(kept).argmax(axis=0)
    return state | {"components": kept * np.sign(kept[largest, np.arange(kept.shape[1])])}


def _apply_pca(state: Mapping[str, Any], values: Floats) -> Floats:
    return np.asarray(_filled(state, values) @ state["components"])


def _fit_autoencoder(values: Floats, seed: int) -> State:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    state = _standard(values)
    chosen = np.random.default_rng(seed).permutation(len(values))[:_LEARNED_ROWS]
    filled = np.clip(_filled(state, values[np.sort(chosen)]), -10, 10)
    columns = values.shape[1]
    middle = max(2, -(-columns // 3))
    network = MLPRegressor(hidden_layer_sizes=(2 * middle, middle, 2 * middle), activation="tanh", max_iter=_EPOCHS,
                           batch_size=min(200, len(filled)), learning_rate_init=0.005, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of rounds is meant
        network.fit(filled, filled)
    return state | {"weights": [np.asarray(layer) for layer in network.coefs_[:2]],
                    "offsets": [np.asarray(layer) for layer in network.intercepts_[:2]]}


def _apply_autoencoder(state: Mapping[str, Any], values: Floats) -> Floats:
    layer = np.clip(_filled(state, values), -10, 10)
    for weights, offsets in zip(state["weights"], state["offsets"], strict=True):
        layer = np.tanh(layer @ weights + offsets)
    return layer


REDUCTIONS: dict[str, Reduction] = {
    "none": Reduction(_keep, _as_is),
    "pca": Reduction(_fit_pca, _apply_pca),
    "autoencoder": Reduction(_fit_autoencoder, _apply_autoencoder),
}
