"""Streams split over pools: what a cut problem is, that it is checked, and that bounds hold with splits allowed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.bounding import Bounding
from placement.overload import overload
from placement.part_prices import best_cuts, cap_levels, reliable, split_bound
from placement.parts import WrongCutError, cut, cuts_in, lift, lower, unite
from placement.problem import (
    Candidates,
    Clusters,
    Flows,
    Objective,
    Offers,
    Parts,
    Pools,
    Problem,
    Purchase,
    Streams,
    Variants,
    Workloads,
)
from placement.result import Result, Settings, Solution, Units
from placement.solvers import SOLVERS
from placement.solvers.first_fit import solve as first_fit
from placement.verify import verify
from placement.worker import Stopwatch, Unsupported, solve, solve_here

NONE = np.zeros(0, np.int64)


def hall_and_cloud(load: list[float], *, throughput: float = 1.0, most: int = 2, availability: float = 0.0,
                   move_usd: float = 0.0, cloud: int = 9) -> Problem:
    """One stream; pool 0 holds two owned machines, pool 1 rents `cloud` at 1 USD; a replica fills a machine."""
    slots = len(load)
    rows = np.array([np.ceil(np.array(load) - 1e-9), np.ceil(np.array(load) / throughput - 1e-9)], np.int32)
    one, two = np.zeros(1, np.int64), np.arange(2)
    return Problem(
        slots=slots, objective=Objective("min_cost"), shapes=np.array([[1.0]]),
        clusters=Clusters(np.array([0.99, 0.99]), np.zeros((2, 2))),
        pools=Pools(two, np.array([[1.0], [1.0]]), np.full((2, slots), 9, np.int32), np.zeros((2, slots))),
        offers=Offers(two, np.array([Purchase.OWNED, Purchase.ON_DEMAND]), np.array([2, 0]),
                      np.array([[0.5], [1.0]]).repeat(slots, axis=1),
                      np.array([[2], [cloud]], np.int32).repeat(slots, axis=1)),
        workloads=Workloads(np.ones(1), np.zeros(1, bool)),
        streams=Streams(one, one, np.zeros(1, bool), np.array([availability]), np.array([0, 2]), np.array([0, 2])),
        candidates=Candidates(np.zeros(2, np.int64), two, two, np.array([3.0, 4.0 + move_usd]), np.array([0.0, 2.0]),
                              np.ones(2, bool)),
        variants=Variants(np.zeros(2, np.int64), np.ones(2, np.int64), two, two, *np.zeros((6, 2), np.int64), rows),
        flows=Flows(NONE, NONE, np.zeros(0)),
        parts=Parts(one, np.array([most]), np.array([load], float), np.array([1.0, throughput]),
                    np.array([0.0, move_usd])))


def solved(problem: Problem, solver: str) -> Result:
    """What a solver finds, in this process."""
    return solve_here(problem, solver, Settings(time_limit_s=20, threads=1), Stopwatch(20))


def test_a_part_takes_its_cap_and_the_last_one_the_rest() -> None:
    """Needs are rounded up part by part after throughput; egress is shared by replicas, a move is paid whole."""
    problem = hall_and_cloud([1, 2.5, 4, 0], throughput=0.5, most=2, move_usd=1.0)
    made = cut(problem, np.array([[0, 2]]))
    rows = made.problem.variants.rows[made.problem.variants.row]
    assert rows.tolist() == [[1, 2, 2, 0], [2, 4, 4, 0], [0, 1, 2, 0], [0, 1, 4, 0]]
    assert made.share.tolist() == pytest.approx([5 / 7.5, 2.5 / 7.5])
    usd = made.problem.candidates.cost_usd
    assert usd.tolist() == pytest.approx([3 * 2 / 3, 4 * 2 / 3 + 1, 3 / 3, 4 / 3 + 1])
    assert made.problem.candidates.user_usd.tolist() == pytest.approx([0, 4 / 3, 0, 2 / 3])
    assert cuts_in(made.problem).tolist() == [[0, 2]]


def test_cuts_that_are_not_allowed_are_named() -> None:
    """Too many parts, a cap of 0, and a stream that may not be split."""
    problem = hall_and_cloud([3, 4])
    for cuts, what in (([[0, 1], [0, 1]], "split into 3 parts; 2 are allowed"), ([[0, 0]], "cap 0; a cap is"),
                       ([[1, 1]], "may not be split")):
        with pytest.raises(WrongCutError, match=what):
            cut(problem, np.array(cuts))
    whole = replace(problem, parts=None)
    found = verify(whole, replace(solved(problem, "brute").solution or _none(), cuts=np.array([[0, 2]])))
    assert [violation.kind for violation in found.violations] == ["parts"]


def _none() -> Solution:
    raise AssertionError("no solution")


def test_the_base_stays_in_the_hall() -> None:
    """Two owned machines carry the base and the cloud what is above, which is the optimum and cheaper than whole."""
    problem = hall_and_cloud([2, 2, 3, 9, 2, 2])
    best, found = solved(problem, "brute"), solved(problem, "planner")
    whole = solved(replace(problem, parts=None), "planner")
    for result in (best, found, whole):
        assert result.solution is not None
    assert best.solution is not None
    assert found.solution is not None
    assert whole.solution is not None
    assert best.solution.cuts.tolist() == [[0, 2]]
    assert found.solution.cuts.tolist() == [[0, 2]]
    verdict = verify(problem, found.solution, found.bound)
    assert verdict.holds
    assert verdict.costs.total_usd == pytest.approx(best.bound)
    assert verdict.costs.total_usd < verify(replace(problem, parts=None), whole.solution).costs.total_usd - 5


def test_a_split_with_wrong_needs_is_found() -> None:
    """Machines for one replica less than the parts need are refused, and so is a changed cap."""
    problem = hall_and_cloud([2, 3, 5])
    solution = solved(problem, "brute").solution
    assert solution is not None
    machines = solution.machines.copy()
    machines[1, 2] -= 1
    assert {v.kind for v in verify(problem, replace(solution, machines=machines)).violations} == {"room"}
    assert {v.kind for v in verify(problem, replace(solution, cuts=np.array([[0, 1]]))).violations} == {"room"}


def test_a_split_copy_is_up_while_all_parts_are() -> None:
    """Two clusters of 0.99 each: a split gives 0.9801, so at a target of 0.985 the copy stays whole."""
    loose, strict = (hall_and_cloud([2, 2, 9, 2], availability=slo) for slo in (0.98, 0.985))
    for problem, cuts in ((loose, [[0, 2]]), (strict, [])):
        for solver in ("brute", "planner"):
            solution = solved(problem, solver).solution
            assert solution is not None
            assert solution.cuts.tolist() == cuts
            assert verify(problem, solution).holds
    split = solved(loose, "brute").solution
    assert split is not None
    assert "availability" in {violation.kind for violation in verify(strict, split).violations}
    assert reliable(strict).sum() == 1


def test_neighbours_in_one_pool_are_one_part() -> None:
    """Parts that lie together are united, and units keep their places."""
    problem = hall_and_cloud([4, 6], most=3)
    cuts = np.array([[0, 1], [0, 2]])
    made = cut(problem, cuts)
    placed = lift(made, solved_units(made.problem))
    both = replace(placed, candidate=np.array([0, 0, 1]), variant=np.array([0, 0, 1]))
    kept, united = unite(problem, cuts, both)
    assert kept.tolist() == [[0, 3]]
    again = cut(problem, kept)
    assert lift(again, lower(again, united)).candidate.tolist() == [0, 1]


def solved_units(problem: Problem) -> Units:
    """Units of a plan of an ordinary problem."""
    solution = first_fit(problem, Settings(), Stopwatch(20)).solution
    assert solution is not None
    return solution.units


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.sampled_from([1.0, 1.5]), st.sampled_from([2, 3]),
       st.integers(0, 10_000))
@settings(deadline=None, max_examples=12, derandomize=True)
def test_the_bound_holds_at_any_prices(load: list[int], throughput: float, most: int, seed: int) -> None:
    """Whatever the prices, no split found by trying everything costs less than the bound, and cuts are legal."""
    problem = hall_and_cloud([float(n) for n in load], throughput=throughput, most=most, cloud=1 + seed % 6)
    best = solved(problem, "brute")
    if best.solution is None:
        return
    assert overload(problem) is None
    bounding = Bounding(replace(problem, parts=None), seed, lambda: False, np.inf)
    rng = np.random.default_rng(seed)
    assert split_bound(problem, bounding.prices) == 0.0  # a guess, not prices of rows
    for _ in range(2):
        bounding.advance()
        prices = bounding.prices
        factor = rng.choice([0.2, 1.0, 1.0], prices.firm_usd.shape)
        scaled = replace(prices, replica_usd=prices.replica_usd * factor, firm_usd=prices.firm_usd * factor,
                         spot_usd=prices.spot_usd * factor)
        for each in (prices, scaled):
            assert split_bound(problem, each) <= best.bound + 1e-6
            cuts = best_cuts(problem, each, reliable(problem))
            assert (np.bincount(cuts[:, 0]) < most).all()
    levels = cap_levels(np.array(load, float))
    assert ((levels >= 1) & (levels < max(load))).all()


def test_solvers_honour_parts_or_say_so() -> None:
    """Every solver plans a problem with parts within its rules, or names max_parts as what it does not do."""
    problem, seen = hall_and_cloud([1, 3]), set()
    for solver in SOLVERS:
        if solver in ("highs", "cp-sat", "cbc"):
            with pytest.raises(Unsupported, match="max_parts"):  # in a process of its own: two of them share none
                solve(problem, solver, Settings(time_limit_s=20), lambda _: None, lambda: False)
            continue
        result = solved(problem, solver)
        seen.add(solver)
        assert result.solution is not None
        assert verify(problem, result.solution, result.bound).holds
    assert seen == {"planner", "first-fit", "per-task", "brute"}
