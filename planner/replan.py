"""A plan in force after a loss: a whole plan again at once, then a better one with few moves, and the waves to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from placement.budget import mend_within_budget
from placement.complete import Packings
from placement.making_room import complete_harder
from placement.outage import in_force, without_clusters
from placement.packing import Effort
from placement.problem import Bools, Floats, Ints, Problem
from placement.repair import Asked, Mended
from placement.result import Solution, Units
from placement.shown import packing_rows
from placement.verify import verify
from placement.waves import machines_for
from planner.bill import bill
from planner.build import Proof, build_plan
from planner.catalog import Catalog, builtin_catalog
from planner.checking import asked_of, stated_objective
from planner.errors import InputError
from planner.formulate import Formulation, formulate
from planner.interpret import copies_of, to_solution
from planner.packings import packing_table
from planner.plan import Plan, Unplaced, content_id, read_plan
from planner.planning import Planned, own_provenance
from planner.profiles import Profiles, profile
from planner.resolve import resolve
from planner.scenario import read_scenario
from planner.scenario.model import Scenario
from planner.waves import Where, assignments_of, make_waves, partway, pools_of, where_of
from planner.words import in_words

_OF_THE_OLD = "of the plan it mends, which had more choices: "
_LEAVES_SURVIVAL_OUT = ("Lagrangian bound on packing rows",)
"""How methods begin whose bounds count nothing for losses that are to be survived."""
WORTH = 2.0
"""A move after a cluster came back must save this many times what it costs."""
WORTH_SHARE = 0.05
"""And this share of what the machines of the stream cost."""
_MOST_DOUBLINGS = 30
"""What a move must save doubles with every loss of what is back, so often at most."""
PASSES = 3
"""How often better moves are looked for."""


@dataclass(frozen=True, slots=True)
class ReplanRequest:
    """What happened and what may be done.

    `down`, `restore`: clusters, `provider/region`s or providers that are lost, or back. `max_moves`: units that were
    not lost may leave at most so many places; None: none after a loss, as many as are worth it after a restoration.
    `worth`: how many times its cost a move must save when something is restored. `waves_done`: how many waves of the
    plan have been made by now; None: all, it is in force as it stands.
    """

    down: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    max_moves: int | None = None
    worth: float = WORTH
    passes: int = PASSES
    waves_done: int | None = None

    def __post_init__(self) -> None:
        """Check every value. Raises InputError."""
        problems = []
        if not self.down and not self.restore:
            problems.append("--down: missing: name a cluster that is lost, or with --restore one that is back")
        if self.max_moves is not None and self.max_moves < 0:
            problems.append(f"--max-moves: {self.max_moves}: a whole number, 0 or more, is allowed")
        if not self.worth >= 0:
            problems.append(f"--worth: {self.worth:g}: 0 or more is allowed")
        if both := sorted({*self.down} & {*self.restore}):
            problems.append(f"--restore: {both[0]}: also given as --down; name it once")
        if problems:
            raise InputError(problems)


@dataclass(frozen=True, slots=True, eq=False)
class Replanned:
    """The new plan and what it took: units `lost`, `moved` and `kept`, `extra_usd` beyond the plan in force, workloads
    `shed`, by name with the lowest priority first; processor seconds to the first whole plan, and to the last.

    `left_out` are workloads that had a place and have none now, and that may be left out: droppable ones, and in
    `max_sla` what the budget does not pay for. `exposed` says, once everything is up again, for which loss no room was
    found; empty where the plan survives all that it is asked to.
    """

    planned: Planned
    lost: int
    moved: int
    kept: int
    extra_usd: float
    shed: tuple[str, ...]
    left_out: tuple[str, ...]
    exposed: str
    first_seconds: float
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether the new plan keeps all that it must."""
        return not self.shed and not self.exposed


def replan(source: Path | Scenario, plan: Path | Plan, request: ReplanRequest, catalog: Catalog | None = None,
           stopped: Callable[[], bool] = lambda: False) -> Replanned | None:
    """Mend a plan; None where nothing changes, as when a cluster that is down already is lost again.

    Raises InputError where scenario, plan or request are wrong or do not go together.
    """
    plan = read_plan(plan) if isinstance(plan, Path) else plan
    case = _Case.of(source, plan, request, catalog or builtin_catalog())
    if case.down == {*plan.provenance.down}:
        return None
    started, first = time.process_time(), list[float]()
    mended = mend_within_budget(case.problem, case.solution, case.asked(), case.leave_first(), stopped,
                                lambda _: first.append(time.process_time() - started))
    ready, exposed = case.ready_for_losses(mended)
    return case.finish(ready, exposed, first[0], time.process_time() - started)


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """A plan in force read back, and the `problem` without what is down; `row` [N] are its candidates' rows there."""

    scenario: Scenario
    profiles: Profiles
    plan: Plan
    request: ReplanRequest
    catalog: Catalog
    formulation: Formulation
    solution: Solution
    down: frozenset[str]
    problem: Problem
    row: Ints
    source_sha256: str

    @classmethod
    def of(cls, source: Path | Scenario, plan: Plan, request: ReplanRequest, catalog: Catalog) -> _Case:
        _refuse(plan)
        given = read_scenario(source, asked_of(plan)) if isinstance(source, Path) else source
        scenario = resolve(given, catalog)
        scenario = scenario.model_copy(update={"objective": stated_objective(scenario, plan)})
        _refuse_pooled(scenario)
        if scenario.interference:
            pair = f"{scenario.interference[0].workload} beside {scenario.interference[0].other}"
            why = "mending a plan with interference is not available yet"
            raise InputError([f"interference: {pair}: {why}; plan anew with planner what-if --remove-cluster"])
        profiles = profile(scenario, plan.provenance.seed)
        plan = _so_far(plan, request.waves_done)
        formulation = formulate(scenario, profiles, copies_of(plan), pools_of(where_of(plan)))
        reading = to_solution(plan, formulation)
        if reading.violations:
            raise InputError([f"the plan does not belong to this scenario: {reading.violations[0]}"])
        solution = _running(formulation, plan, reading.solution, request.waves_done)
        down = _down(scenario, plan, request)
        problem, row = without_clusters(formulation.problem, np.isin(formulation.names.clusters, sorted(down)))
        most = request.max_moves if request.max_moves is not None else None if request.restore else 0
        problem = replace(problem, incumbent=in_force(reading.solution.units, row, most))
        return cls(scenario, profiles, plan, request, catalog, formulation, solution, down, problem, row,
                   _source_sha256(source, given, plan))

    # ------------------------------------------------------------ what is asked

    def asked(self) -> Asked:
        """Everything the repair needs to know beside the problem."""
        assert self.problem.incumbent is not None
        most, streams = self.problem.incumbent.most_moves, len(self.problem.streams.shape)
        priority = np.array([w.priority for w in self.formulation.demand.workloads], np.int64)
        return Asked(priority, self._left_out(), self._stay_usd(), streams if most is None else most,
                     self.request.passes, self.plan.provenance.seed, fallbacks=self._fallbacks())

    def _left_out(self) -> Bools:
        """[W] workloads that the plan in force leaves out and may; none where that are too many already, and none where
        a budget pays for more now that something is back.
        """
        out = self._nowhere()
        if not self._by_cost:
            return np.zeros_like(out) if self.request.restore else out
        out &= self.problem.workloads.droppable
        return np.zeros_like(out) if self.problem.workloads.weight[out].sum() > self.problem.slack else out

    def _nowhere(self) -> Bools:
        """[W] workloads of which the plan in force leaves a stream out."""
        streams = self.problem.streams
        out = np.zeros(len(self.problem.workloads.weight), bool)
        out[streams.workload[~np.isin(np.arange(len(streams.workload)), self.solution.units.stream)]] = True
        return out

    def leave_first(self) -> Ints:
        """[W] in which order workloads leave where a budget does not pay for all: those that did not run before, then
        the lowest priority, then the least weight for what their machines cost.
        """
        usd = np.zeros(len(self.problem.workloads.weight))
        np.add.at(usd, self.problem.streams.workload, self._machine_usd())
        worth = self.problem.workloads.weight / np.maximum(usd, 1e-9)
        priority = np.array([w.priority for w in self.formulation.demand.workloads], np.int64)
        order: Ints = np.lexsort((worth, priority, ~self._nowhere()))
        return order

    @property
    def _by_cost(self) -> bool:
        return self.problem.objective.mode == "min_cost"

    def _stay_usd(self) -> Floats:
        """[S] what leaving must save beside its cost: nothing after a loss; after a restoration what it is worth, and
        twice as much for every time that what is back was lost before.
        """
        stay = np.zeros(len(self.problem.streams.shape))
        if self.request.restore:
            moves = np.array([w.incumbent.move_cost_usd if w.incumbent else 0.0
                              for w in self.formulation.demand.workloads])
            back = {*self.plan.provenance.down} - self.down
            often = max((self.plan.provenance.losses.get(cluster, 1) for cluster in back), default=1)
            worth = self.request.worth * 2.0 ** min(often - 1, _MOST_DOUBLINGS)
            stay += max(0.0, worth - 1) * moves[self.problem.streams.workload]
            stay += self._machine_usd() * min(1.0, WORTH_SHARE * worth / WORTH)
        return stay

    def _machine_usd(self) -> Floats:
        """[S] what the machines of each stream cost by the plan in force, shared as in its reasons."""
        usd = np.zeros(len(self.problem.streams.shape))
        np.add.at(usd, self.solution.units.stream, bill(self.formulation, self.solution).unit_machine_usd)
        return usd

    def _fallbacks(self) -> Ints:
        """[n, 4] units to go to first, by the plan's own fallbacks for what is down now."""
        names, pools = self.formulation.names, len(self.formulation.names.pools)
        keys = self.problem.candidates.stream * pools + self.problem.candidates.pool
        units, rows = self.solution.units, []
        of = {(int(s), int(c)): u for u, (s, c) in enumerate(zip(units.stream, units.copy, strict=True))}
        for fallback in self.plan.fallbacks:
            stream = names.stream_row.get((fallback.workload, fallback.user_region), -1)
            pool, unit = names.pool_row.get((fallback.cluster, fallback.pool)), of.get((stream, fallback.copy_))
            if fallback.lost not in self._newly_down or pool is None or unit is None:
                continue
            at = int(np.searchsorted(keys, stream * pools + pool))
            if at < len(keys) and keys[at] == stream * pools + pool:
                rows.append((stream, at, self._variant(stream, at, int(units.variant[unit])), int(units.start[unit])))
        return np.array(sorted(set(rows)), np.int64).reshape(-1, 4)

    @property
    def _newly_down(self) -> frozenset[str]:
        """Names under which fallbacks may know what is down: clusters, regions, providers."""
        return frozenset({*self.request.down, *self.down - {*self.plan.provenance.down}})

    def _variant(self, stream: int, candidate: int, now: int) -> int:
        v, first = self.problem.variants, self.problem.streams.variant_first
        rows = np.arange(first[stream], first[stream + 1])
        same = (v.copies[rows] == v.copies[now]) & (v.speed[rows] == self.problem.candidates.speed[candidate])
        return int(rows[same][0])

    # ------------------------------------------------------------ the new plan

    def ready_for_losses(self, mended: Mended) -> tuple[Mended, str]:
        """With everything up again, fallbacks for what must survive a loss, without moves where these leave no room; or
        why there are none.
        """
        survival = None if self.down else self.formulation.problem.survival
        if survival is None:
            return mended, ""
        problem, why = replace(self.problem, survival=survival), ""
        for plan in (mended, self._staying()):
            found = complete_harder(problem, plan.solution.units, Packings(problem, Effort.ORDERS))
            if isinstance(found, Solution):
                bought = plan.solution.bought
                held = np.maximum(found.bought, bought) if len(found.bought) else bought
                return replace(plan, solution=replace(found, bought=held)), ""
            why = why or found.why or "there is no room to be ready for a loss"
        return mended, in_words(why, self.formulation)

    def _staying(self) -> Mended:
        """The plan in force, mended without a move: moves may fill the room that a loss would need."""
        assert self.problem.incumbent is not None
        problem = replace(self.problem, incumbent=replace(self.problem.incumbent, most_moves=0))
        asked = replace(self.asked(), most_moves=0, passes=0)
        return mend_within_budget(problem, self.solution, asked, self.leave_first())

    def finish(self, mended: Mended, exposed: str, first_seconds: float, seconds: float) -> Replanned:
        """The new plan, checked; `exposed` says for which loss it has no fallbacks."""
        shed = self._shed(mended)
        survival = None if self.down or exposed else self.formulation.problem.survival
        problem = replace(self.problem, survival=survival)
        verdict = verify(problem, mended.solution)
        broken = [v for v in verdict.violations if not (shed and v.kind in ("unplaced", "floor"))]
        if broken:
            raise RuntimeError(f"the repair gave a plan that does not hold: {broken[0].sentence}")
        solution = self._in_full(mended.solution)
        proof = self._proof(shed, exposed)
        provenance = own_provenance(self.source_sha256, self.catalog.as_of, "repair", self.plan.provenance.seed,
                                    self.scenario.objective)
        provenance = provenance.model_copy(update={
            "down": tuple(sorted(self.down)), "losses": self._losses(), "waves_done": self.request.waves_done,
            "max_moves": self.problem.incumbent.most_moves if self.problem.incumbent else None})
        plan = build_plan(self.scenario, self.formulation, solution, proof, verdict.attainment, provenance)
        waves = make_waves(self.formulation, self.problem, self._before(), mended.solution, self._lost())
        plan = plan.model_copy(update={
            "parent": self.plan.plan_id or content_id(self.plan.to_dict()), "waves": waves,
            "unplaced": self._explained(plan, shed), "shed": tuple(shed), "exposed": exposed,
            "status": "infeasible" if shed or exposed else plan.status}).with_id()
        rows = packing_rows(problem, mended.solution, hard_only=True)
        table = packing_table(rows, solution, self.formulation) if len(rows.unit) else None
        planned = Planned(plan, self.scenario, self.profiles, self.formulation, solution, verdict, table)
        lost = sum(len(spots) for spots in self._lost().values())
        moved, units = mended.moves, len(self.solution.units.stream)
        return Replanned(planned, lost, moved, units - lost - moved, plan.cost_usd - self.plan.cost_usd,
                         tuple(shed), self._dropped(mended, shed), exposed, first_seconds, seconds)

    def _losses(self) -> dict[str, int]:
        """How often each cluster was lost in this plan and those before it."""
        found = dict(self.plan.provenance.losses)
        for cluster in self.down - {*self.plan.provenance.down}:
            found[cluster] = found.get(cluster, 0) + 1
        return dict(sorted(found.items()))

    def _dropped(self, mended: Mended, shed: dict[str, int]) -> tuple[str, ...]:
        """Workloads that had a place in the plan in force and go without one, as they may."""
        workload = self.problem.streams.workload
        missing = np.unique(workload[~np.isin(np.arange(len(workload)), mended.solution.units.stream)])
        names, before = self.formulation.names.workloads, self._nowhere()
        return tuple(sorted(names[w] for w in missing.tolist() if not before[w] and names[w] not in shed))

    def _shed(self, mended: Mended) -> dict[str, int]:
        """Workloads, with their priority, that go without a place and may not: the lowest priority first.

        Droppable ones are among them where more weight goes unplaced than the floor allows.
        """
        workloads, streams = self.problem.workloads, self.problem.streams.workload
        missing = np.unique(streams[~np.isin(np.arange(len(streams)), mended.solution.units.stream)])
        if workloads.weight[missing].sum() <= self.problem.slack:
            missing = missing[~workloads.droppable[missing]]
        rows = [self.formulation.demand.workloads[w] for w in missing.tolist()] if self._by_cost else []
        return {row.name: row.priority for row in sorted(rows, key=lambda row: (row.priority, row.name))}

    def _in_full(self, solution: Solution) -> Solution:
        """The same solution in rows of the problem with everything up."""
        back = np.flatnonzero(self.row >= 0)
        units = solution.units
        return replace(solution, units=replace(units, candidate=back[units.candidate]))

    def _proof(self, shed: dict[str, int], exposed: str) -> Proof:
        """The old plan's bound, which holds for fewer choices at the same prices, less what moves may cost; else none,
        and why.
        """
        by_cost, moves_usd = self.plan.mode == "min_cost", self._most_moves_usd()
        method = self.plan.bound_method.removeprefix(_OF_THE_OLD)
        if (why := self._unproven(shed, exposed, method, moves_usd)) is not None:
            return Proof(0.0 if by_cost else 1.0, f"none: {why}")
        less = f", less the USD {moves_usd:,.2f} that all moves cost together" if moves_usd else ""
        bound = max(0.0, self.plan.bound - moves_usd) if by_cost else self.plan.bound
        return Proof(bound, f"{_OF_THE_OLD}{method}{less}")

    def _unproven(self, shed: dict[str, int], exposed: str, method: str, moves_usd: float) -> str | None:
        """Why the old plan's bound is none for this one; None where it is."""
        problem = self.formulation.problem
        lost = np.isin(self.formulation.names.clusters, sorted(self.down))[problem.pools.cluster]
        if shed:
            return "work that must be placed is shed, so this plan keeps to fewer rules than the bound"
        if method.startswith("none") or self.plan.status == "infeasible":
            return "the plan that it mends has none"
        if self.plan.provenance.scenario_sha256 not in ("", self.source_sha256):
            return "the plan that it mends was made from another state of the scenario"
        if problem.pools.min_machines[lost].any():
            return "machines that always run are lost, so this plan keeps to fewer rules than the bound"
        unready = problem.survival is not None and (bool(self.down) or bool(exposed))
        if unready and not method.startswith(_LEAVES_SURVIVAL_OUT):
            return "that of the plan it mends counts room for losses that this one is not ready for"
        if moves_usd and self.plan.mode == "max_sla":
            return "that of the plan it mends counts moves from other places against the budget"
        return None

    def _most_moves_usd(self) -> float:
        """What moves of all copies of all streams would cost together at most."""
        streams, copies = self.formulation.problem.streams, np.zeros(len(self.problem.streams.shape), np.int64)
        np.maximum.at(copies, self.formulation.problem.variants.stream, self.formulation.problem.variants.copies)
        usd = np.array([w.incumbent.move_cost_usd if w.incumbent else 0.0 for w in self.formulation.demand.workloads])
        return float((copies * usd[streams.workload]).sum())

    def _before(self) -> Units:
        """Units of the plan in force that still run, in rows of the problem without what is down."""
        units, left = self.solution.units, self.row[self.solution.units.candidate] >= 0
        kept = Units(*(getattr(units, column.name)[left] for column in fields(units)))
        return replace(kept, candidate=self.row[kept.candidate])

    def _lost(self) -> Where:
        """Places of the plan in force that are down."""
        found = {key: frozenset(spot for spot in spots if spot[0] in self.down)
                 for key, spots in where_of(self.plan).items()}
        return {key: spots for key, spots in found.items() if spots}

    def _explained(self, plan: Plan, shed: dict[str, int]) -> tuple[Unplaced, ...]:
        """Unplaced workloads; for those shed, that and why comes first."""
        return tuple(row if row.workload not in shed else row.model_copy(update={
            "reasons": (self._why_shed(row.workload, shed[row.workload]), *row.reasons)}) for row in plan.unplaced)

    def _why_shed(self, workload: str, priority: int) -> str:
        down, problem = ", ".join(sorted(self.down)), self.problem
        here = problem.streams.workload == self.formulation.names.workloads.index(workload)
        if not np.diff(problem.streams.candidate_first)[here].all():
            return f"without {down} it has no legal place left"
        return (f"shed at priority {priority}: without {down} there is no room found for all, and work of lower "
                f"priority goes first")


def _source_sha256(source: Path | Scenario, given: Scenario, plan: Plan) -> str:
    """The scenario's, read as the plan's maker read it where that gives the plan's: with or without an objective."""
    if isinstance(source, Path) and given.source_sha256 != plan.provenance.scenario_sha256:
        with suppress(InputError):  # a scenario may lack what its objective needs
            return read_scenario(source).source_sha256
    return given.source_sha256


def _so_far(plan: Plan, done: int | None) -> Plan:
    """The plan with its units where they are once so many of its waves were made. Raises InputError."""
    if done is None:
        return plan
    if not 0 <= done <= len(plan.waves):
        raise InputError([f"--waves-done: {done}: the plan has {len(plan.waves)} waves: as many at most are allowed"])
    if done == len(plan.waves):
        return plan
    return plan.model_copy(update={"assignments": assignments_of(partway(plan, done)), "fallbacks": ()})


def _running(formulation: Formulation, plan: Plan, solution: Solution, done: int | None) -> Solution:
    """The plan's machines, or, between two of its waves, those that hold what runs then."""
    if done is None or done == len(plan.waves):
        return solution
    problem, down = formulation.problem, np.isin(formulation.names.clusters, plan.provenance.down)
    units = solution.units
    up = ~down[problem.pools.cluster[problem.candidates.pool[units.candidate]]]
    standing = Units(*(getattr(units, column.name)[up] for column in fields(units)))
    return replace(solution, machines=machines_for(problem, standing), fallbacks=None)


def _refuse(plan: Plan) -> None:
    """Raise InputError for plans that cannot be mended."""
    if not plan.assignments:
        raise InputError([f"status: {plan.status}: a plan that places something is needed; make one with planner plan"])
    if (split := next((unit.workload for unit in plan.assignments if unit.part), None)) is not None:
        why = f"assignments: {split} is split into parts: mending such a plan is not available yet"
        raise InputError([f"{why}; plan anew with planner what-if --remove-cluster"])
    if plan.frozen is not None:
        raise InputError([f"frozen.slot: {plan.frozen.slot}: mending a plan made with --now is not available yet"])
    if plan.provenance.what_if:
        change = plan.provenance.what_if[0]
        raise InputError([f"provenance.what_if: {change}: mending a what-if is not available yet; replan a real plan"])
    if plan.plan_id and plan.plan_id != content_id(plan.to_dict()):
        raise InputError([f"plan_id: {plan.plan_id}: not the content's: the plan was changed after it was made"])


def _refuse_pooled(scenario: Scenario) -> None:
    """Raise InputError where pools are sized on joint demand: a repair buys for each workload's own row."""
    if scenario.sizing == "pooled":
        why = "mending a plan that is sized on joint demand is not available yet"
        raise InputError([f"sizing: pooled: {why}; plan anew with planner what-if --remove-cluster"])


def _down(scenario: Scenario, plan: Plan, request: ReplanRequest) -> frozenset[str]:
    """Clusters that are down now: those of the plan in force, those lost now, without those that are back."""
    lost = {name for given in request.down for name in _clusters(scenario, "--down", given)}
    back = {name for given in request.restore for name in _clusters(scenario, "--restore", given)}
    before = set(plan.provenance.down)
    if back and not back & before:
        known = ", ".join(sorted(before)) or "none"
        raise InputError([f"--restore: {request.restore[0]}: is not down in this plan; down are: {known}"])
    down = (before | lost) - back
    if down >= {cluster.name for cluster in scenario.clusters}:
        raise InputError(["--down: every cluster would be lost: there is nowhere left to go"])
    return frozenset(down)


def _clusters(scenario: Scenario, option: str, name: str) -> list[str]:
    """The clusters that a name means: a cluster, a `provider/region`, or a provider. Raises InputError."""
    found = [c.name for c in scenario.clusters if name == c.name] or [
        c.name for c in scenario.clusters if name in (c.region_key, c.provider)]
    if not found:
        known = sorted({n for c in scenario.clusters for n in (c.name, c.region_key, c.provider)})
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError([f"{option}: {name}: no such cluster, provider/region or provider{hint}"])
    return found
