"""Many series of one step side by side: what pooled forecasters are given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forecasting.history import Floats, History, Times, natural_seasons

Ints = NDArray[np.int64]

LEVELS = (0.025, 0.5, 0.975)
"""Quantile levels that every model says: low, middle, high. Calibration makes all others of them.

Ends this far out tell best what is calm from what is wild.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """N series of one `step`: row i of `values` [N, L] holds the last `count[i]` columns of series i, NaN before.

    `end` [N] is the begin of the last step seen (UTC), in column L - 1. `known` [N, L + H, K] are columns known ahead
    (holidays, events, prices), column L being the first step to forecast; K may be 0.
    """

    ids: tuple[str, ...]
    values: Floats
    count: Ints
    end: Times
    step: np.timedelta64
    known: Floats

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def columns(self) -> int:
        """L: steps of the longest series."""
        return int(self.values.shape[1])

    @property
    def first(self) -> Ints:
        """Column of the first value of each series [N]."""
        return self.columns - self.count

    @property
    def seasons(self) -> tuple[int, int]:
        """Steps in a day and in a week, as far as the step allows it: (24, 168) for hours, (7, 7) for days, (1, 1)."""
        found = natural_seasons(self.step)
        return (found[0], found[-1]) if found else (1, 1)

    def history(self, i: int) -> History:
        """Series i by itself."""
        n = int(self.count[i])
        begin = self.columns - n
        start = self.end[i] - (n - 1) * self.step
        return History(self.ids[i], start, self.step, self.values[i, begin:], self.known[i, begin:])

    def pick(self, rows: Ints) -> Panel:
        """Some of the series, in that order."""
        names = tuple(self.ids[i] for i in rows.tolist())
        return replace(self, ids=names, values=self.values[rows], count=self.count[rows], end=self.end[rows],
                       known=self.known[rows])

    def before(self, steps: int) -> Panel:
        """What was known `steps` steps ago; series that had not begun then are left out."""
        kept = np.flatnonzero(self.count > steps)
        old = self.pick(kept)
        values = np.ascontiguousarray(old.values[:, : self.columns - steps])  # kernels are compiled for this layout
        return replace(old, values=values, count=old.count - steps, end=old.end - steps * self.step)

    def units(self) -> tuple[Floats, Floats]:
        """What losses of a series count in [N], its mean change from day to day (or step to step), and its mean [N]."""
        season = self.seasons[0]
        with np.errstate(invalid="ignore"):
            level = np.nanmean(self.values, axis=1)
            lag = season if self.columns > season else 1
            change = np.abs(self.values[:, lag:] - self.values[:, :-lag])
            seen = np.isfinite(change)
            unit = np.where(seen, change, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        return np.maximum(unit, np.maximum(1e-3 * level, 1e-12)), level

    def phase(self) -> Ints:
        """Steps from 1970 to the first step to forecast [N]: where the series stand within days and weeks."""
        found: Ints = ((self.end - np.datetime64(0, "ns")) // self.step).astype(np.int64) + 1
        return found


def make_panel(series: Sequence[History] | Iterable[History]) -> Panel:
    """A panel of series that share one step and columns known ahead. Raises ValueError when they do not, or where there
    is none.
    """
    listed = list(series)
    steps = {one.step for one in listed}
    if len(steps) != 1:
        raise ValueError(f"{len(listed)} series with {len(steps)} different steps: a panel has one")
    longest = max(map(len, listed))
    ahead = {(len(one.known) - len(one), one.known.shape[1]) for one in listed if one.known.shape[1]} or {(0, 0)}
    horizon, columns = ahead.pop()
    if ahead or any(one.known.shape[1] != columns for one in listed):
        raise ValueError(f"{len(listed)} series differ in the columns known ahead, or in how far these reach")
    values = np.full((len(listed), longest), np.nan)
    known = np.zeros((len(listed), longest + horizon, columns))
    for i, one in enumerate(listed):
        values[i, longest - len(one) :] = one.values
        if columns:
            known[i, longest - len(one) :] = one.known
    return Panel(
        tuple(one.unique_id for one in listed), values, np.array([len(one) for one in listed], np.int64),
        np.array([one.times()[-1] for one in listed]), steps.pop(), known,
    )  # fmt: skip
