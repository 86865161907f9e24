"""What every detector of many features together gets and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_STEPS = 100
FARTHEST = 10.0
"""Standard deviations beyond which further is no more telling."""

_LEAST_SHARE = 1e-3  # of a feature's range: steps of a counter that hardly moved are no hundred deviations
_LEAST_LEVEL = 1e-3  # of a constant's level: what a move away from it is measured by


class Watch(Protocol):
    """One machine as it was read so far. It knows its training, what it was fed, and nothing of what comes."""

    def feed(self, values: Floats) -> Floats:
        """Score the next rows of `values` [steps, features]: above 0, higher is stranger. NaN stands for a feature that
        was not measured, and its last value is taken to last; a row without any has no score, NaN.
        """


class Model(Protocol):
    """What was learnt from calm days."""

    def begin(self) -> Watch:
        """Begin to watch, from a machine that rests at its usual values."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast rows come, and for how long what counts as a fault goes on.

    `day`: rows a day. `lasting`: half-life, in rows, of what has to last; about a fourth of the faults looked for, by
    default of some hours.
    """

    day: int = 24
    lasting: float = 4.0


HOURLY = Pace()


class MultivariateDetector(Protocol):
    """Learns what calm looks like. The same training and rows give the same scores, in whatever portions they come;
    neither the unit nor the zero of a feature matters, nor the order of features.
    """

    def __call__(self, calm: Floats, pace: Pace = HOURLY) -> Model:
        """Learn from `calm` [steps, features], rows in order of time. Raises ValueError for fewer than 100 rows."""


@dataclass(frozen=True, eq=False)
class Usual:
    """Centre and scale of every feature while calm, both [features]."""

    centre: Floats
    scale: Floats

    @classmethod
    def of(cls, calm: Floats) -> Usual:
        """Mean and standard deviation of what was measured, with a floor. Raises ValueError for too few rows."""
        if calm.ndim != 2 or len(calm) < LEAST_STEPS or not calm.shape[1]:
            raise ValueError(f"calm: shape {calm.shape}: at least {LEAST_STEPS} steps of at least one feature")
        if np.isinf(calm).any():
            raise ValueError("calm: infinite values: say NaN for what was not measured")
        known = np.isfinite(calm)
        count = np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, calm, 0.0)
        centre = filled.sum(axis=0) / count
        away = np.where(known, calm - centre, 0.0)
        spread = away.max(axis=0) - away.min(axis=0)
        spread = np.where(spread > np.abs(centre) * 1e-12, spread, 0.0)  # the last bits of a constant
        scale = np.maximum(np.sqrt((away**2).sum(axis=0) / count), _LEAST_SHARE * spread)
        still = np.where(centre != 0, _LEAST_LEVEL * np.abs(centre), np.finfo(np.float64).tiny)
        return cls(centre, np.where(spread > 0, scale, still))

    def distance(self, values: Floats, before: Floats) -> Floats:
        """Signed distance from the centre in scales, at most ten: [steps, features].

        What was not measured has the distance of the row before it, the first that of `before` [features].

        Raises ValueError for another number of features, and for infinite values.
        """
        if values.ndim != 2 or values.shape[1] != len(self.centre):
            raise ValueError(f"values: shape {values.shape}: rows of the {len(self.centre)} features that were learnt")
        if np.isinf(values).any():
            raise ValueError("values: infinite: say NaN for what was not measured")
        with np.errstate(over="ignore"):
            away = np.clip((values - self.centre) / self.scale, -FARTHEST, FARTHEST)
        if not np.isnan(away).any():
            return away
        rows = np.vstack([before, away])
        last = np.maximum.accumulate(np.where(np.isfinite(rows), np.arange(len(rows))[:, None], 0), axis=0)
        return np.take_along_axis(rows, last, axis=0)[1:]
