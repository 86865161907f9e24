"""What units would cost elsewhere, over arrays, against the same figures worked out one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from placement.complete import complete
from placement.domains import failure_domains
from placement.needs import unit_needs
from placement.problem import Purchase
from placement.result import Solution, Units
from placement.verify import at_most_one_down, costs
from planner import market
from planner.bill import bill
from planner.formulate import Formulation
from planner.market import Market
from planner.multiplex import Sharing
from planner.reasons import Company

New = Callable[..., dict[str, Any]]


def fleet_of(small: dict[str, Any], new: New) -> dict[str, Any]:
    """The small fleet with a chain, copies, a batch window, users and data."""
    small["workloads"] = [
        new("claims", data={"location": "aws/sa-east-1", "gb_per_day_in": 60.0, "stored_gb": 900.0}),
        new("serve", kind="serving", replicas=[1, 3, 3, 1], slo={"latency_ms": 250.0, "availability": 0.9995},
            users=[{"region": "azure/westeurope", "share": 0.6, "gb_per_day": 9.0},
                   {"region": "aws/sa-east-1", "share": 0.4}],
            after=[{"workload": "claims", "gb_per_day": 30.0}]),
        new("night", preemptible=True, batch={"duration_slots": 1, "earliest_slot": 0, "latest_slot": 3},
            after=[{"workload": "serve", "gb_per_day": 10.0}],
            incumbent={"cluster": "own-lis", "move_cost_usd": 2.0})]
    return small


def some_solution(formulation: Formulation, seed: int) -> Solution:
    """Every stream with its fewest copies in random clusters, machines bought for them."""
    problem, rng, rows = formulation.problem, np.random.default_rng(seed), []
    for s in range(len(problem.streams.workload)):
        v = int(problem.streams.variant_first[s])
        used: set[int] = set()
        copies = int(problem.variants.copies[v])
        for n in rng.permutation(np.arange(*problem.streams.candidate_first[s:s + 2])).tolist():
            g = int(problem.pools.cluster[problem.candidates.pool[n]])
            if g not in used and len(used) < copies and (copies > 1 or problem.candidates.single[n]):
                variant = v + int(problem.candidates.speed[n])
                rows.append((s, len(used), n, variant, max(0, int(problem.variants.earliest[variant]))))
                used.add(g)
    columns = np.array(rows, np.int64).T
    solution = complete(problem, Units(*(np.ascontiguousarray(column) for column in columns)))
    assert isinstance(solution, Solution)
    return solution


def one_by_one(formulation: Formulation, solution: Solution) -> dict[tuple[int, int], tuple[float, float]]:
    """(unit, candidate) -> (extra USD, extra egress), the slow way."""
    problem, units, parts = formulation.problem, solution.units, formulation.cost_parts
    account = bill(formulation, solution)
    domains = failure_domains(problem)
    domain = domains.pool[problem.candidates.pool[units.candidate]]
    found = {}
    for u, (s, here) in enumerate(zip(units.stream.tolist(), units.candidate.tolist(), strict=True)):
        others = [v for v in np.flatnonzero(units.stream == s).tolist() if v != u]
        egress_here = egress_at(formulation, solution, u, here)
        for n in range(*problem.streams.candidate_first[s:s + 2]):
            d = int(domains.pool[problem.candidates.pool[n]])
            chance = at_most_one_down(domains, np.array([d, *domain[others]]))
            allowed = (chance >= problem.streams.availability[s] - 1e-12 and d not in domain[others]) if others else (
                bool(problem.candidates.single[n]))
            if n == here or not allowed:
                continue
            egress = egress_at(formulation, solution, u, n)
            kept = parts.storage_usd + parts.moves_usd
            usd = own_usd(formulation, solution, u, n) + egress + kept[n]
            found[u, n] = (usd - account.unit_machine_usd[u] - egress_here - kept[here], egress - egress_here)
    return found


def egress_at(formulation: Formulation, solution: Solution, unit: int, candidate: int) -> float:
    """Egress of a unit, and of the flows it takes part in, were it at a candidate: a difference of whole costs."""
    problem, units = formulation.problem, solution.units
    moved = units.candidate.copy()
    moved[unit] = candidate
    with_it = costs(problem, Solution(Units(units.stream, units.copy, moved, units.variant, units.start),
                                      solution.machines))
    others = sum(float(problem.candidates.user_usd[n] / problem.variants.copies[v])
                 for u, (n, v) in enumerate(zip(units.candidate, units.variant, strict=True)) if u != unit)
    return with_it.flows_usd + with_it.users_usd - others + float(formulation.cost_parts.egress_usd[candidate])


def own_usd(formulation: Formulation, solution: Solution, unit: int, candidate: int) -> float:
    """Machines of its own at a candidate, at the cheapest price as they run or held throughout."""
    problem, units, offers = formulation.problem, solution.units, formulation.problem.offers
    pool, s = int(problem.candidates.pool[candidate]), int(units.stream[unit])
    fit = min(int((room + 1e-6) // want) for room, want in
              zip(problem.pools.room[pool], problem.shapes[problem.streams.shape[s]], strict=True) if want > 0)
    now = int(units.variant[unit])
    variant = now - int(problem.variants.speed[now]) + int(problem.candidates.speed[candidate])
    one = Units(*(np.array([value]) for value in (s, 0, candidate, variant, units.start[unit])))
    machines = -(-unit_needs(problem, one)[0] // fit)
    ways = []
    for o in np.flatnonzero(offers.pool == pool).tolist():
        if offers.purchase[o] <= Purchase.COMMITTED:
            ways.append(float(offers.price_usd[o].sum() * machines.max()))
        elif offers.purchase[o] != Purchase.SPOT or problem.streams.preemptible[s]:
            ways.append(float(offers.price_usd[o].mean() * machines.sum()))
    return min(ways)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("pairs", [1, 1 << 19])
def test_estimates_are_those_worked_out_one_by_one(seed: int, pairs: int, fleet: dict[str, Any], build: Any, new: New,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """All legal pairs are there, with the same figures, however many are looked at together."""
    monkeypatch.setattr(market, "PAIRS", pairs)
    _, formulation = build(fleet_of(fleet, new))
    solution = some_solution(formulation, seed)
    found = {}
    for part in Market(formulation, solution, bill(formulation, solution)).chunks():
        for row in zip(part.unit.tolist(), part.candidate.tolist(), part.extra_usd.tolist(),
                       part.extra_egress_usd.tolist(), strict=True):
            found[row[:2]] = row[2:]
        best = part.cheapest()
        for u, extra in zip(best.unit.tolist(), best.extra_usd.tolist(), strict=True):
            assert extra == part.extra_usd[part.unit == u].min()
    slow = one_by_one(formulation, solution)
    assert found.keys() == slow.keys()
    for pair, figures in slow.items():
        assert found[pair] == pytest.approx(figures, abs=1e-9)


def test_company_is_the_union_over_pools(build: Any, fleet: dict[str, Any], new: New) -> None:
    """A workload in two pools shares machines with the others of both, named in order, itself left out."""
    fleet["workloads"] = [new(f"w{i:02}") for i in range(20)][::-1]
    _, formulation = build(fleet)
    groups = [Sharing(0, np.array([0, 3, 5, 19]), 0, 0, 0.0), Sharing(1, np.array([0, 4, 5]), 0, 0, 0.0)]
    company = Company(formulation, groups)
    names = formulation.names.workloads
    assert company.all_of(0) == sorted(names[w] for w in (3, 4, 5, 19))
    assert company.of(0) == (4, sorted(names[w] for w in (3, 4, 5, 19))[:3])
    assert company.of(4) == (2, sorted(names[w] for w in (0, 5)))
    assert company.of(7) == (0, [])
