"""One solver on one scenario, from file to verified plan: `python -m benchmarks.placement_run JOB.json`.

What counts as a plan is decided by `placement.verify`, whoever made it.
"""

from __future__ import annotations

from typing import Any

from benchmarks.one_run import Job, answer, main
from placement.gap import relative_gap
from placement.problem import Problem
from placement.result import Result
from placement.verify import verify
from planner.catalog import builtin_catalog
from planner.formulate import formulate
from planner.profiles import profile
from planner.resolve import resolve
from planner.scenario import read_scenario

CHECKING_SHARE = 0.07
"""Of the time, kept for checking the plan."""


def run(job: Job) -> dict[str, Any]:
    """The figures of one run; `cost_usd`, `attainment` and `gap` only where there is a plan that holds."""
    problem = _problem(job)
    facts = {"mode": problem.objective.mode, "streams": len(problem.streams.workload)}
    return facts | answer(problem, job, CHECKING_SHARE,
                          lambda result: _bound(problem, result) | _judged(problem, result))


def _problem(job: Job) -> Problem:
    """The scenario in arrays; what it was read into is no longer held."""
    scenario = resolve(read_scenario(job.path), builtin_catalog())
    return formulate(scenario, profile(scenario, job.seed)).problem


def _bound(problem: Problem, result: Result) -> dict[str, Any]:
    """The bound, unless it says nothing: no cost is below 0 and no attainment above 1."""
    told = result.bound > 0 if problem.objective.mode == "min_cost" else result.bound < 1
    return {"bound": result.bound} if told else {}


def _judged(problem: Problem, result: Result) -> dict[str, Any]:
    if result.solution is None:
        return {"holds": False, "why": f"no packed plan: {result.method}"}
    verdict = verify(problem, result.solution, result.bound)
    if not verdict.holds:
        return {"holds": False, "why": f"the plan does not hold: {verdict.violations[0].sentence}"}
    cost = verdict.costs.total_usd
    objective = cost if problem.objective.mode == "min_cost" else verdict.attainment
    return {"holds": True, "cost_usd": cost, "attainment": verdict.attainment,
            "gap": relative_gap(problem.objective.mode, objective, result.bound)}


if __name__ == "__main__":
    main(run)
