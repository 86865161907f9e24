"""Compile the search once, so that no plan waits for it: `python -m planner.warm_up [SCENARIO]`.

Compiled code is kept beside the modules; until they change, later runs load it. Without a scenario: that of an example.
"""

from __future__ import annotations

import sys
from pathlib import Path

from placement.ascent import Ascent
from placement.quick import quick_plan
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


def warm_up(scenario: Path) -> None:
    """Plan a scenario until the search has improved its plan a few times."""
    costs: set[float] = set()

    def note(now: Progress) -> None:
        if now.objective is not None:
            costs.add(now.objective)

    make_plan(scenario, PlanRequest(time_limit_s=LIMIT_S), note, lambda: len(costs) >= IMPROVEMENTS)
    _warm_up_for_fleets(scenario)


def _warm_up_for_fleets(scenario: Path) -> None:
    """What only large problems use, on a small one."""
    resolved = resolve(read_scenario(scenario), builtin_catalog())
    problem = formulate(resolved, profile(resolved)).problem
    quick_plan(problem, passes=1)
    Ascent(problem, 0, lambda: False).advance()


if __name__ == "__main__":
    warm_up(Path(sys.argv[1]) if len(sys.argv) > 1 else example("hybrid"))
