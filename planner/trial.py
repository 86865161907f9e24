"""Trying scenarios out: is there any plan, and what does one cost? For questions that need many answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from placement.overload import overload
from placement.pooled_rows import relaxed
from placement.result import Result, Settings
from placement.standby import Standby
from placement.verify import verify
from planner.catalog import Catalog
from planner.errors import InputError
from planner.formulate import Formulation, formulate
from planner.profiles import Profiles
from planner.resolve import resolve
from planner.scenario.model import Scenario

ANY_PLAN_S = 10.0
"""Seconds that the question whether there is any plan may take."""


def hopeless(formulation: Formulation) -> Mapping[str, tuple[str, ...]] | None:
    """Workloads without any option, where that alone rules out every plan; None where it does not."""
    problem, rejected = formulation.problem, formulation.rejections
    row = {name: w for w, name in enumerate(formulation.names.workloads)}
    if problem.objective.mode == "max_sla" or not rejected:
        return None
    rows = [row[name] for name in rejected]
    if problem.workloads.droppable[rows].all() and problem.workloads.weight[rows].sum() <= problem.slack:
        return None
    return rejected


@dataclass(eq=False)
class Trials:
    """Answers about variants of one scenario until `deadline` (`time.monotonic`); `profiles` are those of the original.

    A variant may lack workloads, and have other rules; needs stay as they were predicted.
    """

    profiles: Profiles
    catalog: Catalog
    standby: Standby
    seed: int
    deadline: float
    interrupted: Callable[[], bool]
    asked: int = 0
    last_usd: float = float("inf")
    _row: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        """Remember where each workload's needs are."""
        self._row = {workload.name: w for w, workload in enumerate(self.profiles.workloads)}

    @property
    def left_s(self) -> float:
        """Seconds left; none once the user wants no more."""
        return 0.0 if self.interrupted() else max(0.0, self.deadline - time.monotonic())

    def formulated(self, scenario: Scenario) -> Formulation | None:
        """The variant as arrays; None where it needs a price or a round trip that nobody knows."""
        try:
            scenario = resolve(scenario, self.catalog)
            rows = [self._row[workload.name] for workload in scenario.workloads]
            paths = self.profiles.paths.of(rows) if self.profiles.paths is not None else None
            profiles = replace(self.profiles, workloads=scenario.workloads, replicas=self.profiles.replicas[rows],
                               paths=paths, why=tuple(self.profiles.why[row] for row in rows))
            return formulate(scenario, profiles)
        except InputError:
            return None

    def possible(self, scenario: Scenario, seconds: float = ANY_PLAN_S) -> bool | None:
        """Whether there is any plan: True with one that was verified, False with a proof, None when time was too short.

        What the plan that was found costs is `last_usd`.
        """
        self.asked += 1
        if not scenario.workloads:
            self.last_usd = float("inf")
            return True
        formulation = self.formulated(scenario) if self.left_s > 0 else None
        if formulation is None:
            return None
        if hopeless(formulation) is not None or overload(relaxed(formulation.problem)) is not None:
            return False
        result = self._solve(formulation, min(seconds, self.left_s), any_plan=True)
        return self._holds(formulation, result)

    def cost_usd(self, scenario: Scenario, seconds: float) -> float | None:
        """What the best plan found within `seconds` costs, verified; None when none was found."""
        formulation = self.formulated(scenario) if scenario.workloads else None
        if formulation is None or hopeless(formulation) is not None:
            return None
        result = self._solve(formulation, min(seconds, self.left_s), any_plan=False)
        if result.solution is None:
            return None
        verdict = verify(formulation.problem, result.solution)
        return verdict.costs.total_usd if verdict.holds else None

    def _solve(self, formulation: Formulation, seconds: float, *, any_plan: bool) -> Result:
        if seconds <= 0:
            return Result("unknown", None, 0.0, "no time left")
        return self.standby.solve(formulation.problem, Settings(self.seed, seconds, threads=1), any_plan=any_plan)

    def _holds(self, formulation: Formulation, result: Result) -> bool | None:
        if result.solution is not None:
            verdict = verify(formulation.problem, result.solution)
            self.last_usd = verdict.costs.total_usd
            return True if verdict.holds else None
        return False if result.status == "infeasible" else None


def replicas_of(profiles: Profiles) -> Mapping[str, float]:
    """Replica-slots by workload, a measure of how much each wants."""
    return dict(zip((w.name for w in profiles.workloads), np.asarray(profiles.replicas).sum(axis=1).tolist(),
                    strict=True))
