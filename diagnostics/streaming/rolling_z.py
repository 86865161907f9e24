"""Distance of a value from the mean of the 200 before it, in their standard deviations: what everybody tries first."""

from __future__ import annotations

import numpy as np

from diagnostics.jit import jit
from diagnostics.streaming.contract import Flags, Floats, Ints, Readings, StreamSettings, checked

ALARM_SCORE = 5.0
WINDOW = 200

_LARGEST_Z = 1e6
_RELATIVE_FLOOR = 1e-9  # rounding of a constant is no news


class RollingZ:
    """One stream and its last 200 values; gaps are left out."""

    def __init__(self, settings: StreamSettings) -> None:
        """Begin with nothing seen."""
        self._settings = settings
        self._past = np.zeros(WINDOW)
        self._at = np.zeros(3, dtype=np.int64)  # steps read, values read, steps left of rest

    def feed(self, values: Floats) -> Readings:
        """Read the next values."""
        score, alarm = np.zeros(len(values)), np.zeros(len(values), dtype=bool)
        _read(checked(values), self._settings.learn_steps, self._settings.rest_steps, self._past, self._at, score,
              alarm)
        return Readings(score, alarm)


@jit
def _read(values: Floats, learn: int, rest: int, past: Floats, at: Ints, score: Floats, alarm: Flags) -> None:
    """Score every value and put it in the place of the oldest."""
    for i in range(len(values)):
        at[0] += 1
        at[2] = max(at[2] - 1, 0)
        if not np.isfinite(values[i]):
            continue
        if at[1] >= WINDOW:
            mean = past.mean()
            spread = max(past.std(), _RELATIVE_FLOOR * np.abs(past).max(), np.finfo(np.float64).tiny)
            score[i] = min(abs(values[i] - mean) / spread, _LARGEST_Z)
        past[at[1] % WINDOW] = values[i]
        at[1] += 1
        if at[0] > learn and at[2] == 0 and score[i] >= ALARM_SCORE:
            alarm[i] = True
            at[2] = rest + 1
