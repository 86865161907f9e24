"""The Lagrangian bound holds at any prices: no plan is cheaper, no plan attains more."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.bound import Pricer, Prices, may_drop, most_replicas, pools_bound
from placement.bounding import Bounding
from placement.problem import Objective, Problem, Purchase
from placement.result import Result, Settings, Solution
from placement.solvers import brute
from placement.weights import WeightFinder

SEEDS = st.integers(0, 100_000)
TinyProblem = Callable[..., Problem]


class Quiet:
    """A watch that never stops the solver."""

    def report(self, phase: str, solution: Solution | None, objective: float, bound: float) -> None:
        """Ignore it."""

    def stopped(self) -> bool:
        """Never."""
        return False


def best(problem: Problem) -> Result:
    """The optimum by trying everything."""
    return brute.solve(problem, Settings(), Quiet())


def some_prices(problem: Problem, seed: int) -> Prices:
    """Random prices of random valid packing weights, with the slack or the budget priced at random too."""
    rng = np.random.default_rng(seed)
    pools, slots = problem.pools.run_usd.shape
    replica = np.zeros((2, len(problem.shapes), pools, slots))
    firm, spot = np.zeros((2, pools, slots))
    shape = problem.streams.shape[problem.candidates.stream]
    by_cost = problem.objective.mode == "min_cost"
    scale = 1.0 if by_cost else float(rng.choice([0.0, 0.01, 0.1]))
    for p in range(pools):
        finder = WeightFinder(problem.shapes, problem.pools.room[p], np.unique(shape[problem.candidates.pool == p]))
        vectors = [*finder.resource_weights(), finder.find(rng.integers(0, 5, len(problem.shapes)) * 1.0)]
        for vector, all_work in itertools.product(vectors, (True, False)):
            usd = rng.random(slots) * rng.choice([0.0, 1.0, 3.0]) * (scale or 1.0)
            replica[0, :, p] += vector[:, None] * usd
            firm[p] += usd
            if all_work:
                replica[1, :, p] += vector[:, None] * usd
                spot[p] += usd
    weight = problem.workloads.weight
    if not by_cost:
        return Prices(replica, firm, spot, scale, weight.copy(), -scale * problem.objective.budget_usd)
    rate = float(rng.choice([0.0, 1.0, 20.0]))
    drop = np.where(may_drop(problem), rate * weight, np.inf)
    return Prices(replica, firm, spot, 1.0, drop, -rate * problem.slack)


def bound_at(problem: Problem, prices: Prices) -> float:
    """The bound at these prices."""
    pricer = Pricer(problem)
    return pricer.bound(prices, pricer.cheapest(prices))


@given(seed=SEEDS, tight=st.booleans(), floor=st.sampled_from([1.0, 0.5]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_no_plan_is_cheaper_than_the_bound(tiny_problem: TinyProblem, seed: int, tight: bool, floor: float) -> None:
    """In `min_cost` the bound at random prices never exceeds the least cost, whatever offers, limits and slack are."""
    problem = tiny_problem(seed, clusters=2, workloads=2, slots=2, most_copies=2, tight=tight, sla_floor=floor)
    found = best(problem)
    if found.status == "optimal":
        assert bound_at(problem, some_prices(problem, seed)) <= found.bound + 1e-6


@given(seed=SEEDS, tight=st.booleans())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_no_plan_leaves_less_out_than_the_bound(tiny_problem: TinyProblem, seed: int, tight: bool) -> None:
    """In `max_sla` the bound at random prices never exceeds the weight that the best plan leaves out."""
    problem = tiny_problem(seed, clusters=2, workloads=2, slots=2, most_copies=2, tight=tight, mode="max_sla")
    found = best(problem)
    if found.status == "optimal":
        left_out = (1 - found.bound) * problem.workloads.weight.sum()
        assert bound_at(problem, some_prices(problem, seed)) <= left_out + 1e-6


@given(seed=SEEDS, mode=st.sampled_from(["min_cost", "max_sla"]))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_raised_bound_holds_too(tiny_problem: TinyProblem, seed: int, mode: str) -> None:
    """Column generation with splits and new weights raises the bound, never past the optimum."""
    problem = tiny_problem(seed, clusters=2, workloads=2, slots=3, most_copies=2, mode=mode, sla_floor=0.6)
    found = best(problem)
    bounding = Bounding(problem, 0, lambda: False, float("inf"))
    before = 0.0
    for _ in range(12):
        bounding.advance()
        assert bounding.bound >= before
        before = bounding.bound
    if found.status == "optimal":
        limit = found.bound if mode == "min_cost" else (1 - found.bound) * problem.workloads.weight.sum()
        assert bounding.bound <= limit + 1e-6


@given(seed=SEEDS, scale=st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_pools_bound_equals_enumeration(tiny_problem: TinyProblem, seed: int, scale: float) -> None:
    """For pools whose fixed offers keep their limits the bound is the best over all levels and counts, slot by slot."""
    problem = tiny_problem(seed, clusters=2, workloads=1, slots=2, tight=True)
    steady = problem.offers.max_machines.min(axis=1, keepdims=True).repeat(2, axis=1)
    problem = replace(problem, offers=replace(problem.offers, max_machines=np.maximum(
        steady, problem.offers.owned.max(axis=1)[:, None]).astype(np.int32)))
    prices = replace(some_prices(problem, seed), cost_scale=scale)
    expected = [_least(problem, prices, p) for p in range(len(problem.pools.cluster))]
    assert pools_bound(problem, prices) == pytest.approx(np.array(expected))


def _least(problem: Problem, prices: Prices, p: int) -> float:
    """Least (cost - earnings) of pool p over all levels of its fixed offers and all counts in every slot."""
    o, mine = problem.offers, np.flatnonzero(problem.offers.pool == p)
    fixed = o.purchase[mine] <= Purchase.COMMITTED
    levels = [range(int(o.owned[i].min()), int(o.max_machines[i].max()) + 1) if held else [0]
              for i, held in zip(mine, fixed, strict=True)]
    least = np.inf
    for level in itertools.product(*levels):
        total = prices.cost_scale * sum((np.maximum(n, o.owned[i]) * o.price_usd[i]).sum()
                                        for n, i, held in zip(level, mine, fixed, strict=True) if held)
        for t in range(problem.slots):
            caps = [n if held else int(o.max_machines[i, t]) for n, held, i in zip(level, fixed, mine, strict=True)]
            worth = [(prices.spot_usd if o.purchase[i] == Purchase.SPOT else prices.firm_usd)[p, t]
                     - prices.cost_scale * (problem.pools.run_usd[p, t] + (0 if held else o.price_usd[i, t]))
                     for i, held in zip(mine, fixed, strict=True)]
            counts = itertools.product(*(range(cap + 1) for cap in caps))
            fewest, most = problem.pools.min_machines[p, t], problem.pools.max_machines[p, t]
            total -= max((float(np.dot(n, worth)) for n in counts if fewest <= sum(n) <= most), default=-np.inf)
        least = min(least, float(total))
    return least


def test_machines_that_come_later_hold_nothing_before(tiny_problem: TinyProblem) -> None:
    """Fixed machines with a lead time earn nothing in slots where the offer has none yet."""
    problem = tiny_problem(1, clusters=1, workloads=1, slots=2)
    one = replace(problem.offers, pool=np.array([0]), purchase=np.array([1]), owned=np.array([0]),
                  price_usd=np.array([[1.0, 1.0]]), max_machines=np.array([[0, 5]], np.int32))
    problem = replace(problem, offers=one, pools=replace(
        problem.pools, min_machines=np.zeros_like(problem.pools.min_machines)))
    prices = replace(some_prices(problem, 0), firm_usd=np.full(problem.pools.run_usd.shape, 10.0))
    run = problem.pools.run_usd[0, 1]
    assert pools_bound(problem, prices)[0] == pytest.approx(5 * 2.0 - 5 * (10.0 - run))


def test_stream_without_variants_makes_the_bound_infinite(tiny_problem: TinyProblem) -> None:
    """What must be placed and has no choice proves that there is no plan; what may be dropped costs its price."""
    problem = tiny_problem(3, clusters=2, workloads=1, slots=2)
    v, s = problem.variants, problem.streams
    last = v.stream == len(s.shape) - 1
    variants = replace(v, **{name: getattr(v, name)[~last] for name in (
        "stream", "copies", "speed", "row", "level", "length", "period", "runs", "earliest", "latest")})
    first = s.variant_first.copy()
    first[-1] = first[-2]
    problem = replace(problem, variants=variants, streams=replace(s, variant_first=first),
                      workloads=replace(problem.workloads, droppable=np.array([False])))
    assert bound_at(problem, some_prices(problem, 0)) == np.inf
    relaxed = replace(problem, objective=Objective("max_sla"))
    prices = replace(some_prices(relaxed, 0), cost_scale=0.0, constant=0.0)
    assert np.isfinite(bound_at(relaxed, prices))


def test_no_budget_at_all_is_no_nan(tiny_problem: TinyProblem) -> None:
    """An unlimited budget has no price, and the bound stays a number."""
    problem = replace(tiny_problem(5, mode="max_sla"), objective=Objective("max_sla"))
    bounding = Bounding(problem, 0, lambda: False, float("inf"))
    for _ in range(4):
        bounding.advance()
    assert bounding.bound == pytest.approx(0.0, abs=1e-9)


@given(seed=SEEDS)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_no_plan_puts_more_on_a_pool_than_it_holds(tiny_problem: TinyProblem, seed: int) -> None:
    """What the bound leaves out because no empty pool could hold it is in no optimal plan."""
    problem = tiny_problem(seed, clusters=2, workloads=2, slots=2, most_copies=2, tight=True)
    found = best(problem).solution
    if found is None:
        return
    most, v, s = most_replicas(problem), problem.variants, problem.streams
    for candidate, variant in zip(found.units.candidate, found.units.variant, strict=True):
        row = int(v.row[variant])
        peak = int(v.rows[row].max()) if row >= 0 else int(v.level[variant])
        stream = problem.candidates.stream[candidate]
        kind, shape = int(s.preemptible[stream]), s.shape[stream]
        assert peak <= most[kind, shape, problem.candidates.pool[candidate]]
