"""Sample paths that have the quantiles of a forecast and move as past errors did, in time and across series.

The Schaake shuffle (Clark et al. 2004): margins come from the forecast, ranks from what happened at past origins, the
same origins for all series, so that path i of one may be added to path i of another.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import ndtri

from forecasting.history import Floats
from forecasting.panel import Panel

MOST_BLOCKS = 200
_WIDEST = 4.0
"""Normal scores beyond which no path goes."""
_LEAST_GAP = 1e-6


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


def joint_paths(panel: Panel, said: Floats, levels: Floats, n_paths: int, seed: int) -> Floats:
    """Sample paths [N, n_paths, H] with quantiles `said` [N, H, Q] at `levels` [Q].

    Between levels, and beyond the outermost, values go straight with the normal score. Never below 0.
    """
    rng = np.random.default_rng(seed)
    scores = error_scores(panel, said.shape[1])
    drawn = rng.permutation(np.resize(np.arange(scores.shape[0]), n_paths))
    z = np.clip(scores[drawn] + rng.normal(0, 0.05, (n_paths, 1, said.shape[1])), -_WIDEST, _WIDEST)
    knots = ndtri(levels)
    apart = np.concatenate(([True], np.diff(knots) > _LEAST_GAP))  # levels that all but coincide say nothing new
    return _at_scores(said[..., apart], knots[apart], z.transpose(1, 0, 2))


def error_scores(panel: Panel, horizon: int) -> Floats:
    """Normal scores [B, N, H] of errors that repeating a day would have made from B past origins.

    Origins are those of all series at once, in phase with the real one. Where a series had not begun, its scores are
    drawn from those of other blocks of its own; horizons longer than the history allows repeat blocks end to end.
    """
    season = panel.seasons[0]
    length = min(horizon, max(season, (panel.columns - season) // 4))
    last = panel.columns - length
    stride = season if (last - season) // season >= 10 else 1
    origins = np.arange(last, season - 1, -stride)[:MOST_BLOCKS]
    if not len(origins):
        return np.zeros((1, len(panel), horizon))
    truth = sliding_window_view(panel.values, length, axis=1)[:, origins]
    before = panel.values[:, origins[:, None] - season + np.arange(length) % season]
    errors = truth - before
    ranks = _ranks(errors)
    scores = ndtri(ranks)
    blocks = -(-horizon // length)
    together = [np.roll(scores, 7 * k + (k > 0), axis=1) for k in range(blocks)]
    return np.concatenate(together, axis=2)[:, :, :horizon].transpose(1, 0, 2)


def _ranks(errors: Floats) -> Floats:
    """Shares of the blocks [N, B, L] with a lesser error, strictly between 0 and 1; one half where there is none."""
    there = np.isfinite(errors)
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    order = np.argsort(np.where(there, errors, np.inf), axis=1, kind="stable")
    ranks = np.empty(errors.shape)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(errors.shape[1])[None, :, None], errors.shape), axis=1)
    return np.where(there, (ranks + 0.5) / count, 0.5)


def _at_scores(said: Floats, knots: Floats, z: Floats) -> Floats:
    """Values [N, K, H] at normal scores z [N, K, H] of quantiles `said` [N, H, Q] known at `knots` [Q]."""
    if len(knots) == 1:
        return np.maximum(np.broadcast_to(said[:, None, :, 0], z.shape), 0.0)
    right = np.clip(np.searchsorted(knots, z), 1, len(knots) - 1)
    n, _, h = np.ogrid[: z.shape[0], : z.shape[1], : z.shape[2]]
    low, high = said[n, h, right - 1], said[n, h, right]
    part = (z - knots[right - 1]) / (knots[right] - knots[right - 1])
    return np.maximum(low + part * (high - low), 0.0)


