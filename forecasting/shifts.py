"""Levels that shifted for good within the last week: what came before is brought to the new level.

Models learn the shape of days and weeks from several weeks back, where the old level would mislead them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from forecasting.history import Floats
from forecasting.panel import Panel

MOST_WEEKS, FEWEST_WEEKS = 5, 3
"""Weeks that are looked at, and those that must be there."""
FEWEST_DAYS = 2
"""Whole days that a new level has lasted at least: a day by itself may be an event."""
NOISES, SHARE = 6.0, 0.3
"""Every day since lies so many noises, and this share of the old level, off the same day a week before."""
ALIKE = 0.5
"""A shift's days differ from each other by less than this share of it: else it is growth, or an event."""
WIDEST = 50.0
"""Beyond this factor it is no shift of level but something that began or ended, and is left as it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """Series `row` of a panel has had the mean `after` since `column`; at the same times a week before it was `before`.

    Around its mean it moves `stretch` times as much as it did.
    """

    row: int
    column: int
    before: float
    after: float
    stretch: float


def find_shifts(panel: Panel) -> list[Shift]:
    """Series whose level shifted within the last week, by days that all differ alike from those a week before."""
    day, week = _cycle(panel)
    weeks = min(MOST_WEEKS, panel.columns // week)
    if week == 1 or weeks < FEWEST_WEEKS:
        return []
    days = panel.values[:, panel.columns - weeks * week :].reshape(len(panel), weeks * 7, day).mean(axis=2)
    change = days[:, 7:] - days[:, :-7]
    level = np.abs(days[:, -14:-7]).mean(axis=1)
    noise = 1.4826 * np.median(np.abs(change[:, :-7]), axis=1)
    least = np.maximum(NOISES * noise, SHARE * level)
    hours = max(1, day // 4)
    now = (panel.values[:, -hours:] - panel.values[:, -hours - week : -week]).mean(axis=1)
    lasted = np.zeros(len(panel), np.int64)
    for sign in (1.0, -1.0):
        beyond = sign * change[:, -7:] > least[:, None]  # NaN, where a series had not begun, is not beyond
        days_since = np.minimum.accumulate(beyond[:, ::-1], axis=1).sum(axis=1)
        lasted = np.maximum(lasted, np.where(sign * now > least, days_since, 0))
    found = [_exactly(panel, row, int(lasted[row]), day, week) for row in np.flatnonzero(lasted >= FEWEST_DAYS).tolist()
             if _alike(days[row], int(lasted[row]))]
    return [one for one in found if one.before > 0 and 1 / WIDEST < one.after / one.before < WIDEST]


def follow_shifts(panel: Panel) -> tuple[Panel, list[Shift]]:
    """The panel with what came before each shift at the new level, and the shifts."""
    shifts = find_shifts(panel)
    if not shifts:
        return panel, shifts
    values = panel.values.copy()
    for one in shifts:
        old, most = values[one.row, : one.column], np.nanmax(values[one.row])
        values[one.row, : one.column] = np.clip(one.after + one.stretch * (old - one.before), 0.0, most)
    return replace(panel, values=values), shifts


def describe(panel: Panel, shift: Shift) -> str:
    """A sentence for people."""
    at = panel.end[shift.row] - (panel.columns - 1 - shift.column) * panel.step
    moment = np.datetime_as_string(at, unit="s")
    return (f"level shift at {moment}Z, from {shift.before:.4g} to {shift.after:.4g} at the same times: what came "
            "before is brought to the new level")


def _cycle(panel: Panel) -> tuple[int, int]:
    """Steps in a day and in a week; (1, 1) where the step is longer than a day or no part of it."""
    day, week = panel.seasons
    if day == week:
        return (1, 7) if week == 7 else (1, 1)
    return day, week


def _alike(days: Floats, lasted: int) -> bool:
    """Whether the last days have gone the same way from those a week before, by difference or by ratio; the oldest may
    be one that only ended so.
    """
    whole = max(FEWEST_DAYS, lasted - 1)
    new, old = days[-whole:], days[-whole - 7 : -7]
    gone = new - old
    if np.ptp(gone) <= ALIKE * abs(float(gone.mean())):
        return True
    factor = new / np.maximum(old, 1e-12) - 1
    return bool(np.ptp(factor) <= ALIKE * abs(float(factor.mean())))


def _exactly(panel: Panel, row: int, lasted: int, day: int, week: int) -> Shift:
    """Where, in the oldest of the days that lasted or the day before it, the change against the week before breaks best
    in two.
    """
    begin = panel.columns - min((lasted + 1) * day, week)
    values = panel.values[row]
    change = values[begin:] - values[begin - week : panel.columns - week]
    count = np.arange(1, min(2 * day, len(change) - 1) + 1)
    left, total = np.cumsum(change)[: len(count)], change.sum()
    gain = left**2 / count + (total - left) ** 2 / (len(change) - count)
    none = total**2 / len(change)  # a shift at the begin itself
    at = int(gain.argmax()) + 1 if gain.max() > none * (1 + 1e-9) else 0
    column = begin + at
    old, new = values[column - week : panel.columns - week], values[column:]
    before, after, moved = float(old.mean()), float(new.mean()), float(old.std())
    most = max(1.0, after / before) if before > 0 else 1.0
    return Shift(row, column, before, after, min(float(new.std()) / moved, most) if moved > 0 else 1.0)
