"""One sentence for every workload: why it is where it is, and what the next best pool would cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from placement.needs import unit_needs
from placement.problem import Floats, Ints, Problem, Purchase
from placement.result import Solution
from planner.bill import HELD, Bill
from planner.formulate import Formulation
from planner.multiplex import Sharing, per_machine
from planner.plan import Reason

CENT = 0.005


@dataclass(frozen=True, slots=True)
class Option:
    """A unit at another pool: what it would cost more than here, and how much of that is egress."""

    unit: int
    pool: int
    extra_usd: float
    extra_egress_usd: float
    room: bool


def reasons(formulation: Formulation, solution: Solution, bill: Bill, groups: Sequence[Sharing]) -> tuple[Reason, ...]:
    """A sentence for every workload that has a unit, sorted by name.

    The runner-up is the pool to which one unit of the workload could go for the least extra cost, all else as it is.
    There it would run on machines of its own, at the pool's cheapest price for it (as it runs, or held throughout);
    here it pays its share of the machines. Egress, storage and moves are exact. So the figure is an estimate, below 0
    where the unit by itself would be cheaper elsewhere.
    """
    problem, names = formulation.problem, formulation.names
    market = _Market(formulation, solution, bill)
    by_workload: dict[int, list[int]] = defaultdict(list)
    for unit, workload in enumerate(problem.streams.workload[solution.units.stream].tolist()):
        by_workload[workload].append(unit)
    company = _company(formulation, groups)
    found = []
    for workload, units in by_workload.items():
        options = [option for unit in units if (option := market.best_option(unit)) is not None]
        best = min(options, key=lambda option: (option.extra_usd, option.unit, option.pool), default=None)
        why = _why(formulation, solution, units, best, company.get(workload, ()))
        runner_up = "/".join(names.pools[best.pool]) if best else ""
        found.append(Reason(workload=names.workloads[workload], why=why, runner_up=runner_up,
                            runner_up_extra_usd=round(best.extra_usd, 6) + 0.0 if best else 0.0))
    return tuple(sorted(found, key=lambda reason: reason.workload))


def _company(formulation: Formulation, groups: Sequence[Sharing]) -> dict[int, tuple[str, ...]]:
    """Names of the workloads that each workload shares machines with, over all pools."""
    found: dict[int, set[int]] = defaultdict(set)
    for group in groups:
        for workload in group.workloads.tolist():
            found[workload].update(group.workloads.tolist())
    names = formulation.names.workloads
    return {w: tuple(sorted(names[other] for other in others - {w})) for w, others in found.items()}


def _why(formulation: Formulation, solution: Solution, units: Sequence[int], best: Option | None,
         company: Sequence[str]) -> str:
    unit = best.unit if best else units[0]
    stream = int(solution.units.stream[unit])
    parts = [_place(formulation, stream, best)]
    copies = int(formulation.problem.variants.copies[solution.units.variant[unit]])
    if copies > 1:
        parts.append(f"{copies} copies{_what_for(formulation, stream, copies)}")
    if company:
        parts.append(f"shares machines with {listed(company)}")
    return "; ".join(parts)


def _what_for(formulation: Formulation, stream: int, copies: int) -> str:
    slo = float(formulation.problem.streams.availability[stream])
    if slo > 0:
        return f" keep availability {slo!r}"
    return f" of 1/{copies - 1} of the load each"


def _place(formulation: Formulation, stream: int, best: Option | None) -> str:
    """Why this pool: the only one, the only cluster, near its data, or the cheapest."""
    problem = formulation.problem
    first, end = problem.streams.candidate_first[stream:stream + 2]
    pools = problem.candidates.pool[first:end]
    clusters = np.unique(problem.pools.cluster[pools])
    limits = listed(formulation.legality.limits(stream)) or "the fleet"
    verb = "leaves" if "," not in limits and " and " not in limits else "leave"
    if len(pools) == 1:
        return f"{limits} {verb} this pool only"
    if best is None:
        return f"{limits} {verb} no other cluster for it"
    rival = "/".join(formulation.names.pools[best.pool])
    if len(clusters) == 1:
        return f"{limits} {verb} this cluster only; {_compared(rival, best)}"
    return _compared(rival, best)


def _compared(rival: str, best: Option) -> str:
    extra = best.extra_usd
    if extra < -CENT:
        room = "the plan as a whole is the best found" if best.room else "there is no room for it"
        return f"{rival} would cost about {-extra:,.2f} USD less by itself, but {room}"
    if extra <= CENT:
        return f"as cheap as any: {rival} would cost about the same"
    if best.extra_egress_usd > extra / 2:
        return f"close to its data and users: at {rival} egress would cost {best.extra_egress_usd:,.2f} USD more"
    return f"cheapest: {rival} would cost about {extra:,.2f} USD more"


def listed(names: Iterable[str], most: int = 3) -> str:
    """The first few names in words, and how many more there are."""
    every = list(names)
    shown = every[:most] + ([f"{len(every) - most} more"] if len(every) > most else [])
    return ", ".join(shown[:-1]) + " and " + shown[-1] if len(shown) > 1 else "".join(shown)


class _Market:
    """What units would cost at other pools of a solution."""

    def __init__(self, formulation: Formulation, solution: Solution, bill: Bill) -> None:
        problem, units = formulation.problem, solution.units
        self.problem, self.units, self.parts, self.bill = problem, units, formulation.cost_parts, bill
        self.cluster = problem.pools.cluster[problem.candidates.pool[units.candidate]]
        self.needs = unit_needs(problem, units)
        self.free = free_machines(problem, solution)
        self.prices = [cheapest_prices(problem, spot=spot) for spot in (False, True)]
        self.of_stream = np.searchsorted(units.stream, np.arange(len(problem.streams.workload) + 1))
        self.inward, self.outward = _by_end(problem.flows.receiver), _by_end(problem.flows.sender)

    def best_option(self, unit: int) -> Option | None:
        """The cheapest other legal pool for a unit, the other copies of its stream where they are."""
        problem = self.problem
        stream, here = int(self.units.stream[unit]), int(self.units.candidate[unit])
        rows = np.arange(*problem.streams.candidate_first[stream:stream + 2])
        rows = rows[(rows != here) & self._allowed(unit, rows)]
        if not len(rows):
            return None
        variant = self._variants(unit, rows)
        peak, total = own_machines(problem, stream, rows, variant)
        run, held = self.prices[int(problem.streams.preemptible[stream])]
        pool = problem.candidates.pool[rows]
        with np.errstate(invalid="ignore"):
            machines = np.where(total > 0, np.minimum(run[pool] * total, held[pool] * peak), 0.0)
        copies = int(problem.variants.copies[self.units.variant[unit]])
        egress = self._egress(unit, rows, copies)
        other = self.parts.storage_usd[rows] + self.parts.moves_usd[rows]
        egress_here = float(self._egress(unit, np.array([here]), copies)[0])
        here_usd = (self.bill.unit_machine_usd[unit] + egress_here
                    + self.parts.storage_usd[here] + self.parts.moves_usd[here])
        extra = machines + egress + other - here_usd
        best = int(extra.argmin())
        return Option(unit, int(pool[best]), float(extra[best]), float(egress[best] - egress_here),
                      bool(self.free[pool[best]] >= peak[best]))

    def _allowed(self, unit: int, rows: Ints) -> np.ndarray:
        """No other copy in the same cluster, and the availability SLO still kept."""
        problem, stream = self.problem, int(self.units.stream[unit])
        first, end = self.of_stream[stream:stream + 2]
        others = np.delete(self.cluster[first:end], unit - first)
        there = problem.pools.cluster[problem.candidates.pool[rows]]
        if not len(others):
            return problem.candidates.single[rows]
        up, rest = problem.clusters.availability[there], problem.clusters.availability[others]
        none_down = float(rest.prod())
        one_down = sum(float((1 - rest[i]) * np.delete(rest, i).prod()) for i in range(len(rest)))
        chance = none_down * up + one_down * up + none_down * (1 - up)
        kept: np.ndarray = ~np.isin(there, others) & (chance >= problem.streams.availability[stream] - 1e-12)
        return kept

    def _variants(self, unit: int, rows: Ints) -> Ints:
        """The variants of as many copies at the hardware speeds of other candidates."""
        v, now = self.problem.variants, int(self.units.variant[unit])
        return rows * 0 + now - int(v.speed[now]) + self.problem.candidates.speed[rows]

    def _egress(self, unit: int, rows: Ints, copies: int) -> Floats:
        """Data, users and flows of a unit at candidates `rows`."""
        problem, stream = self.problem, int(self.units.stream[unit])
        price = problem.clusters.egress_usd_per_gb
        there = problem.pools.cluster[problem.candidates.pool[rows]]
        usd = self.parts.egress_usd[rows] + problem.candidates.user_usd[rows] / copies
        for flow in self.inward.get(stream, ()):
            first, end = self.of_stream[problem.flows.sender[flow]:][:2]
            if end > first:
                usd = usd + problem.flows.gb[flow] * price[self.cluster[first], there]
        if unit == self.of_stream[stream]:
            for flow in self.outward.get(stream, ()):
                first, end = self.of_stream[problem.flows.receiver[flow]:][:2]
                usd = usd + problem.flows.gb[flow] * price[there[:, None], self.cluster[first:end]].sum(axis=1)
        return usd


def own_machines(problem: Problem, stream: int, rows: Ints, variant: Ints) -> tuple[Floats, Floats]:
    """Machines of its own that one copy of a stream needs at candidates `rows` [n] with `variant` [n].

    The most in any slot, and machine-slots in all.
    """
    pool = problem.candidates.pool[rows]
    each = per_machine(problem, np.full(len(rows), problem.streams.shape[stream]), pool)
    base = int(each.max(initial=0)) + 1
    kinds, place = np.unique(variant * base + each, return_inverse=True)
    found = np.array([_machine_slots(problem, *divmod(int(kind), base)) for kind in kinds], float)
    return found[place, 0], found[place, 1]


def _machine_slots(problem: Problem, variant: int, each: int) -> tuple[int, int]:
    v = problem.variants
    if v.row[variant] >= 0:
        machines = -(-v.rows[v.row[variant]] // each)
        return int(machines.max(initial=0)), int(machines.sum())
    gang = -(-int(v.level[variant]) // each)
    return gang, gang * int(v.length[variant] * v.runs[variant])


def _by_end(streams: Ints) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for flow, stream in enumerate(streams.tolist()):
        found[stream].append(flow)
    return found


def free_machines(problem: Problem, solution: Solution) -> Ints:
    """Machines that every pool could still run in its busiest slot [P]."""
    running = np.zeros(problem.pools.max_machines.shape, np.int64)
    np.add.at(running, problem.offers.pool, solution.machines)
    free: Ints = (problem.pools.max_machines - running).min(axis=1)
    return free


def cheapest_prices(problem: Problem, *, spot: bool) -> tuple[Floats, Floats]:
    """Cheapest price per machine and slot as it runs, and of one held throughout, carbon included [P]; inf for none."""
    offers, pools = problem.offers, len(problem.pools.cluster)
    run, held = np.full(pools, np.inf), np.full(pools, np.inf)
    steady = np.isin(offers.purchase, HELD)
    usable = ~steady & (spot | (offers.purchase != Purchase.SPOT))
    np.minimum.at(run, offers.pool[usable], offers.price_usd[usable].mean(axis=1))
    np.minimum.at(held, offers.pool[steady], offers.price_usd[steady].sum(axis=1))
    carbon = problem.pools.run_usd
    return run + carbon.mean(axis=1), held + carbon.sum(axis=1)
