"""Weights of models, learned on what they said from past origins: never equal shares on trust.

Quantiles of one level are averaged over models (Lichtendahl, Grushka-Cockayne and Winkler 2013, "Is it better to
average probabilities or quantiles?"), by weights that make the pinball loss of the average least.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecasting.history import Floats
from forecasting.jit import jit

Bools = NDArray[np.bool_]

_STEPS, _RATE = 200, 0.3
"""Steps of exponentiated gradient (Kivinen and Warmuth 1997) and how far each goes."""
_TILTS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""How strongly weights of a series may lean towards what did well on it: chosen by leaving origins out in turn."""
_WORTH = 0.01
"""Share of the loss that a mixture, or a lean, must save over what is simpler."""


def pinball(truth: Floats, said: Floats, levels: Floats) -> Floats:
    """Pinball loss [..., Q] of quantiles [..., Q] for truth [...]."""
    error = truth[..., None] - said
    return np.maximum(levels * error, (levels - 1) * error)


def learn_weights(truth: Floats, said: Floats, levels: Floats, unit: Floats) -> Floats:
    """Weights [N, M] of models by series, each row adding up to 1.

    `truth` [J, N, H] is what came after J origins, NaN where nothing did; `said` [M, J, N, H, Q] what the models said,
    NaN where one could not; `unit` [N] what a loss counts in for each series. A model that could not say something
    somewhere gets weight only where it always could.
    """
    silent = np.isnan(said).any(axis=(3, 4)) & np.isfinite(truth).any(axis=2)
    able_everywhere: Bools = np.logical_not(np.max(silent, axis=1))  # [M, N]
    shared = _shared_weights(truth, said, levels, unit, able_everywhere)
    alone = _losses(truth, said, levels, unit)  # [M, J, N]
    tilt = _best_tilt(truth, said, levels, unit, shared, alone, able_everywhere)
    return _leaning(shared, _mean(alone, 1), able_everywhere, tilt)


def combine(said: Floats, weights: Floats) -> Floats:
    """[N, H, Q]: quantiles `said` [M, N, H, Q] averaged by weights [N, M]; where a model is silent the rest share."""
    there = np.isfinite(said).all(axis=(2, 3)).T * weights
    there /= np.maximum(there.sum(axis=1, keepdims=True), 1e-12)
    mixed: Floats = np.einsum("nm,mnhq->nhq", there, np.nan_to_num(said))
    return mixed


def _losses(truth: Floats, said: Floats, levels: Floats, unit: Floats) -> Floats:
    """Mean loss in units of the series [M, J, N]; NaN where there is nothing to judge."""
    with np.errstate(invalid="ignore"):
        loss = pinball(truth, said, levels).mean(axis=-1)
        seen = np.isfinite(loss)
        total = np.where(seen, loss, 0.0).sum(axis=-1) / np.maximum(seen.sum(axis=-1), 1)
    return np.where(seen.any(axis=-1), total / unit, np.nan)


def _mean(losses: Floats, axis: int) -> Floats:
    """Mean along an axis of what is there; NaN where nothing is."""
    seen = np.isfinite(losses)
    count = seen.sum(axis=axis)
    total: Floats = np.where(seen, losses, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _shared_weights(truth: Floats, said: Floats, levels: Floats, unit: Floats, able: Bools) -> Floats:
    """Weights [M] for all series together, by exponentiated gradient on the loss of the average."""
    models = said.shape[0]
    everyone = able.all(axis=0)
    if not everyone.any():
        everyone = able.any(axis=0)
    picked = np.moveaxis(np.nan_to_num(said[:, :, everyone]) / unit[everyone, None, None], 0, -1)
    points = np.ascontiguousarray(picked).reshape(-1, len(levels), models)
    real = (truth[:, everyone] / unit[everyone, None]).ravel()
    weights, gradient = np.full(models, 1 / models), np.empty(models)
    best, least = weights, np.inf
    for step in range(_STEPS):
        loss = _loss_of_average(real, points, levels, weights, gradient)
        if loss < least * (1 - 1e-6):
            best, least = weights.copy(), loss
        scale = np.abs(gradient - gradient.mean()).max()
        if scale <= 1e-12:
            break
        weights = weights * np.exp(-_RATE / np.sqrt(1 + step / 10) * (gradient - gradient.mean()) / scale)
        weights /= weights.sum()
    return _sparse(best)


@jit
def _loss_of_average(truth: Floats, said: Floats, levels: Floats, weights: Floats, gradient: Floats) -> float:
    """Mean pinball loss, over truth [P] that is there, of quantiles `said` [P, Q, M] averaged by weights [M]; fills its
    `gradient` [M].
    """
    gradient[:] = 0.0
    total, count = 0.0, 0
    for p in range(len(truth)):
        if truth[p] != truth[p]:  # NaN
            continue
        count += 1
        for q in range(len(levels)):
            error = truth[p]
            for m in range(len(weights)):
                error -= weights[m] * said[p, q, m]
            slope = 1 - levels[q] if error < 0 else -levels[q]
            total -= slope * error
            for m in range(len(weights)):
                gradient[m] += slope * said[p, q, m]
    gradient /= max(1, count)
    return total / max(1, count)


def _sparse(weights: Floats) -> Floats:
    """Without the models that hardly count."""
    kept: Floats = np.where(weights < 0.02, 0.0, weights)
    return kept / float(kept.sum())


def _leaning(shared: Floats, losses: Floats, able: Bools, tilt: float) -> Floats:
    """Weights [N, M]: the shared ones times exp(-tilt x the loss [M, N] relative to the series' mean)."""
    usual = _mean(np.where(able, losses, np.nan), 0)
    relative = np.nan_to_num((losses - usual) / np.maximum(usual, 1e-12))
    base = np.maximum(shared, 1e-3 if tilt > 0 else 1e-9)[:, None]
    raw = np.where(able, base * np.exp(-tilt * np.clip(relative, -5, 5)), 0.0)
    raw[0] += 1e-12  # the floor, where nothing else can
    return np.asarray((raw / raw.sum(axis=0)).T)


def _best_tilt(truth: Floats, said: Floats, levels: Floats, unit: Floats, shared: Floats, alone: Floats,
               able: Bools) -> float:
    """The lean towards what did well on a series that would have done best from origins left out in turn."""
    origins = truth.shape[0]
    if origins < 2:
        return 0.0
    totals = []
    for tilt in _TILTS:
        total = 0.0
        for out in range(origins):
            rest = np.delete(alone, out, axis=1)
            weights = _leaning(shared, _mean(rest, 1), able, tilt)
            mixed = combine(said[:, out], weights)
            total += float(np.nanmean(_losses(truth[out][None], mixed[None, None], levels, unit)))
        totals.append(total)
    least = min(totals)
    return next(tilt for tilt, total in zip(_TILTS, totals, strict=True) if total <= least * (1 + _WORTH))
