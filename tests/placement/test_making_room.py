"""Streams leave where a pool cannot hold what a search put there; packing harder comes first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.complete import Packings, Shortfall, complete
from placement.making_room import complete_harder, complete_most
from placement.packing import Effort
from placement.problem import Problem
from placement.result import Settings, Solution, Units
from placement.solvers import first_fit
from placement.verify import verify
from placement.worker import Stopwatch

TinyProblem = Callable[..., Problem]
SEEDS = st.integers(0, 2**31)
CHECKED = settings(max_examples=25, deadline=None, derandomize=True)


def placed(problem: Problem) -> Units | None:
    """Units of a plan by first fit."""
    found = first_fit.solve(problem, Settings(), Stopwatch(20.0)).solution
    return None if found is None else found.units


def smaller(problem: Problem, part: float) -> Problem:
    """The problem with pools of which only a part of the machines is there."""
    most = np.floor(problem.pools.max_machines * part).astype(problem.pools.max_machines.dtype)
    least = np.minimum(problem.pools.min_machines, most)
    return replace(problem, pools=replace(problem.pools, max_machines=most, min_machines=least))


@given(seed=SEEDS, part=st.sampled_from([0.0, 0.3, 0.6, 1.0]))
@CHECKED
def test_what_stays_packs_and_keeps_its_place(tiny_problem: TinyProblem, seed: int, part: float) -> None:
    """Whatever a pool may run, the units that stay are some of those given, whole streams, and their machines hold."""
    problem = tiny_problem(seed, workloads=5)
    units = placed(problem)
    if units is None:
        return
    tight = smaller(problem, part)
    found = complete_most(tight, units, Packings(tight, 0))
    if found is None:  # machines that run in any case may be more than a pool may have
        assert isinstance(complete(tight, Units(*np.zeros((5, 0), np.int64))), Shortfall)
        return
    kept = np.isin(units.stream, found.units.stream)
    for name in ("stream", "copy", "candidate", "variant", "start"):
        assert getattr(found.units, name).tolist() == getattr(units, name)[kept].tolist()
    kinds = {one.kind for one in verify(tight, found).violations}
    assert kinds <= {"unplaced", "floor"}, kinds  # what left is missed, and nothing else is wrong


@given(seed=SEEDS)
@CHECKED
def test_nothing_leaves_a_plan_that_packs(tiny_problem: TinyProblem, seed: int) -> None:
    """A plan that packs is kept whole, and packing harder finds room wherever simple orders do."""
    problem = tiny_problem(seed, workloads=5)
    units = placed(problem)
    if units is None:
        return
    whole = complete_most(problem, units, Packings(problem, Effort.ORDERS))
    assert whole is not None
    assert len(whole.units.stream) == len(units.stream)
    assert isinstance(complete_harder(problem, units, Packings(problem, Effort.ORDERS)), Solution)


@given(seed=SEEDS, part=st.sampled_from([0.3, 0.6, 1.0]))
@CHECKED
def test_threads_change_nothing(tiny_problem: TinyProblem, seed: int, part: float) -> None:
    """Pools packed side by side come to the same machines, or lack the same room, as one after another."""
    problem = tiny_problem(seed, workloads=5)
    units = placed(problem)
    if units is None:
        return
    short = smaller(problem, part)
    alone, beside = (complete_harder(short, units, Packings(short, Effort.ORDERS, threads)) for threads in (1, 3))
    assert type(alone) is type(beside)
    if isinstance(alone, Solution) and isinstance(beside, Solution):
        assert (alone.machines == beside.machines).all()
    if isinstance(alone, Shortfall) and isinstance(beside, Shortfall):
        assert (alone.pool == beside.pool).all()
        assert (alone.lacking == beside.lacking).all()
