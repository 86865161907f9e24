"""What every detector gets and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class DetectorSettings:
    """`false_alarms_per_day` is the budget of one series: how many alarms a day may be raised while all is calm."""

    false_alarms_per_day: float
    steps_per_day: int = 24

    def __post_init__(self) -> None:
        """Refuse a budget that is no budget."""
        if not 0 < self.false_alarms_per_day <= self.steps_per_day:
            raise ValueError(f"false_alarms_per_day: {self.false_alarms_per_day}: above 0, at most one a step")

    @property
    def chance_per_step(self) -> float:
        """The chance under calm below which one step is an alarm."""
        return self.false_alarms_per_day / self.steps_per_day


@dataclass(frozen=True, eq=False)
class Scores:
    """One detector's reading of every step; all arrays [series, steps].

    `expected` is the value that was foreseen, `z` the signed distance from it in robust standard deviations and `p` the
    chance of at least that distance under calm: NaN where there is no baseline or no value. `alarm` is `p` below the
    budget. `needs_days` is how much history comes before the first score. `limit(chance)` tells for chances [series]
    how large |z| is at the end where p falls below them; NaN without a baseline.
    """

    expected: npt.NDArray[np.float64]
    z: npt.NDArray[np.float64]
    p: npt.NDArray[np.float64]
    alarm: npt.NDArray[np.bool_]
    needs_days: float
    limit: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


class Detector(Protocol):
    """A step's score may depend on steps before it only, and never on another series."""

    def __call__(self, values: npt.NDArray[np.float64], settings: DetectorSettings) -> Scores:
        """Score `values` [series, steps], NaN where nothing was measured; the input stays as it is."""
