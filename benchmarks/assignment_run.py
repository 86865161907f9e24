"""One solver on one generalized assignment instance: `python -m benchmarks.assignment_run JOB.json`.

The job names `file`, `method`, `seed`, `seconds` and `out`. The clock starts before the file is read. An answer counts
when `placement.verify` holds it legal and the instance's own figures, added up here, agree with its cost. Bounds are
as the solvers claim them: `verify` only holds them against the cost.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.assignment_data import Instance, as_placement, read_instance
from placement.gap import relative_gap
from placement.problem import Problem
from placement.result import Result, Settings
from placement.verify import verify
from placement.worker import SolverFailed, Unsupported, solve

CHECKING_SHARE = 0.03
"""Of the time, kept for checking the answer."""


def run(file: Path, method: str, seed: int, seconds: float) -> dict[str, Any]:
    """The figures of one run; `cost` and `gap` only where there is an assignment that holds."""
    started = time.monotonic()
    instance = read_instance(file)
    problem = as_placement(instance)
    left_s = max(0.1, seconds * (1 - CHECKING_SHARE) - (time.monotonic() - started))
    facts: dict[str, Any] = {"best": instance.best}
    try:
        settings = Settings(seed=seed, time_limit_s=left_s, thorough=True)
        result = solve(problem, method, settings, lambda _: None, lambda: False)
    except (Unsupported, SolverFailed) as why:
        return facts | {"holds": False, "why": str(why)}
    bound = result.bound if result.bound > 0 else None
    facts |= {"status": result.status, "proof": result.method, "bound": bound}
    return facts | _judged(instance, problem, result)


def _judged(instance: Instance, problem: Problem, result: Result) -> dict[str, Any]:
    if result.solution is None:
        return {"holds": False, "why": f"no assignment: {result.method}"}
    verdict = verify(problem, result.solution, result.bound)
    if not verdict.holds:
        return {"holds": False, "why": f"the assignment does not hold: {verdict.violations[0].sentence}"}
    cost = verdict.costs.total_usd
    if (why := _contradiction(instance, problem, result, cost)) is not None:
        return {"holds": False, "why": why}
    return {"holds": True, "cost": cost, "gap": relative_gap("min_cost", cost, result.bound)}


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


def main() -> None:
    """Read the job, write its figures to `out`."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    figures = run(Path(job["file"]), job["method"], job["seed"], job["seconds"])
    Path(job["out"]).write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
