"""A day turned round: for two days the load comes twelve hours later than it always did."""

from __future__ import annotations

import numpy as np

from diagnostics.perturbation.contract import Expected, Injected, Scene

HOURS = 48
SHIFT_HOURS = 12


def inject(scene: Scene) -> Injected:
    """Move every metric of load; the others stay, as when a job was put to another time."""
    rows, first = scene.needed("load"), scene.last(HOURS)
    values = scene.telemetry.values.copy()
    values[rows, first:] = np.roll(values, scene.hours(SHIFT_HOURS), axis=1)[rows, first:]
    metrics = scene.metrics(rows)
    done = f"{', '.join(metrics)} {SHIFT_HOURS} h later for {HOURS} h"
    return Injected(values, first, done, (Expected(scene.cluster, "alarm", metrics),))
