"""What a workload needs: for every figure a value, an interval, how far it is to be trusted, and one sentence why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from planner.scenario.model import Batch, Hardware, Model, Request, Scenario, Workload
from planner.scenario.values import Kind, Row

Counts = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Slots:
    """A horizon seen as `count` slots of `minutes` each."""

    count: int
    minutes: int

    @property
    def hours(self) -> float:
        """Length of one slot in hours."""
        return self.minutes / 60


Source = Literal["formula", "library", "both", "history", "stated", "none"]
"""Where a figure comes from: formulas, past tasks, past tasks that correct formulas, past demand of the task itself,
what it states; none: not enough evidence."""


class Figure(Model):
    """One predicted quantity. `low`..`high` holds the truth with probability `confidence`; words have no interval.

    `value` of None, with source none: not enough evidence. `evidence` is how many applications' worth of past tasks
    are like this one; `bucket` the likeliest power of two that the value is within.
    """

    name: str
    value: float | str | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    confidence: float = Field(ge=0, le=1)
    why: str
    source: Source = "formula"
    evidence: float = 0.0
    bucket: float | None = None


class Neighbour(Model):
    """A past task that is like the one asked about: how like (0 to 1), and what it used."""

    application: str
    finished: str | None
    likeness: float
    used: dict[str, float | str]


class Dataset(Model):
    """Data that one task hands to the next; None is not known."""

    rows: float | None = None
    columns: int | None = None
    volume_gb: float


class TrainedModel(Model):
    """A model that a training task hands to serving; tree models have `trees` and `depth`, networks `parameters`."""

    family: Literal["trees", "linear", "network"]
    name: str
    size_gb: float
    columns: int
    trees: int | None = None
    depth: int | None = None
    parameters: float | None = None


class Profile(Model):
    """The predicted needs of one task.

    `request` is for one replica; `replicas` has one number a slot, at a nominal start where there is a `batch`;
    `warehouse_dwu` (data warehouse units) likewise, empty where no warehouse is needed. `latency_ms` is the SLO read
    from the description and `service_ms` the part of it that is left to the service, waiting included. `per_replica`
    is how many requests a second one replica answers (serving). `storage_kind` says where data rest, `working_kind`
    where they are while worked on, `structure` whether they are tables; None is not enough evidence. `replicas_low`
    and `replicas_high` are the rows at the ends of the interval of `replicas`. `figures` explains each number,
    `neighbours` are the past tasks most like this one.
    """

    kind: Kind
    request: Request
    hardware: Hardware
    replicas: Row[int]
    batch: Batch | None = None
    latency_ms: float | None = None
    service_ms: float | None = None
    runtime: str | None = None
    per_replica: float | None = None
    replicas_low: Row[int] = ()
    replicas_high: Row[int] = ()
    storage_gb: float | None
    storage_kind: str | None
    working_kind: str | None
    structure: str | None
    warehouse_dwu: Row[int] = ()
    figures: Row[Figure]
    neighbours: Row[Neighbour] = ()
    produces: Dataset | TrainedModel | None = None

    def figure(self, name: str) -> Figure:
        """The figure of that name; KeyError when there is none."""
        found = {figure.name: figure for figure in self.figures}
        return found[name]

    @property
    def why(self) -> str:
        """The reasons of all figures, in one text, and the past tasks that are most alike."""
        alike = ", ".join(f"{near.application} ({near.likeness:.2f})" for near in self.neighbours)
        reasons = " ".join(dict.fromkeys(figure.why for figure in self.figures))
        return f"{reasons} Past tasks most like it: {alike}." if alike else reasons


@dataclass(frozen=True, slots=True, eq=False)
class PathNeeds:
    """Joint demand of a scenario that sizes pools on it: N paths, of which the share `level` must find room.

    `counts` [B, N, T] are replicas of B workloads, `workload` [B] their positions, ascending; on path i workload b runs
    where `runs` [B, N], and takes nothing else. All others need their row on every path.
    """

    level: float
    count: int
    workload: NDArray[np.int64]
    counts: NDArray[np.int16] | NDArray[np.int32]
    runs: NDArray[np.bool_]

    @property
    def loads(self) -> NDArray[np.int16] | NDArray[np.int32]:
        """`counts` where they run."""
        return self.counts if self.runs.all() else self.counts * self.runs[:, :, None]

    def of(self, rows: list[int]) -> PathNeeds:
        """The same for some of the workloads [n], in that order, which is ascending too."""
        at = {int(w): b for b, w in enumerate(self.workload)}
        chosen = [(place, at[row]) for place, row in enumerate(rows) if row in at]
        kept = [b for _, b in chosen]
        return PathNeeds(self.level, self.count, np.array([place for place, _ in chosen], np.int64),
                         self.counts[kept], self.runs[kept])


@dataclass(frozen=True, slots=True, eq=False)
class Profiles:
    """What all workloads of a scenario need, in its order.

    `workloads` are those of the scenario with request, hardware, batch and latency filled in where a description was
    all there was. `replicas` [W, T] is taken at the `quantile` of demand where it was forecast. `why` has a text for
    each, `predicted` the whole profile of those that were described. `paths` of None: each is sized by its own row.
    """

    workloads: tuple[Workload, ...]
    replicas: Counts
    quantile: float
    why: tuple[str, ...]
    predicted: dict[str, Profile]
    paths: PathNeeds | None = None

    @property
    def request(self) -> tuple[Request, ...]:
        """Resources of one replica of every workload."""
        return tuple(workload.request for workload in self.workloads if workload.request is not None)

    def fill(self, scenario: Scenario) -> Scenario:
        """The scenario with what was predicted of its workloads written into them."""
        return scenario.model_copy(update={"workloads": self.workloads})
