"""A cluster that falls silent: nothing of it arrives for the last thirty hours."""

from __future__ import annotations

import numpy as np

from diagnostics.perturbation.contract import Expected, Injected, Scene

HOURS = 30


def inject(scene: Scene) -> Injected:
    """Take away every metric of one cluster."""
    first = scene.last(HOURS)
    rows = [row for row, series in enumerate(scene.telemetry.series) if series.cluster == scene.cluster]
    values = scene.telemetry.values.copy()
    values[rows, first:] = np.nan
    done = f"nothing received for {HOURS} h"
    return Injected(values, first, done, (Expected(scene.cluster, "silent", ()),))
