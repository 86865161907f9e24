"""A plan mended after a loss: what was lost goes where it costs least given what runs, then the best moves are made.

The plan in force stays as it is but for the streams that lost a unit, which are put back in order of priority and size.
Machines are counted by shares of machines, scaled to what the plan in force really runs; only the pools that change are
packed again, exactly. Where packing finds no room, the search has to do with less there. Where there is no room at all,
work of the lowest priority makes place. Then units may move: those that save most, up to the limit of moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields

import numpy as np

from placement.complete import Packings
from placement.formulation import cost_usd
from placement.mending import (
    Leave,
    go_home,
    insert,
    move,
    new_scratch,
    polish,
    put_back,
    put_in,
    resettle,
    savings,
    take_out,
    worth_of_moves,
)
from placement.needs import Load, machines_by_kind, pool_loads
from placement.openings import Prices, cheapest_places, list_units, prices_now
from placement.payment import make_purse
from placement.problem import Bools, Counts, Floats, Incumbent, Ints, Problem, Purchase
from placement.purchase import buy, terms
from placement.result import Solution, Units
from placement.searcher import Searcher

_WIDE, _NARROW, _ALL = 16, 6, 400
"""Places listed per number of copies for a stream that must be placed, that might move, and that found no room."""
_ALIKE = 3
"""Of these at most so many in one cluster."""
_LOOKED_AT = 3000
"""Streams of the plan in force that are looked at for moves in one pass."""
_HEAVIEST = 1.3
"""Shares are not scaled by more than this to come to the machines that really run."""
_STAY_USD = 4e5
"""What leaving a place counts, where no move is allowed."""
_SQUEEZES = 3
"""Times that a plan may do with less where it does not pack, before nothing new may come there."""
_CAREFUL = 0.94
"""Share of a pool's machines up to which moves fill it: shares count fewer machines than packing needs."""
_VICTIMS = 400
"""Streams at most that make room for one of higher priority."""
_ROUNDS = 2000
"""Changes of a few streams together in one pass."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a repair may do.

    `priority` [W]: who keeps the room there is. `left_out` [W]: workloads that need not be placed. `most_moves`: places
    of the plan in force that may be left. `stay_usd` [S]: what leaving a place must save at least, beside its own cost.
    `passes`: how often to look for better moves; 0: only what must be. Batch units that are placed anew start at
    `first_slot` or later. `fallbacks` [n, 4] are units (stream, candidate, variant, start) to go to first.
    """

    priority: Ints
    left_out: Bools
    stay_usd: Floats
    most_moves: int = 0
    passes: int = 0
    seed: int = 0
    first_slot: int = 0
    fallbacks: Ints = field(default_factory=lambda: np.zeros((0, 4), np.int64))


@dataclass(frozen=True, slots=True)
class Mended:
    """A plan again: `solution` packs; `shed` are streams that should have a unit and have none; `moves` counted."""

    solution: Solution
    shed: Ints
    moves: int


def mend(problem: Problem, machines: Counts, asked: Asked, stopped: Callable[[], bool] = lambda: False,
         on_plan: Callable[[Mended], None] = lambda _: None) -> Mended:
    """Mend the problem's incumbent, whose `machines` [O, T] run by its plan.

    `on_plan` is told the first whole plan, and each that is better. Raises ValueError when there is no incumbent.
    """
    if problem.incumbent is None:
        raise ValueError("there is no plan in force to mend: problem.incumbent is None")
    repair = _Repair(problem, problem.incumbent, machines, asked)
    repair.place_what_is_lost()
    best = repair.packed()
    best_usd = cost_usd(problem, best.solution)
    on_plan(best)
    for turn in range(asked.passes):
        if stopped():
            break
        repair.look_for_better(best, turn)
        found = repair.packed_if_it_fits()
        if found is None:
            continue
        usd = cost_usd(problem, found.solution)
        if (len(found.shed), usd) < (len(best.shed), best_usd - 1e-6):
            best, best_usd = found, usd
            on_plan(best)
    return best


class _Repair:
    """One repair: the books of the search, who may move where, and what packs."""

    def __init__(self, problem: Problem, incumbent: Incumbent, machines: Counts, asked: Asked) -> None:
        self.problem, self.incumbent, self.asked = problem, incumbent, asked
        streams = problem.streams
        is_open = problem.pools.max_machines.max(axis=1) > 0
        self.machines = np.where(is_open[problem.offers.pool, None], machines, 0).astype(np.int32)
        self.purse = make_purse(problem)
        self.offered, self.packings = terms(problem), Packings(problem, 0)
        held = np.bincount(incumbent.stream, minlength=len(streams.shape))
        wanted = np.zeros(len(held), np.int64)
        wanted[incumbent.stream] = problem.variants.copies[incumbent.variant]
        self.homes, self.whole = held, (held > 0) & (held == wanted)
        self.force = _rows(incumbent.stream, incumbent.candidate, incumbent.variant, incumbent.start)
        self.by_kind = machines_by_kind(problem, self.machines)
        self.prices = prices_now(problem, self.purse, self.by_kind.sum(axis=1))
        self.size = _sizes(problem, self.prices)
        self.lost = self._lost()
        self.weights = _weights(problem, self.force, self.by_kind.sum(axis=1))
        self.places = np.zeros((0, 4), np.int64)
        self.limit, self.closed = self.purse.pool_max.copy(), ~is_open

    def _lost(self) -> Ints:
        """Streams to be placed: the first in priority first, then the largest."""
        s = self.problem.streams
        legal = (np.diff(s.candidate_first) > 0) & ~self.asked.left_out[s.workload]
        return self._in_order(np.flatnonzero(~self.whole & legal))

    def _in_order(self, streams: Ints) -> Ints:
        """Those with a place to stay at first, then the first in priority, then the largest."""
        priority = self.asked.priority[self.problem.streams.workload[streams]]
        order: Ints = np.lexsort((-self.size[streams], -priority, self.homes[streams] == 0))
        return streams[order]

    # ------------------------------------------------------------ the first whole plan

    def place_what_is_lost(self) -> None:
        """Put the lost streams in, where their fallbacks are if they have any; make room for those that find none."""
        stay_usd = np.full(len(self.homes), _STAY_USD)
        held, missing = self.force[self.whole[self.force[:, 0]]], self.lost
        self.places = self.asked.fallbacks
        if len(self.places):
            self._open(held, stay_usd)
            insert(self.state, self.tables, self.scratch, missing)
            held, missing = self._held(), self._missing()
        for most, alike in ((_WIDE, _ALIKE), (_ALL, _ALL)):
            self.places = np.concatenate([self.places, self._places(missing, most, alike=alike)])
            self._open(held, stay_usd)
            self._set_limit(self._careful())
            insert(self.state, self.tables, self.scratch, missing)
            self._set_limit(self.limit)
            insert(self.state, self.tables, self.scratch, self._missing())
            held, missing = self._held(), self._missing()
            if not len(missing):
                return
        self._make_room()

    def _places(self, streams: Ints, most: int, *, alike: int = _ALIKE, only: Ints | None = None) -> Ints:
        any_number = np.zeros(len(streams), np.int64)
        return cheapest_places(self.problem, self.prices, streams, any_number if only is None else only, most,
                               alike=alike, first_start=self.asked.first_slot)

    def _open(self, held: Ints, stay_usd: Floats) -> None:
        """Search over `places` and the incumbent's, from the plan `held` [K, 4]."""
        listed = list_units(self.problem, self.incumbent, held, self.places, stay_usd)
        self.searcher = Searcher(self.problem, listed.units, self.weights, np.zeros(len(self.asked.priority)))
        self.searcher.dropped[:] |= self.asked.left_out
        stream = held[:, 0]
        self.searcher.copies[:] = np.bincount(stream, minlength=len(self.homes))
        self.searcher.placed[stream, np.arange(len(stream)) - np.searchsorted(stream, stream)] = listed.held
        self.state, self.tables = self.searcher.books
        self._set_limit(self.limit)
        same = np.zeros(len(listed.home), np.bool_)
        same[listed.own] = True
        first = np.searchsorted(self.incumbent.stream, np.arange(len(self.homes) + 1))
        self.scratch, self.leave = new_scratch(self.state), Leave(listed.home, same, listed.own, first, self.whole)
        self._bar()

    def _held(self) -> Ints:
        """The plan as it is now, [K, 4]."""
        units = self.searcher.plan()
        return _rows(units.stream, units.candidate, units.variant, units.start)

    def _missing(self) -> Ints:
        """Streams that should have a place and have none, in their order."""
        workload = self.problem.streams.workload
        return self._in_order(np.flatnonzero((self.state.copies == 0) & ~self.asked.left_out[workload]))

    def _placed(self) -> tuple[Ints, Ints]:
        """The stream and the row in the shortlist of every unit held."""
        copies = self.state.copies
        stream = np.repeat(np.arange(len(copies)), copies)
        copy = np.arange(len(stream)) - np.searchsorted(stream, stream)
        return stream, self.state.placed[stream, copy]

    @property
    def moves(self) -> int:
        """Places of the plan in force that were left."""
        stream, unit = self._placed()
        left = self.homes - np.bincount(stream[self.leave.home[unit]], minlength=len(self.homes))
        return int(left[(self.state.copies > 0) & self.whole].sum())

    # ------------------------------------------------------------ room

    def _make_room(self) -> None:
        """Work of lower priority makes place for streams without any; what then finds no place itself is shed."""
        for stream in self._missing().tolist():
            self._shed_for(stream)

    def _shed_for(self, stream: int) -> None:
        state, tables, scratch = self.state, self.tables, self.scratch
        victims = self._victims(stream)
        out: list[tuple[int, Ints, int]] = []
        for victim in victims.tolist():
            kept = np.empty(state.placed.shape[1], np.int64)
            out.append((victim, kept, take_out(state, tables, victim, kept)))
            if put_in(state, tables, scratch, stream):
                break
        placed = bool(state.copies[stream] > 0)
        for victim, kept, count in reversed(out):
            if not placed:
                put_back(state, tables, victim, kept, count)
            elif put_in(state, tables, scratch, victim) and self.moves > self.asked.most_moves:
                take_out(state, tables, victim, kept.copy())

    def _victims(self, stream: int) -> Ints:
        """Placed streams of lower priority in pools where a stream may go: the lowest first, the largest of those."""
        units, priority = self.tables.units, self.asked.priority[self.problem.streams.workload]
        first, end = units.block_first[units.stream_first[[stream, stream + 1]]]
        pools = np.zeros(len(self.problem.pools.cluster), bool)
        pools[units.pool[first:end]] = True
        plan = self.searcher.plan()
        there = np.unique(plan.stream[pools[self.problem.candidates.pool[plan.candidate]]])
        lower = there[priority[there] < priority[stream]]
        order: Ints = np.lexsort((-self.size[lower], priority[lower]))
        victims: Ints = lower[order[:_VICTIMS]]
        return victims

    # ------------------------------------------------------------ packing

    def packed(self) -> Mended:
        """The plan held, packed and bought; where it does not pack it is changed until it does.

        First the search must do with fewer machines where packing lacks some; where that does not help, nothing new may
        come to the pool. What the plan in force leaves there always packs.
        """
        turn = 0
        while True:
            solution, pool, slot, lacking = self._bought(self.searcher.plan())
            if not len(pool):
                return Mended(solution, self._missing(), self.moves)
            if turn < _SQUEEZES:
                self._squeeze(pool, slot, lacking)
            else:
                self._close(np.unique(pool))
            self._resettle(np.unique(pool))
            turn += 1

    def packed_if_it_fits(self) -> Mended | None:
        """The plan held, packed; where packing lacks room what moved there goes home again. None where that is no help.
        """
        for _ in range(_SQUEEZES + 1):
            solution, pool, slot, lacking = self._bought(self.searcher.plan())
            if not len(pool):
                return Mended(solution, self._missing(), self.moves)
            self._squeeze(pool, slot, lacking)
            newcomers = self._newcomers(np.unique(pool))
            go_home(self.state, self.tables, self.leave, newcomers[self.whole[newcomers]])
            resettle(self.state, self.tables, self.scratch, self.leave, newcomers[~self.whole[newcomers]], self.moves,
                     self.asked.most_moves)
        return None

    def _squeeze(self, pool: Ints, slot: Ints, lacking: Ints) -> None:
        """Do with fewer machines there from now on."""
        used = self.state.machines[pool, slot]
        self.limit[pool, slot] = np.maximum(np.minimum(self.limit[pool, slot], used) - lacking, 0)
        self._set_limit(self.limit)

    def _careful(self) -> Ints:
        """Limits that leave packing some room, where there is not less already."""
        return np.maximum(self.state.machines, (self.limit * _CAREFUL).astype(np.int64))

    def _set_limit(self, limit: Ints) -> None:
        self.tables.purse.pool_max[:] = limit
        self.searcher.book()

    def _close(self, pools: Ints) -> None:
        """Nothing new comes to these pools any more. Raises RuntimeError where nothing new is there."""
        if self.closed[pools].any():
            raise RuntimeError(f"pool {pools[self.closed[pools]][0]} does not hold what the plan in force has there")
        self.closed[pools] = True
        self._bar()

    def _bar(self) -> None:
        """Make what is closed too dear for any search."""
        units = self.tables.units
        units.usd[self.closed[units.pool] & ~self.leave.same] = np.inf

    def _resettle(self, pools: Ints) -> None:
        """Newcomers of some pools leave together and look for places again; at home there always is one."""
        newcomers = self._newcomers(pools)
        resettle(self.state, self.tables, self.scratch, self.leave, newcomers, self.moves, self.asked.most_moves)
        self._make_room()

    def _newcomers(self, pools: Ints) -> Ints:
        """Streams with a unit in these pools that the plan in force has not, the first in priority first."""
        stream, unit = self._placed()
        there = np.isin(self.tables.units.pool[unit], pools) & ~self.leave.same[unit]
        return self._in_order(np.unique(stream[there]))

    def _bought(self, units: Units) -> tuple[Solution, Ints, Ints, Ints]:
        """Machines for the plan, and where how many lack: only pools with other units than before are packed."""
        problem, machines = self.problem, self.machines.copy()
        now = _rows(units.stream, units.candidate, units.variant, units.start)
        changed = np.unique(problem.candidates.pool[_difference(now, self.force)])
        some = np.isin(problem.candidates.pool[units.candidate], changed)
        part = Units(*(getattr(units, f.name)[some] for f in fields(units)))
        loads, lacking = pool_loads(problem, part), np.zeros((len(problem.pools.cluster), problem.slots), np.int64)
        was = pool_loads(problem, _units(self.force))
        for pool in changed.tolist():
            firm, total = self._needed(pool, loads[pool], was[pool])
            bought = buy(pool, self.offered, firm[None], total[None])
            rows = self.offered.offer[pool][self.offered.offer[pool] >= 0]
            machines[rows], lacking[pool] = bought.counts[self.offered.offer[pool] >= 0], bought.lacking
        pools, slots = np.nonzero(lacking)
        return Solution(units, machines), pools, slots, lacking[pools, slots]

    def _needed(self, pool: int, load: Load, was: Load) -> tuple[Ints, Ints]:
        """Machines (not spot, in all) [T] that hold a load: as packed by simple orders, or, in slots with nothing more
        than in the plan in force and no room for that, those that it runs.
        """
        need = self.packings.needed(pool, load)
        firm, total = need.firm[0].copy(), need.machines[0].copy()
        most, slots = self.purse.pool_max[pool], np.zeros(len(total), np.bool_)
        if len(load.shapes) and np.isin(load.shapes, was.shapes).all():
            at = np.searchsorted(was.shapes, load.shapes)
            slots |= ((load.firm <= was.firm[at]) & (load.flexible <= was.flexible[at])).all(axis=0)
        in_force = self.by_kind[pool]
        slots &= (total > np.minimum(most, in_force.sum(axis=0))) & (total > 0)
        firm[slots], total[slots] = in_force[: Purchase.SPOT, slots].sum(axis=0), in_force[:, slots].sum(axis=0)
        return firm, total

    # ------------------------------------------------------------ better

    def look_for_better(self, best: Mended, turn: int) -> None:
        """From the best plan so far, move what saves most, as far as moves go, then change a few streams together."""
        units, asked, missing = best.solution.units, self.asked, best.shed
        movers, only = self._movers(turn), np.zeros(len(self.homes), np.int64)
        only[self.incumbent.stream] = self.problem.variants.copies[self.incumbent.variant]
        self.prices = prices_now(self.problem, self.purse, machines_by_kind(
            self.problem, best.solution.machines).sum(axis=1))
        self.places = np.concatenate([self._places(self.lost, _WIDE), self._places(movers, _NARROW, only=only[movers]),
                                      self._places(missing, _ALL, alike=_ALL)])
        self._open(_rows(units.stream, units.candidate, units.variant, units.start), asked.stay_usd)
        self._set_limit(self._careful())
        state, tables, scratch, leave = self.state, self.tables, self.scratch, self.leave
        saved = np.empty(len(movers))
        savings(state, tables, scratch, movers, saved)
        order = np.argsort(-saved, kind="stable")
        best_movers = movers[order[saved[order] > 1e-6]]
        left = best.moves - self._give_up(saved[order])
        left += move(state, tables, scratch, leave, best_movers, asked.most_moves - left)
        pick = np.unique(np.concatenate([self.lost, best_movers[: 4 * asked.most_moves]]))
        polish(state, tables, scratch, leave, pick, _ROUNDS, asked.seed * 1000 + turn, 4, left, asked.most_moves)
        self._set_limit(self.limit)
        insert(state, tables, scratch, missing)

    def _give_up(self, saved: Floats) -> int:
        """Send home what moved for less than others save, `saved` [k] in falling order; how many moves come free."""
        stream, unit = self._placed()
        moved = np.unique(stream[~self.leave.home[unit] & self.whole[stream]])
        worth = np.empty(len(moved))
        worth_of_moves(self.state, self.tables, self.leave, moved, worth)
        free, order = self.asked.most_moves - self.moves, np.argsort(worth, kind="stable")
        rivals = saved[max(0, free):][: len(moved)]
        lose = order[: len(rivals)][worth[order[: len(rivals)]] < rivals - 1e-6]
        before = self.moves
        go_home(self.state, self.tables, self.leave, moved[lose])
        return before - self.moves

    def _movers(self, turn: int) -> Ints:
        """Streams that might move this time: the dearest first, others in later turns."""
        if self.asked.most_moves <= 0:
            return np.zeros(0, np.int64)
        whole = np.flatnonzero(self.whole)
        order = whole[np.argsort(-self.size[whole], kind="stable")]
        turns = max(1, -(-len(order) // _LOOKED_AT))
        at = turn % turns * _LOOKED_AT
        return order[at: at + _LOOKED_AT]


def _rows(stream: Ints, candidate: Ints, variant: Ints, start: Ints) -> Ints:
    return np.column_stack([stream, candidate, variant, start])


def _units(rows: Ints) -> Units:
    """Rows as units; which copy is which does not matter to what asks for them."""
    stream, candidate, variant, start = np.ascontiguousarray(rows.T)
    return Units(stream, np.zeros(len(rows), np.int64), candidate, variant, start)


def _key(rows: Ints) -> Ints:
    """One number for (candidate, variant, start): a candidate knows its stream."""
    return (rows[:, 1] << 38) + (rows[:, 2] << 12) + rows[:, 3]


def _difference(rows: Ints, others: Ints) -> Ints:
    """Candidates of units that are in one plan and not in the other."""
    found: Ints = np.setxor1d(_key(rows), _key(others)) >> 38
    return found


def _sizes(problem: Problem, prices: Prices) -> Floats:
    """About what machines cost [S] of each stream in the first of its pools, with the fewest copies; 0 where none."""
    s, v = problem.streams, problem.variants
    size = np.zeros(len(s.shape))
    some = np.flatnonzero((np.diff(s.candidate_first) > 0) & (np.diff(s.variant_first) > 0))
    variant, pool = s.variant_first[some], problem.candidates.pool[s.candidate_first[some]]
    row, total = v.row[variant], (v.level * v.length * v.runs)[variant]
    total[row >= 0] = v.rows[row[row >= 0]].sum(axis=1)
    size[some] = total * prices.share[s.shape[some], pool] * _usual_usd(problem)[pool]
    return size


def _usual_usd(problem: Problem) -> Floats:
    """The middle price of a pool's offers for a machine and slot [P]."""
    o = problem.offers
    usd, count = np.zeros(len(problem.pools.cluster)), np.zeros(len(problem.pools.cluster))
    np.add.at(usd, o.pool, o.price_usd.mean(axis=1))
    np.add.at(count, o.pool, 1)
    price: Floats = usd / np.maximum(count, 1) + problem.pools.run_usd.mean(axis=1)
    return price


def _weights(problem: Problem, force: Ints, running: Ints) -> list[list[Floats]]:
    """For every pool shares of its machines by resource, scaled to come to the machines that `running` [P, T] are."""
    found = []
    for pool, load in enumerate(pool_loads(problem, _units(force))):
        share = (problem.shapes / np.maximum(problem.pools.room[pool], 1e-12)).T
        vectors = np.concatenate([share, np.where(share > 0.5 + 1e-9, 1.0, 0.0)])
        vectors = vectors[(vectors[:, load.shapes] > 0).any(axis=1)] if len(load.shapes) else share
        counts = np.ceil((vectors[:, load.shapes] @ (load.firm + load.flexible)).max(axis=0, initial=0.0) - 1e-6)
        factor = running[pool].sum() / counts.sum() if counts.sum() else 1.1
        found.append(list(vectors * min(max(factor, 1.0), _HEAVIEST)))
    return found
