"""Mending a plan: it holds without what is lost, moves no more than it may, and its waves have room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.budget import mend_within_budget, without
from placement.formulation import cost_usd
from placement.outage import in_force, without_clusters
from placement.problem import Interference, Parts, Problem
from placement.quick import quick_plan
from placement.repair import Asked, Mended, _Repair, _units_of, mend
from placement.result import Settings, Solution, Units
from placement.solvers import highs
from placement.verify import moves_made, verify, verify_room
from placement.waves import by_stream, machines_for, meanwhile, order_moves
from placement.worker import Stopwatch

SEEDS = st.integers(0, 100_000)
CHECKED = settings(max_examples=10, deadline=None, derandomize=True)
TinyProblem = Callable[..., Problem]


def planned(problem: Problem) -> Solution | None:
    """The best plan, None where there is none: proven by the exact solver, which is held against brute force elsewhere.
    """
    found = highs.solve(problem, Settings(time_limit_s=float("inf"), gap=0.0, threads=1), Stopwatch())
    assert found.status in {"optimal", "infeasible"}
    return found.solution


def asked(problem: Problem, most_moves: int, passes: int = 2, *, ranked: bool = False) -> Asked:
    """Everyone alike, or each workload above those before it."""
    workloads = len(problem.workloads.weight)
    priority = np.arange(workloads) if ranked else np.full(workloads, 50)
    return Asked(priority, np.zeros(workloads, bool), np.zeros(len(problem.streams.shape)), most_moves, passes)


def mended(problem: Problem, solution: Solution, lost: int, most_moves: int, *,
           ranked: bool = False) -> tuple[Problem, Mended]:
    """A plan after a cluster is lost."""
    gone = np.arange(len(problem.clusters.availability)) == lost
    after, row = without_clusters(problem, gone)
    after = replace(after, incumbent=in_force(solution.units, row, most_moves))
    return after, mend(after, solution, asked(after, most_moves, ranked=ranked))


@given(seed=SEEDS, lost=st.integers(0, 2), moves=st.integers(0, 2), tight=st.booleans(), ranked=st.booleans())
@CHECKED
def test_mended_plans_hold_but_for_what_is_shed(tiny_problem: TinyProblem, seed: int, lost: int, moves: int,
                                                tight: bool, ranked: bool) -> None:
    """Nothing runs where it is lost, no more moves are made than may be, and only missing streams break a rule."""
    problem = tiny_problem(seed, workloads=2, tight=tight, most_copies=2)
    if (solution := planned(problem)) is None:
        return
    after, found = mended(problem, solution, lost, moves, ranked=ranked)
    verdict = verify(after, found.solution)
    excused = {"unplaced", "floor"} if len(found.shed) else set()
    assert {v.kind for v in verdict.violations} <= excused
    assert found.moves == moves_made(after, found.solution.units) <= moves
    cluster = after.pools.cluster[after.candidates.pool[found.solution.units.candidate]]
    assert not (cluster == lost).any()


@given(seed=SEEDS, lost=st.integers(0, 2), refused=st.integers(0, 2))
@CHECKED
def test_where_packing_refuses_moves_the_others_are_kept(tiny_problem: TinyProblem, seed: int, lost: int,
                                                         refused: int) -> None:
    """A pool that lacks machines is as before the moves, and what neither came nor went there stays moved."""
    problem = tiny_problem(seed, workloads=3, most_copies=2)
    solution = quick_plan(problem)
    after, row = without_clusters(problem, np.arange(len(problem.clusters.availability)) == lost)
    after = replace(after, incumbent=in_force(solution.units, row, 3))
    assert after.incumbent is not None
    repair = _Repair(after, after.incumbent, solution, asked(after, 3))
    repair.place_what_is_lost()
    repair.look_for_better(repair.packed(), 0)
    before, moved = _units_of(*repair.before), _units_of(repair.books.state.placed, repair.books.state.copies)
    pool = repair.books.tables.units.pool
    touches = np.array([refused in pool[units[units >= 0]] for units in np.hstack([before, moved])], bool)
    undone = (before != moved).any(axis=1) & touches
    if not undone.any():
        with pytest.raises(RuntimeError, match="does not hold"):
            repair._go_back(np.array([refused]))
        return
    repair._go_back(np.array([refused]))
    now = _units_of(repair.books.state.placed, repair.books.state.copies)
    assert (now == np.where(undone[:, None], before, moved)).all()


@pytest.mark.parametrize("seed", [0, 2, 3, 4, 5])
def test_who_may_go_nowhere_any_more_is_shed_whatever_its_priority(tiny_problem: TinyProblem, seed: int) -> None:
    """Where the only cluster of a stream is lost nobody makes room for it, and the rest of the plan holds."""
    problem = tiny_problem(seed, clusters=2, workloads=2, tight=False, most_copies=2)
    solution = planned(problem)
    assert solution is not None
    after, found = mended(problem, solution, 0, 0, ranked=True)
    assert len(found.shed)
    assert {v.kind for v in verify(after, found.solution).violations} <= {"unplaced", "floor"}


@given(seed=SEEDS, lost=st.integers(0, 2))
@CHECKED
def test_the_bound_of_the_old_problem_holds_for_the_new(tiny_problem: TinyProblem, seed: int, lost: int) -> None:
    """A plan without a cluster is a plan with it, at the same cost: so it never costs less than the best with it."""
    problem = tiny_problem(seed, workloads=2, most_copies=2)
    problem = replace(problem, pools=replace(problem.pools, min_machines=np.zeros_like(problem.pools.min_machines)))
    solution = planned(problem)
    assert solution is not None
    after, found = mended(problem, solution, lost, 5)
    if not len(found.shed):
        assert cost_usd(after, found.solution) >= cost_usd(problem, solution) - 1e-6


def test_verify_counts_moves(tiny_problem: TinyProblem) -> None:
    """A plan that leaves more places than it may is refused, with both numbers."""
    problem = tiny_problem(3, most_copies=1)
    solution = planned(problem)
    assert solution is not None
    units = solution.units
    other = units.candidate.copy()
    first = problem.streams.candidate_first
    stream = next(s for s in units.stream.tolist() if first[s + 1] - first[s] > 1)
    at = int(np.flatnonzero(units.stream == stream)[0])
    other[at] = next(c for c in range(first[stream], first[stream + 1]) if c != units.candidate[at])
    incumbent = in_force(replace(units, candidate=other), np.arange(len(problem.candidates.pool)), 0)
    verdict = verify(replace(problem, incumbent=incumbent), solution)
    assert [(v.kind, v.found, v.allowed) for v in verdict.violations] == [("moves", 1.0, 0.0)]


def test_the_same_input_gives_the_same_plan(tiny_problem: TinyProblem) -> None:
    """Passes are counted, not seconds."""
    problem = tiny_problem(11, workloads=2, most_copies=2)
    solution = planned(tiny_problem(11, workloads=2, most_copies=2))
    assert solution is not None
    one, two = (mended(problem, solution, 0, 3)[1].solution for _ in range(2))
    assert (one.units.candidate == two.units.candidate).all()
    assert (one.machines == two.machines).all()


@given(seed=SEEDS, lost=st.integers(0, 2), tight=st.booleans())
@CHECKED
def test_every_state_between_waves_has_room(tiny_problem: TinyProblem, seed: int, lost: int, tight: bool) -> None:
    """Waves lead from the plan in force to the new one, and all that takes room meanwhile has it."""
    problem = tiny_problem(seed, workloads=2, tight=tight, most_copies=2)
    if (solution := planned(problem)) is None:
        return
    after, found = mended(problem, solution, lost, 3)
    force = after.incumbent
    assert force is not None
    before = replace(found.solution.units, stream=force.stream, copy=np.zeros_like(force.stream),
                     candidate=force.candidate, variant=force.variant, start=force.start)
    state = by_stream(before)
    for wave in order_moves(after, before, found.solution.units):
        units = meanwhile(state, {} if wave.stops else wave.after)
        assert not verify_room(after, Solution(units, machines_for(after, units)))
        assert all(state.get(s, ()) == wave.before[s] for s in wave.before)
        state = {**state, **wave.after}
    assert {s: rows for s, rows in state.items() if rows} == by_stream(found.solution.units)


@given(seed=SEEDS, lost=st.integers(0, 2), again=st.integers(1, 2), moves=st.integers(0, 2))
@CHECKED
def test_a_second_loss_is_mended_like_the_first(tiny_problem: TinyProblem, seed: int, lost: int, again: int,
                                                moves: int) -> None:
    """After two losses nothing runs in either cluster, and streams that keep all their copies stay but for the moves.
    """
    problem = tiny_problem(seed, workloads=3, most_copies=3)
    if (solution := planned(problem)) is None:
        return
    first, once = mended(problem, solution, lost, 0)
    second = np.arange(len(problem.clusters.availability)) == (lost + again) % 3
    after, row = without_clusters(first, second)
    after = replace(after, incumbent=in_force(once.solution.units, row, moves))
    twice = mend(after, once.solution, asked(after, moves))
    excused = {"unplaced", "floor"} if len(twice.shed) else set()
    assert {v.kind for v in verify(after, twice.solution).violations} <= excused
    left = {*np.flatnonzero(second).tolist(), lost}
    cluster = after.pools.cluster[after.candidates.pool[twice.solution.units.candidate]]
    assert not left & {*cluster.tolist()}
    assert twice.moves <= moves


@given(seed=SEEDS, lost=st.integers(0, 2), extra=st.floats(1.0, 1.2))
@CHECKED
def test_a_budget_holds_after_a_loss(tiny_problem: TinyProblem, seed: int, lost: int, extra: float) -> None:
    """What a budget does not pay for any more leaves; what is left is a plan that costs no more than there is."""
    problem = tiny_problem(seed, workloads=3, most_copies=2)
    if (solution := planned(problem)) is None:
        return
    budget = cost_usd(problem, solution) * extra
    problem = replace(problem, objective=replace(problem.objective, mode="max_sla", budget_usd=budget))
    gone = np.arange(len(problem.clusters.availability)) == lost
    after, row = without_clusters(problem, gone)
    after = replace(after, incumbent=in_force(solution.units, row, 0))
    order, told = np.arange(len(problem.workloads.weight)), list[float]()
    found = mend_within_budget(after, solution, asked(after, 0), order,
                               on_plan=lambda plan: told.append(cost_usd(after, plan.solution)))
    assert {v.kind for v in verify(after, found.solution).violations} <= {"min"}
    assert cost_usd(after, found.solution) <= budget * (1 + 1e-6)
    assert told
    assert max(told) <= budget * (1 + 1e-6)


def test_what_leaves_frees_its_machines(tiny_problem: TinyProblem) -> None:
    """Without a workload the pools where it was run what the others need, and no unit of it is in force."""
    problem = tiny_problem(3, workloads=3, most_copies=1)
    solution = planned(problem)
    assert solution is not None
    problem = replace(problem, incumbent=in_force(solution.units, np.arange(len(problem.candidates.pool))))
    out = np.arange(len(problem.workloads.weight)) > 0
    less, left = without(problem, solution, out)
    assert less.incumbent is not None
    assert {*problem.streams.workload[less.incumbent.stream].tolist()} == {0}
    assert left.machines.sum() < solution.machines.sum()
    with pytest.raises(ValueError, match="no plan in force"):
        without(replace(problem, incumbent=None), solution, out)


@pytest.mark.parametrize(("rule", "says"), [
    ({"parts": Parts(*np.zeros((2, 0), np.int64), *np.zeros((3, 0)))}, "split into parts"),
    ({"interference": Interference(*np.zeros((2, 0), np.int64), np.zeros(0), np.zeros((0, 0), bool))},
     "slow each other")])
def test_rules_that_mending_does_not_know_are_refused(tiny_problem: TinyProblem, rule: dict[str, object],
                                                      says: str) -> None:
    """Neither a repair nor the quick plan takes streams that may be split, or that interfere, for plain ones."""
    problem = replace(tiny_problem(3, most_copies=1), **rule)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=says):
        quick_plan(problem)


def test_losses_to_survive_are_refused_by_a_repair(tiny_problem: TinyProblem) -> None:
    """A repair finds no fallbacks; it says so, where a plan without them would not hold."""
    problem = tiny_problem(5, survive=True)
    nothing = Units(*np.zeros((5, 0), np.int64))
    problem = replace(problem, incumbent=in_force(nothing, np.arange(len(problem.candidates.pool))))
    with pytest.raises(ValueError, match="then find fallbacks"):
        mend(problem, Solution(nothing, np.zeros_like(problem.offers.max_machines)), asked(problem, 0))


def test_mending_needs_a_plan_in_force(tiny_problem: TinyProblem) -> None:
    """Without an incumbent there is nothing to mend, and that is said."""
    problem = tiny_problem(1)
    with pytest.raises(ValueError, match="no plan in force"):
        mend(problem, Solution(Units(*np.zeros((5, 0), np.int64)), np.zeros(problem.offers.price_usd.shape, np.int32)),
             asked(problem, 0))
