"""A limit on moves from a plan in force: exact solvers agree under it, and the planner's own method keeps to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.few_moves import FewMoves
from placement.problem import Incumbent, Problem
from placement.result import Result, Settings, Solution
from placement.solvers import brute
from placement.verify import moves_made, verify
from placement.worker import Stopwatch, Unsupported, solve_here

Build = Callable[..., Problem]
Solve = Callable[[str, Problem, Settings], tuple[Result, bool]]
EXACT = Settings(time_limit_s=60, gap=0, threads=1)
TINY = {"workloads": 2, "slots": 2, "clusters": 2, "most_copies": 2}
KINDS: tuple[dict[str, Any], ...] = ({}, {"tight": True}, {"sla_floor": 0.5}, {"mode": "max_sla"}, {"survive": True})


def in_force(problem: Problem, most_moves: int | None) -> Problem:
    """The problem with the plan in force that was best while machines were sold at each other's prices."""
    offers = problem.offers
    other = replace(problem, offers=replace(offers, price_usd=offers.price_usd[::-1].copy()))
    plan = brute.solve(other, Settings(), Stopwatch(30.0)).solution
    units = None if plan is None else plan.units
    none = np.zeros(0, np.int64)
    columns = [none] * 4 if units is None else [units.stream, units.candidate, units.variant, units.start]
    return replace(problem, incumbent=Incumbent(*columns, most_moves))


def value(problem: Problem, result: Result) -> tuple[str, float, float]:
    """(status, attainment where it is the objective, cost) of a result that holds."""
    if result.solution is None:
        return result.status, 0.0, 0.0
    verdict = verify(problem, result.solution, result.bound)
    assert verdict.violations == ()
    share = verdict.attainment if problem.objective.mode == "max_sla" else 0.0
    return result.status, round(share, 9), round(verdict.costs.total_usd, 4)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), kind=st.sampled_from(KINDS), most=st.integers(0, 2))
def test_exact_solvers_agree_under_a_limit_on_moves(solve_with: Solve, tiny_problem: Build, seed: int,
                                                    kind: dict[str, Any], most: int) -> None:
    """HiGHS and CP-SAT find the optimum of brute force among plans that leave at most so many places."""
    problem = in_force(tiny_problem(seed, **TINY, **kind), most)
    truth = value(problem, solve_with("brute", problem, EXACT)[0])
    assert truth[0] in ("optimal", "infeasible")
    for solver in ("highs", "cp-sat"):
        found = value(problem, solve_with(solver, problem, EXACT)[0])
        assert found == truth or (kind.get("survive") and found[0] in ("feasible", "unknown")), solver


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), most=st.integers(0, 2), mode=st.sampled_from(["min_cost", "max_sla"]))
def test_mending_keeps_to_the_limit(tiny_problem: Build, seed: int, most: int, mode: str) -> None:
    """Where no exact solver helps, every plan that is taken holds, moves included, and one is found where K is 0."""
    problem = in_force(tiny_problem(seed, workloads=3, slots=2, clusters=2, most_copies=2, mode=mode), most)
    taken: list[Solution] = []
    ones = np.ones(len(problem.workloads.weight))
    FewMoves(problem, ones, 0, thorough=False, stopped=bool, take=taken.append).search()
    within = [plan for plan in taken if {v.kind for v in verify(problem, plan).violations} <= {"budget"}]
    assert len(within) == len(taken)
    assert taken or mode == "max_sla"
    assert all(moves_made(problem, plan.units) <= most for plan in taken)


def test_without_moves_everything_stays(tiny_problem: Build) -> None:
    """With no move allowed each placed stream keeps all its places, though others would cost less."""
    moved = 0
    for seed in range(12):
        problem = in_force(tiny_problem(seed, **TINY), None)
        assert problem.incumbent is not None
        still = replace(problem, incumbent=replace(problem.incumbent, most_moves=0))
        free, kept = (brute.solve(one, Settings(), Stopwatch(30.0)).solution for one in (problem, still))
        assert free is not None
        assert kept is not None
        assert moves_made(still, kept.units) == 0
        moved += moves_made(still, free.units)
    assert moved > 0


def test_first_fit_refuses_a_limit_on_moves(tiny_problem: Build) -> None:
    """A solver that cannot keep to the limit says so, and does not forget it."""
    with pytest.raises(Unsupported, match="limits moves"):
        solve_here(in_force(tiny_problem(1), 0), "first-fit", EXACT, Stopwatch(10.0))
