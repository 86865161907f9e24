"""Placement in one slot on machines held anyway: structure, bound and search against enumeration and real instances."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.assignment_data import Instance, as_placement, instance_files, read_instance
from placement.assignment import read_assignment, solve_assignment
from placement.assignment_prices import bound_of, find_prices
from placement.assignment_search import Cooling
from placement.problem import Problem, Purchase
from placement.result import Settings
from placement.verify import verify
from placement.worker import Stopwatch, solve_here


def instance(seed: int, agents: int, jobs: int, tightness: float = 1.2) -> Instance:
    """A random instance with costs that fall as sizes rise."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 10, (agents, jobs))
    cost = 12 - size + rng.integers(0, 6, (agents, jobs))
    capacity = np.full(agents, int(np.ceil(tightness * size.mean() * jobs / agents)))
    return Instance(f"random-{seed}", cost, size, capacity, None)


def least_cost(case: Instance) -> float:
    """By enumeration; infinite where nothing fits."""
    agents, jobs = case.cost.shape
    best = np.inf
    for places in itertools.product(range(agents), repeat=jobs):
        load = np.bincount(places, case.size[list(places), range(jobs)], agents)
        if (load <= case.capacity).all():
            best = min(best, float(case.cost[list(places), range(jobs)].sum()))
    return best


@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(2, 3), st.integers(2, 5), st.sampled_from([0.7, 1.0, 1.3]))
def test_the_search_finds_what_enumeration_finds(seed: int, agents: int, jobs: int, tightness: float) -> None:
    """On tiny instances the plan is the best, the bound is not above it, and no plan is claimed where there is none."""
    case = instance(seed, agents, jobs, tightness)
    problem, best = as_placement(case), least_cost(case)
    held = read_assignment(problem)
    assert held is not None
    found = solve_assignment(problem, held, Settings(seed=seed, time_limit_s=60, threads=1), Stopwatch(60))
    assert found.bound <= best + 1e-6
    if np.isinf(best):
        assert found.solution is None
    else:
        assert found.solution is not None
        verdict = verify(problem, found.solution, found.bound)
        assert verdict.holds
        assert verdict.costs.total_usd == pytest.approx(best)


@settings(max_examples=18, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.lists(st.floats(0, 20), min_size=3, max_size=3))
def test_any_prices_prove_a_bound(seed: int, prices: list[float]) -> None:
    """No prices of capacity give a bound above the best cost, and none give a better one than those found."""
    case = instance(seed, 3, 6)
    cost, size = case.cost.T.astype(np.float64), case.size.T.copy()
    bound = bound_of(np.array(prices), cost, size, case.capacity)
    assert bound <= least_cost(case) + 1e-9
    assert bound <= find_prices(cost, size, case.capacity)[1] + 1e-6


def test_no_room_is_proven() -> None:
    """Where all capacity together is too little, the answer is a proof."""
    case = instance(1, 3, 12, 0.3)
    problem = as_placement(case)
    held = read_assignment(problem)
    assert held is not None
    found = solve_assignment(problem, held, Settings(time_limit_s=10), Stopwatch(10))
    assert (found.status, found.solution) == ("infeasible", None)


def test_only_this_structure_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines that cost more when they run, copies, a second size of replica or work that may be left out are not."""
    problem = as_placement(instance(2, 3, 6))
    assert read_assignment(problem) is not None
    for other in _others(problem):
        assert read_assignment(other) is None


def _others(problem: Problem) -> list[Problem]:
    offers, streams, variants = problem.offers, problem.streams, problem.variants
    bought = np.full_like(offers.purchase, int(Purchase.ON_DEMAND))
    copies, shape = variants.copies.copy(), streams.shape.copy()
    copies[0], shape[0] = 2, 1
    return [
        replace(problem, offers=replace(offers, purchase=bought)),
        replace(problem, offers=replace(offers, max_machines=offers.max_machines + 1)),
        replace(problem, pools=replace(problem.pools, run_usd=problem.pools.run_usd + 1)),
        replace(problem, variants=replace(variants, copies=copies)),
        replace(problem, shapes=np.array([[1.0], [0.5]]), streams=replace(streams, shape=shape)),
        replace(problem, workloads=replace(problem.workloads, droppable=~problem.workloads.droppable)),
        replace(problem, objective=replace(problem.objective, mode="max_sla", budget_usd=5.0))]


def test_several_replicas_a_machine_count_as_capacity() -> None:
    """A pool of 3 machines that each hold 2 replicas has room for 6, and the plan that uses them is checked whole."""
    case = instance(3, 3, 40)
    problem = as_placement(replace(case, capacity=case.capacity // 2 + 1))
    problem = replace(problem, pools=replace(problem.pools, room=problem.pools.room * 2.5))
    held = read_assignment(problem)
    assert held is not None
    assert (held.capacity == 2 * (case.capacity // 2 + 1)).all()
    found = solve_assignment(problem, held, Settings(time_limit_s=3, threads=1), Stopwatch(3))
    assert found.solution is not None
    assert verify(problem, found.solution, found.bound).holds


def test_the_same_seed_gives_the_same_cooling() -> None:
    """Moves are counted, so two coolings of one seed end in the same assignment."""
    case = instance(4, 5, 60)
    cost, size = case.cost.T.astype(np.float64), case.size.T.copy()
    prices, _ = find_prices(cost, size, case.capacity)
    one, two = (Cooling(cost, size, case.capacity, prices, 1.0, 7).run(200_000, None, lambda: False) for _ in range(2))
    assert one is not None
    assert two is not None
    assert (one == two).all()


def anticorrelated(seed: int, agents: int, jobs: int) -> Instance:
    """What is large is cheap, and capacity four fifths of the mean need: the best assignments fill agents exactly."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 101, (agents, jobs))
    cost = 111 - size + rng.integers(-10, 11, (agents, jobs))
    return Instance(f"anticorrelated-{seed}", cost, size, (0.8 * size.sum(axis=1) / agents).astype(np.int64), None)


def test_many_pools_are_filled_exactly_at_once() -> None:
    """Forty agents, ten jobs each: within 0.25 % of the bound after a million moves."""
    case = anticorrelated(6, 40, 400)
    cost, size = case.cost.T.astype(np.float64), case.size.T.copy()
    prices, bound = find_prices(cost, size, case.capacity)
    places = Cooling(cost, size, case.capacity, prices, 1.0, 1).run(1_000_000, None, lambda: False)
    assert places is not None
    streams = np.arange(len(places))
    load = np.bincount(places, size[streams, places], len(case.capacity))
    assert (load <= case.capacity).all()
    assert bound <= cost[streams, places].sum() <= 1.0025 * bound


def test_threads_change_the_time_not_the_plan() -> None:
    """Work is counted in moves, the same coolings for any number of threads."""
    problem = as_placement(anticorrelated(7, 5, 50))
    held = read_assignment(problem)
    assert held is not None
    one, three = (solve_assignment(problem, held, Settings(seed=2, time_limit_s=600, threads=threads, gap=0.0),
                                   Stopwatch(600)) for threads in (1, 3))
    assert one.solution is not None
    assert three.solution is not None
    assert (one.solution.units.candidate == three.solution.units.candidate).all()


def test_mismatch_beyond_the_table_counts_on() -> None:
    """Sizes far above what is looked up: the result fits and is near the bound."""
    case = anticorrelated(8, 5, 60)
    cost, size = case.cost.T.astype(np.float64), 1000 * case.size.T
    capacity = 1000 * case.capacity
    prices, bound = find_prices(cost, size, capacity)
    places = Cooling(cost, size, capacity, prices, 0.5, 1).run(300_000, None, lambda: False)
    assert places is not None
    streams = np.arange(len(places))
    assert (np.bincount(places, size[streams, places], len(capacity)) <= capacity).all()
    assert cost[streams, places].sum() <= 1.02 * bound


def test_the_planner_method_takes_it_by_structure() -> None:
    """The planner's own solver hands such a problem to this search and says what proved the bound."""
    problem = as_placement(instance(5, 6, 200))
    found = solve_here(problem, "planner", Settings(time_limit_s=4, threads=1), Stopwatch(4))
    assert "capacity of machines that are held" in found.method
    assert found.solution is not None
    assert found.bound > 0.97 * verify(problem, found.solution).costs.total_usd


def test_a_real_instance_is_within_a_fraction_of_a_percent(shared: Path) -> None:
    """Ten agents and 400 jobs of type e, in a few seconds: within half a percent of the best known."""
    case = read_instance(instance_files(shared / "data" / "placement" / "gap")["e10400"])
    problem = as_placement(case)
    found = solve_here(problem, "planner", Settings(time_limit_s=20, threads=1, gap=0.003), Stopwatch(20))
    assert found.solution is not None
    assert case.best is not None
    assert verify(problem, found.solution, found.bound).costs.total_usd <= 1.005 * case.best
