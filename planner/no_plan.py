"""What to say when there is no plan: which rules are in conflict, and what loosening them would cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from placement.standby import Standby
from planner.catalog import Catalog
from planner.conflict import find_conflict
from planner.formulate import Formulation
from planner.plan import Relaxation
from planner.profiles import Profiles
from planner.relax import relaxations
from planner.scenario.model import Scenario
from planner.trial import Trials

MOST_S = 45.0
"""Seconds spent on it at most, however much time there is."""
CONFLICT_SHARE = 0.5
"""Share of the time that finding the conflict may take."""


@dataclass(frozen=True, slots=True)
class NoPlan:
    """Rules that cannot hold together, in words, and ways out by what the plan then costs."""

    conflict: tuple[str, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()


def why_no_plan(scenario: Scenario, profiles: Profiles, formulation: Formulation, catalog: Catalog, seed: int,
                suspects: Iterable[str], seconds: float, interrupted: Callable[[], bool]) -> NoPlan:
    """Explain within `seconds` why a resolved scenario has no plan; `suspects` are workloads known to find no room."""
    began, seconds = time.monotonic(), min(seconds, MOST_S)
    filled = profiles.fill(scenario)
    with Standby() as standby:
        trials = Trials(profiles, catalog, standby, seed, began + CONFLICT_SHARE * seconds, interrupted)
        conflict = find_conflict(filled, formulation, trials, suspects)
        trials.deadline = began + seconds
        return NoPlan(conflict.words(), relaxations(filled, conflict, trials))
