"""Replicas per slot of many workloads, as one array."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.scenario.sample_paths import SamplePaths

Counts = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class ReplicaRows:
    """`counts` [N, T] are the replicas of N workloads in T slots; `row` maps a workload's name to its position.

    `paths` are the sample paths of those that have them, whose counts are a quantile of theirs.
    """

    row: Mapping[str, int]
    counts: Counts
    paths: SamplePaths = field(default_factory=SamplePaths.empty)

    def __post_init__(self) -> None:
        if self.counts.ndim != 2 or self.counts.shape[0] != len(self.row):
            raise ValueError(f"counts of shape {self.counts.shape} for {len(self.row)} workloads")
        self.counts.setflags(write=False)

    @classmethod
    def empty(cls) -> ReplicaRows:
        """No workload gives its replicas as numbers."""
        return cls({}, np.zeros((0, 0), np.int32))

    @classmethod
    def join(cls, parts: Sequence[ReplicaRows], order: Iterable[str]) -> ReplicaRows:
        """Rows of several tables as one, in the order asked for; names that no part knows are left out."""
        where = {name: (at, row) for at, part in enumerate(parts) for name, row in part.row.items()}
        names = [name for name in dict.fromkeys(order) if name in where]
        if not names:
            return cls.empty()
        counts = np.stack([parts[at].counts[row] for at, row in (where[name] for name in names)])
        return cls({name: at for at, name in enumerate(names)}, counts)

    def __contains__(self, workload: str) -> bool:
        return workload in self.row

    def of(self, workload: str) -> Counts:
        """Replicas [T] of a workload; KeyError when it does not state them as numbers."""
        counts: Counts = self.counts[self.row[workload]]
        return counts

    def stack(self, workloads: Iterable[str]) -> Counts:
        """Replicas [len(workloads), T] in the order asked for; KeyError when one does not state them as numbers."""
        return self.counts[[self.row[name] for name in workloads]]

    def __eq__(self, other: object) -> bool:
        """Whether the same workloads have the same replicas, in whatever order they are kept."""
        if not isinstance(other, ReplicaRows):
            return NotImplemented
        same = self.row.keys() == other.row.keys() and np.array_equal(self.counts, other.stack(self.row))
        return same and self.paths == other.paths
