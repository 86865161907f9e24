"""What a solver of the whole model keeps of the plans that it comes by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from placement.problem import Problem
from placement.result import Settings
from placement.solvers import first_fit
from placement.solvers.exact import Plans
from placement.worker import Stopwatch


def test_a_plan_that_is_cheaper_by_rounding_alone_is_no_better(tiny_problem: Callable[..., Problem]) -> None:
    """The first of two plans of equal cost stays: the later one may run machines that somebody pays for anyway."""
    problem = tiny_problem(1)
    plan = first_fit.solve(problem, Settings(), Stopwatch()).solution
    assert plan is not None
    plans = Plans(problem, Stopwatch(), "test")
    plans.take(plan)
    plans.rank = (plans.rank[0], plans.rank[1] * (1 + 1e-14))
    plans.take(replace(plan))
    assert plans.solution is plan
    plans.rank = (plans.rank[0], plans.rank[1] * (1 + 1e-9))
    plans.take(better := replace(plan))
    assert plans.solution is better
