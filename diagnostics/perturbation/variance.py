"""A metric that becomes restless: five days in which it strays five times as far from its week as usual."""

from __future__ import annotations

from diagnostics.perturbation.contract import Expected, Injected, Scene

TIMES = 5.0
HOURS = 120


def inject(scene: Scene) -> Injected:
    """Add noise to the load; what falls below 0 stays at it."""
    rows = scene.needed("load")
    row, first = rows[int(scene.generator.integers(len(rows)))], scene.last(HOURS)
    values = scene.telemetry.values.copy()
    late = values[row, first:]
    noise = scene.generator.normal(0.0, (TIMES**2 - 1) ** 0.5 * scene.spread(row), late.shape)
    values[row, first:] = (late + noise).clip(min=0.0)
    (metric,) = scene.metrics([row])
    done = f"{metric} strays {TIMES:g} times as far for {HOURS} h"
    return Injected(values, first, done, (Expected(scene.cluster, "alarm", (metric,)),))
