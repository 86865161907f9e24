"""Sample paths: a point forecast and past errors of whole blocks of steps, drawn again."""

from __future__ import annotations

import numpy as np

from forecasting.history import Floats


def bootstrap(point: Floats, errors: Floats, n_paths: int, seed: int) -> Floats:
    """Sample paths [n_paths, H] around `point` [H]: blocks of past `errors` [B, L] are drawn and laid end to end.

    A block holds the errors made 1..L steps ahead of one origin, so what belongs together in time stays together (block
    bootstrap; Kuensch 1989). Blocks are drawn by position alone: series with equally many blocks draw those of the same
    origins, which keeps their correlation with one another. Paths are cut off at 0.
    """
    horizon, (blocks, length) = point.size, errors.shape
    draws = np.random.default_rng(seed).integers(0, blocks, (n_paths, -(-horizon // length)))
    noise = errors[draws].reshape(n_paths, -1)[:, :horizon]
    return np.maximum(point + noise, 0.0)


def quantiles_of(paths: Floats, levels: tuple[float, ...]) -> Floats:
    """Quantiles [len(levels), H] of sample paths [n_paths, H]; they cannot cross when levels rise."""
    values: Floats = np.quantile(paths, levels, axis=0)
    return values
