"""Compile the search once, so that no plan waits for it: `python -m planner.warm_up SCENARIO`.

Compiled code is kept beside the modules; until they change, later runs load it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from placement.worker import Progress
from planner.planning import PlanRequest, make_plan

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


if __name__ == "__main__":
    warm_up(Path(sys.argv[1]))
