"""The waves of a plan in people's words, and the plan in force that they start from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np

from placement.problem import Incumbent, Problem
from placement.result import Solution, Units
from placement.verify import verify_room
from placement.waves import Places, by_stream, extra_usd, machines_for, meanwhile, order_moves
from placement.waves import Row as UnitRow
from planner.formulate import Copies, Formulation, InForce
from planner.interpret import read_assignments
from planner.plan import Assignment, Move, Place, Plan, Wave
from planner.words import in_words

Key = tuple[str, str | None]
Spot = tuple[str, str, int | None]
Where = dict[Key, frozenset[Spot]]
"""(cluster, pool, start slot) of every unit, by (workload, user region)."""


def where_of(plan: Plan) -> Where:
    """Where a plan has its units."""
    found: dict[Key, set[Spot]] = defaultdict(set)
    for unit in plan.assignments:
        found[unit.workload, unit.user_region].add((unit.cluster, unit.pool, unit.start_slot))
    return {key: frozenset(spots) for key, spots in found.items()}


def where_before(plan: Plan) -> Where:
    """Where the plan in force had its units, from a plan's assignments and waves."""
    now = {key: set(spots) for key, spots in where_of(plan).items()}
    for wave in reversed(plan.waves):
        for move in wave.moves:
            spots = now.setdefault((move.workload, move.user_region), set())
            if move.to is not None:
                spots.discard(_spot(move.to))
        for move in wave.moves:
            if move.from_ is not None:
                now[move.workload, move.user_region].add(_spot(move.from_))
    return {key: frozenset(spots) for key, spots in now.items() if spots}


def partway(plan: Plan, done: int) -> Where:
    """Where units are once the first `done` waves of a plan have been made; what is lost is where it was."""
    state = where_before(plan)
    for wave in plan.waves[:done]:
        state, _ = applied(state, wave)
    return state


def pools_of(where: Where) -> InForce:
    """The pools of every stream's units."""
    return {key: frozenset(spot[:2] for spot in spots) for key, spots in where.items()}


def places_before(plan: Plan) -> InForce | None:
    """The pools from which a plan's moves count; None where it replaces no plan."""
    return None if plan.parent is None else pools_of(where_before(plan))


def copies_before(plan: Plan) -> Copies:
    """Number of copies of every stream before the waves of a plan; none where it has no waves."""
    return {key: len(spots) for key, spots in where_before(plan).items()} if plan.waves else {}


def with_incumbent(problem: Problem, plan: Plan, formulation: Formulation) -> Problem:
    """The problem with the plan in force that a plan replaces, and how many moves that was allowed."""
    if plan.parent is None:
        return problem
    units = _standing(plan, where_before(plan), formulation)
    survival = None if plan.provenance.down else problem.survival
    incumbent = Incumbent(units.stream, units.candidate, units.variant, units.start, plan.provenance.max_moves)
    return replace(problem, survival=survival, incumbent=incumbent)


def use_of_lost(plan: Plan) -> Iterator[str]:
    """Units and machines that a plan has in clusters that it says are down, in words."""
    down = {*plan.provenance.down}
    for unit in plan.assignments:
        if unit.cluster in down:
            yield f"{unit.workload}: placed in {unit.cluster}, which is down"
    for row in plan.machines:
        if row.cluster in down:
            yield f"machines run in {row.cluster}/{row.pool}, which is down"


def _spot(place: Place) -> Spot:
    return place.cluster, place.pool, place.start_slot


def make_waves(formulation: Formulation, problem: Problem, before: Units, solution: Solution,
               lost: Where) -> tuple[Wave, ...]:
    """Waves from the units that still run `before` (rows of `problem`) to a solution of it.

    `lost` are places that are gone already: what was there has no room at that end.
    """
    rows = []
    gone = {key: set(spots) for key, spots in lost.items()}
    for number, wave in enumerate(order_moves(problem, before, solution.units), 1):
        moves = [move for stream in sorted({*wave.before, *wave.after})
                 for move in _moves(formulation, problem, stream, wave.before.get(stream, ()),
                                    wave.after.get(stream, ()), gone)]
        note = _note(wave.stops, wave.before, wave.after, solution, problem)
        rows.append(Wave(wave=number, moves=tuple(moves), stops=wave.stops, note=note,
                         machines_usd_extra=round(extra_usd(problem, wave.machines, solution.machines), 6) + 0.0))
    rest = [Move(workload=key[0], user_region=key[1], from_=Place(cluster=c, pool=p, start_slot=t))
            for key, spots in sorted(gone.items(), key=str) for c, p, t in sorted(spots, key=str)]
    if rest:
        rows.append(Wave(wave=len(rows) + 1, moves=tuple(rest), note="what is lost and has no other place"))
    return tuple(rows)


def _note(stops: bool, before: Places, after: Places, solution: Solution, problem: Problem) -> str:
    if stops:
        return "no order leaves room at both ends, and no third place has any: these stop before they start anew"
    final = {int(s) for s in solution.units.stream}
    detour = [s for s in after if s in final and before.get(s) and not _is_final(after[s], s, solution)]
    return "these go through a third place, to make room for others" if detour and problem else ""


def _is_final(places: tuple[UnitRow, ...], stream: int, solution: Solution) -> bool:
    units, mine = solution.units, solution.units.stream == stream
    rows = zip(units.candidate[mine].tolist(), units.variant[mine].tolist(), units.start[mine].tolist(), strict=True)
    return sorted(rows) == sorted(places)


def _moves(formulation: Formulation, problem: Problem, stream: int, before: tuple[UnitRow, ...],
           after: tuple[UnitRow, ...], gone: dict[Key, set[Spot]]) -> Iterator[Move]:
    """What leaves paired with what comes, in order; what comes instead of something lost names the lost place."""
    key = formulation.names.streams[stream]
    was = {_spot_of(formulation, problem, row) for row in before}
    now = {_spot_of(formulation, problem, row) for row in after}
    leaving, coming = sorted(was - now, key=str), sorted(now - was, key=str)
    leaving += sorted(gone.pop(key, set()), key=str)
    order = sorted(now or was, key=str)
    for i in range(max(len(leaving), len(coming))):
        place = coming[i] if i < len(coming) else leaving[i]
        yield Move(workload=key[0], user_region=key[1], copy_=order.index(place) if place in order else i,
                   from_=_place(leaving[i]) if i < len(leaving) else None,
                   to=_place(coming[i]) if i < len(coming) else None)


def _place(spot: Spot) -> Place:
    return Place(cluster=spot[0], pool=spot[1], start_slot=spot[2])


def _spot_of(formulation: Formulation, problem: Problem, row: UnitRow) -> Spot:
    candidate, variant, start = row
    cluster, pool = formulation.names.pools[problem.candidates.pool[candidate]]
    return cluster, pool, start if problem.variants.row[variant] < 0 else None


def assignments_of(where: Where) -> tuple[Assignment, ...]:
    """Units by where they are, copies numbered in order of their places."""
    return tuple(Assignment(workload=key[0], user_region=key[1], copy_=copy, cluster=c, pool=p, start_slot=t)
                 for key in sorted(where, key=str) for copy, (c, p, t) in enumerate(sorted(where[key], key=str)))


def wave_faults(plan: Plan, formulation: Formulation) -> Iterator[str]:
    """What is wrong with a plan's waves, in words: they lead somewhere else, or a state in between has no room.

    `formulation` offers every number of copies that the plan has, or had before.
    """
    state, problem, final = where_before(plan), formulation.problem, where_of(plan)
    for wave in plan.waves:
        before, state, wrong = state, *applied(state, wave)
        try:
            standing, arriving = (by_stream(_standing(plan, where, formulation)) for where in (before, state))
        except ValueError:  # what formulation does not offer cannot be read
            yield from (*wrong, f"wave {wave.wave}: gives work a number of copies that it has neither before nor after")
            return
        units = meanwhile(standing, {} if wave.stops else arriving)
        solution = Solution(units, machines_for(problem, units))
        yield from wrong
        for name in sorted({key[0] for key in before if key in final and key not in state} if not wave.stops else ()):
            yield f"wave {wave.wave}: {name} stops, and the wave does not say so"
        for violation in verify_room(problem, solution)[:1]:
            yield f"wave {wave.wave}: {in_words(violation.sentence, formulation, solution)}"
    if plan.waves and state != final:
        yield "waves do not lead to the plan's assignments"


def _standing(plan: Plan, where: Where, formulation: Formulation) -> Units:
    """Units of a state, without those in clusters that are down."""
    units, _ = read_assignments(assignments_of(where), formulation)
    problem = formulation.problem
    down = np.isin(formulation.names.clusters, plan.provenance.down)
    up = ~down[problem.pools.cluster[problem.candidates.pool[units.candidate]]]
    return Units(*(getattr(units, column.name)[up] for column in fields(units)))


def applied(state: Where, wave: Wave) -> tuple[Where, list[str]]:
    """Where units are after a wave, and in words which of its moves begin where nothing is."""
    after, wrong = {key: set(spots) for key, spots in state.items()}, []
    for move in wave.moves:
        spots = after.setdefault((move.workload, move.user_region), set())
        if move.from_ is not None and _spot(move.from_) not in spots:
            wrong.append(f"wave {wave.wave}: {move.workload} is not at {move.from_.cluster}/{move.from_.pool}")
        if move.from_ is not None:
            spots.discard(_spot(move.from_))
    for move in wave.moves:
        if move.to is not None:
            after[move.workload, move.user_region].add(_spot(move.to))
    return {key: frozenset(spots) for key, spots in after.items() if spots}, wrong
