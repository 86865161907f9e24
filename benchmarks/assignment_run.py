"""One solver on one generalized assignment instance: `python -m benchmarks.assignment_run JOB.json`.

An answer counts when `placement.verify` holds it legal and the instance's own figures, added up here, agree with its
cost. Bounds are as the solvers claim them: `verify` only holds them against the cost.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.assignment_data import Instance, as_placement, read_instance
from benchmarks.one_run import Job, answer, main
from placement.gap import relative_gap
from placement.problem import Problem
from placement.result import Result
from placement.verify import verify

CHECKING_SHARE = 0.03
"""Of the time, kept for checking the answer."""


def run(job: Job) -> dict[str, Any]:
    """The figures of one run; `cost` and `gap` only where there is an assignment that holds."""
    instance = read_instance(job.path)
    problem = as_placement(instance)
    return {"best": instance.best} | answer(problem, job, CHECKING_SHARE,
                                            lambda result: _judged(instance, problem, result))


def _judged(instance: Instance, problem: Problem, result: Result) -> dict[str, Any]:
    proven = {"bound": result.bound} if result.bound > 0 else {}
    if result.solution is None:
        return proven | {"holds": False, "why": f"no assignment: {result.method}"}
    verdict = verify(problem, result.solution, result.bound)
    if not verdict.holds:
        return proven | {"holds": False, "why": f"the assignment does not hold: {verdict.violations[0].sentence}"}
    cost = verdict.costs.total_usd
    if (why := _contradiction(instance, problem, result, cost)) is not None:
        return proven | {"holds": False, "why": why}
    return proven | {"holds": True, "cost": cost, "gap": relative_gap("min_cost", cost, result.bound)}


def _contradiction(instance: Instance, problem: Problem, result: Result, cost: float) -> str | None:
    """Where the instance's own figures say otherwise than the placement's: a load over capacity, another cost."""
    assert result.solution is not None, "asked only about an assignment"
    units = result.solution.units
    agent, jobs = problem.candidates.pool[units.candidate], units.stream
    if sorted(jobs.tolist()) != list(range(instance.cost.shape[1])):
        return "not every job is assigned exactly once"
    load = np.bincount(agent, instance.size[agent, jobs], len(instance.capacity))
    if (load > instance.capacity).any():
        return f"agent {int((load - instance.capacity).argmax())} has more than its capacity"
    counted = float(instance.cost[agent, jobs].sum())
    return None if abs(counted - cost) <= 1e-6 * max(1.0, counted) else f"costs {counted}, not {cost}"


if __name__ == "__main__":
    main(run)
