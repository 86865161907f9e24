"""What exporters read: the units and machines of a plan slot by slot, with what its scenario says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from planner.errors import InputError
from planner.kube.labels import dns_label
from planner.plan import Plan, PlanHorizon
from planner.scenario.model import Cluster, Pool, Request, Workload
from planner.scenario.values import Purchase

if TYPE_CHECKING:
    from planner.catalog import Catalog
    from planner.opened import Opened

LONGEST_NAME = 52
"""Letters of a unit's name: a CronJob appends eleven to it for its Jobs."""


@dataclass(frozen=True, slots=True)
class Run:
    """Slots `start`..`end` - 1, in which a gang of `replicas` runs."""

    start: int
    end: int
    replicas: int


@dataclass(frozen=True, slots=True)
class Unit:
    """A placed unit: its need `replicas` [T], and its `runs` where it is batch work (else none).

    `name` is unique among the plan's units and a name that Kubernetes takes. `whole`: it is its workload's only unit.
    """

    name: str
    workload: Workload
    request: Request
    user_region: str | None
    copy: int
    part: int
    cluster: Cluster
    pool: Pool
    replicas: tuple[int, ...]
    runs: tuple[Run, ...] = ()
    whole: bool = True

    @property
    def batch(self) -> bool:
        """Whether it runs as a gang at its start slots, rather than all the time."""
        return self.workload.batch is not None


@dataclass(frozen=True, slots=True)
class Machines:
    """Machines of one offer: `count` [T] run."""

    cluster: Cluster
    pool: Pool
    purchase: Purchase
    count: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with its units, sorted as its assignments, and the machines of all its offers.

    `allowed` names the clusters where each workload may run, in the scenario's order.
    """

    plan: Plan
    clusters: tuple[Cluster, ...]
    workloads: tuple[Workload, ...]
    units: tuple[Unit, ...]
    machines: tuple[Machines, ...]
    allowed: Mapping[str, tuple[str, ...]]

    @property
    def horizon(self) -> PlanHorizon:
        """Slots of the plan, with their times."""
        return self.plan.horizon

    def moment(self, slot: int) -> datetime:
        """When a slot begins."""
        found = self.horizon.moment(slot)
        assert found is not None
        return found

    def units_in(self, cluster: str) -> tuple[Unit, ...]:
        """Units of a cluster."""
        return tuple(unit for unit in self.units if unit.cluster.name == cluster)

    def units_of(self, workload: str) -> tuple[Unit, ...]:
        """Units of a workload."""
        return tuple(unit for unit in self.units if unit.workload.name == workload)

    def machines_in(self, cluster: str) -> tuple[Machines, ...]:
        """Machines of a cluster, by pool and purchase."""
        return tuple(row for row in self.machines if row.cluster.name == cluster)

    def check_slot(self, slot: int | None) -> int:
        """The slot asked for, the first when none is. Raises InputError for one that the horizon does not have."""
        if slot is not None and not 0 <= slot < self.horizon.slots:
            raise InputError([f"--slot: {slot}: the plan has slots 0 to {self.horizon.slots - 1}"])
        return slot or 0


def open_planned(scenario: Path, plan: Path, catalog: Catalog | None = None) -> Planned:
    """A plan.json and the scenario that it was made for, as exporters read them. Raises InputError."""
    from planner.opened import open_plan  # numba and pandas: only reading a plan pays for them

    return planned_of(open_plan(scenario, plan, catalog), str(plan))


def planned_of(opened: Opened, where: str = "plan") -> Planned:
    """An opened plan as exporters read it. Raises InputError for a plan that is none, or has no times."""
    plan = opened.plan
    if opened.solution is None:
        raise InputError([f"{where}: status: infeasible: nothing can be applied of a plan that is none"])
    if plan.horizon.start is None:
        raise InputError([f"{where}: horizon.start: missing: make the plan anew"])
    at = {(cluster.name, pool.name): (cluster, pool) for cluster in opened.scenario.clusters for pool in cluster.pools}
    machines = tuple(Machines(*at[row.cluster, row.pool], row.purchase, row.count) for row in plan.machines)
    return Planned(plan, opened.scenario.clusters, opened.formulation.demand.workloads, _units(opened), machines,
                   _allowed(opened))


def _units(opened: Opened) -> tuple[Unit, ...]:
    """Units with their needs, sorted by workload, user region, copy and part."""
    from placement.needs import unit_needs
    from planner.build import part_and_cap

    made, solution = opened.formulation, opened.solution
    assert solution is not None
    problem, names, demand, units = made.problem, made.names, made.demand, solution.units
    needs = unit_needs(problem, units).tolist()
    part = part_and_cap(problem, units.stream)[0]
    pools = problem.candidates.pool[units.candidate].tolist()
    runs = [_runs(*row) for row in zip(*(table[units.variant].tolist() for table in (
        problem.variants.row, problem.variants.level, problem.variants.length, problem.variants.period,
        problem.variants.runs)), units.start.tolist(), strict=True)]
    rows = [(names.streams[s], copy, part[u], demand.workload[s], pools[u], tuple(needs[u]), runs[u])
            for u, (s, copy) in enumerate(zip(units.stream.tolist(), units.copy.tolist(), strict=True))]
    rows.sort(key=lambda row: (row[0][0], row[0][1] or "", row[1], row[2]))
    units_of = Counter(workload for (workload, _), *_ in rows)
    called = _names([(workload, region, copy, i) for (workload, region), copy, i, *_ in rows])
    return tuple(Unit(name, demand.workloads[w], demand.requests[w], region, copy, i, made.supply.pools[p][0],
                      made.supply.pools[p][1], need, run, units_of[workload] == 1)
                 for name, ((workload, region), copy, i, w, p, need, run) in zip(called, rows, strict=True))


def _runs(row: int, level: int, length: int, period: int, runs: int, start: int) -> tuple[Run, ...]:
    """Runs of a batch unit; none where the unit runs all the time (`row` >= 0)."""
    if row >= 0:
        return ()
    return tuple(Run(start + turn * period, start + turn * period + length, level) for turn in range(runs))


def _names(keys: list[tuple[str, str | None, int, int]]) -> list[str]:
    """A name for every unit: its workload, then user region, copy and part where there are several."""
    copies = Counter((workload, region) for workload, region, _, part in keys if part == 0)
    parts = Counter((workload, region, copy) for workload, region, copy, _ in keys)
    words = ["-".join([workload, *([region.replace("/", "-")] if region else []),
                       *([f"copy{copy}"] if copies[workload, region] > 1 else []),
                       *([f"part{part}"] if parts[workload, region, copy] > 1 else [])])
             for workload, region, copy, part in keys]
    times = Counter(words)
    return [dns_label(text if times[text] == 1 else f"{text} {key}", LONGEST_NAME)
            for text, key in zip(words, keys, strict=True)]


def _allowed(opened: Opened) -> dict[str, tuple[str, ...]]:
    """Clusters where each workload may run: where all of its streams may."""
    made = opened.formulation
    candidates, names = made.problem.candidates, made.names
    cluster = made.supply.cluster[candidates.pool]
    may = np.zeros((len(names.streams), len(names.clusters)), bool)
    may[candidates.stream, cluster] = True
    found = np.ones((len(names.workloads), len(names.clusters)), bool)
    np.logical_and.at(found, made.demand.workload, may)
    return {name: tuple(names.clusters[g] for g in np.flatnonzero(row).tolist())
            for name, row in zip(names.workloads, found, strict=True)}
