"""From a scenario to a plan that was checked, and from a plan back to whether it holds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from placement.blocks import AS_MANY_AS_NEEDED
from placement.certificate import Certificate
from placement.checks.reprove import NotProven, not_covered, reprove
from placement.complete import Shortfall, complete
from placement.evidence import no_prices
from placement.overload import overload
from placement.pooled_rows import relaxed
from placement.result import Result, Settings, Solution
from placement.shown import packing_rows
from placement.verify import Verdict, moves_made, verify
from placement.worker import Progress, Unsupported, solve
from planner import __version__
from planner.build import Proof, build_plan, refusal
from planner.catalog import Catalog, builtin_catalog
from planner.certificates import CertificateFile
from planner.certified import certificate_of
from planner.errors import InputError
from planner.files import write_together
from planner.formulate import Formulation, formulate, problem_objective
from planner.in_force import Standing, formulate_from, start_from
from planner.left_out import left_out
from planner.misses import used_paths
from planner.nearness import moved_near
from planner.no_plan import NoPlan, why_no_plan
from planner.packings import packing_bytes, packing_table
from planner.plan import Plan, Provenance, Relaxation, Unplaced, plan_text, write_plan
from planner.plan_request import TIME_LIMIT_S as TIME_LIMIT_S
from planner.plan_request import PlanRequest as PlanRequest
from planner.profiles import Profiles, profile
from planner.resolve import resolve
from planner.scenario import read_scenario
from planner.scenario.model import Objective, Scenario
from planner.trial import hopeless
from planner.whatif import apply
from planner.words import in_words, same_usd

if TYPE_CHECKING:
    import pyarrow as pa

PACKAGES = ("numpy", "numba", "scipy", "highspy", "ortools", "pulp", "pydantic", "pyarrow")
"""Packages that a plan may depend on, whose versions it names."""
_ASKED = {"parts": "max_parts"}
"""Parts of a problem by their names in a scenario."""
NO_PRICES = "what is paid in any case (the solver was ended before it handed out prices)"
SMALL = 5_000
"""Streams x slots up to which a plan that must show some packings shows them all, so that none is in question."""
ENOUGH_USD = 1e15
"""A budget beyond any cost, to ask how much can be placed at all."""
FITTING_S = 10.0
"""Seconds that question may take."""
NOTICED_S = 1.0
"""Seconds of compiling that are worth a word where there was no time for a plan."""


class NoPlanFound(Exception):  # noqa: N818 (says what happened)
    """The time was over, or the user stopped, before there was a plan or a proof that there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """A plan, and what it was made from. `solution` and `verdict` are None where no plan is possible.

    `scenario` is resolved; `packings` is None unless the plan shows packings, `certificate` unless one was asked for
    and the bound has one.
    """

    plan: Plan
    scenario: Scenario
    profiles: Profiles
    formulation: Formulation
    solution: Solution | None = None
    verdict: Verdict | None = None
    packings: pa.Table | None = None
    certificate: CertificateFile | None = None

    def write(self, path: Path) -> Plan:
        """Write plan.json, together with its packings beside it; return the plan as written. Raises OSError."""
        if self.packings is None:
            write_plan(self.plan, path)
            return self.plan
        beside = path.with_name(f"{path.stem}.packings.parquet")
        plan = self.plan.model_copy(update={"tables": {"packings": beside.name}})
        write_together({beside: packing_bytes(self.packings), path: plan_text(plan).encode()})
        return plan


def _no_progress(_: Progress) -> None:
    pass


def _never() -> bool:
    return False


def make_plan(source: Path | Scenario, request: PlanRequest | None = None,
              on_progress: Callable[[Progress], None] = _no_progress, interrupted: Callable[[], bool] = _never,
              catalog: Catalog | None = None) -> Planned:
    """Plan a scenario (a folder, a file, or read already).

    The plan that comes back was checked by `placement.verify`, which also computed its cost. Raises InputError where
    the input is wrong or the solver does not handle it, and NoPlanFound where time was too short.
    """
    started, request = time.monotonic(), request or PlanRequest()
    job = Job.of(source, request, catalog or builtin_catalog())
    return job.plan(request.time_limit_s - (time.monotonic() - started), on_progress, interrupted)


def _proof(result: Result, formulation: Formulation) -> Proof:
    """What the solver proved; where that is nothing, that a cost is at least 0 and an attainment at most 1."""
    nothing = 0.0 if formulation.problem.objective.mode == "min_cost" else 1.0
    return Proof(result.bound if isfinite(result.bound) else nothing, result.method, result.worth)


def _reserve_s(formulation: Formulation, time_limit_s: float, certified: bool) -> float:
    """Time kept for checking, explaining and writing the plan, in seconds; never more than a fifth of the limit.

    Proving the bound anew takes about 15 ns for every option and slot, a branch of a small problem some milliseconds.
    """
    options = len(formulation.problem.candidates.pool) * formulation.problem.slots
    proving = 0.7 + 3e-8 * options if certified else 0.0
    return min(0.2 * time_limit_s, 0.3 + 8e-5 * _cells(formulation) + proving)


def _how_to_get_one(compiling_s: float) -> str:
    """What to do where the time was over before there was a plan."""
    if compiling_s < NOTICED_S:
        return "give more time or memory, or another solver"
    return (f"{compiling_s:.0f} s of that went into compiling the search, which an installation does once: run "
            f"`{Path(sys.executable).name} -m planner.warm_up`, then try again")


def _cells(formulation: Formulation) -> int:
    return len(formulation.problem.streams.workload) * formulation.problem.slots


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A scenario read and resolved, and what its workloads need: what plans with several requests have in common."""

    scenario: Scenario
    profiles: Profiles
    source_sha256: str
    catalog: Catalog


def prepare(source: Path | Scenario, request: PlanRequest, catalog: Catalog | None = None) -> Prepared:
    """Read (with the request's objective), resolve and profile (with its seed) a scenario. Raises InputError."""
    catalog = catalog or builtin_catalog()
    given = read_scenario(source, request.changes) if isinstance(source, Path) else source
    scenario = resolve(given, catalog)
    return Prepared(scenario, profile(scenario, request.seed), given.source_sha256, catalog)


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One scenario, formulated once, on its way to a plan, or to several with different objectives."""

    scenario: Scenario
    profiles: Profiles
    formulation: Formulation
    request: PlanRequest
    provenance: Provenance
    catalog: Catalog
    standing: Standing | None = None

    @classmethod
    def of(cls, source: Path | Scenario, request: PlanRequest, catalog: Catalog) -> Job:
        """Read, resolve, profile and formulate a scenario. Raises InputError."""
        return cls.on(prepare(source, request, catalog), request)

    @classmethod
    def on(cls, prepared: Prepared, request: PlanRequest) -> Job:
        """Formulate what is prepared as the request's objective and what-if ask. Raises InputError."""
        objective = request.objective(prepared.scenario.objective)
        asked = prepared.scenario.model_copy(update={"objective": objective})
        _refuse_pooled(request, prepared.profiles)
        frozen, profiles = None, prepared.profiles
        if request.in_force is not None:
            asked, profiles, frozen = start_from(request.in_force, asked, profiles)
        scenario, profiles = apply(request.what_if, asked, profiles)
        provenance = own_provenance(prepared.source_sha256, prepared.catalog.as_of, request.solver, request.seed,
                                    objective)
        provenance = provenance.model_copy(update={
            "what_if": tuple(str(change) for change in request.what_if), "paths": used_paths(scenario, profiles)})
        if request.in_force is None:
            return cls(scenario, profiles, formulate(scenario, profiles), request, provenance, prepared.catalog)
        formulation, standing = formulate_from(scenario, profiles, request.in_force, frozen)
        return cls(scenario, profiles, formulation, request, provenance, prepared.catalog, standing)

    def asking(self, objective: Objective) -> Job:
        """The same job with another objective; nothing is formulated again. Raises ValueError without its budget."""
        problem = replace(self.formulation.problem, objective=problem_objective(objective))
        return replace(self, scenario=self.scenario.model_copy(update={"objective": objective}),
                       formulation=replace(self.formulation, problem=problem),
                       provenance=self.provenance.model_copy(update={"objective": objective.model_dump()}))

    def plan(self, time_limit_s: float, on_progress: Callable[[Progress], None] = _no_progress,
             interrupted: Callable[[], bool] = _never) -> Planned:
        """The checked plan, written within `time_limit_s` from now. Raises InputError and NoPlanFound."""
        if self.request.certificate and (part := not_covered(self.formulation.problem)) is not None:
            asked = _ASKED.get(part, part)
            raise InputError([f"certificate: the scenario asks for {asked}, which certificates do not cover yet"])
        end = time.monotonic() + time_limit_s
        rejected = hopeless(self.formulation)
        if rejected is not None:
            return self.refuse(rejected, "every workload's rules, one pool at a time", end, interrupted)
        if (crowd := overload(relaxed(self.formulation.problem))) is not None:
            where = f"room in slot {crowd.slot}, even if replicas could be cut (linear program)"
            return self.refuse(self.most_that_fits(end, interrupted), where, end, interrupted)
        left_s = max(0.1, end - time.monotonic() - _reserve_s(self.formulation, time_limit_s, self.request.certificate))
        result = self.solve(left_s, on_progress, interrupted)
        if result.status == "infeasible":
            missing = {**self.most_that_fits(end, interrupted), **self.homeless(end)}
            return self.refuse(missing, result.method, end, interrupted)
        if result.solution is None:
            why, took_s = in_words(result.method, self.formulation), time.monotonic() - (end - time_limit_s)
            raise NoPlanFound(f"no plan found in {took_s:.3g} s, nor proven that there is none ({why}): "
                              f"{_how_to_get_one(result.compiling_s)}")
        proof = _proof(result, self.formulation)
        until = end - 0.5 * _reserve_s(self.formulation, time_limit_s, self.request.certificate)
        solution = moved_near(self.scenario, self.formulation, result.solution, lambda: time.monotonic() > until)
        if not self.request.certificate:
            return self.finish(solution, proof)
        return self._certified(solution, proof, result.certificate)

    def solve(self, time_limit_s: float, on_progress: Callable[[Progress], None],
              interrupted: Callable[[], bool]) -> Result:
        """What the solver answers. Raises InputError where it does not handle the problem."""
        blocks = self.request.blocks
        if blocks is None:
            blocks = AS_MANY_AS_NEEDED if self.request.engine == "ray" else 1
        settings = Settings(seed=self.request.seed, time_limit_s=time_limit_s, thorough=self.request.thorough,
                            certify=self.request.certificate, engine=self.request.engine, blocks=blocks)
        try:
            return solve(self.formulation.problem, self.request.solver, settings, on_progress, interrupted)
        except Unsupported as why:
            raise InputError([f"solver: {self.request.solver}: {why}"]) from None

    def finish(self, solution: Solution, proof: Proof) -> Planned:
        """Check a solution and say it in words."""
        if len(solution.cuts) and self.formulation.uncut is None:
            return replace(self, formulation=self.formulation.cut(solution.cuts)).finish(solution, proof)
        problem = self.formulation.problem
        verdict = verify(self.formulation.uncut or problem, solution, proof.bound)
        if not verdict.holds:
            what = in_words(verdict.violations[0].sentence, self.formulation)
            raise RuntimeError(f"solver {self.request.solver} gave a plan that does not hold: {what}")
        plan = build_plan(self.scenario, self.formulation, solution, proof, verdict.attainment, self.provenance)
        if self.standing is not None:
            plan = self.standing.follow(plan, self.formulation, solution)
        if not same_usd(plan.cost_usd, verdict.costs.total_usd):
            raise RuntimeError(f"the parts of the cost add up to {plan.cost_usd}, not {verdict.costs.total_usd}")
        packings = self._packings(solution)
        return Planned(plan, self.scenario, self.profiles, self.formulation, solution, verdict, packings)

    def _certified(self, solution: Solution, proof: Proof, certificate: Certificate | None) -> Planned:
        """The plan with the bound that its certificate proves: a bound that nobody can check counts as none."""
        if certificate is None:
            certificate, proof = no_prices(self.formulation.problem), replace(proof, method=NO_PRICES)
        try:
            bound = reprove(self.formulation.problem, certificate).bound
        except NotProven as why:
            return self.finish(solution, replace(proof, method=f"{proof.method}; not certified: {why}"))
        planned = self.finish(solution, replace(proof, bound=bound))
        return replace(planned, certificate=certificate_of(planned.plan, certificate, self.formulation))

    def _packings(self, solution: Solution) -> pa.Table | None:
        """All slots where they are asked for; else, where a simple order fails in any, those (of a small plan, all).

        None where pools are sized on sample paths: each of them has a packing of its own.
        """
        problem = self.formulation.problem
        if problem.paths is not None:
            return None
        rows = packing_rows(problem, solution, hard_only=not self.request.packings)
        if len(rows.unit) and not self.request.packings and _cells(self.formulation) <= SMALL:
            rows = packing_rows(problem, solution)
        return packing_table(rows, solution, self.formulation) if len(rows.unit) else None

    def refuse(self, unplaced: Mapping[str, tuple[str, ...]], method: str, end: float,
               interrupted: Callable[[], bool]) -> Planned:
        """The answer that there is no plan, and why, by `end` (`time.monotonic`)."""
        rows = [Unplaced(workload=name, reasons=reasons) for name, reasons in sorted(unplaced.items())]
        why = self._too_few_moves(end, interrupted) or why_no_plan(
            self.scenario, self.profiles, self.formulation, self.catalog, self.request.seed, unplaced,
            end - time.monotonic(), interrupted)
        plan = refusal(self.scenario, self.formulation, rows, method, self.provenance, why)
        if self.standing is not None and self.standing.frozen is not None:
            plan = plan.model_copy(update={"frozen": self.standing.frozen}).with_id()
        return Planned(plan, self.scenario, self.profiles, self.formulation)

    def _too_few_moves(self, end: float, interrupted: Callable[[], bool]) -> NoPlan | None:
        """That only the limit on moves stands in the way, shown by a plan without it; None where that is not shown.

        Takes a quarter of the time until `end` (`time.monotonic`).
        """
        problem, force = self.formulation.problem, self.request.in_force
        if problem.incumbent is None or force is None or force.max_moves is None:
            return None
        free = replace(problem, incumbent=replace(problem.incumbent, most_moves=None))
        other = replace(self, formulation=replace(self.formulation, problem=free))
        result = other.solve(min(FITTING_S, max(0.1, (end - time.monotonic()) / 4)), _no_progress, interrupted)
        if result.solution is None or not (verdict := verify(free, result.solution)).holds:
            return None
        needed = moves_made(free, result.solution.units)
        return NoPlan((f"--max-moves {force.max_moves}: the plan in force no longer holds, and no plan is so near",),
                      (Relaxation(what=f"--max-moves {needed}", cost_usd=round(verdict.costs.total_usd, 6)),))

    def homeless(self, end: float) -> Mapping[str, tuple[str, ...]]:
        """Workloads without a fallback after some loss, where there is a plan that need not survive losses; no proof.

        Takes a quarter of the time until `end` (`time.monotonic`).
        """
        problem = self.formulation.problem
        if problem.survival is None:
            return {}
        mortal = replace(self, formulation=replace(self.formulation, problem=replace(problem, survival=None)))
        result = mortal.solve(min(FITTING_S, max(0.1, (end - time.monotonic()) / 4)), _no_progress, _never)
        if result.solution is None:
            return {}
        formulation = self.formulation.cut(result.solution.cuts)
        short = complete(formulation.problem, result.solution.units)
        if not isinstance(short, Shortfall) or short.homeless is None:
            return {}
        found: dict[str, tuple[str, ...]] = {}
        for loss, stream in zip(short.homeless.loss.tolist(), short.homeless.stream.tolist(), strict=True):
            name = formulation.names.streams[stream][0]
            why = f"no fallback with room was found after the loss of {self.formulation.names.losses[loss]}"
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), f"{why}; without survive there is a plan")))
        return found

    def most_that_fits(self, end: float, interrupted: Callable[[], bool]) -> Mapping[str, tuple[str, ...]]:
        """Workloads that stay out when as many as possible are placed, whatever it costs, and why; a help, no proof.

        Takes a quarter of the time until `end` (`time.monotonic`).
        """
        time_limit_s = min(FITTING_S, max(0.1, (end - time.monotonic()) / 4))
        problem = self.formulation.problem
        if problem.objective.mode == "max_sla":
            return {}
        objective = replace(problem.objective, mode="max_sla", budget_usd=ENOUGH_USD)
        relaxed = replace(self, formulation=replace(self.formulation, problem=replace(problem, objective=objective)))
        result = relaxed.solve(time_limit_s, _no_progress, interrupted)
        if result.solution is None:
            return {}
        formulation = self.formulation.cut(result.solution.cuts)
        workload = formulation.problem.streams.workload
        placed = np.isin(np.arange(len(workload)), result.solution.units.stream)
        missing = np.unique(workload[~placed]).tolist()
        return {formulation.names.workloads[w]: left_out(formulation, result.solution, w, 0.0)
                for w in missing if not problem.workloads.droppable[w]}


def _refuse_pooled(request: PlanRequest, profiles: Profiles) -> None:
    """Raise InputError for what is not there with sizing: pooled."""
    if profiles.paths is None:
        return
    if request.packings:
        raise InputError(["packings: not available with sizing: pooled, where every sample path has its own"])
    if request.in_force is not None:
        raise InputError(["incumbent: waves from a plan in force are not available yet with sizing: pooled"])


def own_provenance(scenario_sha256: str, catalog_as_of: str, solver: str, seed: int,
                   objective: Objective) -> Provenance:
    """What a plan says of its making."""
    return Provenance(scenario_sha256=scenario_sha256, catalog_as_of=catalog_as_of, version=__version__, solver=solver,
                      seed=seed, versions=_versions(), objective=objective.model_dump())


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a solver that is not installed decided nothing
            continue
    return found
