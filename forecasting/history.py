"""One series of past demand, regular and clean: what every forecaster is given."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]

DAY = np.timedelta64(1, "D")
WEEK = np.timedelta64(7, "D")
FEWEST_POINTS = 10
"""Below this no model has anything to learn from, whatever the frequency."""
FAR_DAYS = 56
"""Horizon beyond which the hour matters only by its place in the week: the level is forecast day by day."""
FEWEST_FAR_DAYS = 14
"""Two of every weekday: from fewer nothing is forecast further than the history is long."""
FURTHEST = 26
"""Times its own length that a history is looked ahead from at most: two years from four weeks."""


class TooShortError(ValueError):
    """The history is long enough to be read, but not for this model and horizon."""


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """`values[i]` >= 0 was seen in the step that begins at `start + i * step` (UTC).

    `values` is kept as a read-only copy. `known` [n + H, K] are columns known ahead, from the first step seen over the
    H to forecast; K may be 0. Raises ValueError for values that are not finite, negative or not one-dimensional, and
    for a step that is not positive.
    """

    unique_id: str
    start: np.datetime64
    step: np.timedelta64
    values: Floats
    known: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        values = np.array(self.values, np.float64)
        if values.ndim != 1 or not values.size:
            raise ValueError(f"{self.unique_id}: values of shape {values.shape}, one dimension and a point are needed")
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError(f"{self.unique_id}: values must be finite and not negative")
        if self.step <= np.timedelta64(0):
            raise ValueError(f"{self.unique_id}: step {self.step} must be positive")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return int(self.values.size)

    @property
    def constant(self) -> bool:
        """Whether all values are the same."""
        return bool(np.ptp(self.values) == 0)

    @property
    def seasons(self) -> tuple[int, ...]:
        """Natural seasons in steps, shortest first, of which two whole ones are there; (1,) where there is none."""
        return tuple(m for m in natural_seasons(self.step) if 2 * m <= len(self)) or (1,)

    def times(self) -> Times:
        """Begin of every step seen [n]."""
        return self.start + np.arange(len(self)) * self.step

    def times_ahead(self, horizon: int) -> Times:
        """Begin of the `horizon` steps after the last one seen."""
        return self.start + np.arange(len(self), len(self) + horizon) * self.step


def natural_seasons(step: np.timedelta64) -> tuple[int, ...]:
    """Steps in a day and in a week where these are whole numbers above 1: (24, 168) for hours, (7,) for days."""
    lengths = (int(cycle // step) for cycle in (DAY, WEEK) if cycle % step == np.timedelta64(0))
    return tuple(m for m in lengths if m > 1)


def fewest_points(step: np.timedelta64) -> int:
    """The shortest history that is accepted: two of the shortest natural season, and never under 10 points."""
    return max(FEWEST_POINTS, 2 * min(natural_seasons(step), default=1))


def goes_far(count: int, step: np.timedelta64, horizon: int) -> bool:
    """Whether `horizon` steps are beyond what direct models learn from `count`, and within what a level by day tells.

    Direct models learn up to `FAR_DAYS`, and up to half the history.
    """
    if DAY % step != np.timedelta64(0):
        return False
    beyond = horizon * step > FAR_DAYS * DAY or horizon > count / 2
    return bool(beyond and count * step >= FEWEST_FAR_DAYS * DAY and horizon <= FURTHEST * count)
