"""Compile searches and forecasts once, so that nobody waits for it: `python -m planner.warm_up [SCENARIO]`.

Compiled code is kept beside the modules; until they change, later runs load it. Without a scenario: that of an example.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from diagnostics.diagnose import DiagnosisSettings, diagnose
from diagnostics.synthetic import Site, make_fleet
from forecasting import forecast
from placement.ascent import Ascent
from placement.outage import in_force, without_clusters
from placement.problem import Problem
from placement.quick import quick_plan
from placement.repair import Asked, mend
from placement.worker import Progress
from planner.catalog import builtin_catalog
from planner.commands.basic import example
from planner.formulate import formulate
from planner.planning import PlanRequest, make_plan
from planner.profiles import profile
from planner.resolve import resolve
from planner.scenario import read_scenario

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
    _warm_up_forecasts()
    _warm_up_diagnoses()


def _warm_up_for_fleets(scenario: Path) -> None:
    """What only large problems use, on a small one."""
    resolved = resolve(read_scenario(scenario), builtin_catalog())
    problem = formulate(resolved, profile(resolved)).problem
    Ascent(problem, 0, lambda: False).advance()
    _mend(problem)


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
    for detector in ("auto", "surprise", "forecast_errors"):
        diagnose(fleet, DiagnosisSettings(detector=detector, report_days=3))


if __name__ == "__main__":
    warm_up(Path(sys.argv[1]) if len(sys.argv) > 1 else example("hybrid"))
