"""Limits and commitments that pools share: every exact way finds the optimum, and nothing passes `verify` unpaid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.problem import Commitments, Limits, Problem
from placement.result import Result, Settings
from placement.solvers import brute
from placement.verify import verify

Build = Callable[..., Problem]
Solve = Callable[[str, Problem, Settings], tuple[Result, bool]]

EXACT = Settings(time_limit_s=60, gap=0, threads=1)
TINY = {"workloads": 2, "slots": 2, "clusters": 2, "most_copies": 2}
KINDS: tuple[dict[str, Any], ...] = ({}, {"sla_floor": 0.5}, {"mode": "max_sla"})
seeds = st.integers(0, 2**31)
kinds = st.sampled_from(KINDS)
MOST_PLANS = 200


def sharing(problem: Problem, seed: int, *, limits: bool = True, commitments: bool = True, whole: bool = False,
            overlap: bool = False) -> Problem:
    """The problem with limits over some pools, and commitments of round numbers; `whole`: in machines only."""
    rng = np.random.default_rng(seed)
    pools, slots = len(problem.pools.cluster), problem.slots
    shared = Limits()
    if limits:
        paid = rng.random(2) < 0.4
        amount = rng.integers(0, 3, (2, pools)).astype(float)
        amount[paid] = np.minimum(amount[paid], 1)
        shared = Limits(amount, paid, rng.integers(2, 9, (2, slots)) * np.where(paid, 4.0, 1.0)[:, None])
    if not commitments:
        return replace(problem, limits=shared)
    covers = np.zeros((2, pools), np.bool_)
    covers[rng.integers(0, 2, pools), np.arange(pools)] = True
    if overlap:
        covers[:] = True
    by_machine = np.ones(2, np.bool_) if whole else rng.random(2) < 0.4
    price = np.where(by_machine[:, None], rng.integers(1, 4, (2, 1)) / 2, 1.0) * np.ones((2, slots))
    return replace(problem, limits=shared, commitments=Commitments(
        covers, by_machine, np.where(by_machine, 0.0, rng.integers(1, 6, 2) / 10), price,
        rng.integers(0, 3, 2).astype(float), rng.integers(0, 6, 2).astype(float)))


def plans(problem: Problem) -> int:
    """How many plans there are to try."""
    return int(np.prod([1 + sum(1 for _ in brute._choices(problem, s)) for s in range(len(problem.streams.workload))]))


def value(problem: Problem, result: Result) -> tuple[str, float, float]:
    """(status, attainment where it is the objective, cost), rounded; the plan holds by `verify`."""
    if result.solution is None:
        return result.status, 0.0, 0.0
    verdict = verify(problem, result.solution, result.bound)
    assert verdict.violations == ()
    share = verdict.attainment if problem.objective.mode == "max_sla" else 0.0
    return result.status, round(share, 9), round(verdict.costs.total_usd, 3)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=seeds, kind=kinds)
def test_exact_solvers_find_the_optimum_of_brute_force(solve_with: Solve, tiny_problem: Build, seed: int,
                                                       kind: dict[str, Any]) -> None:
    """HiGHS agrees with trying everything, in status, attainment and least cost; so does CP-SAT where all is whole."""
    problem = sharing(tiny_problem(seed, **TINY, **kind), seed, limits=seed % 3 != 1, commitments=seed % 3 != 2,
                      whole=seed % 2 == 0)
    if brute.supports(problem) is not None or plans(problem) > MOST_PLANS:
        return
    truth = value(problem, solve_with("brute", problem, EXACT)[0])
    assert truth[0] in ("optimal", "infeasible")
    assert value(problem, solve_with("highs", problem, EXACT)[0]) == truth
    if problem.commitments.by_machine.all():
        assert value(problem, solve_with("cp-sat", problem, EXACT)[0]) == truth


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=seeds, kind=kinds)
def test_every_way_keeps_below_the_bound_of_the_others(solve_with: Solve, tiny_problem: Build, seed: int,
                                                       kind: dict[str, Any]) -> None:
    """CBC finds HiGHS's optimum; the planner's plan, and first fit's where it makes one, are not below it."""
    problem = sharing(tiny_problem(seed, **TINY, **kind), seed, limits=seed % 3 != 1)
    best = value(problem, solve_with("highs", problem, EXACT)[0])
    assert value(problem, solve_with("cbc", problem, EXACT)[0]) == best
    for solver in ("planner", *(("first-fit",) if not len(problem.limits.paid) else ())):
        result = solve_with(solver, problem, replace(EXACT, time_limit_s=2))[0]
        found = value(problem, result)
        if result.solution is not None:
            assert (-found[1], found[2]) >= (-best[1], best[2] - 1e-3)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=seeds, kind=kinds)
def test_where_commitments_overlap_bounds_hold_and_turns_are_kept(solve_with: Solve, tiny_problem: Build, seed: int,
                                                                  kind: dict[str, Any]) -> None:
    """Two commitments for every pool: plans are paid in turn by `verify`, and none is below a bound of another."""
    problem = sharing(tiny_problem(seed, **TINY, **kind), seed, overlap=True)
    results = [solve_with(solver, problem, replace(EXACT, time_limit_s=2))[0] for solver in ("highs", "planner")]
    for result in results:
        for other in results:
            if result.solution is not None and other.solution is not None:
                assert verify(problem, other.solution, result.bound).violations == ()
