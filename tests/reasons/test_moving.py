"""What one move costs, against whole plans that were packed and bought anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from placement.complete import Shortfall, complete
from placement.moving import Mover
from placement.problem import Problem
from placement.restrict import forced, keep_candidates
from placement.result import Settings, Solution, Units
from placement.solvers import brute
from placement.verify import costs, verify
from placement.worker import Stopwatch

QUICK = settings(max_examples=12, deadline=None, derandomize=True)
Tiny = Callable[..., Problem]


def best_plan(problem: Problem) -> Solution | None:
    """The cheapest plan of all; None where there is none, or too many to try."""
    if brute.supports(problem) is not None:
        return None
    return brute.solve(problem, Settings(), Stopwatch()).solution


def moved(problem: Problem, solution: Solution, unit: int, candidate: int, start: int) -> Solution | Shortfall:
    """The same units with one elsewhere, all pools packed and bought anew."""
    u, v = solution.units, problem.variants
    variant, there, starts = u.variant.copy(), u.candidate.copy(), u.start.copy()
    same = (v.stream == u.stream[unit]) & (v.copies == v.copies[variant[unit]])
    variant[unit] = np.flatnonzero(same & (v.speed == problem.candidates.speed[candidate]))[0]
    there[unit], starts[unit] = candidate, start
    return complete(problem, Units(u.stream, u.copy, there, variant, starts))


@QUICK
@given(seed=st.integers(0, 10**6), tight=st.booleans())
def test_a_move_costs_what_the_whole_plan_then_costs(tiny_problem: Tiny, seed: int, tight: bool) -> None:
    """From the cheapest plan, every move is priced as the plan bought anew with it; no room is no room there too."""
    problem = tiny_problem(seed, tight=tight, workloads=2)
    best = best_plan(problem)
    assume(best is not None)
    assert best is not None
    mover, now = Mover(problem, best), costs(problem, best).total_usd
    pool = problem.candidates.pool
    for u in range(len(best.units.stream)):
        for n in np.flatnonzero(problem.candidates.stream == best.units.stream[u]).tolist():
            if pool[n] == pool[best.units.candidate[u]]:
                continue
            move = mover.move(u, n)
            whole = moved(problem, best, u, n, move.start)
            if isinstance(whole, Shortfall):
                assert move.lacking == whole.lacking.max()
                continue
            assert move.lacking == 0
            assert move.extra_usd == pytest.approx(costs(problem, whole).total_usd - now, abs=1e-6)
            if verify(problem, whole).holds:
                assert move.extra_usd >= -1e-6
            assert mover.move(u, n, exact=False).unit == u


def test_a_move_within_the_pool_is_refused(tiny_problem: Tiny) -> None:
    """There is nothing to price where the unit already is."""
    problem = tiny_problem(3)
    best = best_plan(problem)
    assert best is not None
    with pytest.raises(ValueError, match="in another pool"):
        Mover(problem, best).move(0, int(best.units.candidate[0]))


@QUICK
@given(seed=st.integers(0, 10**6))
def test_forcing_a_place_leaves_exactly_the_plans_that_use_it(tiny_problem: Tiny, seed: int) -> None:
    """The cheapest forced plan costs no less than the cheapest of all, and is legal without the force."""
    problem = tiny_problem(seed, workloads=2, most_copies=1)
    best, stream = best_plan(problem), 0
    assume(best is not None)
    assert best is not None
    for n in range(*problem.streams.candidate_first[stream:stream + 2].tolist()):
        fewer = forced(problem, stream, n)
        found = best_plan(fewer)
        if found is not None and stream in found.units.stream:
            here = found.units.stream == stream
            assert fewer.candidates.pool[found.units.candidate[here]].tolist() == [problem.candidates.pool[n]]
            assert costs(fewer, found).total_usd >= costs(problem, best).total_usd - 1e-9


def test_all_candidates_kept_is_the_same_problem(tiny_problem: Tiny) -> None:
    """Nothing is lost where nothing is taken."""
    problem = tiny_problem(5)
    same = keep_candidates(problem, np.ones(len(problem.candidates.pool), bool))
    assert (same.streams.candidate_first == problem.streams.candidate_first).all()
    assert (same.candidates.cost_usd == problem.candidates.cost_usd).all()
