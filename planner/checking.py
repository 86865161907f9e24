"""Whether a plan holds: every limit and every figure, from the scenario's own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from placement.checks.reprove import Reproof
from placement.checks.violation import Violation
from placement.problem import Problem
from placement.result import Solution
from placement.verify import Verdict, verify
from planner.bill import bill
from planner.bought import plan_commitments, wrong_figures
from planner.build import costs_of, gap_of, of_diagnostics
from planner.catalog import Catalog, builtin_catalog
from planner.certified import Certified, certify
from planner.errors import InputError
from planner.formulate import Formulation, formulate
from planner.frozen import cut_horizon, part_of
from planner.interpret import copies_of, cuts_of, to_solution
from planner.misses import understated
from planner.packings import read_packings
from planner.plan import OPTIMAL_GAP, Plan, content_id, read_plan
from planner.resolve import resolve
from planner.scenario import read_scenario
from planner.scenario.model import Objective, Scenario
from planner.waves import copies_before, places_before, use_of_lost, wave_faults, with_incumbent
from planner.whatif import Change, apply
from planner.words import in_words, same_usd

SHARE = 1e-6
"""Shares (attainment, gap) agree within this."""


@dataclass(frozen=True, slots=True)
class Check:
    """What is wrong with a plan, in words (nothing: it holds), and the figures that were computed anew.

    Of `violations`, those `stated` are what the plan itself says that it sheds or is not ready for. `cost_usd` and
    `attainment` are None where the plan names things that are not in the scenario. `proof` is what a
    certificate proves of the bound, where one was given and proves any.
    """

    violations: tuple[str, ...]
    cost_usd: float | None = None
    attainment: float | None = None
    proof: Reproof | None = None
    stated: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """True when nothing is wrong."""
        return not self.violations


def verify_plan(source: Path | Scenario, plan: Plan | Path, catalog: Catalog | None = None,
                certificate: Path | None = None) -> Check:
    """Check a plan against its scenario, whoever made it; with a `certificate`, also prove its bound anew.

    The objective is the scenario's, unless the plan says that it was made with another; a plan that says it was made
    under a what-if is checked in the scenario so changed. Raises InputError where
    scenario, plan or certificate cannot be read at all.
    """
    beside = plan.parent if isinstance(plan, Path) else None
    plan = read_plan(plan) if isinstance(plan, Path) else plan
    given = read_scenario(source, asked_of(plan)) if isinstance(source, Path) else source
    scenario = resolve(given, catalog or builtin_catalog())
    wrong = [*_identity(plan), *_horizon(scenario, plan)]
    if not plan.exists or (plan.status == "infeasible" and plan.parent is None):
        unbounded = () if certificate is None else (f"{certificate}: an infeasible plan has no bound to prove",)
        return Check((*wrong, *_empty(plan), *unbounded))
    scenario = scenario.model_copy(update={"objective": stated_objective(scenario, plan)})
    lenient = _lenient(scenario)
    changes = tuple(Change.read(text) for text in plan.provenance.what_if)
    changed, profiles = apply(changes, *part_of(plan, lenient))
    strict = lenient is not scenario  # plans are made to keep deadlines
    whole, scenario = scenario, scenario if plan.frozen is None else part_of(plan, scenario)[0]
    formulation = formulate(changed, profiles, {**copies_of(plan), **copies_before(plan)},
                            places_before(plan), cuts_of(plan))
    reading = to_solution(plan, formulation)
    if reading.violations or wrong:
        return Check((*wrong, *reading.violations))
    solution = reading.solution
    shown = (plan.tables or {}).get("packings")
    rows = read_packings(beside / shown, solution, formulation) if beside is not None and shown is not None else None
    problem = with_incumbent(_with_misses(formulation, solution, scenario), plan, formulation)
    verdict = verify(problem, solution, plan.bound, rows)
    broken = [in_words(violation.sentence, formulation, solution) for violation in verdict.violations]
    stated = tuple(words for violation, words in zip(verdict.violations, broken, strict=True)
                   if _is_stated(violation, plan, formulation))
    figures = _figures(plan, scenario, formulation, solution, verdict)
    on_the_way = (*use_of_lost(plan), *wave_faults(plan, formulation))
    certified = Certified(None)
    if certificate is not None:
        as_made = formulation
        if strict:
            made_for, profiles = apply(changes, *part_of(plan, whole))
            as_made = formulate(made_for, profiles, copies_of(plan), places_before(plan))
        certified = certify(certificate, plan, _hashes(source, given), as_made)
    return Check((*broken, *figures, *on_the_way, *certified.violations), verdict.costs.total_usd,
                 verdict.attainment, certified.proof, stated)


def _is_stated(violation: Violation, plan: Plan, formulation: Formulation) -> bool:
    """Whether an infeasible plan says of itself that it breaks this rule."""
    if plan.status != "infeasible":
        return False
    if violation.kind == "unplaced":
        return formulation.names.workloads[violation.where["workload"]] in plan.shed
    if violation.kind == "floor":
        return bool(plan.shed)
    return violation.kind == "fallback" and bool(plan.exposed) and not plan.fallbacks


def _hashes(source: Path | Scenario, given: Scenario) -> frozenset[str]:
    """Hashes that a plan may know a scenario by: read with the plan's objective, and as it stands."""
    found = {given.source_sha256}
    if isinstance(source, Path):
        with suppress(InputError):  # a scenario may lack what its objective needs
            found.add(read_scenario(source).source_sha256)
    return frozenset(found)


def _identity(plan: Plan) -> Iterator[str]:
    found = content_id(plan.to_dict())
    if plan.plan_id and plan.plan_id != found:
        yield f"plan_id is {plan.plan_id}, but the content's is {found}: the plan was changed after it was made"


def _horizon(scenario: Scenario, plan: Plan) -> Iterator[str]:
    said, horizon = plan.horizon, scenario.horizon
    if plan.frozen is not None:
        if plan.frozen.slot >= horizon.slots:
            yield f"frozen.slot is {plan.frozen.slot}; the scenario has {horizon.slots} slots"
            return
        horizon = cut_horizon(horizon, plan.frozen.slot)
    same = (said.start, said.slots, said.slot_minutes) == (horizon.start, horizon.slots, horizon.slot_minutes)
    same = same and [dict(one) for one in said.periods] == [dict(one) for one in horizon.periods]
    if said.slots and not same:
        yield (f"horizon is {said.slots} slots of {said.slot_minutes} minutes from {said.start}; the scenario has "
               f"{horizon.slots} of {horizon.slot_minutes} from {horizon.start}")


def _empty(plan: Plan) -> Iterator[str]:
    """An infeasible plan places and pays nothing."""
    if plan.assignments or plan.machines or plan.cost_usd:
        yield "status is infeasible, but the plan has assignments, machines or a cost"


def asked_of(plan: Plan) -> dict[str, Any]:
    """The objective that the plan says it was made with, which may be another than the scenario's."""
    return {name: value for name, value in (plan.provenance.objective or {}).items() if value is not None}


def stated_objective(scenario: Scenario, plan: Plan) -> Objective:
    """The objective that a plan was made with, else the scenario's. Raises InputError where it says no such thing."""
    stated = plan.provenance.objective
    if stated is None and plan.mode == scenario.objective.mode:
        return scenario.objective
    try:
        objective = Objective.model_validate(stated or {"mode": plan.mode})
    except ValidationError as error:
        raise InputError([f"provenance.objective: {stated}: {error.errors()[0]['msg']}"]) from None
    if objective.mode == "max_sla" and objective.budget_usd is None:
        raise InputError(["provenance.objective: mode max_sla needs budget_usd"])
    return objective


def _lenient(scenario: Scenario) -> Scenario:
    """The scenario without the deadlines that may be missed: that costs attainment, and breaks no rule."""
    may_miss = scenario.objective.mode == "max_sla"
    if not any(w.slo.deadline_slot is not None and (may_miss or w.droppable) for w in scenario.workloads):
        return scenario
    workloads = tuple(
        workload.model_copy(update={"slo": workload.slo.model_copy(update={"deadline_slot": None})})
        if workload.slo.deadline_slot is not None and (may_miss or workload.droppable) else workload
        for workload in scenario.workloads)
    same = scenario.folder, scenario.source_sha256, scenario.given_replicas
    return scenario.model_copy(update={"workloads": workloads}).with_source(*same)


def _with_misses(formulation: Formulation, solution: Solution, scenario: Scenario) -> Problem:
    """The problem, in which streams that a solution runs past their deadline attain no SLO."""
    problem, units = formulation.problem, solution.units
    by_name = {workload.name: workload.slo.deadline_slot for workload in scenario.workloads}
    deadline = np.array([np.inf if (slot := by_name[name]) is None else slot for name in formulation.names.workloads])
    last = units.start + problem.variants.length[units.variant] - 1
    late = np.unique(units.stream[last > deadline[problem.streams.workload[units.stream]]])
    if not len(late):
        return problem
    slo, single = problem.streams.availability.copy(), problem.candidates.single.copy()
    slo[late], single[np.isin(problem.candidates.stream, late)] = np.inf, False
    return replace(problem, streams=replace(problem.streams, availability=slo),
                   candidates=replace(problem.candidates, single=single))


def _figures(plan: Plan, scenario: Scenario, formulation: Formulation, solution: Solution,
             verdict: Verdict) -> Iterator[str]:
    """Every figure that the plan states, against the one computed here."""
    account = bill(formulation, solution)
    parts = costs_of(account).model_dump()
    said = {"cost_usd": plan.cost_usd, **{f"costs.{name}": usd for name, usd in plan.costs.model_dump().items()}}
    found = {"cost_usd": verdict.costs.total_usd, **{f"costs.{name}": usd for name, usd in parts.items()}}
    if plan.costs_by_owner:
        said["costs_by_owner, added up,"] = sum(plan.costs_by_owner.values())
        found["costs_by_owner, added up,"] = verdict.costs.total_usd
    by_kind = of_diagnostics(formulation, solution, account)
    for kind in sorted(plan.costs_of_diagnostics.keys() | by_kind.keys() if plan.costs_of_diagnostics else ()):
        said[f"costs_of_diagnostics.{kind}"] = plan.costs_of_diagnostics.get(kind, 0.0)
        found[f"costs_of_diagnostics.{kind}"] = by_kind.get(kind, 0.0)
    for name, usd in said.items():
        if not same_usd(usd, found[name]):
            yield f"{name} is stated as {usd:.6f}; it is {found[name]:.6f}"
    gap = gap_of(plan.mode, verdict.costs.total_usd, verdict.attainment, plan.bound)
    for name, stated, true in (("sla_attainment", plan.sla_attainment, verdict.attainment), ("gap", plan.gap, gap)):
        if abs(stated - true) > SHARE:
            yield f"{name} is stated as {stated:.9g}; it is {true:.9g}"
    if plan.status == "optimal" and gap > OPTIMAL_GAP + SHARE:
        yield f"status is optimal, but the gap is {gap:.6g}; optimal needs {OPTIMAL_GAP:g} or less"
    yield from wrong_figures(plan, plan_commitments(scenario.commitments, formulation.problem, solution))
    yield from _unplaced(plan, formulation, solution)
    yield from understated(plan, formulation, solution)


def _unplaced(plan: Plan, formulation: Formulation, solution: Solution) -> Iterator[str]:
    streams = formulation.problem.streams.workload
    missing = np.unique(streams[~np.isin(np.arange(len(streams)), solution.units.stream)]).tolist()
    true = {formulation.names.workloads[w] for w in missing}
    said = {row.workload for row in plan.unplaced}
    for name in sorted(true - said):
        yield f"unplaced does not list {name}, which has a stream without a unit"
    for name in sorted({*plan.shed} - true):
        yield f"shed lists {name}, all of whose streams have units"
    for name in sorted(said - true):
        yield f"unplaced lists {name}, all of whose streams have units"
