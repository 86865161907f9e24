"""One solver on one scenario, from file to verified plan: `python -m benchmarks.placement_run JOB.json`.

The job names `scenario`, `method`, `seed`, `seconds` and `out`. The clock starts before the scenario is read, for every
method alike. What counts as a plan is decided by `placement.verify`, whoever made it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from placement.gap import relative_gap
from placement.problem import Problem
from placement.result import Result, Settings
from placement.verify import verify
from placement.worker import SolverFailed, Unsupported, solve
from planner.catalog import builtin_catalog
from planner.formulate import formulate
from planner.profiles import profile
from planner.resolve import resolve
from planner.scenario import read_scenario

CHECKING_SHARE = 0.05
"""Of the time, kept for checking the plan."""


def run(scenario_folder: Path, method: str, seed: int, seconds: float) -> dict[str, Any]:
    """The figures of one run; `cost_usd`, `attainment` and `gap` only where there is a plan that holds."""
    started = time.monotonic()
    scenario = resolve(read_scenario(scenario_folder), builtin_catalog())
    problem = formulate(scenario, profile(scenario, seed)).problem
    left_s = max(0.1, seconds * (1 - CHECKING_SHARE) - (time.monotonic() - started))
    facts: dict[str, Any] = {"mode": problem.objective.mode, "streams": len(problem.streams.workload)}
    try:
        settings = Settings(seed=seed, time_limit_s=left_s, thorough=True)
        result = solve(problem, method, settings, lambda _: None, lambda: False)
    except (Unsupported, SolverFailed) as why:
        return facts | {"packed": False, "why": str(why)}
    facts |= {"status": result.status, "proof": result.method, "bound": _told(problem, result)}
    return facts | _judged(problem, result)


def _told(problem: Problem, result: Result) -> float | None:
    """The bound, unless it says nothing: no cost is below 0 and no attainment above 1."""
    return result.bound if problem.objective.mode == "max_sla" or result.bound > 0 else None


def _judged(problem: Problem, result: Result) -> dict[str, Any]:
    if result.solution is None:
        return {"packed": False, "why": f"no packed plan: {result.method}"}
    verdict = verify(problem, result.solution, result.bound)
    if not verdict.holds:
        return {"packed": False, "why": f"the plan does not hold: {verdict.violations[0].sentence}"}
    cost = verdict.costs.total_usd
    objective = cost if problem.objective.mode == "min_cost" else verdict.attainment
    return {"packed": True, "cost_usd": cost, "attainment": verdict.attainment,
            "gap": relative_gap(problem.objective.mode, objective, result.bound)}


def main() -> None:
    """Read the job, write its figures to `out`."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    figures = run(Path(job["scenario"]), job["method"], job["seed"], job["seconds"])
    Path(job["out"]).write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
