"""Planning from a plan in force: what stays, what a move costs, how many there may be, and the waves to get there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from placement.problem import Incumbent
from placement.result import Solution, Units
from planner.errors import InputError
from planner.formulate import Formulation, formulate
from planner.frozen import frozen_at, left_of, shifted, slot_of
from planner.interpret import copies_of, read_assignments
from planner.plan import Frozen, Plan, content_id
from planner.profiles import Profiles
from planner.scenario.model import Scenario
from planner.waves import Where, make_waves, partway, pools_of, where_before, where_of


@dataclass(frozen=True, slots=True)
class InForce:
    """A plan in force, and how many places of it a new plan may leave at most (None: any number).

    `now`: a slot of the scenario's horizon or a time; what the plan in force did before is not planned again.
    """

    plan: Plan
    max_moves: int | None = None
    now: str | None = None

    def __post_init__(self) -> None:
        """Check both. Raises InputError."""
        plan = self.plan
        problems = []
        if not plan.assignments:
            problems.append(f"--incumbent: status {plan.status}: a plan that places something is needed")
        if (split := next((unit.workload for unit in plan.assignments if unit.part), None)) is not None:
            problems.append(f"--incumbent: {split} is split into parts: moves from such a plan are not available yet")
        if plan.provenance.what_if:
            change = plan.provenance.what_if[0]
            problems.append(f"--incumbent: made under the what-if {change}: a plan that is in force is needed")
        if plan.plan_id and plan.plan_id != content_id(plan.to_dict()):
            problems.append(f"--incumbent: plan_id {plan.plan_id} is not the content's: the plan was changed after it "
                            f"was made")
        if self.max_moves is not None and self.max_moves < 0:
            problems.append(f"--max-moves: {self.max_moves}: a whole number, 0 or more, is allowed")
        if problems:
            raise InputError(problems)

    @property
    def plan_id(self) -> str:
        """The plan's id, worked out where it has none."""
        return self.plan.plan_id or content_id(self.plan.to_dict())


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a plan in force is still legal: its units `before`, rows of the new problem, and places that are `lost`.
    """

    force: InForce
    frozen: Frozen | None
    before: Units
    lost: Where

    def follow(self, plan: Plan, formulation: Formulation, solution: Solution) -> Plan:
        """A new plan that says what it replaces, how many moves it was allowed, and its waves."""
        waves = make_waves(formulation, formulation.problem, self.before, solution, self.lost)
        provenance = plan.provenance.model_copy(update={"max_moves": self.force.max_moves})
        return plan.model_copy(update={"parent": self.force.plan_id, "waves": waves, "frozen": self.frozen,
                                       "provenance": provenance}).with_id()


def start_from(force: InForce, scenario: Scenario, profiles: Profiles) -> tuple[Scenario, Profiles, Frozen | None]:
    """What there is to plan from the plan in force on: all, or what is left of it `now`. Raises InputError."""
    if force.now is None:
        if force.plan.frozen is not None:
            began = force.plan.frozen.slot
            raise InputError([f"--now: missing: the plan in force begins at slot {began}; say when the new one begins"])
        return scenario, profiles, None
    frozen = frozen_at(force.plan, slot_of(force.now, scenario.horizon))
    return *left_of(scenario, profiles, frozen), frozen


def formulate_from(scenario: Scenario, profiles: Profiles, force: InForce, frozen: Frozen | None,
                   ) -> tuple[Formulation, Standing]:
    """State a scenario as a problem in which a plan is in force, and what of that plan still stands.

    Units of workloads that are gone, and units whose place is no longer legal, do not stand.
    """
    plan = force.plan if frozen is None else shifted(force.plan, frozen)
    if (parted := next((w for w in scenario.workloads if w.max_parts > 1), None)) is not None:
        why = "a plan in force (--incumbent) goes with whole workloads only so far: use 1"
        raise InputError([f"workloads.{parted.name}.max_parts: {parted.max_parts}: {why}"])
    if scenario.interference:
        why = "a plan in force (--incumbent) does not go with interference yet: leave one of them out"
        raise InputError([f"interference: {len(scenario.interference)} pairs: {why}"])
    where = where_of(plan)
    formulation = formulate(scenario, profiles, copies_of(plan), pools_of(where))
    units, _ = read_assignments(plan.assignments, formulation)
    incumbent = Incumbent(units.stream, units.candidate, units.variant, units.start, force.max_moves)
    stated = replace(formulation, problem=replace(formulation.problem, incumbent=incumbent))
    return stated, Standing(force, frozen, units, _lost(where, units, stated))


def _lost(where: Where, units: Units, formulation: Formulation) -> Where:
    """Places of a plan that do not stand."""
    names, problem = formulation.names, formulation.problem
    pools, batch = problem.candidates.pool[units.candidate], problem.variants.row[units.variant] < 0
    stand = {(names.streams[s], (*names.pools[p], start if window else None)) for s, p, start, window in zip(
        units.stream.tolist(), pools.tolist(), units.start.tolist(), batch.tolist(), strict=True)}
    found = {key: frozenset(spot for spot in spots if (key, spot) not in stand) for key, spots in where.items()}
    return {key: spots for key, spots in found.items() if spots}


def strays(plan: Plan, force: Plan) -> Iterator[str]:
    """Where a plan says something else of the plan in force that it replaces than is so, in words."""
    known = InForce(force).plan_id
    if plan.parent != known:
        yield f"parent is {plan.parent}; the plan in force is {known}"
        return
    frozen = None if plan.frozen is None else frozen_at(force, plan.frozen.slot)
    if plan.frozen != frozen:
        yield "frozen is not what the plan in force has bought and has running by then"
    done = plan.provenance.waves_done
    was = where_of(force if frozen is None else shifted(force, frozen)) if done is None else partway(force, done)
    said = where_before(plan)
    wrong = sorted({key[0] for key in {*was, *said} if was.get(key) != said.get(key)})
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        yield f"{wrong[0]}{more}: the plan in force does not have it where the waves begin"
