"""The plan in force under other demand: which pool runs out first, when and by how much, and how much growth it holds.

Nothing is placed anew: units stay where the plan has them, and each pool rents machines up to its limits and its
offers', within the limits that pools share. Replicas are packed exactly. A shortage is proven by packing bounds, or no
packing was found (then one machine too few is stated).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np

from placement.domains import all_up, failure_domains, lone_copy
from placement.interference import slowed_down
from placement.needs import Load, pool_loads
from placement.packing import Effort, Packer
from placement.problem import Counts, Ints, Problem, Purchase
from placement.result import Units
from placement.verify import at_most_one_down
from planner.demand import throughput, whole
from planner.diff import stream_name
from planner.formulate import Formulation, formulate
from planner.interpret import copies_of, cuts_of, to_solution
from planner.passed import Passed, passed_limits
from planner.plan import Assignment, Plan
from planner.profiles.model import Profiles
from planner.scenario.model import Scenario
from planner.whatif import MOST, Change, apply, removed, scaled_workloads

HUNDREDTHS = 100
"""Steps of the factor that is searched."""
LARGEST = 100
"""Growth beyond this factor is not searched."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """A pool that runs out. In its first bad slot `lacking` machines lack at least, at worst `worst_lacking` in
    `worst_slot`; `slots` are short. `hit` are workloads that find no room in the first bad slot when the others are
    packed by priority, least important first.
    """

    cluster: str
    pool: str
    slot: int
    lacking: int
    most: int
    slots: int
    worst_slot: int
    worst_lacking: int
    hit: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InForce:
    """How a plan fares under changes, all its units where they are.

    `shortages` by first slot, then worst first; `passed` are limits that pools share, where each pool by itself has
    room; `displaced` are sentences on units that may not stay where they are.
    `factor`: all demand (`scaled` workloads of it) may grow to so many times today's, in hundredths; None where not
    even none of it fits or nobody looked. `factor_sure`: at one hundredth more, `first_beyond` runs out.
    """

    shortages: tuple[Shortage, ...]
    passed: tuple[Passed, ...]
    displaced: tuple[str, ...]
    scaled: int
    workloads: int
    factor: float | None = None
    factor_sure: bool = False
    first_beyond: Shortage | Passed | None = None

    @property
    def holds(self) -> bool:
        """Whether the plan needs no change."""
        return not self.shortages and not self.passed and not self.displaced


def in_force(plan: Plan, scenario: Scenario, profiles: Profiles, changes: Sequence[Change],
             until: float = inf) -> InForce:
    """How a plan fares when a resolved scenario changes; the search for the factor ends at `until` (`time.monotonic`).

    Raises InputError where changes name nothing.
    """
    gone = {name for change in changes if change.what == "remove-cluster"
            for name in removed(change, [cluster.name for cluster in scenario.clusters])}
    stays = [change for change in changes if change.what not in ("demand", "remove-cluster")]
    changed, needs = apply(stays, scenario, profiles)
    moved = plan.model_copy(update={"assignments": tuple(_with_fallbacks(plan, gone)), "fallbacks": ()})
    formulation = formulate(changed, needs, copies_of(moved), cuts=cuts_of(moved))
    reading = to_solution(moved, formulation)
    units = _kept(reading.solution.units, formulation, gone)
    displaced = (*reading.violations, *_lost(reading.solution.units, units, formulation, gone),
                 *_unavailable(units, formulation))
    rows = scaled_workloads(changes, profiles.workloads)
    trial = _Trial(formulation, units, profiles.replicas, np.array(rows))
    replicas = apply(changes, scenario, profiles)[1].replicas
    shortages, passed = trial.shortages(replicas), trial.passed(replicas)
    factor, sure, beyond = trial.largest_factor(until)
    return InForce(shortages, passed, displaced, len(rows), len(profiles.workloads), factor, sure, beyond)


def _with_fallbacks(plan: Plan, gone: set[str]) -> Iterator[Assignment]:
    """Units of lost clusters where the plan's own fallbacks put them."""
    fallback = {(row.lost, row.workload, row.user_region, row.copy_, row.part): row for row in plan.fallbacks}
    for unit in plan.assignments:
        key = unit.cluster, unit.workload, unit.user_region, unit.copy_, unit.part
        row = fallback.get(key) if unit.cluster in gone else None
        yield unit if row is None else unit.model_copy(update={"cluster": row.cluster, "pool": row.pool})


def _on(units: Units, formulation: Formulation, clusters: set[str]) -> np.ndarray:
    """[U] whether a unit is on one of the clusters."""
    problem, names = formulation.problem, np.array(formulation.names.clusters)
    here: np.ndarray = np.isin(names, sorted(clusters))[problem.pools.cluster[problem.candidates.pool[units.candidate]]]
    return here


def _kept(units: Units, formulation: Formulation, gone: set[str]) -> Units:
    keep = ~_on(units, formulation, gone)
    return Units(units.stream[keep], units.copy[keep], units.candidate[keep], units.variant[keep], units.start[keep])


def _lost(units: Units, kept: Units, formulation: Formulation, gone: set[str]) -> Iterator[str]:
    """Streams that the lost clusters take more of than a copy that the others stand in for."""
    problem, names = formulation.problem, formulation.names
    left = np.bincount(kept.stream, minlength=len(names.streams))
    for u in np.flatnonzero(_on(units, formulation, gone)).tolist():
        stream, copies = int(units.stream[u]), int(problem.variants.copies[units.variant[u]])
        if copies == 1 or left[stream] < copies - 1:
            cluster = names.clusters[problem.pools.cluster[problem.candidates.pool[units.candidate[u]]]]
            yield f"{stream_name(*names.streams[stream])}: runs on {cluster}, which is gone, and has no fallback"


def _unavailable(units: Units, formulation: Formulation) -> Iterator[str]:
    """Streams whose copies where they are miss what is asked of their availability."""
    problem, names, layers = formulation.problem, formulation.names, formulation.problem.layers
    domains = failure_domains(problem)
    domain, lone = domains.pool[problem.candidates.pool[units.candidate]], lone_copy(domains)
    first, end = (np.searchsorted(units.stream, np.arange(len(names.streams)), side) for side in ("left", "right"))
    for s in np.flatnonzero((problem.streams.availability > 0) & (end > first)).tolist():
        chosen, asked = domain[first[s]:end[s]], float(problem.streams.availability[s])
        single = int(problem.variants.copies[units.variant[first[s]]]) == 1
        chance = float(lone[chosen[0]]) if single else at_most_one_down(domains, chosen)
        if layers is not None and (layers.group == layers.group[s]).sum() > 1:
            group = layers.group[units.stream] == layers.group[s]
            chance = float(all_up(domains.path, domains.up, domain[group], -1))
        if chance < asked - 1e-12:
            yield f"{stream_name(*names.streams[s])}: has availability {chance:.6g}, less than {asked:.6g}"


def unit_demand(formulation: Formulation, units: Units, replicas: Counts) -> Counts:
    """Replicas that each unit needs in each slot [U, T] where its workload needs `replicas` [W, T] in all.

    As DESIGN has it: ceil(replicas x share / max(1, k - 1) / throughput); a gang at its largest number while it runs.
    """
    problem, demand, v = formulation.problem, formulation.demand, formulation.problem.variants
    workload, variant = problem.streams.workload[units.stream], units.variant
    share = demand.share[units.stream] / np.maximum(1, v.copies[variant] - 1)
    rule, table = throughput(demand.workloads, demand.requests, formulation.supply.machines)
    speed = table[rule[workload], problem.candidates.pool[units.candidate]]
    needs = np.zeros((len(variant), problem.slots), np.int32)
    most = MOST // max(1, len(variant))  # so that sums of them are still counted in 32 bits
    steady = np.flatnonzero(v.row[variant] >= 0)
    load = replicas[workload[steady]] * share[steady, None]
    if (layers := problem.layers) is not None:
        below, cap = layers.below[units.stream[steady], None], layers.cap[units.stream[steady], None]
        load = np.clip(load - below, 0, np.where(cap > 0, cap, np.inf))
    needs[steady] = np.minimum(most, whole(load / speed[steady, None]))
    for u in np.flatnonzero(v.row[variant] < 0).tolist():
        level = min(most, int(whole(np.array(float(replicas[workload[u]].max(initial=0)) * share[u]))))
        for run in range(int(v.runs[variant[u]])):
            first = int(units.start[u] + run * v.period[variant[u]])
            needs[u, first:first + int(v.length[variant[u]])] = level
    return slowed_down(problem, units, needs)


@dataclass(slots=True, eq=False)
class _Trial:
    """Units in their pools, tried under one demand after another. `scaled` are rows of `replicas` [W, T] that grow."""

    formulation: Formulation
    units: Units
    replicas: Counts
    scaled: Ints
    firm_most: Ints = field(init=False)
    most: Ints = field(init=False)
    weakest: int = -1

    def __post_init__(self) -> None:
        """What each pool may rent in each slot [P, T]: machines that are not spot, and all."""
        problem = self.formulation.problem
        offers = np.zeros((2, *problem.pools.max_machines.shape), np.int64)
        spot = (problem.offers.purchase == Purchase.SPOT).astype(np.int64)
        np.add.at(offers, (spot, problem.offers.pool), problem.offers.max_machines.astype(np.int64))
        self.firm_most = np.minimum(offers[0], problem.pools.max_machines)
        self.most = np.minimum(offers.sum(axis=0), problem.pools.max_machines)

    def shortages(self, replicas: Counts) -> tuple[Shortage, ...]:
        """All pools that run out."""
        needs = unit_demand(self.formulation, self.units, replicas)
        rows = [self._shortage(pool, lacking, needs) for pool, load in enumerate(self._loads(needs))
                if (lacking := self._lacking(pool, load)).any()]
        return tuple(sorted(rows, key=lambda row: (row.slot, -row.worst_lacking, row.cluster, row.pool)))

    def passed(self, replicas: Counts) -> tuple[Passed, ...]:
        """All limits that pools share and that are passed."""
        return passed_limits(self.formulation, self._loads(unit_demand(self.formulation, self.units, replicas)))

    def largest_factor(self, until: float) -> tuple[float | None, bool, Shortage | Passed | None]:
        """(the largest factor found to hold, whether one hundredth more does not, what runs out first then)."""
        if not self._holds(0):
            return None, True, None
        low, high, most = 0, HUNDREDTHS, LARGEST * HUNDREDTHS
        while self._holds(high):
            if high >= most or time.monotonic() > until:
                return high / HUNDREDTHS, False, None
            low, high = high, min(2 * high, most)
        while high - low > 1:
            if time.monotonic() > until:
                return low / HUNDREDTHS, False, None
            middle = (low + high) // 2
            low, high = (middle, high) if self._holds(middle) else (low, middle)
        beyond, first = self._grown(high), list[Shortage | Passed]()
        first += self.shortages(beyond) or self.passed(beyond)
        return low / HUNDREDTHS, True, first[0]

    def _grown(self, hundredths: int) -> Counts:
        grown = self.replicas.astype(float)
        grown[self.scaled] = whole(grown[self.scaled] * (hundredths / HUNDREDTHS))
        counts: Counts = np.minimum(grown, MOST).astype(np.int32)
        return counts

    def _holds(self, hundredths: int) -> bool:
        """Whether no pool runs out and no limit is passed; the pool that ran out last is asked first."""
        loads = self._loads(unit_demand(self.formulation, self.units, self._grown(hundredths)))
        order = sorted(range(len(loads)), key=lambda pool: pool != self.weakest)
        for pool in order:
            if self._lacking(pool, loads[pool]).any():
                self.weakest = pool
                return False
        return not passed_limits(self.formulation, loads)

    def _loads(self, needs: Counts) -> tuple[Load, ...]:
        return pool_loads(self.formulation.problem, self.units, needs)

    def _lacking(self, pool: int, load: Load) -> Ints:
        """Machines that lack at least, by slot [T]; only slots that plain orders do not pack are packed hard."""
        lacking = np.zeros(load.firm.shape[1], np.int64)
        if not (load.firm.any() or load.flexible.any()):
            return lacking
        problem = self.formulation.problem
        fits, low, low_firm = _pack(problem, pool, load, self.firm_most[pool], self.most[pool], Effort.ORDERS)
        open_slots = np.flatnonzero(~fits & (low <= self.most[pool]) & (low_firm <= self.firm_most[pool]))
        if len(open_slots):
            part = Load(load.shapes, load.firm[:, open_slots], load.flexible[:, open_slots])
            fits[open_slots], low[open_slots], low_firm[open_slots] = _pack(
                problem, pool, part, self.firm_most[pool][open_slots], self.most[pool][open_slots], Effort.SEARCH)
        short = np.maximum(low - self.most[pool], low_firm - self.firm_most[pool])
        lacking[~fits] = np.maximum(1, short)[~fits]
        return lacking

    def _shortage(self, pool: int, lacking: Ints, needs: Counts) -> Shortage:
        slot, worst = int(np.flatnonzero(lacking)[0]), int(lacking.argmax())
        return Shortage(*self.formulation.names.pools[pool], slot, int(lacking[slot]), int(self.most[pool, slot]),
                        int((lacking > 0).sum()), worst, int(lacking[worst]), self._hit(pool, slot, needs[:, slot]))

    def _hit(self, pool: int, slot: int, needs: Counts) -> tuple[str, ...]:
        """Workloads that find no room in a slot where the more important are packed first, least important first."""
        problem, workloads = self.formulation.problem, self.formulation.demand.workloads
        here = np.flatnonzero((problem.candidates.pool[self.units.candidate] == pool) & (needs > 0)).tolist()
        of = problem.streams.workload[self.units.stream].tolist()
        here.sort(key=lambda u: (-workloads[of[u]].priority, workloads[of[u]].name, u))

        def fit(count: int) -> bool:
            some = np.zeros((len(needs), 1), np.int32)
            some[here[:count], 0] = needs[here[:count]]
            load = pool_loads(problem, self.units, some)[pool]
            return bool(_pack(problem, pool, load, self.firm_most[pool, slot:slot + 1],
                              self.most[pool, slot:slot + 1], Effort.SEARCH)[0][0])

        kept = _last_true(fit, len(here))
        return tuple(dict.fromkeys(workloads[of[u]].name for u in reversed(here[kept:])))


def _last_true(holds: Callable[[int], bool], end: int) -> int:
    """The largest number below `end` that holds, where each smaller one does; nothing is asked of 0."""
    low, high = 0, end
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _pack(problem: Problem, pool: int, load: Load, firm_most: Ints, most: Ints,
          effort: Effort) -> tuple[np.ndarray, Ints, Ints]:
    """[T] whether a packing within the limits was found, and machines (all, not spot) that are proven necessary."""
    packer = Packer(load, problem.shapes, problem.pools.room[pool])
    packer.pack(effort)
    fits = np.zeros(len(packer.which), bool)
    for u in range(len(packer.counts)):
        slots = np.flatnonzero(packer.which == u)
        for firm, machines in map(packer.used, packer.points(u)):
            fits[slots] |= (firm <= firm_most[slots]) & (machines <= most[slots])
    return fits, packer.low[packer.which], packer.low_firm[packer.which]
