"""A quick plan: it packs, is no dearer for more passes, and its counts are those of exact packing by simple orders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement import quick
from placement.counting import count_machines
from placement.formulation import cost_usd
from placement.needs import pool_loads
from placement.packing import Effort, needed
from placement.problem import Problem
from placement.quick import quick_plan
from placement.result import Settings
from placement.solvers import brute
from placement.verify import verify
from placement.worker import Stopwatch

SEEDS = st.integers(0, 100_000)
CHECKED = settings(max_examples=15, deadline=None, derandomize=True)
TinyProblem = Callable[..., Problem]


@given(seed=SEEDS, tight=st.booleans())
@CHECKED
def test_a_quick_plan_holds_but_for_what_has_no_room(tiny_problem: TinyProblem, seed: int, tight: bool) -> None:
    """Only missing streams break a rule; with room for all, a plan never costs less than the best there is."""
    problem = tiny_problem(seed, workloads=2, tight=tight, most_copies=2)
    found = quick_plan(problem, passes=2)
    verdict = verify(problem, found)
    missing = len(np.unique(found.units.stream)) < len(problem.streams.shape)
    assert {v.kind for v in verdict.violations} <= ({"unplaced", "floor"} if missing else set())
    assert tight or not missing
    best = brute.solve(problem, Settings(), Stopwatch(30.0)).solution
    if best is not None and not missing and len(np.unique(best.units.stream)) == len(problem.streams.shape):
        assert cost_usd(problem, found) >= cost_usd(problem, best) - 1e-6


@given(seed=SEEDS)
@CHECKED
def test_passes_only_make_it_cheaper(tiny_problem: TinyProblem, seed: int) -> None:
    """Every plan told is cheaper than the one before, and the last one is what is given."""
    problem, told = tiny_problem(seed, workloads=3), list[float]()
    found = quick_plan(problem, passes=3, on_plan=lambda plan: told.append(cost_usd(problem, plan)))
    assert told == sorted(told, reverse=True)
    assert told[-1] == pytest.approx(cost_usd(problem, found))


@given(seed=SEEDS)
@CHECKED
def test_counting_finds_what_packing_by_simple_orders_finds(tiny_problem: TinyProblem, seed: int) -> None:
    """As many machines in every pool and slot as packings of no effort need, or fewer."""
    problem = tiny_problem(seed, workloads=3)
    units = quick_plan(problem, passes=0).units
    for pool, load in enumerate(pool_loads(problem, units)):
        packed = needed(load, problem.shapes, problem.pools.room[pool], effort=Effort.ORDERS)
        firm, machines = count_machines(problem, pool, load)
        assert (machines <= packed.machines[0]).all()
        assert ((machines < packed.machines[0]) | (firm <= packed.firm[0])).all()


def test_counting_refuses_what_fits_nowhere(tiny_problem: TinyProblem) -> None:
    """A replica larger than the machine is named."""
    problem = tiny_problem(1)
    load = pool_loads(problem, quick_plan(problem, passes=0).units)[0]
    if not len(load.shapes):
        pytest.skip("nothing runs in the first pool")
    problem.pools.room.setflags(write=True)
    problem.pools.room[0] = 0.5
    with pytest.raises(ValueError, match="does not fit a machine of pool 0"):
        count_machines(problem, 0, load)


@pytest.mark.parametrize("seed", [3, 7, 13, 21, 77, 89, 143, 156])
def test_who_may_go_elsewhere_makes_room(tiny_problem: TinyProblem, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """More streams find a place where those with many places leave pools that others need."""
    problem = tiny_problem(seed, workloads=4, tight=True)
    placed = len(np.unique(quick_plan(problem, passes=0).units.stream))
    monkeypatch.setattr(quick, "_FEW", 0)
    assert placed > len(np.unique(quick_plan(problem, passes=0).units.stream))
