"""The quick proof that there is no room, against everything tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.overload import overload
from placement.problem import Problem
from placement.result import Settings
from placement.solvers import brute
from placement.worker import Stopwatch

QUICK = settings(max_examples=20, deadline=None, derandomize=True)


TINY = {"tight": True, "workloads": 2, "slots": 2, "clusters": 2, "most_copies": 1}


def squeezed(problem: Problem, seed: int) -> Problem:
    """The same problem with much less room."""
    most = np.random.default_rng(seed).integers(0, 2, problem.pools.max_machines.shape).astype(np.int32)
    return replace(problem, pools=replace(problem.pools, max_machines=np.minimum(problem.pools.max_machines, most)))


@QUICK
@given(seed=st.integers(0, 10**6))
def test_an_overload_is_a_proof(tiny_problem: Callable[..., Problem], seed: int) -> None:
    """Where it says that there is no room, trying everything finds no plan."""
    problem = squeezed(tiny_problem(seed, **TINY), seed)
    found = overload(problem)
    if found is not None and brute.supports(problem) is None:
        assert brute.solve(problem, Settings(), Stopwatch()).status == "infeasible"
        assert not problem.workloads.droppable[problem.streams.workload[found.streams]].any()


def test_it_proves_something(tiny_problem: Callable[..., Problem]) -> None:
    """Of many squeezed problems without a plan it proves a good part, and it names streams."""
    seen = proven = 0
    for seed in range(25):
        problem = squeezed(tiny_problem(seed, **TINY), seed)
        if brute.supports(problem) is None and brute.solve(problem, Settings(), Stopwatch()).status == "infeasible":
            seen += 1
            found = overload(problem)
            proven += found is not None and len(found.streams) > 0
    assert seen > 5
    assert proven > seen / 4


def test_max_sla_is_never_overloaded(tiny_problem: Callable[..., Problem]) -> None:
    """Where nothing must be placed there is always a plan."""
    assert overload(squeezed(tiny_problem(1, mode="max_sla"), 1)) is None
