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

METHODS = multivariate.METHODS
DEVELOPMENT = frozenset({"omi-1", "omi-2", "omi-3"})
STEPS_PER_DAY = 288


def measure(data: Path, instances: Sequence[str], methods: Sequence[str], seed: int,
            told: Callable[[str], None]) -> tuple[list[Row], Table]:
    """Figures of all machines; nothing is drawn, so `seed` is not used."""
    del seed
    folder = data / "asd" if (data / "asd").is_dir() else data
    return multivariate.measure_set(folder, instances, methods, told, STEPS_PER_DAY, DEVELOPMENT,
                                    "Application Server Dataset")
