"""What if, from question to answer: how the plan in force fares, the plan made anew, and what differs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.checking import asked_of
from planner.diff import PlanDiff, diff
from planner.errors import InputError
from planner.plan import Plan
from planner.planning import Job, NoPlanFound, Planned, PlanRequest, prepare
from planner.spike import InForce, in_force

if TYPE_CHECKING:
    from placement.worker import Progress
    from planner.catalog import Catalog
    from planner.scenario.model import Scenario

OBJECTIVE = ("mode", "sla_floor", "budget_usd")
"""What a request says of the objective, as plans keep it."""
BASE_SHARE = 0.4
"""Share of the time for the plan in force, where none is given."""
SPIKE_SHARE = 0.25
"""Share of the time that is left in which the largest growth is searched."""


@dataclass(frozen=True, slots=True, eq=False)
class Supposed:
    """The answer. `before` is the plan in force (`stale`: made from another state of the scenario), `fares` how it
    fares under the `changes`, `planned` the plan made anew, `differs` what changes from one to the other. Where the
    time was too short for a plan, both are None and `no_plan` says so.
    """

    changes: tuple[str, ...]
    before: Plan
    stale: bool
    fares: InForce
    planned: Planned | None
    differs: PlanDiff | None
    no_plan: str = ""

    @property
    def plan(self) -> Plan | None:
        """The plan made anew."""
        return None if self.planned is None else self.planned.plan

    @property
    def possible(self) -> bool:
        """Whether there is a plan under the changes."""
        return self.plan is not None and self.plan.status != "infeasible"

    def to_dict(self, written: Plan | None = None) -> dict[str, Any]:
        """Everything as JSON has it; `written` is the plan as it was written to a file."""
        plan = written or self.plan
        return {"what_if": list(self.changes), "stale": self.stale,
                "in_force": {"plan_id": self.before.plan_id, "holds": self.fares.holds, **asdict(self.fares)},
                "no_plan": self.no_plan or None, "diff": self.differs.to_dict() if self.differs else None,
                "plan": plan.to_dict() if plan else None}


def _no_progress(_: Progress) -> None:
    pass


def _never() -> bool:
    return False


def suppose(source: Path | Scenario, request: PlanRequest, against: Plan | None = None,
            catalog: Catalog | None = None, on_progress: Callable[[Progress], None] = _no_progress,
            interrupted: Callable[[], bool] = _never) -> Supposed:
    """Answer a what-if: `request` holds the changes and, where they are part of the question, another objective.

    `against` is the plan in force; without it the unchanged scenario is planned first. What the request does not say of
    the objective is as in the plan in force. Raises InputError, and NoPlanFound where the unchanged scenario got none.
    """
    until = time.monotonic() + request.time_limit_s
    asked = {} if against is None else {name: value for name, value in asked_of(against).items() if name in OBJECTIVE}
    if not request.what_if and not request.changes:
        raise InputError(["what-if: nothing is changed: give --demand, --price, --remove-cluster or another change"])
    if against is not None and not against.exists:
        raise InputError([f"--against: plan {against.plan_id}: status is infeasible: there is no such plan in force"])
    base = PlanRequest(**asked, seed=request.seed, solver=request.solver, thorough=request.thorough)
    prepared = prepare(source, base, catalog)
    objective = base.objective(prepared.scenario.objective)
    prepared = replace(prepared, scenario=prepared.scenario.model_copy(update={"objective": objective}))
    job = Job.on(prepared, request)
    if against is None:
        before = Job.on(prepared, base).plan(BASE_SHARE * (until - time.monotonic()), on_progress, interrupted).plan
        if before.status == "infeasible":
            raise InputError(["what-if: the scenario has no feasible plan as it is: `planner plan` says why"])
    else:
        before = against
    now = time.monotonic()
    fares = in_force(before, prepared.scenario, prepared.profiles, request.what_if, now + SPIKE_SHARE * (until - now))
    found = Supposed(_words(request), before, before.provenance.scenario_sha256 not in ("", prepared.source_sha256),
                     fares, None, None)
    try:
        planned = job.plan(until - time.monotonic(), on_progress, interrupted)
    except NoPlanFound as why:
        return replace(found, no_plan=str(why))
    return replace(found, planned=planned, differs=diff(before, planned.plan))


def _words(request: PlanRequest) -> tuple[str, ...]:
    """All that is changed, as people wrote it."""
    return (*map(str, request.what_if), *(f"{name} {value}" for name, value in request.changes.items()))
