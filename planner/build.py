"""From a verified solution to a plan in people's words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from math import ceil, floor

import numpy as np

from placement.problem import Ints, Problem, Purchase
from placement.result import Solution, Worth
from planner.bill import Bill, bill
from planner.bought import plan_commitments
from planner.formulate import Formulation
from planner.left_out import left_out
from planner.misses import misses
from planner.multiplex import Sharing, sharing
from planner.no_plan import NoPlan
from planner.plan import (
    OPTIMAL_GAP,
    Assignment,
    Costs,
    Fallback,
    Group,
    MachineRow,
    Plan,
    PlanHorizon,
    PlanPeriod,
    Provenance,
    Unplaced,
)
from planner.reasons import reasons
from planner.scarce import scarce
from planner.scenario.model import Scenario
from planner.slowed import interfering

NO_OWNER = "(none)"
"""Who pays, in `costs_by_owner`, for workloads without an owner."""
IDLE = "(idle)"
"""Who pays for machines that nobody uses."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a solver proved: a limit on the objective, and by what; `worth` are its shadow prices, if it has any."""

    bound: float
    method: str
    worth: Worth | None = None


def build_plan(scenario: Scenario, formulation: Formulation, solution: Solution, proof: Proof, attainment: float,
               provenance: Provenance) -> Plan:
    """The plan that a feasible solution is; `attainment` comes from `placement.verify`."""
    account = bill(formulation, solution)
    groups = sharing(formulation.problem, solution)
    missed, missed_in = misses(formulation, solution)
    mode = formulation.problem.objective.mode
    cost, bound = usd(account.cost_usd), _outward(proof.bound, mode)
    attained = round(attainment, 12)
    gap = gap_of(mode, cost, attained, bound)
    return Plan(
        name=scenario.name, horizon=_horizon(scenario), valid_until=_end(scenario),
        status="optimal" if gap <= OPTIMAL_GAP else "feasible", mode=mode, cost_usd=cost, costs=costs_of(account),
        sla_attainment=attained, bound=bound, gap=gap, bound_method=proof.method,
        assignments=_assignments(formulation, solution), costs_by_owner=_by_owner(formulation, solution, account),
        costs_of_diagnostics=of_diagnostics(formulation, solution, account),
        machines=_machines(formulation, solution), fallbacks=_fallbacks(formulation, solution),
        commitments=plan_commitments(scenario.commitments, formulation.problem, solution),
        groups=_groups(formulation, groups), unplaced=_unplaced(formulation, solution, cost),
        interference=interfering(formulation, solution),
        scarce=scarce(formulation, solution, proof.worth, scenario.limits),
        misses=missed, pool_misses=missed_in,
        reasons=reasons(formulation, solution, account, groups),
        provenance=provenance).with_id()


def refusal(scenario: Scenario, formulation: Formulation, unplaced: Sequence[Unplaced], method: str,
            provenance: Provenance, why: NoPlan) -> Plan:
    """The answer that there is no plan: nothing is placed and nothing is paid; `unplaced` says which cannot be."""
    return Plan(
        name=scenario.name, horizon=_horizon(scenario), valid_until=_end(scenario), status="infeasible",
        mode=formulation.problem.objective.mode, cost_usd=0.0, costs=Costs(), sla_attainment=0.0, bound=0.0, gap=0.0,
        bound_method=method, assignments=(), machines=(), unplaced=tuple(unplaced), conflict=why.conflict,
        relaxations=why.relaxations, provenance=provenance).with_id()


def usd(amount: float) -> float:
    """Dollars to a millionth, so that the last bit of a sum does not show."""
    return round(float(amount), 6) + 0.0


def _outward(bound: float, mode: str) -> float:
    """A bound rounded so that it stays proven: costs down, attainment up (to 1 at most)."""
    if mode == "min_cost":
        return max(0.0, floor(bound * 1e6) / 1e6)
    return min(1.0, ceil(bound * 1e12) / 1e12)


def gap_of(mode: str, cost: float, attained: float, bound: float) -> float:
    """(cost - bound) / cost for `min_cost`, (bound - attained) / bound for `max_sla`; 0 where the base is 0."""
    distance, base = (cost - bound, cost) if mode == "min_cost" else (bound - attained, bound)
    return round(max(0.0, distance) / base, 9) if base > 0 else 0.0


def _horizon(scenario: Scenario) -> PlanHorizon:
    horizon = scenario.horizon
    periods = tuple(PlanPeriod.model_validate(dict(period)) for period in horizon.periods)
    return PlanHorizon(start=horizon.start, slots=horizon.slots, slot_minutes=horizon.slot_minutes, periods=periods)


def _end(scenario: Scenario) -> str:
    return scenario.horizon.end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def costs_of(account: Bill) -> Costs:
    """The cost by part, rounded to a millionth of a dollar."""
    return Costs(machines=usd(account.machines_usd), egress=usd(account.egress_usd), storage=usd(account.storage_usd),
                 moves=usd(account.moves_usd), carbon=usd(account.carbon_usd))


def _assignments(formulation: Formulation, solution: Solution) -> tuple[Assignment, ...]:
    """Sorted by workload, user region, copy, part."""
    problem, names, units = formulation.problem, formulation.names, solution.units
    part, cap = part_and_cap(problem, units.stream)
    pools = problem.candidates.pool[units.candidate].tolist()
    batch = (problem.variants.row[units.variant] < 0).tolist()
    rows = zip(units.stream.tolist(), units.copy.tolist(), part, cap, pools, units.start.tolist(), batch, strict=True)
    found = [Assignment(workload=names.streams[s][0], user_region=names.streams[s][1], copy_=copy, part=i, cap=most,
                        cluster=names.pools[p][0], pool=names.pools[p][1], start_slot=start if window else None)
             for s, copy, i, most, p, start, window in rows]
    return tuple(sorted(found, key=lambda unit: (unit.workload, unit.user_region or "", unit.copy_, unit.part)))


def part_and_cap(problem: Problem, stream: Ints) -> tuple[list[int], list[int | None]]:
    """Number of the part that each `stream` [U] is, and its cap; 0 and None where the copy is not split."""
    if problem.layers is None:
        return [0] * len(stream), [None] * len(stream)
    return problem.layers.part[stream].tolist(), [cap or None for cap in problem.layers.cap[stream].tolist()]


def _machines(formulation: Formulation, solution: Solution) -> tuple[MachineRow, ...]:
    """Offers of which a machine runs in some slot, sorted by cluster, pool, purchase."""
    offers, names = formulation.problem.offers, formulation.names
    rows = [MachineRow(cluster=names.pools[offers.pool[o]][0], pool=names.pools[offers.pool[o]][1],
                       purchase=Purchase(offers.purchase[o]).name.lower(),  # type: ignore[arg-type]  # its four names
                       count=tuple(solution.machines[o].tolist()))
            for o in np.flatnonzero(solution.machines.any(axis=1)).tolist()]
    return tuple(sorted(rows, key=lambda row: (row.cluster, row.pool, row.purchase)))


def _fallbacks(formulation: Formulation, solution: Solution) -> tuple[Fallback, ...]:
    """Sorted by what is lost, workload, user region, copy, part."""
    given, names, units = solution.fallbacks, formulation.names, solution.units
    if given is None:
        return ()
    pools = formulation.problem.candidates.pool[given.candidate].tolist()
    streams = [names.streams[s] for s in units.stream[given.unit].tolist()]
    part, _ = part_and_cap(formulation.problem, units.stream[given.unit])
    rows = zip(given.loss.tolist(), streams, units.copy[given.unit].tolist(), part, pools, strict=True)
    found = [Fallback(lost=names.losses[loss], workload=workload, user_region=region, copy_=copy, part=i,
                      cluster=names.pools[p][0], pool=names.pools[p][1])
             for loss, (workload, region), copy, i, p in rows]
    return tuple(sorted(found, key=lambda row: (row.lost, row.workload, row.user_region or "", row.copy_, row.part)))


def _groups(formulation: Formulation, groups: Sequence[Sharing]) -> tuple[Group, ...]:
    names = formulation.names
    rows = [Group(cluster=names.pools[group.pool][0], pool=names.pools[group.pool][1],
                  workloads=tuple(sorted(names.workloads[w] for w in group.workloads.tolist())),
                  sum_of_peaks=group.sum_of_peaks, peak_of_sum=group.peak_of_sum, saved_usd=usd(group.saved_usd))
            for group in groups]
    return tuple(sorted(rows, key=lambda row: (row.cluster, row.pool)))


def _by_owner(formulation: Formulation, solution: Solution, account: Bill) -> dict[str, float]:
    """The whole cost by owner: each workload's share of machines and all its other cost; idle machines apart."""
    total: dict[str, float] = defaultdict(float)
    for workload, amount in zip(formulation.demand.workloads,
                                account.workload_usd(formulation.problem, solution.units).tolist(), strict=True):
        total[workload.owner or NO_OWNER] += amount
    if account.idle_usd > 0:
        total[IDLE] += account.idle_usd
    return {owner: usd(amount) for owner, amount in sorted(total.items()) if usd(amount)}


def of_diagnostics(formulation: Formulation, solution: Solution, account: Bill) -> dict[str, float]:
    """What the planner's own watches cost, by kind: every workload that watches clusters, its share of machines and all
    its other cost.
    """
    total: dict[str, float] = defaultdict(float)
    for workload, amount in zip(formulation.demand.workloads,
                                account.workload_usd(formulation.problem, solution.units).tolist(), strict=True):
        if workload.watches is not None:
            total[workload.kind] += amount
    return {kind: usd(amount) for kind, amount in sorted(total.items())}


def _unplaced(formulation: Formulation, solution: Solution, cost_usd: float) -> tuple[Unplaced, ...]:
    """Workloads with a stream that has no unit, by name, and why."""
    problem = formulation.problem
    placed = np.zeros(len(problem.streams.workload), bool)
    placed[solution.units.stream] = True
    missing = np.unique(problem.streams.workload[~placed]).tolist()
    rows = [Unplaced(workload=formulation.names.workloads[w], reasons=left_out(formulation, solution, w, cost_usd))
            for w in missing]
    return tuple(sorted(rows, key=lambda row: row.workload))
