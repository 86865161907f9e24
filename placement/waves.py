"""The order in which a plan in force becomes a new one, such that every state in between has room.

While a wave is on its way, the streams in it take room both where they were and where they are going. A stream moves
with all its copies at once. Where streams wait for each other's room, one goes through a third place; where there is
none, it has to stop before it starts anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from placement.complete import Packings
from placement.needs import pool_loads
from placement.packing import Effort
from placement.problem import Bools, Counts, Floats, Ints, Problem
from placement.purchase import Terms, buy, terms
from placement.result import Units
from placement.shared import passed

Row = tuple[int, int, int]
"""(candidate, variant, start)."""
Places = dict[int, tuple[Row, ...]]
"""Units by stream."""


@dataclass(frozen=True, slots=True)
class Wave:
    """Streams that go from `before` to `after` (no units: not running). `stops`: they stop first, for want of room.

    `machines` [O, T] hold all that runs meanwhile.
    """

    before: Places
    after: Places
    machines: Counts
    stops: bool = False


def order_moves(problem: Problem, before: Units, after: Units) -> tuple[Wave, ...]:
    """Waves from `before` to `after`, units of one problem. Arrivals that need no room of others come first."""
    return tuple(_Order(problem, by_stream(before), by_stream(after)).waves())


def by_stream(units: Units) -> Places:
    """The units of every stream, sorted."""
    found: dict[int, list[Row]] = {}
    rows = zip(units.candidate.tolist(), units.variant.tolist(), units.start.tolist(), strict=True)
    for stream, row in zip(units.stream.tolist(), rows, strict=True):
        found.setdefault(stream, []).append(row)
    return {stream: tuple(sorted(places)) for stream, places in found.items()}


def meanwhile(state: Places, moving: Places) -> Units:
    """Everything that takes room while some streams are `moving` to these places: a unit that stays counts once."""
    rows = [(stream, copy, *row) for stream in sorted({*state, *moving})
            for copy, row in enumerate(sorted({*state.get(stream, ()), *moving.get(stream, ())}))]
    return Units(*np.ascontiguousarray(np.array(rows, np.int64).reshape(-1, 5).T))


class _Order:
    """The state on the way, and what still has to move."""

    def __init__(self, problem: Problem, before: Places, after: Places) -> None:
        self.problem, self.state, self.after = problem, dict(before), after
        self.left = [s for s in sorted({*before, *after}) if before.get(s, ()) != after.get(s, ())]
        self.left.sort(key=lambda s: (s in before, s in after))
        self.offered, self.packings = terms(problem), Packings(problem, Effort.ORDERS)

    def waves(self) -> Iterator[Wave]:
        """Wave after wave; every one has room."""
        while self.left:
            going = self._that_fit()
            yield self._go({s: self.after.get(s, ()) for s in going}) if going else self._unlock()

    def _go(self, moving: Places, *, stops: bool = False) -> Wave:
        """Move streams; what they become is the state of the next wave."""
        before = {s: self.state.get(s, ()) for s in moving}
        machines, _ = self._room(meanwhile(self.state, {} if stops else moving))
        for stream, places in moving.items():
            self.state[stream] = places
        self.left = [s for s in self.left if self.state.get(s, ()) != self.after.get(s, ())]
        return Wave(before, dict(moving), machines, stops)

    def _that_fit(self) -> list[int]:
        """Streams that can move together now: all, or all that want nothing of pools too full for all, and then some.
        """
        full = self._full({s: self.after.get(s, ()) for s in self.left})
        if not full.any():
            return self.left
        going = [s for s in self.left if not self._wants(self.after.get(s, ()), full)]
        moving = {s: self.after.get(s, ()) for s in going}
        for stream in self.left:
            if stream not in moving and not self._full({**moving, stream: self.after[stream]}).any():
                moving[stream] = self.after[stream]
        return list(moving)

    def _unlock(self) -> Wave:
        """One stream goes through a third place, or stops, so that others find room."""
        for stream in self.left:
            for row in self._third_places(stream):
                if not self._full({stream: (row,)}).any():
                    return self._go({stream: (row,)})
        return self._go({self.left[0]: ()}, stops=True)

    def _third_places(self, stream: int) -> Iterator[Row]:
        """Other pools for a stream of one copy, with the start it has now."""
        now, c, v = self.state.get(stream, ()), self.problem.candidates, self.problem.variants
        if len(now) != 1:
            return
        first, end = self.problem.streams.candidate_first[stream:stream + 2].tolist()
        variants = np.arange(*self.problem.streams.variant_first[stream:stream + 2])
        variants = variants[v.copies[variants] == 1]
        for candidate in range(first, end):
            variant = int(variants[v.speed[variants] == c.speed[candidate]][0])
            start = now[0][2]
            fits = v.row[variant] >= 0 or v.earliest[variant] <= start <= v.latest[variant]
            if c.single[candidate] and fits and candidate != now[0][0]:
                yield candidate, variant, start

    def _wants(self, places: tuple[Row, ...], full: Bools) -> bool:
        return any(full[self.problem.candidates.pool[candidate]] for candidate, _, _ in places)

    def _full(self, moving: Places) -> Bools:
        """[P] pools that do not hold what takes room meanwhile, of those that somebody moves to."""
        pools = np.zeros(len(self.problem.pools.cluster), bool)
        wanted = [candidate for places in moving.values() for candidate, _, _ in places]
        pools[self.problem.candidates.pool[np.array(wanted, np.int64)]] = True
        shared = len(self.problem.limits.paid) > 0
        _, lacking = self._room(meanwhile(self.state, moving), None if shared else pools)
        full: Bools = lacking & pools
        return full

    def _room(self, units: Units, only: Bools | None = None) -> tuple[Counts, Bools]:
        return _bought(self.problem, self.offered, self.packings, units, only)


def _bought(problem: Problem, offered: Terms, packings: Packings, units: Units,
            only: Bools | None = None) -> tuple[Counts, Bools]:
    """Machines [O, T] for some units, and which pools [P] have too few, or share a limit that is passed.

    Only pools in `only` [P] are looked at; what pools share is, where all are.
    """
    machines = np.zeros((len(problem.offers.pool), problem.slots), np.int32)
    lacking = np.zeros(len(problem.pools.cluster), bool)
    loads = pool_loads(problem, units)

    def look(pool: int, effort: Effort) -> None:
        need = packings.needed(pool, loads[pool])
        found = buy(pool, offered, need.firm, need.machines)
        if effort:
            short = found.lacking > 0
            slots = np.flatnonzero(short) if effort < Effort.SEARCH and short.any() else None
            need = packings.tighten(pool, loads[pool], effort, slots)
            found = buy(pool, offered, need.firm, need.machines)
        lacking[pool], rows = found.lacking.any(), offered.offer[pool]
        machines[rows[rows >= 0]] = found.counts[rows >= 0]

    for pool in range(len(loads)) if only is None else np.flatnonzero(only).tolist():
        look(pool, Effort.ORDERS)
        if lacking[pool]:
            look(pool, Effort.PATTERNS)
    crowded = _crowded(problem, machines) if only is None else np.zeros(0, np.int64)
    for pool in crowded.tolist():
        look(pool, Effort.SEARCH)
    if len(crowded):
        lacking[_crowded(problem, machines)] = True
    return machines, lacking


def _crowded(problem: Problem, machines: Counts) -> Ints:
    """Pools that count where a shared limit is passed."""
    rows = passed(problem, machines).any(axis=1)
    return np.flatnonzero((problem.limits.amount[rows] > 0).any(axis=0))


def machines_for(problem: Problem, units: Units) -> Counts:
    """Machines [O, T] that hold units as far as limits go."""
    return room_for(problem, units)[0]


def room_for(problem: Problem, units: Units) -> tuple[Counts, Bools]:
    """Machines [O, T] that hold units as far as limits go, and which pools [P] have too few."""
    return _bought(problem, terms(problem), Packings(problem, Effort.ORDERS), units)


def extra_usd(problem: Problem, meanwhile_machines: Counts, machines: Counts) -> float:
    """USD of the machines that run only meanwhile [O, T], for the slot in which they cost most."""
    more: Floats = np.maximum(meanwhile_machines - machines, 0) * (
        problem.offers.price_usd + problem.pools.run_usd[problem.offers.pool])
    return float(more.sum(axis=0).max(initial=0.0))
