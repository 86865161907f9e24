"""Recent level: the median of the last day goes on, with the errors that this made in the past.

For demand without a shape, or whose level has just changed: the median forgets an old level within half a day, and is
not moved by single peaks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecasting.history import Floats
from forecasting.jit import jit
from forecasting.models.seasonal_naive import ALIGNED, MOST_BLOCKS, block_length, quantile, seasons_there
from forecasting.panel import LEVELS, Ints, Panel


@dataclass(frozen=True, slots=True)
class Fitted:
    """Nothing is learned: `horizon` is what was asked for."""

    horizon: int

    def spread(self, panel: Panel) -> Floats:
        """[N, H, 3]: the median of the last day, plus quantiles of the errors that this made so many steps ahead."""
        said = np.empty((len(panel), self.horizon, len(LEVELS)))
        _say(panel.values, panel.first, *panel.seasons, np.array(LEVELS), said)
        return said

    def update(self, panel: Panel) -> Fitted:  # noqa: ARG002
        """The same: nothing was learned."""
        return self


def fit(panel: Panel, horizon: int, seed: int, threads: int = 1) -> Fitted:  # noqa: ARG001
    """Nothing is learned before the series are there."""
    return Fitted(horizon)


@jit
def _say(values: Floats, first: Ints, day: int, week: int, levels: Floats, said: Floats) -> None:
    """Fill `said` [N, H, Q]; origins of past errors lie as those of the seasonal naive forecast do."""
    horizon = said.shape[1]
    for i in range(len(values)):
        past = values[i, first[i] :]
        points = len(past)
        span, _ = seasons_there(points, day, week)
        length = block_length(span, horizon, points - span)
        last = points - length
        stride = span if (last - span) // span + 1 >= ALIGNED else max(1, (last - span) // MOST_BLOCKS)
        blocks = (last - span) // stride + 1
        calm, errors = np.empty(blocks), np.empty(blocks)
        for b in range(blocks):
            origin = last - b * stride
            calm[b] = np.median(past[origin - span : origin])
        middle = float(np.median(past[points - span :]))
        for h in range(horizon):
            if h < length:
                for b in range(blocks):
                    errors[b] = past[last - b * stride + h] - calm[b]
                errors.sort()
            for q in range(len(levels)):
                said[i, h, q] = max(0.0, middle + (0.0 if levels[q] == 0.5 else quantile(errors, levels[q])))
            said[i, h].sort()
