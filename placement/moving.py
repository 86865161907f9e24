"""What one move costs exactly: a solution priced again with one unit at another pool and all else in place.

The machines of the pool that the unit leaves and of the pool where it goes are packed and bought anew; those of all
other pools stay, and so does what is held of commitments. The price is the difference of `placement.verify.costs`. A
re-solve, in which the others may adapt, can only be cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from placement.needs import Load, pool_loads, unit_needs
from placement.packing import Effort, needed
from placement.problem import TOLERANCE, Counts, Floats, Ints, Problem
from placement.purchase import Bought, Terms, buy, terms
from placement.result import Solution, Units
from placement.shared import passed
from placement.verify import Costs, costs

SIMPLE, EXACT = Effort.ORDERS, Effort.SEARCH
"""How hard pools are packed; see `placement.packing.needed`."""


@dataclass(frozen=True, slots=True)
class Move:
    """One unit at another candidate, from slot `start` on: what it costs more there, by part.

    `lacking` is how many machines too few the pool may run in its worst slot: 0 where there is room. Where there is
    not, `extra` is the price as if the limits of pool and offers were higher by that many. `exact`: the new pool is
    packed as hard as a plan's pools are, else by simple orders, with the unit and without it.
    """

    unit: int
    candidate: int
    start: int
    extra: Costs
    lacking: int
    exact: bool

    @property
    def extra_usd(self) -> float:
        """What the whole plan costs more."""
        return self.extra.total_usd


class Mover:
    """Prices moves of one solution's units. A pool's packing without a unit is kept while moves of that unit come."""

    def __init__(self, problem: Problem, solution: Solution) -> None:
        self._problem, self._solution, self._terms = problem, solution, terms(problem)
        self._pool = problem.candidates.pool[solution.units.candidate]
        self._passed = passed(problem, solution.machines)
        self._left: tuple[int, Counts, Problem] | None = None
        self._simple: dict[int, Bought] = {}

    def move(self, unit: int, candidate: int, *, exact: bool = True) -> Move:
        """Price `unit` (a row of the solution's units) at `candidate`, which must be in another pool.

        Whether the copies still keep apart, and available enough, is not looked at. A batch unit starts where it does
        now, as near as its window there allows, or where the machines that run anyway leave it most room: whichever
        costs less.
        """
        if self._problem.candidates.pool[candidate] == self._pool[unit]:
            raise ValueError(f"candidate {candidate} is in the pool where unit {unit} is; name one in another pool")
        found = [self._move(unit, candidate, variant, start, exact=exact)
                 for variant, start in self._starts(unit, candidate)]
        return min(found, key=lambda move: (move.lacking > 0, move.extra_usd, move.start))

    def _move(self, unit: int, candidate: int, variant: int, start: int, *, exact: bool) -> Move:
        left, few = self._without(unit)
        units, pool = self._moved(unit, candidate, variant, start), int(self._problem.candidates.pool[candidate])
        effort, now = (EXACT, self._solution.machines) if exact else (SIMPLE, self._simply(pool))
        bought = self._buy(pool, units, effort)
        lacking = int(bought.lacking.max(initial=0))
        if lacking:
            bought = self._buy(pool, units, effort, lacking)
        counts, held = self._with(left, pool, bought), self._solution.bought
        if not lacking and (passed(self._problem, counts) & ~self._passed).any():
            lacking = 1  # a limit that the pool shares with others has no room for all of it
        then = costs(few, Solution(units, counts, bought=held))
        before = costs(few, Solution(self._solution.units, now, bought=held))
        return Move(unit, candidate, start, _difference(then, before), lacking, exact)

    def _simply(self, pool: int) -> Counts:
        """The solution's machines, with those of one pool packed by simple orders."""
        if pool not in self._simple:
            self._simple[pool] = self._buy(pool, self._solution.units, SIMPLE)
        return self._with(self._solution.machines, pool, self._simple[pool])

    def _without(self, unit: int) -> tuple[Counts, Problem]:
        """Machines once the unit has left, and the problem with the flows it takes part in alone."""
        if self._left is None or self._left[0] != unit:
            problem, solution, pool = self._problem, self._solution, int(self._pool[unit])
            flows, stream = problem.flows, solution.units.stream[unit]
            mine = (flows.sender == stream) | (flows.receiver == stream)
            few = replace(problem, flows=type(flows)(flows.sender[mine], flows.receiver[mine], flows.gb[mine]))
            stay = np.flatnonzero((self._pool == pool) & (np.arange(len(self._pool)) != unit))
            left = self._with(solution.machines, pool, self._buy(pool, _some(solution.units, stay), EXACT))
            nobody = _some(solution.units, np.zeros(0, np.int64))
            stays, goes = (costs(few, Solution(nobody, counts, bought=solution.bought)).total_usd
                           for counts in (solution.machines, left))
            self._left = unit, left if goes < stays else solution.machines, few
        return self._left[1:]

    def _moved(self, unit: int, candidate: int, row: int, start: int) -> Units:
        units = self._solution.units
        there, variant, starts = units.candidate.copy(), units.variant.copy(), units.start.copy()
        there[unit], variant[unit], starts[unit] = candidate, row, start
        return Units(units.stream, units.copy, there, variant, starts)

    def _starts(self, unit: int, candidate: int) -> set[tuple[int, int]]:
        """(variant, start) pairs to try: of each range of starts the nearest to now, and the one with most room."""
        problem, units, v = self._problem, self._solution.units, self._problem.variants
        first, end = problem.streams.variant_first[units.stream[unit]:][:2].tolist()
        rows = first + np.flatnonzero((v.copies[first:end] == v.copies[units.variant[unit]])
                                      & (v.speed[first:end] == problem.candidates.speed[candidate]))
        if v.row[rows[0]] >= 0:
            return {(int(rows[0]), 0)}
        wanted, now = self._crowding(unit, candidate, int(rows[0])), int(units.start[unit])
        ranges = [(row, int(v.earliest[row]), int(v.latest[row])) for row in rows.tolist()]
        near = min(ranges, key=lambda one: max(one[1] - now, now - one[2], 0))
        roomy = min(((float(wanted[start]), start, row) for row, low, high in ranges
                     for start in range(low, high + 1)))
        return {(near[0], min(max(now, near[1]), near[2])), (roomy[2], roomy[1])}

    def _crowding(self, unit: int, candidate: int, variant: int) -> Floats:
        """For every start slot [T] how much of a machine the runs would want beyond what idles, in machine-slots."""
        problem, pool = self._problem, int(self._problem.candidates.pool[candidate])
        room = problem.pools.room[pool] + TOLERANCE
        load = pool_loads(problem, _some(self._solution.units, np.flatnonzero(self._pool == pool)))[pool]
        used = ((problem.shapes[load.shapes] / room).T @ (load.firm + load.flexible)).max(axis=0, initial=0.0)
        shape = problem.streams.shape[self._solution.units.stream[unit]]
        running = self._solution.machines[problem.offers.pool == pool].sum(axis=0)
        want = float((problem.shapes[shape] / room).max()) * int(problem.variants.level[variant])
        beyond = np.append(0.0, np.cumsum(np.maximum(0.0, want - np.maximum(0.0, running - used))))
        v, slots = problem.variants, np.arange(problem.slots)
        total = np.zeros(problem.slots)
        for run in range(int(v.runs[variant])):
            begin = np.minimum(slots + run * int(v.period[variant]), problem.slots)
            total += beyond[np.minimum(begin + int(v.length[variant]), problem.slots)] - beyond[begin]
        return total

    def _buy(self, pool: int, units: Units, effort: Effort, more: int = 0) -> Bought:
        """The cheapest machines of a pool for those of `units` that are there, its limits raised by `more`."""
        problem = self._problem
        here = _some(units, np.flatnonzero(problem.candidates.pool[units.candidate] == pool))
        load: Load = pool_loads(problem, here, unit_needs(problem, here))[pool]
        need = needed(load, problem.shapes, problem.pools.room[pool], effort=effort)
        return buy(pool, _raised(self._terms, pool, more) if more else self._terms, need.firm, need.machines)

    def _with(self, machines: Counts, pool: int, bought: Bought) -> Counts:
        """Machine counts with those of one pool replaced."""
        counts, rows = machines.copy(), self._terms.offer[pool]
        counts[rows[rows >= 0]] = bought.counts[rows >= 0]
        return counts


def _raised(offered: Terms, pool: int, more: int) -> Terms:
    """Terms whose limits in one pool are higher by `more`, on every offer that the pool has."""
    most, pool_most = offered.most.copy(), offered.pool_most.copy()
    most[pool, offered.offer[pool] >= 0] += more
    pool_most[pool] += more
    return replace(offered, most=most, pool_most=pool_most)


def _some(units: Units, rows: Ints) -> Units:
    return Units(units.stream[rows], units.copy[rows], units.candidate[rows], units.variant[rows], units.start[rows])


def _difference(then: Costs, now: Costs) -> Costs:
    return Costs(*(getattr(then, part.name) - getattr(now, part.name) for part in fields(Costs)))
