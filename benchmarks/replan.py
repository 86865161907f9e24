"""Mending a plan after the largest cluster is lost: how soon, how dear, and how dear after a long search.

    python -m benchmarks.replan --data DIR [--instances A,B] [--seed N] [--soon S] [--seconds S] [--moves K]
                                [--json out.json]

`DIR` holds scenario folders, each with the plan in force beside it as `NAME.plan.json`; where there is none, it is a
quick plan (`placement.quick`). Seconds are processor time from problem and plan in memory, kernels compiled. With
moves, it is the best plan known after `--soon` seconds; the longer solve has the same limit of moves and `--seconds`.
The peer `first_fit` is the solver of that name with all that was not lost pinned to its pools.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from placement.formulation import cost_usd
from placement.outage import in_force, without_clusters
from placement.problem import Problem
from placement.quick import quick_plan
from placement.repair import Asked, Mended, mend
from placement.restrict import keep_candidates
from placement.result import Settings, Solution
from placement.solvers import first_fit
from placement.verify import verify
from placement.worker import Stopwatch
from planner.catalog import builtin_catalog
from planner.formulate import formulate
from planner.interpret import copies_of, to_solution
from planner.plan import read_plan
from planner.profiles import profile
from planner.resolve import resolve
from planner.scenario import read_scenario

MANY = 1_000_000
"""Passes of a search that ends by the clock."""


PASSES = 12
"""Passes of a quick plan that is taken to be in force."""


def load(folder: Path, seed: int) -> tuple[Problem, Solution, np.ndarray]:
    """Problem, plan in force and priorities."""
    scenario = resolve(read_scenario(folder), builtin_catalog())
    file = folder.with_name(f"{folder.name}.plan.json")
    plan = read_plan(file) if file.exists() else None
    formulation = formulate(scenario, profile(scenario, seed), copies_of(plan) if plan else None)
    priority = np.array([workload.priority for workload in formulation.demand.workloads], np.int64)
    solution = to_solution(plan, formulation).solution if plan else quick_plan(formulation.problem, passes=PASSES)
    return formulation.problem, solution, priority


def largest(problem: Problem, solution: Solution) -> int:
    """The cluster with the most units."""
    cluster = problem.pools.cluster[problem.candidates.pool[solution.units.candidate]]
    return int(np.bincount(cluster).argmax())


def run(problem: Problem, solution: Solution, priority: np.ndarray, moves: int, passes: int,
        seconds: float = np.inf) -> tuple[Problem, Mended, float]:
    """The problem after the loss, the best plan known after so many processor seconds (the first one in any case), and
    when it was.
    """
    began, found = time.process_time(), list[tuple[float, Mended]]()
    lost = np.arange(len(problem.clusters.availability)) == largest(problem, solution)
    after, row = without_clusters(problem, lost)
    after = replace(after, incumbent=in_force(solution.units, row, moves))
    asked = Asked(priority, np.zeros(len(priority), bool), np.zeros(len(problem.streams.shape)), moves, passes)
    mend(after, solution, asked, lambda: time.process_time() - began > seconds,
         lambda plan: found.append((time.process_time() - began, plan)))
    at, plan = next((known for known in reversed(found) if known[0] <= seconds), found[0])
    return after, plan, at


def peer(problem: Problem, solution: Solution, seconds: float) -> tuple[float | None, float]:
    """USD and processor seconds of first fit, all not lost staying in its pools; None where it finds no plan."""
    began = time.process_time()
    after, row = without_clusters(problem, np.arange(len(problem.clusters.availability)) == largest(problem, solution))
    force = in_force(solution.units, row)
    count = len(after.streams.shape)
    whole = np.bincount(force.stream, minlength=count) == np.bincount(solution.units.stream, minlength=count)
    keep = ~whole[after.candidates.stream]
    keep[force.candidate] = True
    pinned = replace(keep_candidates(after, keep), incumbent=None)
    found = first_fit.solve(pinned, Settings(time_limit_s=seconds), Stopwatch(seconds)).solution
    return None if found is None else cost_usd(pinned, found), time.process_time() - began


def rows(name: str, folder: Path, seed: int, soon: float, seconds: float, moves: int) -> list[dict[str, Any]]:
    """All figures of one scenario."""
    problem, solution, priority = load(folder, seed)
    run(problem, solution, priority, moves, 1)  # compiles
    after, first, first_s = run(problem, solution, priority, 0, 0)
    moved, better, better_s = run(problem, solution, priority, moves, MANY, soon)
    _, longer, longer_s = run(problem, solution, priority, moves, MANY, seconds)
    peer_usd, peer_s = peer(problem, solution, seconds)
    usd = {"first": cost_usd(after, first.solution), "moves": cost_usd(after, better.solution),
           "longer": cost_usd(after, longer.solution)}
    allowed = {"unplaced", "floor"}
    checked = verify(after, first.solution), verify(moved, better.solution), verify(moved, longer.solution)
    holds = all({v.kind for v in found.violations} <= allowed for found in checked)
    cluster = problem.pools.cluster[problem.candidates.pool[solution.units.candidate]]
    lost = int((cluster == largest(problem, solution)).sum())
    found = [("lost", lost, "units", 0.0), ("cost_in_force", cost_usd(problem, solution), "usd", 0.0),
             ("first_full_repair", first_s, "s", first_s), (f"repair_{moves}_moves", better_s, "s", better_s),
             ("cost_first", usd["first"], "usd", first_s), (f"cost_{moves}_moves", usd["moves"], "usd", better_s),
             ("cost_longer", usd["longer"], "usd", longer_s),
             ("over_longer", usd["moves"] / usd["longer"] - 1, "share", better_s),
             ("moves", better.moves, "units", better_s), ("shed_first", len(first.shed), "streams", first_s),
             ("shed", len(better.shed), "streams", better_s),
             ("shed_longer", len(longer.shed), "streams", longer_s), ("holds", float(holds), "bool", 0.0)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    table = [("planner", *row) for row in found]
    if peer_usd is not None:
        table.append(("first_fit", "cost_first", peer_usd, "usd", peer_s))
    else:
        table.append(("first_fit", "no_plan", 1.0, "bool", peer_s))
    return [{"instance": name, "method": method, "metric": metric, "value": value, "unit": unit, "seconds": cpu,
             "cpu_seconds": cpu, "peak_mib": peak} for method, metric, value, unit, cpu in table]


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--instances", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--soon", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--moves", type=int, default=200)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    names = [n for n in asked.instances.split(",") if n] or sorted(
        path.name.removesuffix(".plan.json") for path in asked.data.glob("*.plan.json"))
    found = [row for name in names for row in rows(name, asked.data / name, asked.seed, asked.soon, asked.seconds,
                                                      asked.moves)]
    for row in found:
        print(f"{row['instance']:12} {row['method']:10} {row['metric']:20} {row['value']:16,.4f} {row['unit']}")
    if asked.json:
        report = {"benchmark": "replan", "machine": describe_machine(), "rows": found}
        asked.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
