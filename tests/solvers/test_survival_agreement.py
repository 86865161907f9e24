"""Surviving every loss: exact solvers find what trying everything finds, and the planner's own method comes near."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.problem import Problem
from placement.result import Result, Settings
from placement.verify import verify

Build = Callable[..., Problem]
Solve = Callable[[str, Problem, Settings], tuple[Result, bool]]

EXACT = Settings(time_limit_s=30, gap=0, threads=1)
SMALL = {"workloads": 1, "slots": 2, "clusters": 3, "most_copies": 2, "survive": True}
KINDS: tuple[dict[str, Any], ...] = ({}, {"tight": True}, {"mode": "max_sla"})


def value(problem: Problem, result: Result) -> tuple[str, float, float]:
    """(status, attainment where it is the objective, cost), rounded; the plan holds by `verify`."""
    if result.solution is None:
        return result.status, 0.0, 0.0
    verdict = verify(problem, result.solution, result.bound)
    assert verdict.violations == ()
    share = verdict.attainment if problem.objective.mode == "max_sla" else 0.0
    return result.status, round(share, 9), round(verdict.costs.total_usd, 4)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), kind=st.sampled_from(KINDS))
def test_exact_solvers_survive_at_the_least_cost(solve_with: Solve, tiny_problem: Build, seed: int,
                                                 kind: dict[str, Any]) -> None:
    """HiGHS and CP-SAT agree with trying every plan, every fallback map and every number of machines held."""
    problem = tiny_problem(seed, **SMALL, **kind)
    truth = value(problem, solve_with("brute", problem, EXACT)[0])
    assert truth[0] in ("optimal", "infeasible")
    assert value(problem, solve_with("highs", problem, EXACT)[0]) == truth
    assert value(problem, solve_with("cp-sat", problem, EXACT)[0]) == truth


@pytest.mark.parametrize("seed", [3, 6, 12])
def test_the_planner_survives_at_the_least_cost_where_exact_solving_is_possible(
        solve_with: Solve, tiny_problem: Build, seed: int) -> None:
    """Small problems go to the exact solver, survival included, so the price of survival is the least there is."""
    problem = tiny_problem(seed, **SMALL | {"workloads": 2})
    result = solve_with("planner", problem, replace(EXACT, time_limit_s=10))[0]
    highs = solve_with("highs", problem, EXACT)[0]
    assert value(problem, result)[1:] == value(problem, highs)[1:]
    assert result.status == highs.status
