"""What every drift test gets and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class DriftSettings:
    """`false_drift_chance` is how often calm data may be called drifted; `seed` fixes what a test draws."""

    false_drift_chance: float
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a chance that is none."""
        if not 0 < self.false_drift_chance < 1:
            raise ValueError(f"false_drift_chance: {self.false_drift_chance}: between 0 and 1")


@dataclass(frozen=True, eq=False)
class Windows:
    """Days to compare, in the order of time: `days` [series, days, steps of a day] with NaN for gaps, which of them are
    `recent` [days], and their `weekday` [days]: days are only ever exchanged for days of the same weekday.
    """

    days: npt.NDArray[np.float64]
    recent: npt.NDArray[np.bool_]
    weekday: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Verdict:
    """`drifted` when the statistic is at or above the threshold; `p` is its chance if nothing had changed."""

    statistic: float
    threshold: float
    p: float
    drifted: bool


class DriftTest(Protocol):
    """A test knows the two windows and nothing else; a series' verdict depends on no other series, and the same seed
    gives the same verdict.
    """

    def __call__(self, windows: Windows, settings: DriftSettings) -> tuple[Verdict, ...]:
        """Compare the recent days of every series with its others; the input stays as it is."""
