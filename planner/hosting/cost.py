"""What hosting diagnostics takes, as measured, and what a workload requests for it."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from math import ceil
from typing import Any, Self

from planner.errors import InputError

ROOM = 2.0
"""Requests are so many times what was measured, for rows that come late or all at once."""
HOSTS = 4
"""Of the cluster whose comparison of months was measured; it sends a row an hour."""
HOURS = 56 * 24
"""Of rows that months are compared in, and that models are trained on."""
LEAST_VCPU, MOST_VCPU = 0.05, 1.0
"""Of a replica: what a process takes that waits, and what one that scores can use (it has one thread)."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds to score one host's row, to compare two months of hourly rows of four hosts (all metrics), and to
    search the model of one class; memory of a process that does it, with what it has loaded; milliseconds from row to
    verdict (99 %). Training takes CPU seconds for each host's row that it reads, and memory for each host, of which it
    keeps the means of steps; a comparison keeps hourly means of the cluster, whatever it sends.
    """

    score_cpu_s: float
    drift_cpu_s: float
    train_cpu_s: float
    score_memory_gib: float
    drift_memory_gib: float
    train_memory_gib: float
    verdict_ms: float
    train_row_cpu_s: float = 0.00006
    train_host_gib: float = 0.006

    def __post_init__(self) -> None:
        """Refuse what is not above 0."""
        wrong = [f"cost.{name}: {value}: above 0" for name, value in asdict(self).items() if not value > 0]
        if wrong:
            raise InputError(wrong)

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`; figures that have a usual value may be left out. Raises InputError for
        other fields.
        """
        known = [field.name for field in fields(cls)]
        needed = [field.name for field in fields(cls) if field.default is MISSING]
        if not set(needed) <= told.keys() <= set(known):
            more = ", ".join(name for name in known if name not in needed)
            allowed = f"needed are {', '.join(needed)}; known beside them {more}"
            raise InputError([f"cost: {', '.join(sorted(told)) or 'nothing'}: {allowed}"])
        return cls(**told)

    def score_load(self, rows_per_hour: float, hosts: int) -> float:
        """Processors that scoring a stream keeps busy."""
        return self.score_cpu_s * rows_per_hour * hosts / 3600.0

    def drift_s(self, rows_per_hour: float, hosts: int) -> float:
        """CPU seconds of comparing two months of a stream."""
        return self.drift_cpu_s * max(1.0, rows_per_hour * hosts / HOSTS)

    def train_s(self, rows_per_hour: float) -> float:
        """CPU seconds of training on clusters whose hosts send so many rows together."""
        return self.train_cpu_s + self.train_row_cpu_s * rows_per_hour * HOURS

    def train_gib(self, hosts: int) -> float:
        """Memory of training on so many hosts."""
        return round(self.train_memory_gib + self.train_host_gib * hosts, 3)


MEASURED = Cost(
    score_cpu_s=0.00025,
    drift_cpu_s=0.05,
    train_cpu_s=600.0,
    score_memory_gib=0.3,
    drift_memory_gib=0.3,
    train_memory_gib=1.5,
    verdict_ms=500.0,
)
"""By `python -m benchmarks.hosting` on two busy cores; of training, the default limit of a search, a guess of its
memory without rows, and what reading 5,000 to 100,000 rows of hosts with ten metrics took.
"""


def replicas_of(load: float) -> tuple[int, float]:
    """How many replicas take a load of so many busy processors, and the vcpu that each requests."""
    wanted = ROOM * load
    replicas = max(1, ceil(wanted / MOST_VCPU - 1e-9))
    return replicas, max(LEAST_VCPU, round(wanted / replicas, 3))
