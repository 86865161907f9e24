"""How good a forecast was: functions of what happened and what was said, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecasting.history import Floats


def pinball(truth: Floats, forecast: Floats, level: float) -> float:
    """Mean pinball loss of a quantile forecast (Koenker and Bassett 1978), in the unit of the series."""
    error = truth - forecast
    return float(np.maximum(level * error, (level - 1) * error).mean())


def weighted_quantile_loss(truth: Floats, quantiles: Floats, levels: tuple[float, ...]) -> float:
    """Twice the pinball loss of `quantiles` [levels, H], over the mean of the truth [H]; mean over levels.

    Where the truth is all 0 the loss is not divided.
    """
    size = float(np.abs(truth).mean())
    losses = [2 * pinball(truth, said, level) for said, level in zip(quantiles, levels, strict=True)]
    return float(np.mean(losses)) / (size if size > 0 else 1.0)


def mase(truth: Floats, forecast: Floats, past: Floats, season: int) -> float:
    """Mean absolute error over that of repeating the season within `past` (Hyndman and Koehler 2006).

    Where repeating the season made no error the result is 0 for a perfect forecast and infinite otherwise.
    """
    error = float(np.abs(truth - forecast).mean())
    naive = float(np.abs(past[season:] - past[:-season]).mean())
    if naive == 0:
        return 0.0 if error == 0 else float("inf")
    return error / naive


def coverage(truth: Floats, quantile: Floats) -> float:
    """Share of steps that did not exceed the quantile forecast."""
    return float((truth <= quantile).mean())


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """By series [N]: mean pinball loss over steps and levels, mean of the truth, weighted quantile loss, MASE of the
    median, share of steps at or under the 0.9 quantile (or the level nearest to it).
    """

    pinball: Floats
    size: Floats
    wql: Floats
    mase: Floats
    covered: Floats


def scores(truth: Floats, said: Floats, levels: Floats, past: Floats, season: int) -> Scores:
    """Scores of quantiles `said` [N, H, Q] for `truth` [N, H], given `past` [N, L] (NaN before a series began).

    Defined as in `weighted_quantile_loss`, `mase` and `coverage`; NaN where the truth is not known.
    """
    error = truth[..., None] - said
    loss = np.maximum(levels * error, (levels - 1) * error).mean(axis=(1, 2))
    size = np.abs(truth).mean(axis=1)
    change = np.abs(past[:, season:] - past[:, :-season]) if past.shape[1] > season else np.zeros((len(past), 1))
    seen = np.isfinite(change)
    naive = np.where(seen, change, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    off = np.abs(error[:, :, int(np.abs(levels - 0.5).argmin())]).mean(axis=1)
    scaled = np.where(naive > 0, off / np.where(naive > 0, naive, 1.0), np.where(off == 0, 0.0, np.inf))
    under = (truth <= said[:, :, int(np.abs(levels - 0.9).argmin())]).mean(axis=1)
    relative = 2 * loss / np.where(size > 0, size, 1.0)
    return Scores(loss, size, relative, scaled, np.where(np.isfinite(off), under, np.nan))
