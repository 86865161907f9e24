"""What a perturbation gets and gives, and which metrics play which part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from diagnostics.telemetry import Telemetry

Floats = npt.NDArray[np.float64]

ROLES: dict[str, tuple[str, ...]] = {
    "load": ("requests*", "iops*", "io_per_s"),
    "latency": ("*latency*",),
    "io_size": ("io_size*",),
    "throughput": ("throughput*", "moved_*"),
    "queue": ("queue*",),
    "cpu": ("cpu*",),
    "network": ("network*",),
}
"""By part: names of metrics that play it."""


class CannotPerturbError(ValueError):
    """The telemetry lacks what the perturbation changes; the message says what."""


class Expected(NamedTuple):
    """What should come of it: an alarm on one of these metrics of a cluster, or its silence being noticed."""

    cluster: str
    kind: Literal["alarm", "silent"]
    metrics: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Injected:
    """Perturbed `values` [series, steps], the step from which on they differ, in words what was done, and what should
    come of it.
    """

    values: Floats
    first: int
    done: str
    expected: tuple[Expected, ...]


class Perturbation(Protocol):
    """Changes a copy of the telemetry, in its last days only; the same scene gives the same change."""

    def __call__(self, scene: Scene) -> Injected:
        """Inject the fault. Raises CannotPerturbError where its metrics are not there."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Where a fault strikes: `clusters` in the order in which they may be chosen, and everything random."""

    telemetry: Telemetry
    clusters: tuple[str, ...]
    generator: np.random.Generator

    @property
    def cluster(self) -> str:
        """The cluster that a fault of one cluster strikes."""
        return self.clusters[0]

    def hours(self, number: float) -> int:
        """So many hours in steps, at least one."""
        return max(1, round(number * self.telemetry.steps_per_day / 24))

    def last(self, hours: float) -> int:
        """The step so many hours before the end."""
        return max(0, int(self.telemetry.values.shape[1]) - self.hours(hours))

    def rows(self, role: str, cluster: str | None = None) -> list[int]:
        """Series of a cluster that play a part; none if there are none."""
        where = cluster or self.cluster
        likes = ROLES[role]
        return [row for row, series in enumerate(self.telemetry.series)
                if series.cluster == where and any(fnmatchcase(series.metric, like) for like in likes)]  # fmt: skip

    def needed(self, role: str, cluster: str | None = None) -> list[int]:
        """As `rows`, at least one. Raises CannotPerturbError."""
        found = self.rows(role, cluster)
        if not found:
            names = " or ".join(ROLES[role])
            raise CannotPerturbError(f"{cluster or self.cluster} has no metric of {role}, named like {names}")
        return found

    def metrics(self, rows: Sequence[int]) -> tuple[str, ...]:
        """Names of the metrics of series."""
        return tuple(self.telemetry.series[row].metric for row in rows)

    def spread(self, row: int) -> float:
        """How far a series strays from its own week, as a standard deviation: the difference to the same step a week
        before that 99 in 100 steps stay below, over 2.576 and the root of two. Tails are in it: a latency strays in
        busy hours.
        """
        week, values = 7 * self.telemetry.steps_per_day, self.telemetry.values[row]
        gaps = np.abs(values[week:] - values[:-week])
        return float(np.nanquantile(gaps, 0.99) / 2.576 / np.sqrt(2))

    def scaled(self, factors: dict[str, float], first: int, cluster: str | None = None,
               shape: Floats | None = None) -> Floats:  # fmt: skip
        """A copy in which metrics by part are multiplied from `first` on; `shape` (0 to 1 a step) lets factors grow."""
        values = self.telemetry.values.copy()
        grown = np.ones(values.shape[1] - first) if shape is None else shape
        for role, factor in factors.items():
            for row in self.rows(role, cluster):
                values[row, first:] *= factor**grown
        return values
