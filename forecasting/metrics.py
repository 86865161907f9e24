"""How good a forecast was: functions of what happened and what was said, nothing else."""

from __future__ import annotations

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
