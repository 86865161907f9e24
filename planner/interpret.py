"""From a plan in people's words back to arrays, with what is wrong with it in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from placement.problem import Counts, Ints, Problem
from placement.result import Fallbacks, Solution, Units
from planner.bought import bought_units
from planner.formulate import Copies, Cuts, Formulation
from planner.plan import Assignment, Fallback, MachineRow, Plan
from planner.supply import PURCHASES

Unit = tuple[int, int, int, int, int]
_UNSPLIT = ": parts are for a lone copy without a batch window, every one but the last with a cap"


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """`solution` holds what of the plan could be read; `violations` says what could not, and why."""

    solution: Solution
    violations: tuple[str, ...]


class _Wrong(Exception):  # noqa: N818 (what is wrong is the message)
    pass


def copies_of(plan: Plan) -> Copies:
    """Number of copies of every stream in a plan, which `formulate` must offer for the plan to be read."""
    copies = {(unit.workload, unit.user_region, unit.copy_) for unit in plan.assignments}
    return Counter((workload, region) for workload, region, _ in copies)


def cuts_of(plan: Plan) -> Cuts:
    """Caps of the parts of every split stream in a plan, which `formulate` must make for the plan to be read."""
    found: dict[tuple[str, str | None], list[tuple[int, int]]] = {}
    for unit in plan.assignments:
        if unit.cap is not None:
            found.setdefault((unit.workload, unit.user_region), []).append((unit.part, unit.cap))
    return {stream: tuple(cap for _, cap in sorted(rows)) for stream, rows in found.items()}


def to_solution(plan: Plan, formulation: Formulation) -> Reading:
    """Read a plan against a formulation made with `kept_copies=copies_of(plan)` and `cuts=cuts_of(plan)`."""
    violations: list[str] = []
    units = _units(plan, formulation, violations)
    machines = _machines(plan, formulation, violations)
    bought = bought_units(plan, formulation.names.commitments, violations)
    columns = np.array(sorted(units), np.int64).reshape(-1, 5).T
    read = Units(*(np.ascontiguousarray(column) for column in columns))
    fallbacks = _fallbacks(plan, formulation, read, violations) if plan.fallbacks or formulation.names.losses else None
    return Reading(Solution(read, machines, fallbacks, bought), tuple(violations))


def _units(plan: Plan, formulation: Formulation, violations: list[str]) -> list[Unit]:
    return _renumbered(_read(plan.assignments, formulation, violations))


def read_assignments(assignments: Sequence[Assignment], formulation: Formulation) -> tuple[Units, tuple[str, ...]]:
    """Units of a problem, sorted, and what could not be read, in words."""
    violations: list[str] = []
    units = _renumbered(_read(assignments, formulation, violations))
    columns = np.array(units, np.int64).reshape(-1, 5).T
    return Units(*(np.ascontiguousarray(column) for column in columns)), tuple(violations)


def _read(assignments: Sequence[Assignment], formulation: Formulation, violations: list[str]) -> list[Unit]:
    placed = {(unit.workload, unit.user_region, unit.copy_) for unit in assignments}
    copies = Counter((workload, region) for workload, region, _ in placed)
    seen, units = set[tuple[str, str | None, int, int]](), []
    index = _Index(formulation)
    for assignment in assignments:
        key = (assignment.workload, assignment.user_region, assignment.copy_, assignment.part)
        if key in seen:
            violations.append(f"{_who(assignment)}: assigned twice")
            continue
        seen.add(key)
        try:
            units.append(index.unit(assignment, copies[key[:2]]))
        except _Wrong as wrong:
            violations.append(str(wrong))
    return units


def _renumbered(units: list[Unit]) -> list[Unit]:
    """The same units with copies of a stream numbered from 0 in order."""
    numbered, last, copy = [], -1, 0
    for stream, _, candidate, variant, start in sorted(units):
        copy = copy + 1 if stream == last else 0
        last = stream
        numbered.append((stream, copy, candidate, variant, start))
    return numbered


class _Index:
    """Finds rows of a formulation's tables by name."""

    def __init__(self, formulation: Formulation) -> None:
        self.formulation = formulation
        self.problem: Problem = formulation.problem
        self.pools = len(formulation.names.pools)
        self.keys: Ints = self.problem.candidates.stream * self.pools + self.problem.candidates.pool
        self.clusters = set(formulation.names.clusters)
        self.workloads = set(formulation.names.workloads)

    def unit(self, assignment: Assignment, copies: int) -> Unit:
        """stream, copy, candidate, variant, start of an assignment; raises _Wrong."""
        stream, pool = self.stream(assignment), self.pool(assignment)
        self._check_part(assignment, stream, copies)
        candidate = self.candidate(assignment, stream, pool)
        variants = self._variants(stream, copies, int(self.problem.candidates.speed[candidate]))
        return stream, assignment.copy_, candidate, *self._start(assignment, variants)

    def candidate(self, assignment: Assignment | Fallback, stream: int, pool: int) -> int:
        """Row of a legal pair; raises _Wrong."""
        candidate = int(np.searchsorted(self.keys, stream * self.pools + pool))
        if candidate == len(self.keys) or self.keys[candidate] != stream * self.pools + pool:
            why = self.formulation.legality.reason(stream, pool)
            raise _Wrong(f"{_who(assignment)}: may not run on {assignment.cluster}/{assignment.pool}: {why}")
        return candidate

    def stream(self, assignment: Assignment | Fallback) -> int:
        """Row of the stream; raises _Wrong."""
        stream = self.formulation.names.stream_row.get((assignment.workload, assignment.user_region))
        if stream is None:
            known = assignment.workload in self.workloads
            what = f"no users in {assignment.user_region}" if known else "no such workload in the scenario"
            if known and assignment.user_region is None:
                what = "its user_region is missing"
            raise _Wrong(f"{_who(assignment)}: {what}")
        return stream + self._part(assignment, stream)

    def _part(self, unit: Assignment | Fallback, first: int) -> int:
        """The part, of a stream whose first is in row `first`; raises _Wrong where it is not split so."""
        layers, part = self.problem.layers, unit.part
        parts = 1 if layers is None else int((layers.group == layers.group[first]).sum())
        if part >= parts:
            most = self.formulation.demand.workloads[self.formulation.demand.workload[first]].max_parts
            why = f"max_parts is {most}" if parts == 1 else f"caps of the others make it {parts} parts"
            raise _Wrong(f"{_who(unit)}: {why}{_UNSPLIT if parts == 1 < most else ''}")
        return part

    def _check_part(self, assignment: Assignment, stream: int, copies: int) -> None:
        """Parts have the caps that the stream was cut at, and only a lone copy has parts; raises _Wrong."""
        layers = self.problem.layers
        cap = 0 if layers is None else int(layers.cap[stream])
        if (assignment.cap or 0) != cap:
            raise _Wrong(f"{_who(assignment)}: cap {assignment.cap}: may not be split so{_UNSPLIT}")
        if layers is not None and copies > 1 and (layers.group == layers.group[stream]).sum() > 1:
            raise _Wrong(f"{_who(assignment)}: split, though it is one of {copies} copies{_UNSPLIT}")

    def pool(self, assignment: Assignment | Fallback) -> int:
        """Row of the pool; raises _Wrong."""
        pool = self.formulation.names.pool_row.get((assignment.cluster, assignment.pool))
        if pool is None:
            raise _Wrong(f"{_who(assignment)}: {_no_pool(assignment.cluster, assignment.pool, self.clusters)}")
        return pool

    def loss(self, fallback: Fallback) -> int:
        """Row of what is lost; raises _Wrong."""
        found = self.formulation.losses.row.get(fallback.lost)
        if found is None:
            known = ", ".join(self.formulation.names.losses) or "nothing"
            raise _Wrong(f"{_who(fallback)}: fallback for the loss of {fallback.lost}: the scenario asks to survive "
                         f"the loss of {known}")
        return found

    def placed(self, fallback: Fallback, unit: int | None) -> tuple[int]:
        """The unit, if it is there; raises _Wrong."""
        if unit is None:
            raise _Wrong(f"{_who(fallback)}: fallback for the loss of {fallback.lost}: no such copy is assigned")
        return (unit,)

    def _variants(self, stream: int, copies: int, speed: int) -> Ints:
        v = self.problem.variants
        first, end = self.problem.streams.variant_first[stream:stream + 2]
        found = first + np.flatnonzero((v.copies[first:end] == copies) & (v.speed[first:end] == speed))
        if not len(found):
            raise ValueError("formulate the scenario with kept_copies=copies_of(plan) to read a plan")
        return np.asarray(found, np.int64)

    def _start(self, assignment: Assignment, variants: Ints) -> tuple[int, int]:
        """Which of the variants holds the start, and the start (0 without a batch window)."""
        v, start = self.problem.variants, assignment.start_slot
        if v.row[variants[0]] >= 0:
            if start is not None:
                raise _Wrong(f"{_who(assignment)}: start_slot {start}, but the workload has no batch window")
            return int(variants[0]), 0
        ranges = list(zip(v.earliest[variants].tolist(), v.latest[variants].tolist(), variants.tolist(), strict=True))
        for earliest, latest, variant in ranges:
            if start is not None and earliest <= start <= latest:
                return variant, start
        legal = " or ".join(f"{earliest}..{latest}" for earliest, latest, _ in ranges)
        raise _Wrong(f"{_who(assignment)}: start_slot {start}: a run of {int(v.length[variants[0]])} slots on "
                     f"{assignment.cluster}/{assignment.pool} may start in {legal}")


def _fallbacks(plan: Plan, formulation: Formulation, units: Units, violations: list[str]) -> Fallbacks:
    """Rows of the plan's fallbacks, sorted; what they name must exist and be legal for the workload."""
    index, copies = _Index(formulation), _copies_as_numbered(plan, formulation)
    row = {(s, copy): u for u, (s, copy) in enumerate(zip(units.stream.tolist(), units.copy.tolist(), strict=True))}
    found = []
    for fallback in plan.fallbacks:
        try:
            stream, pool = index.stream(fallback), index.pool(fallback)
            unit = row.get((stream, copies.get((stream - fallback.part, fallback.copy_), -1)))
            found.append((index.loss(fallback), *index.placed(fallback, unit), index.candidate(fallback, stream, pool)))
        except _Wrong as wrong:
            violations.append(str(wrong))
    return Fallbacks(*np.array(sorted(found), np.int64).reshape(-1, 3).T.copy())


def _copies_as_numbered(plan: Plan, formulation: Formulation) -> dict[tuple[int, int], int]:
    """Number of a copy among those of its stream, in order, by (stream, copy as the plan calls it)."""
    by_stream: dict[int, list[int]] = {}
    for assignment in plan.assignments:
        stream = formulation.names.stream_row.get((assignment.workload, assignment.user_region), -1)
        by_stream.setdefault(stream, []).append(assignment.copy_)
    return {(stream, copy): at for stream, copies in by_stream.items() for at, copy in enumerate(sorted(set(copies)))}


def _who(assignment: Assignment | Fallback) -> str:
    users = f" for users in {assignment.user_region}" if assignment.user_region else ""
    copy = f" copy {assignment.copy_}" if assignment.copy_ else ""
    part = f" part {assignment.part}" if assignment.part else ""
    return f"{assignment.workload}{users}{copy}{part}"


def _no_pool(cluster: str, pool: str, clusters: set[str]) -> str:
    return f"no pool {pool} in cluster {cluster}" if cluster in clusters else f"no cluster {cluster} in the scenario"


def _machines(plan: Plan, formulation: Formulation, violations: list[str]) -> Counts:
    offers = formulation.problem.offers
    row = {pair: o for o, pair in enumerate(zip(offers.pool.tolist(), offers.purchase.tolist(), strict=True))}
    counts = np.zeros((len(offers.pool), formulation.problem.slots), np.int32)
    seen: set[int] = set()
    for machines in plan.machines:
        try:
            offer = _offer(machines, formulation, row)
        except _Wrong as wrong:
            violations.append(str(wrong))
            continue
        if offer in seen:
            violations.append(f"machines of {_what(machines)}: listed twice")
        seen.add(offer)
        counts[offer] = machines.count
    return counts


def _offer(machines: MachineRow, formulation: Formulation, row: dict[tuple[int, int], int]) -> int:
    names, slots = formulation.names, formulation.problem.slots
    pool = names.pool_row.get((machines.cluster, machines.pool))
    if pool is None:
        what = _no_pool(machines.cluster, machines.pool, set(names.clusters))
        raise _Wrong(f"machines of {_what(machines)}: {what}")
    if len(machines.count) != slots:
        raise _Wrong(f"machines of {_what(machines)}: {len(machines.count)} counts for {slots} slots")
    offer = row.get((pool, int(PURCHASES[machines.purchase])))
    if offer is None:
        raise _Wrong(f"machines of {_what(machines)}: the pool has no offer {machines.purchase}")
    return offer


def _what(machines: MachineRow) -> str:
    return f"{machines.cluster}/{machines.pool} {machines.purchase}"
