"""Compile searches, forecasts and detectors once, so that nobody waits for it: `python -m planner.warm_up [SCENARIO]`.

Compiled code is kept beside the modules; until they change, later runs load it. Without a scenario: that of an example.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from diagnostics.diagnose import DiagnosisSettings, diagnose
from diagnostics.drift.online import online_changes
from diagnostics.synthetic import Site, make_fleet
from forecasting import forecast
from placement.ascent import Ascent
from placement.online import Rules, run_online
from placement.outage import in_force, without_clusters
from placement.patterns import NODES, SLACK, best_pattern
from placement.problem import Problem
from placement.quick import quick_plan
from placement.repair import Asked, mend
from placement.worker import Progress
from planner.catalog import builtin_catalog
from planner.commands.basic import example
from planner.formulate import formulate
from planner.planning import Planned, PlanRequest, make_plan
from planner.profiles import profile
from planner.resolve import resolve
from planner.scenario import read_scenario
from planner.whatif import Change

IMPROVEMENTS = 3
"""The search has used all of its parts once the cost fell so often."""
LIMIT_S = 900.0
MOVES = 2
DAYS = 28
"""Of history."""


def warm_up(scenario: Path) -> None:
    """Plan a scenario until the search has improved its plan a few times, mend a plan, forecast a few series."""
    costs: set[float] = set()

    def note(now: Progress) -> None:
        if now.objective is not None:
            costs.add(now.objective)

    make_plan(scenario, PlanRequest(time_limit_s=LIMIT_S), note, lambda: len(costs) >= IMPROVEMENTS)
    _warm_up_for_fleets(scenario)
    _warm_up_kinds()
    _warm_up_forecasts()
    _warm_up_diagnoses()


def _warm_up_for_fleets(scenario: Path) -> None:
    """What only large problems use, on a small one."""
    resolved = resolve(read_scenario(scenario), builtin_catalog())
    problem = formulate(resolved, profile(resolved)).problem
    Ascent(problem, 0, lambda: False).advance()
    _mend(problem)
    few = np.ones((1, 1))
    best_pattern(few[0], few[0].astype(np.int64), few, few[0], SLACK, NODES)


def _warm_up_kinds() -> None:
    """Plans that survive a loss (or find that they cannot), of shared peaks, and with a certificate; what would have
    come of the last.
    """
    _first_plan("hybrid", PlanRequest(time_limit_s=LIMIT_S, what_if=(Change.parse("survive", "cluster"),)))
    _first_plan("pooled", PlanRequest(time_limit_s=LIMIT_S))
    planned = _first_plan("medical", PlanRequest(time_limit_s=LIMIT_S, certificate=True))
    assert planned.solution is not None  # the example has plans
    problem, units = planned.formulation.problem, planned.solution.units
    alike, never = np.zeros(len(units.candidate), np.int64), np.zeros(len(problem.offers.pool))
    run_online(problem, planned.solution, Rules("fixed", alike, never))


def _first_plan(name: str, request: PlanRequest) -> Planned:
    """The first plan of an example that is found."""
    found: list[float] = []

    def note(now: Progress) -> None:
        if now.objective is not None:
            found.append(now.objective)

    return make_plan(example(name), request, note, lambda: bool(found))


def _mend(problem: Problem) -> None:
    """The quick plan after its first cluster is lost."""
    solution = quick_plan(problem, passes=1)
    after, row = without_clusters(problem, np.arange(len(problem.clusters.availability)) == 0)
    after = replace(after, incumbent=in_force(solution.units, row, MOVES))
    workloads, streams = len(problem.workloads.weight), len(problem.streams.shape)
    mend(after, solution, Asked(np.full(workloads, 50), np.zeros(workloads, bool), np.zeros(streams), MOVES, 1))


def _warm_up_forecasts() -> None:
    """A day ahead, and so far ahead that other models are used."""
    hours = np.arange(24 * DAYS)
    ds = pd.date_range("2026-01-05", periods=hours.size, freq="h", tz="UTC")
    waves = [pd.DataFrame({"unique_id": name, "ds": ds, "y": np.maximum(np.sin(2 * np.pi * hours / 24) + low, 0)})
             for name, low in (("running", 2.0), ("now and then", -0.9))]
    for horizon in (24, 24 * DAYS):
        forecast(pd.concat(waves), horizon, n_paths=10)


def _warm_up_diagnoses() -> None:
    """Detectors that are compiled, on three weeks of one cluster."""
    fleet = make_fleet([Site("one", "mixed-disk", "IE", 1)], 3 * 7, 0).by_cluster()
    for detector in ("auto", "surprise", "forecast_errors", "neighbours", "rolling_z"):
        diagnose(fleet, DiagnosisSettings(detector=detector, report_days=3))
    online_changes(np.sin(np.arange(24.0 * DAYS)))


if __name__ == "__main__":
    warm_up(Path(sys.argv[1]) if len(sys.argv) > 1 else example("hybrid"))
