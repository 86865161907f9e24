"""The Application Server Dataset (Li et al., InterFusion, KDD 2021): servers, 19 features every five minutes.

DIR holds the folder `asd`, or is it. How it is measured: `benchmarks.multivariate`. Machines in `DEVELOPMENT` were
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
DEVELOPMENT = frozenset({"omi-1", "omi-2", "omi-3"})
PACE = Pace(day=288, lasting=4.0)
"""Half of the rows that are labelled lie in faults of one to five hours, five minutes apart."""


def measure(data: Path, instances: Sequence[str], methods: Sequence[str], seed: int,
            told: Callable[[str], None]) -> tuple[list[Row], Table]:
    """Figures of all machines; nothing is drawn, so `seed` is not used."""
    del seed
    folder = data / "asd" if (data / "asd").is_dir() else data
    return multivariate.measure_set(folder, instances, methods, told, PACE, DEVELOPMENT,
                                    "Application Server Dataset")
