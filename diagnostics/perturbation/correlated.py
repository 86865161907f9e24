"""One cause, many clusters: an update makes all clusters of one hardware class slow at the same hour."""

from __future__ import annotations

from collections import Counter

import numpy as np

from diagnostics.perturbation.contract import CannotPerturbError, Expected, Injected, Scene

FACTORS = {"latency": 3.0, "queue": 2.5}
HOURS = 12
LEAST = 2


def inject(scene: Scene) -> Injected:
    """Strike every chosen cluster of the commonest hardware class that measures latency."""
    hardware = {series.cluster: series.hardware_class for series in scene.telemetry.series}
    able = [cluster for cluster in scene.clusters if scene.rows("latency", cluster)]
    common = Counter(hardware[cluster] for cluster in able).most_common(1)
    if not common or common[0][1] < LEAST:
        raise CannotPerturbError(f"no {LEAST} calm clusters of one hardware class that measure latency")
    struck = sorted(cluster for cluster in able if hardware[cluster] == common[0][0])
    first, values = scene.last(HOURS), scene.telemetry.values.copy()
    for cluster in struck:
        slowed = scene.scaled(FACTORS, first, cluster)
        values = np.where(slowed == scene.telemetry.values, values, slowed)
    done = f"latency {FACTORS['latency']:g} times for {HOURS} h on all {len(struck)} of {common[0][0]}"
    expected = tuple(Expected(cluster, "alarm", scene.metrics(scene.rows("latency", cluster))) for cluster in struck)
    return Injected(values, first, done, expected)
