"""All ways to solve a problem exactly find the same optimum, and the optimum behaves as an optimum must."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from placement.problem import Problem
from placement.result import Result, Settings
from placement.solvers import brute
from placement.verify import verify

Build = Callable[..., Problem]
Solve = Callable[[str, Problem, Settings], tuple[Result, bool]]

EXACT = Settings(time_limit_s=60, gap=0, threads=1)
TINY = {"workloads": 2, "slots": 2, "clusters": 2, "most_copies": 2}
KINDS: tuple[dict[str, Any], ...] = ({}, {"tight": True}, {"sla_floor": 0.5, "tight": True}, {"mode": "max_sla"})
seeds = st.integers(0, 2**31)
kinds = st.sampled_from(KINDS)


def value(problem: Problem, result: Result) -> tuple[str, float, float]:
    """(status, attainment where it is the objective, cost), rounded; the plan holds by `verify`."""
    if result.solution is None:
        return result.status, 0.0, 0.0
    verdict = verify(problem, result.solution, result.bound)
    assert verdict.violations == ()
    share = verdict.attainment if problem.objective.mode == "max_sla" else 0.0
    return result.status, round(share, 9), round(verdict.costs.total_usd, 4)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=seeds, kind=kinds)
@example(seed=245, kind={"tight": True}).via("HiGHS called it infeasible, by a presolve rule now left out")
def test_highs_and_cp_sat_find_the_optimum_of_brute_force(solve_with: Solve, tiny_problem: Build, seed: int,
                                                          kind: dict[str, Any]) -> None:
    """HiGHS and CP-SAT agree with trying everything: proven infeasible, or the same attainment and least cost."""
    problem = tiny_problem(seed, **TINY, **kind)
    truth = value(problem, solve_with("brute", problem, EXACT)[0])
    assert truth[0] in ("optimal", "infeasible")
    assert value(problem, solve_with("highs", problem, EXACT)[0]) == truth
    assert value(problem, solve_with("cp-sat", problem, EXACT)[0]) == truth


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=seeds, kind=kinds)
def test_three_copies_in_three_clusters_agree_too(solve_with: Solve, tiny_problem: Build, seed: int,
                                                  kind: dict[str, Any]) -> None:
    """With up to three copies in three clusters, HiGHS, CP-SAT and CBC agree, and with brute force where it can."""
    problem = tiny_problem(seed, workloads=2, slots=2, clusters=3, most_copies=3, **kind)
    found = {value(problem, solve_with(solver, problem, EXACT)[0]) for solver in ("highs", "cp-sat", "cbc")}
    assert len(found) == 1
    if brute.supports(problem) is None and len(problem.streams.workload) < 3:
        assert value(problem, solve_with("brute", problem, EXACT)[0]) in found


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=seeds, kind=kinds)
def test_cbc_finds_the_optimum_of_highs(solve_with: Solve, tiny_problem: Build, seed: int,
                                        kind: dict[str, Any]) -> None:
    """CBC agrees with HiGHS."""
    problem = tiny_problem(seed, **TINY, **kind)
    cbc, highs = (value(problem, solve_with(solver, problem, EXACT)[0]) for solver in ("cbc", "highs"))
    assert cbc == highs


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=seeds, kind=kinds)
def test_more_demand_never_costs_less(solve_with: Solve, tiny_problem: Build, seed: int, kind: dict[str, Any]) -> None:
    """Adding replicas never lowers the least cost, never raises the attainment, and never makes a plan appear."""
    problem = tiny_problem(seed, workloads=3, slots=3, **kind)
    rng = np.random.default_rng(seed)
    v = problem.variants
    more = replace(problem, variants=replace(
        v, rows=v.rows + rng.integers(0, 2, v.rows.shape, np.int32), level=v.level + rng.integers(0, 2, len(v.level))))
    before, after = (value(p, solve_with("highs", p, EXACT)[0]) for p in (problem, more))
    if before[0] == "infeasible":
        assert after[0] == "infeasible"
    elif after[0] != "infeasible":
        assert (-after[1], after[2]) >= (-before[1], before[2] - 1e-3)


def crowded(problem: Problem) -> Problem:
    """Large machines and many replicas: too many patterns to write out."""
    v, pools, streams = problem.variants, problem.pools, problem.streams
    shapes = np.random.default_rng(1).uniform(2, 9, (len(streams.shape), 2))
    return replace(problem, shapes=shapes, pools=replace(pools, room=pools.room * 9),
                   streams=replace(streams, shape=np.arange(len(shapes))),
                   variants=replace(v, rows=v.rows * 17, level=v.level * 13))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mode", ["min_cost", "max_sla"])
def test_a_relaxed_packing_still_gives_packed_plans_under_valid_bounds(solve_with: Solve, tiny_problem: Build,
                                                                       seed: int, mode: str) -> None:
    """Where packing is relaxed the plan packs all the same, and no back end's bound passes another's plan."""
    problem = crowded(tiny_problem(seed, mode=mode, slots=4, workloads=4, clusters=2))
    limited = replace(EXACT, time_limit_s=2, gap=0.01)
    results = [solve_with(solver, problem, limited)[0] for solver in ("highs", "cp-sat")]
    for result in results:
        assert result.solution is not None
        assert "relaxed" in result.method
        for other in results:
            assert other.solution is not None
            assert verify(problem, other.solution, result.bound).violations == ()


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=seeds, kind=st.sampled_from(({}, {"tight": True}, {"sla_floor": 0.5})))
def test_the_optimum_lies_between_the_search_and_its_bound(solve_with: Solve, tiny_problem: Build, seed: int,
                                                           kind: dict[str, Any]) -> None:
    """The planner's own bound is never above the proven least cost, and no plan of the quick solvers is below it."""
    problem = tiny_problem(seed, **TINY, **kind)
    optimum = solve_with("highs", problem, EXACT)[0]
    for solver in ("planner", "first-fit"):
        result = solve_with(solver, problem, replace(EXACT, time_limit_s=2))[0]
        if optimum.status == "infeasible":
            assert result.solution is None
            continue
        assert result.status != "infeasible"
        assert result.bound <= optimum.bound + 1e-4
        if result.solution is not None:
            assert value(problem, result)[2] >= optimum.bound - 1e-4
