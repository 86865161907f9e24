"""Runs and batches at their own pace: a run a day is a series of days, not of hours that are mostly empty.

The pace is the median gap between the first values, as a divisor of a day; a run that comes a little early or late is
still that day's.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from diagnostics.detectors import Detector, DetectorSettings, Scores
from diagnostics.detectors.calm import Floats

LOOKED_AT = 30
"""Values that the pace is told by."""


def at_its_pace(detect: Detector) -> Detector:
    """The same detector, every series at its own pace; scores stand at the steps whose values they are of."""

    def paced(values: Floats, settings: DetectorSettings) -> Scores:
        day = settings.steps_per_day
        paces = np.array([pace_of(row, day) for row in values])
        if (paces[:, 0] == 1).all():
            return detect(values, settings)
        arrays = {name: np.full(values.shape, np.nan) for name in ("expected", "z", "p")}
        alarm = np.zeros(values.shape, dtype=bool)
        parts: list[tuple[npt.NDArray[np.int64], Scores]] = []
        for pace, phase in sorted(set(map(tuple, paces.tolist()))):
            rows = np.flatnonzero((paces == (pace, phase)).all(axis=1))
            slow, at = _slowed(values[rows], pace, phase)
            own = DetectorSettings(min(settings.false_alarms_per_day, day // pace), day // pace)
            scores = detect(slow, own)
            known = np.isfinite(slow)
            for name, array in arrays.items():
                array[rows[:, None], at] = np.where(known, getattr(scores, name), array[rows[:, None], at])
            alarm[rows[:, None], at] |= known & scores.alarm
            parts.append((rows, scores))

        def limit(chance: Floats) -> Floats:
            found = np.full(len(values), np.nan)
            for rows, scores in parts:
                found[rows] = scores.limit(chance[rows])
            return found

        return replace(parts[0][1], **arrays, alarm=alarm, limit=limit,
                       needs_days=max(scores.needs_days for _, scores in parts))

    return paced


def pace_of(row: Floats, day: int) -> tuple[int, int]:
    """Steps from run to run, and the step of the first window, so that runs are in the middle of theirs."""
    known = np.flatnonzero(np.isfinite(row))[:LOOKED_AT]
    if len(known) < 2:
        return 1, 0
    gap = float(np.median(np.diff(known)))
    pace = max(steps for steps in range(1, day + 1) if day % steps == 0 and steps <= max(1.0, gap))
    if pace == 1:
        return 1, 0
    angle = np.angle(np.exp(2j * np.pi * (known % pace) / pace).mean()) / (2 * np.pi) * pace
    return pace, int(round(float(angle)) - pace // 2) % pace


def _slowed(values: Floats, pace: int, phase: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The last value of every window [series, windows], and the step that it is of (where none is, some step)."""
    before = (pace - phase) % pace
    steps = values.shape[1]
    windows = -(-(before + steps) // pace)
    padded = np.full((len(values), windows * pace), np.nan)
    padded[:, before : before + steps] = values
    by_window = padded.reshape(len(values), windows, pace)
    last = pace - 1 - np.isfinite(by_window)[:, :, ::-1].argmax(axis=2)
    slow = np.take_along_axis(by_window, last[:, :, None], axis=2)[:, :, 0]
    return slow, np.clip(np.arange(windows) * pace + last - before, 0, steps - 1)
