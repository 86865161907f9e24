"""What hosting diagnostics takes, as measured, and what a workload requests for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from math import ceil
from typing import Any, Self

from planner.errors import InputError

ROOM = 2.0
"""Requests are so many times what was measured, for rows that come late or all at once."""
LEAST_VCPU, MOST_VCPU = 0.05, 1.0
"""Of a replica: what a process takes that waits, and what one that scores can use (it has one thread)."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds to score one host's row, to compare two months of one cluster (all metrics), and to train the model
    of one class; memory of a process that does it, with what it has loaded; milliseconds from row to verdict (99 %).
    """

    score_cpu_s: float
    drift_cpu_s: float
    train_cpu_s: float
    score_memory_gib: float
    drift_memory_gib: float
    train_memory_gib: float
    verdict_ms: float

    def __post_init__(self) -> None:
        """Refuse what is not above 0."""
        wrong = [f"cost.{name}: {value}: above 0" for name, value in asdict(self).items() if not value > 0]
        if wrong:
            raise InputError(wrong)

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`. Raises InputError for other fields."""
        known = [field.name for field in fields(cls)]
        if sorted(told) != sorted(known):
            raise InputError([f"cost: {', '.join(sorted(told)) or 'nothing'}: needed are {', '.join(known)}"])
        return cls(**told)

    def score_load(self, rows_per_hour: float, hosts: int) -> float:
        """Processors that scoring a stream keeps busy."""
        return self.score_cpu_s * rows_per_hour * hosts / 3600.0


MEASURED = Cost(
    score_cpu_s=0.00025,
    drift_cpu_s=0.05,
    train_cpu_s=600.0,
    score_memory_gib=0.3,
    drift_memory_gib=0.3,
    train_memory_gib=1.5,
    verdict_ms=500.0,
)
"""By `python -m benchmarks.hosting` on two busy cores; of training, the default limit of a search and a guess of its
memory.
"""


def replicas_of(load: float) -> tuple[int, float]:
    """How many replicas take a load of so many busy processors, and the vcpu that each requests."""
    wanted = ROOM * load
    replicas = max(1, ceil(wanted / MOST_VCPU - 1e-9))
    return replicas, max(LEAST_VCPU, round(wanted / replicas, 3))
