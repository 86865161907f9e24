"""Sample paths of demand of many workloads, as one array."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Loads = NDArray[np.int16] | NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class PathFile:
    """A table of sample paths: its name in the scenario, and the SHA-256 of its bytes."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class SamplePaths:
    """`counts` [B, N, T] are the replicas of B workloads on N joint paths, `row` a workload's position, `path` [N] the
    numbers of the paths, ascending. Path i of every workload belongs together.
    """

    row: Mapping[str, int]
    path: tuple[int, ...]
    counts: Loads
    files: tuple[PathFile, ...] = ()

    def __post_init__(self) -> None:
        if self.counts.shape[:2] != (len(self.row), len(self.path)):
            shape = f"{len(self.row)} workloads, {len(self.path)} paths"
            raise ValueError(f"counts of shape {self.counts.shape} for {shape}")
        self.counts.setflags(write=False)

    @classmethod
    def empty(cls) -> SamplePaths:
        """No workload has sample paths."""
        return cls({}, (), np.zeros((0, 0, 0), np.int16))

    def quantile(self, level: float) -> NDArray[np.int32]:
        """Replicas [B, T] that are enough on at least the share `level` of the paths, slot by slot."""
        needed = math.ceil(level * len(self.path) - 1e-9)
        rows = [np.partition(one, needed - 1, axis=0)[needed - 1] for one in self.counts]
        return np.array(rows, np.int32).reshape(len(self.row), self.counts.shape[2])

    def __eq__(self, other: object) -> bool:
        """Whether the same workloads have the same paths."""
        if not isinstance(other, SamplePaths):
            return NotImplemented
        order = [other.row.get(name, -1) for name in self.row]
        return (self.row.keys() == other.row.keys() and self.path == other.path
                and np.array_equal(self.counts, other.counts[order]))

    __hash__ = None  # type: ignore[assignment]  # holds arrays
