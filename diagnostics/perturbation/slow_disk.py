"""A disk that fails slowly: latency and queue grow over a day to four times, and fewer IOs get through."""

from __future__ import annotations

import numpy as np

from diagnostics.perturbation.contract import Expected, Injected, Scene

FACTORS = {"latency": 4.0, "queue": 3.5, "throughput": 0.85}
HOURS = 36
GROWING_HOURS = 24


def inject(scene: Scene) -> Injected:
    """Degrade one cluster from a day and a half before the end on."""
    rows, first = scene.needed("latency"), scene.last(HOURS)
    steps = np.arange(scene.telemetry.values.shape[1] - first)
    shape = np.minimum(1.0, (steps + 1) / scene.hours(GROWING_HOURS))
    done = f"latency grows to {FACTORS['latency']:g} times over {GROWING_HOURS} h"
    expected = (Expected(scene.cluster, "alarm", scene.metrics(rows)),)
    return Injected(scene.scaled(FACTORS, first, shape=shape), first, done, expected)
