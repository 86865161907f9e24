"""A level that jumps: one metric is ten times as far up as it strays in its tails, for the last day.

Ten median deviations would not do for a latency: queues make calm hours stray by seven of these, and an alarm at that
would not keep to any budget.
"""

from __future__ import annotations

from diagnostics.perturbation.contract import Expected, Injected, Scene

DEVIATIONS = 10.0
HOURS = 24


def inject(scene: Scene) -> Injected:
    """Lift one latency, or one metric of load where there is none."""
    rows = scene.rows("latency") or scene.needed("load")
    row, first = rows[int(scene.generator.integers(len(rows)))], scene.last(HOURS)
    values = scene.telemetry.values.copy()
    values[row, first:] += DEVIATIONS * scene.spread(row)
    (metric,) = scene.metrics([row])
    done = f"{metric} up by {DEVIATIONS:g} deviations for {HOURS} h"
    return Injected(values, first, done, (Expected(scene.cluster, "alarm", (metric,)),))
