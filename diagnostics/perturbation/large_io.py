"""A new tenant with large IOs: IOs eight times as large and half as many, which take longer because there is more to
move. The alarm that should come is the one on their size: a latency that is higher for that reason alone is no fault of
the hardware, and models trained on small IOs that say so are over-fit.
"""

from __future__ import annotations

from diagnostics.perturbation.contract import Expected, Injected, Scene

FACTORS = {"io_size": 8.0, "load": 0.5, "throughput": 4.0, "latency": 1.6, "network": 4.0}
HOURS = 24


def inject(scene: Scene) -> Injected:
    """Change the mix of one cluster for the last day."""
    rows, first = scene.needed("io_size"), scene.last(HOURS)
    done = f"IOs {FACTORS['io_size']:g} times as large and half as many for {HOURS} h"
    expected = (Expected(scene.cluster, "alarm", scene.metrics(rows)),)
    return Injected(scene.scaled(FACTORS, first), first, done, expected)
