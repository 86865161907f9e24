"""A plan read back together with the scenario that it was made for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from placement.result import Solution
from planner.catalog import Catalog, builtin_catalog
from planner.checking import asked_of, stated_objective
from planner.errors import InputError
from planner.formulate import Formulation, formulate
from planner.frozen import part_of
from planner.interpret import copies_of, cuts_of, to_solution
from planner.plan import Plan, read_plan
from planner.resolve import resolve
from planner.scenario import read_scenario
from planner.scenario.model import Scenario
from planner.waves import copies_before, places_before
from planner.whatif import Change, apply

if TYPE_CHECKING:
    from planner.profiles import Profiles

SHOWN = 5
"""Mistakes told of a plan that does not fit its scenario."""


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A plan, its resolved scenario with the plan's objective, and both as arrays; `solution` of None: no plan.

    `needs` says of every workload where its request and replicas come from.
    """

    plan: Plan
    scenario: Scenario
    formulation: Formulation
    solution: Solution | None
    needs: Mapping[str, str] = field(default_factory=dict)


def open_plan(source: Path | Scenario, plan: Plan | Path, catalog: Catalog | None = None,
              demand: Callable[[Scenario, Profiles], Profiles] | None = None) -> Opened:
    """Read a plan against its scenario, as the what-if it says it was made under changes it.

    Raises InputError where they do not belong together.

    With `demand` the arrays hold what it makes of the profiles, and neither deadlines nor least throughputs bind: the
    plan was made for other demand.
    """
    where = str(plan) if isinstance(plan, Path) else "plan"
    plan = read_plan(plan) if isinstance(plan, Path) else plan
    given = read_scenario(source, asked_of(plan)) if isinstance(source, Path) else source
    scenario = resolve(given, catalog or builtin_catalog())
    scenario = scenario.model_copy(update={"objective": stated_objective(scenario, plan)})
    left = scenario.horizon.slots - (plan.frozen.slot if plan.frozen else 0)
    if plan.horizon.slots not in (0, left):
        slots = f"{plan.horizon.slots} slots, the scenario has {left}"
        raise InputError([f"{where}: {slots}: make the plan anew"])
    if demand is not None and plan.frozen is not None:
        why = "running other demand against a plan made with --now is not available yet"
        raise InputError([f"{where}: frozen.slot: {plan.frozen.slot}: {why}"])
    free = scenario if demand is None else _unbound(scenario)
    changes = tuple(Change.read(text) for text in plan.provenance.what_if)
    free, profiles = apply(changes, *part_of(plan, free))
    needs = {workload.name: why for workload, why in zip(profiles.workloads, profiles.why, strict=True)}
    formulation = formulate(free, profiles if demand is None else demand(free, profiles),
                            {**copies_of(plan), **copies_before(plan)}, places_before(plan), cuts_of(plan))
    scenario = free if demand is None else scenario
    if not plan.exists:
        return Opened(plan, scenario, formulation, None, needs)
    reading = to_solution(plan, formulation)
    if reading.violations:
        more = len(reading.violations) - SHOWN
        raise InputError([*(f"{where}: {what}" for what in reading.violations[:SHOWN]),
                          *([f"{where}: and {more} more: make the plan anew"] if more > 0 else [])])
    return Opened(plan, scenario, formulation, reading.solution, needs)


def _unbound(scenario: Scenario) -> Scenario:
    """The scenario without the SLOs that depend on how much is demanded or when it runs."""
    none = {"deadline_slot": None, "min_throughput": None}
    workloads = tuple(one.model_copy(update={"slo": one.slo.model_copy(update=none)}) for one in scenario.workloads)
    same = scenario.folder, scenario.source_sha256, scenario.given_replicas
    return scenario.model_copy(update={"workloads": workloads}).with_source(*same)
