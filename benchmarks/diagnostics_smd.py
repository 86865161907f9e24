"""The Server Machine Dataset (Su et al., OmniAnomaly, KDD 2019): servers of an internet company, 38 features a minute.

DIR holds the folder `smd`, or is it. How it is measured: `benchmarks.multivariate`. Machines in `DEVELOPMENT` were
looked at while the detectors were made; all others are check machines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.table import Table

from benchmarks import multivariate
from benchmarks.harness import Row
from diagnostics.multivariate import Pace

METHODS = multivariate.METHODS
DEVELOPMENT = frozenset({"machine-1-6", "machine-2-1"})
PACE = Pace(day=1440, lasting=96.0)
"""Half of the rows that are labelled lie in faults of more than five hours."""


def measure(data: Path, instances: Sequence[str], methods: Sequence[str], seed: int,
            told: Callable[[str], None]) -> tuple[list[Row], Table]:
    """Figures of all machines; nothing is drawn, so `seed` is not used."""
    del seed
    folder = data / "smd" if (data / "smd").is_dir() else data
    return multivariate.measure_set(folder, instances, methods, told, PACE, DEVELOPMENT,
                                    "Server Machine Dataset")
