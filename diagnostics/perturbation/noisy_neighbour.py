"""A noisy neighbour: bursts of four hours in which others on the same machines take processor and disk."""

from __future__ import annotations

import numpy as np

from diagnostics.perturbation.contract import Expected, Injected, Scene

FACTORS = {"latency": 2.5, "queue": 2.5, "cpu": 1.4}
HOURS = 48
BURSTS = 3
BURST_HOURS = 4


def inject(scene: Scene) -> Injected:
    """Three bursts at hours of chance in the last two days; the load itself stays as it was."""
    rows, first = scene.needed("latency"), scene.last(HOURS)
    burst, span = scene.hours(BURST_HOURS), scene.telemetry.values.shape[1] - first
    shape = np.zeros(span)
    starts = [number * (span // BURSTS) + int(scene.generator.integers(max(1, span // BURSTS - burst)))
              for number in range(BURSTS)]  # fmt: skip
    for start in starts:
        shape[start : start + burst] = 1.0
    times = f"latency {FACTORS['latency']:g} times, processor {FACTORS['cpu']:g} times"
    done = f"{BURSTS} bursts of {BURST_HOURS} h: {times}"
    expected = (Expected(scene.cluster, "alarm", scene.metrics(rows)),)
    return Injected(scene.scaled(FACTORS, first, shape=shape), first + min(starts), done, expected)
