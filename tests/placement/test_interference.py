"""Interference in arrays: what units need beside each other, checked anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.checks.interference import broken_interference
from placement.interference import slowed_down
from placement.needs import needs_alone, unit_needs
from placement.problem import Interference, Problem
from placement.result import Settings
from placement.solvers import SOLVERS, first_fit
from placement.verify import verify
from placement.worker import Stopwatch, Unsupported, solve_here

TinyProblem = Callable[..., Problem]


def beside(problem: Problem, seed: int) -> Problem:
    """The problem with random pairs that slow each other down, in random pools."""
    rng = np.random.default_rng(seed)
    workloads, pools = len(problem.workloads.weight), len(problem.pools.cluster)
    pairs = np.array([(a, b) for a in range(workloads) for b in range(workloads) if a != b and rng.random() < 0.7],
                     np.int64).reshape(-1, 2)
    return replace(problem, interference=Interference(
        pairs[:, 0].copy(), pairs[:, 1].copy(), rng.choice([0.3, 0.5, 0.8], len(pairs)),
        rng.random((len(pairs), pools)) < 0.8))


@given(st.integers(0, 500))
@settings(deadline=None, max_examples=30, derandomize=True)
def test_needs_beside_others_are_those_worked_out_anew(tiny_problem: TinyProblem, seed: int) -> None:
    """The kernel's needs pass the plain recount, are never less than alone, and one replica less is found wrong."""
    problem = tiny_problem(seed)
    solution = first_fit.solve(problem, Settings(), Stopwatch(20)).solution
    if solution is None:
        return
    slower = beside(problem, seed)
    needs = unit_needs(slower, solution.units)
    alone = needs_alone(slower, solution.units)
    assert (needs >= alone).all()
    assert not list(broken_interference(slower, solution.units, needs))
    if needs.any():
        wrong = needs.copy()
        wrong[tuple(np.argwhere(needs)[0])] -= 1
        assert {v.kind for v in broken_interference(slower, solution.units, wrong)} == {"interference"}


def test_the_worst_partner_counts_and_only_in_slots_where_it_is(tiny_problem: TinyProblem) -> None:
    """Three workloads in one pool: the first is slowed to a half by the second, to a fifth by the third where it is."""
    problem = next(p for p in map(tiny_problem, range(200)) if len(p.streams.shape) == len(p.workloads.weight) == 3)
    solution = first_fit.solve(problem, Settings(), Stopwatch(20)).solution
    assert solution is not None
    units = solution.units
    one = np.array([int(np.flatnonzero(units.stream == s)[0]) for s in range(3)])
    together = replace(units, stream=units.stream[one], copy=units.copy[one], variant=units.variant[one],
                       start=units.start[one], candidate=units.candidate[one])
    pool = problem.candidates.pool.copy()
    pool[together.candidate] = 0
    pools = len(problem.pools.cluster)
    table = Interference(np.array([0, 0]), np.array([1, 2]), np.array([0.5, 0.2]), np.ones((2, pools), bool))
    slower = replace(problem, candidates=replace(problem.candidates, pool=pool), interference=table)
    alone = np.zeros((3, problem.slots), np.int32)
    alone[0], alone[1], alone[2, 0] = 3, 1, 1
    found = slowed_down(slower, together, alone)
    assert found[0].tolist() == [15, *[6] * (problem.slots - 1)]
    assert found[1:].tolist() == alone[1:].tolist()


def test_solvers_count_interference_or_say_that_they_do_not(tiny_problem: TinyProblem) -> None:
    """The planner's own method and brute force keep to it; the others name it."""
    problem = beside(tiny_problem(3), 3)
    for solver in SOLVERS:
        if solver == "cp-sat":  # cannot be loaded beside HiGHS; says the same by the same words
            continue
        if solver in ("planner", "brute"):
            result = solve_here(problem, solver, Settings(time_limit_s=20, threads=1), Stopwatch(20))
            assert result.solution is not None
            assert verify(problem, result.solution, result.bound).holds
        else:
            with pytest.raises(Unsupported, match="interference"):
                solve_here(problem, solver, Settings(), Stopwatch(20))
