"""The scoring rules of the Numenta Anomaly Benchmark, written anew from the paper and the published code's behaviour.

Lavin and Ahmad, Evaluating real-time anomaly detection algorithms (ICMLA 2015). The earliest alarm in a window counts
by a sigmoid that falls from 1 at its left edge towards 0 at its right; a window without alarm costs; every alarm
outside costs by a sigmoid that falls from the right edge of the last window, and fully before the first. Rows of the
probationary period count for nothing. Sums over all files are scaled so that no alarm at all is 0 and the earliest
possible one in every window 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PROBATION_SHARE, PROBATION_MOST = 0.15, 750
FAR = 3.0
"""Windows past a window beyond which an alarm costs in full."""


@dataclass(frozen=True)
class Profile:
    """What a window found, a false alarm and a window missed weigh."""

    found: float
    false_alarm: float
    missed: float


PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "low_fp": Profile(1.0, 0.22, 1.0),
    "low_fn": Profile(1.0, 0.11, 2.0),
}


@dataclass(frozen=True)
class Marked:
    """One file's rows and its windows, each (first row, last row), in order."""

    rows: int
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> int:
        """Rows at the start that count for nothing."""
        return min(int(PROBATION_SHARE * self.rows), PROBATION_MOST)


@dataclass(frozen=True)
class Tally:
    """One file: what its windows earned, how many were missed, how many alarms were false, what they cost."""

    earned: float
    missed: int
    false_alarms: int
    cost: float
    windows: int


def sigmoid(position: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Worth of an alarm by its position in windows from the right edge of one: negative inside."""
    return np.where(position > FAR, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, FAR))) - 1.0)


def tally(marked: Marked, alarm: npt.NDArray[np.bool_]) -> Tally:
    """Count one file's alarms [rows]. Raises ValueError for another number of rows."""
    if alarm.shape != (marked.rows,):
        raise ValueError(f"alarm: shape {alarm.shape}: one flag for each of {marked.rows} rows")
    rows = np.flatnonzero(alarm)
    rows = rows[rows >= marked.probation]
    worth = np.full(len(rows), -1.0)
    inside = np.zeros(len(rows), dtype=bool)
    earned, missed = 0.0, 0
    for first, last in marked.windows:
        width = last - first + 1
        within = (rows >= first) & (rows <= last)
        inside |= within
        after = rows > last  # a later window, if any, writes over this
        worth[after] = sigmoid((rows[after] - last) / max(width - 1, 1))
        if within.any():
            position = -(last - rows[within].min() + 1) / width
            earned += float(sigmoid(np.array(position)) / sigmoid(np.array(-1.0)))
        elif last >= marked.probation:
            missed += 1
    false = worth[~inside]
    return Tally(earned, missed, len(false), float(-false.sum()), len(marked.windows))


def score(tallies: Sequence[Tally], profile: Profile) -> float:
    """The score of a set of files: 0 for no alarms, 100 for perfect ones; NaN where no file has a window."""
    windows = sum(one.windows for one in tallies)
    if not windows:
        return float("nan")
    silent = -profile.missed * windows
    reached = sum(profile.found * one.earned - profile.missed * one.missed - profile.false_alarm * one.cost
                  for one in tallies)
    return 100.0 * (reached - silent) / (profile.found * windows - silent)
