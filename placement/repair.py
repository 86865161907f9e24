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

from placement.books import Books, share_weights
from placement.counting import count_machines
from placement.formulation import cost_usd
from placement.mending import (
    go_back,
    go_home,
    insert,
    move,
    polish,
    put_back,
    put_in,
    resettle,
    savings,
    take_out,
    worth_of_moves,
)
from placement.needs import Load, machines_by_kind, pool_loads
from placement.openings import Prices, cheapest_places, prices_now
from placement.problem import Bools, Counts, Floats, Incumbent, Ints, Problem, Purchase
from placement.purchase import buy, terms
from placement.result import Solution, Units
from placement.shared import best_bought, has_shared, measured, paid_usd, passed
from placement.shared_bound import FREE, priced

_WIDE, _NARROW, _ALL = 14, 12, 400
"""Places listed per number of copies for a stream that must be placed, that might move, and that found no room."""
_ALIKE, _NUMBERS = 3, 3
"""Of these at most so many in one cluster, and so many numbers of copies."""
_LOOKED_AT = 3000
"""Streams of the plan in force that are looked at for moves in one pass."""
_STAY_USD = 4e5
"""What leaving a place counts, where no move is allowed."""
_SQUEEZES = 3
"""Times that a plan may do with less where it does not pack, before nothing new may come there."""
_CAREFUL = 0.94
"""Share of a pool's machines up to which moves fill it: shares count fewer machines than packing needs."""
_VICTIMS = 120
"""Streams at most that make room for one of higher priority, unless more are allowed."""
_ROUNDS = 2000
"""Changes of a few streams together in one pass."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a repair may do.

    `priority` [W]: who keeps the room there is. `left_out` [W]: workloads that need not be placed. `most_moves`: places
    of the plan in force that may be left. `stay_usd` [S]: what leaving a place must save at least, beside its own cost.
    `passes`: how often to look for better moves; 0: only what must be. Batch units that are placed anew start at
    `first_slot` or later; `most_victims` make room for one stream. `fallbacks` [n, 4] are units (stream, candidate,
    variant, start) to go to first.
    """

    priority: Ints
    left_out: Bools
    stay_usd: Floats
    most_moves: int = 0
    passes: int = 0
    seed: int = 0
    first_slot: int = 0
    most_victims: int = _VICTIMS
    fallbacks: Ints = field(default_factory=lambda: np.zeros((0, 4), np.int64))


@dataclass(frozen=True, slots=True)
class Mended:
    """A plan again: `solution` packs; `shed` are streams that should have a unit and have none; `moves` counted."""

    solution: Solution
    shed: Ints
    moves: int


def mend(problem: Problem, in_force: Solution, asked: Asked, stopped: Callable[[], bool] = lambda: False,
         on_plan: Callable[[Mended], None] = lambda _: None) -> Mended:
    """Mend the problem's incumbent: what is left of `in_force`, of which machines and commitments count here.

    `on_plan` is told the first whole plan, and each that is better. Raises ValueError when there is no incumbent, and
    where streams may be split, losses must be survived, workloads interfere or pools are sized on paths: a repair does
    not know these rules, and the caller says what becomes of them.
    """
    if problem.incumbent is None:
        raise ValueError("there is no plan in force to mend: problem.incumbent is None")
    if (unknown := _unknown(problem)) is not None:
        raise ValueError(unknown)
    repair = _Repair(problem, problem.incumbent, in_force, asked)
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


def _unknown(problem: Problem) -> str | None:
    """The first rule of a problem that a repair does not know, and what to do about it; None where it knows all."""
    rules = (
        (problem.parts, "streams may be split into parts", "give none (parts=None) to mend them whole"),
        (problem.survival, "losses must be survived", "mend without (survival=None), then find fallbacks"),
        (problem.interference, "workloads slow each other down", "plan anew"),
        (problem.paths, "pools are sized on sample paths", "plan anew"),
    )
    found = next(((what, how) for rule, what, how in rules if rule is not None), None)
    return None if found is None else f"{found[0]}, which mending a plan does not know: {found[1]}"


class _Repair:
    """One repair: the books of the search, who may move where, and what packs."""

    def __init__(self, problem: Problem, incumbent: Incumbent, in_force: Solution, asked: Asked) -> None:
        self.problem, self.incumbent, self.asked = problem, incumbent, asked
        is_open = problem.pools.max_machines.max(axis=1) > 0
        self.machines = np.where(is_open[problem.offers.pool, None], in_force.machines, 0).astype(np.int32)
        self.bought = in_force.bought
        self.offered = terms(problem)
        self.force = _rows(incumbent.stream, incumbent.candidate, incumbent.variant, incumbent.start)
        self.loads = pool_loads(problem, _units(self.force))
        self.last, self.machines_now = self.force, self.machines.copy()
        self.lacking = np.zeros(problem.pools.max_machines.shape, np.int64)
        self.by_kind = machines_by_kind(problem, self.machines)
        running = self.by_kind.sum(axis=1)
        self.books = Books(problem, incumbent, share_weights(problem, self.loads, running), asked.left_out)
        self.homes, self.whole = self.books.homes, self.books.whole
        if has_shared(problem):
            self.books.price(priced(problem, FREE, 1.0)[0])
        self.kept_out: list[tuple[Ints, Bools]] = []
        self.prices = prices_now(problem, self.books.purse, running)
        self.size = _sizes(problem, self.prices)
        self.lost = self._lost()
        self.places = np.zeros((0, 4), np.int64)
        self.closed: Bools = ~is_open
        self.before: tuple[Ints, Ints] = (self.places, self.lost)  # units and copies where moves began
        self.sought, self.hopeless = np.zeros((2, len(self.homes)), np.bool_)

    def _lost(self) -> Ints:
        """Streams to be placed: the first in priority first, then the largest."""
        s = self.problem.streams
        legal = (np.diff(s.candidate_first) > 0) & ~self.asked.left_out[s.workload]
        return self._in_order(np.flatnonzero(~self.whole & legal))

    def _in_order(self, streams: Ints) -> Ints:
        """Those with a place to stay at first, then the largest."""
        order: Ints = np.lexsort((-self.size[streams], self.homes[streams] == 0))
        return streams[order]

    # ------------------------------------------------------------ the first whole plan

    def place_what_is_lost(self) -> None:
        """Put the lost streams in, where their fallbacks are if they have any; make room for those that find none."""
        stay_usd = np.full(len(self.homes), _STAY_USD)
        held, missing = self.force[self.whole[self.force[:, 0]]], self.lost
        self.places = self.asked.fallbacks
        if len(self.places) or not len(missing):
            self._open(held, stay_usd)
            self._insert(missing)
            held, missing = self._held(), self._missing()
        if len(missing):
            self._try_places(self._places(missing, _WIDE), held, missing)
        self._find_room()

    def _try_places(self, places: Ints, held: Ints, missing: Ints) -> None:
        """Put streams in where they are cheapest, at more places: at first so that packing has some room left."""
        self.places = np.concatenate([self.places, places])
        self._open(held, np.full(len(self.homes), _STAY_USD))
        self.books.use(self._careful())
        self._insert(missing)
        self.books.use(self.books.limit)
        self._insert(self._missing())

    def _find_room(self) -> None:
        """Streams without a place look everywhere; where there is no room at all, work of lower priority makes some."""
        missing = self._missing()
        anew = missing[~self.sought[missing]]
        if len(anew):
            self.sought[anew] = True
            self._try_places(self._places(anew, _ALL, alike=_ALL, numbers=_ALL), self._held(), missing)
        self._make_room()

    def _places(self, streams: Ints, most: int, *, alike: int = _ALIKE, numbers: int = _NUMBERS,
                only: Ints | None = None) -> Ints:
        any_number = np.zeros(len(streams), np.int64)
        return cheapest_places(self.problem, self.prices, streams, any_number if only is None else only, most,
                               alike=alike, numbers=numbers, first_start=self.asked.first_slot)

    def _open(self, held: Ints, stay_usd: Floats) -> None:
        """Search over `places` and the incumbent's, from the plan `held` [K, 4]."""
        self.books.open(held, self.places, stay_usd)
        self.books.bar(self.closed)
        for streams, pools in self.kept_out:
            self._keep_out(streams, pools)

    def _insert(self, streams: Ints) -> None:
        insert(self.books.state, self.books.tables, self.books.scratch, streams)

    def _held(self) -> Ints:
        """The plan as it is now, [K, 4]."""
        units = self.books.plan()
        return _rows(units.stream, units.candidate, units.variant, units.start)

    def _missing(self) -> Ints:
        """Streams that should have a place and have none, in their order."""
        workload = self.problem.streams.workload
        return self._in_order(np.flatnonzero((self.books.state.copies == 0) & ~self.asked.left_out[workload]))

    # ------------------------------------------------------------ room

    def _make_room(self) -> None:
        """Work of lower priority makes place for streams without any; what then finds no place itself is shed."""
        missing = self._missing()
        missing = missing[~self.hopeless[missing]]
        if not len(missing) or np.ptp(self.asked.priority) == 0:  # nobody is of lower priority
            return
        priority = self.asked.priority[self.problem.streams.workload[missing]]
        for stream in missing[np.argsort(-priority, kind="stable")].tolist():
            self._shed_for(stream)

    def _shed_for(self, stream: int) -> None:
        """Victims leave, twice as many each time, until the stream finds room; then all that can come back."""
        state, tables, scratch = self.books.state, self.books.tables, self.books.scratch
        victims = self._victims(stream)
        out: list[tuple[int, Ints, int]] = []
        while state.copies[stream] == 0 and len(out) < len(victims):
            for victim in victims[len(out): 2 * len(out) + 1].tolist():
                kept = np.empty(state.placed.shape[1], np.int64)
                out.append((victim, kept, take_out(state, tables, victim, kept)))
            put_in(state, tables, scratch, stream)
        placed = bool(state.copies[stream] > 0)
        self.hopeless[stream] = not placed
        for victim, kept, count in reversed(out):
            if not placed:
                put_back(state, tables, victim, kept, count)
            elif put_in(state, tables, scratch, victim) and self.books.moves > self.asked.most_moves:
                take_out(state, tables, victim, kept.copy())

    def _victims(self, stream: int) -> Ints:
        """Placed streams of lower priority in pools where a stream may go: the lowest first, the largest of those.

        Those that take nothing of the resource of which the stream takes the largest share would leave in vain.
        """
        units, priority = self.books.tables.units, self.asked.priority[self.problem.streams.workload]
        first, end = units.block_first[units.stream_first[[stream, stream + 1]]]
        pools = np.zeros(len(self.problem.pools.cluster), bool)
        pools[units.pool[first:end]] = True
        plan = self.books.plan()
        there = np.unique(plan.stream[pools[self.problem.candidates.pool[plan.candidate]]])
        shape, room = self.problem.streams.shape, self.problem.pools.room[pools].max(axis=0, initial=0.0)
        scarce = int((self.problem.shapes[shape[stream]] / np.maximum(room, 1e-12)).argmax())
        there = there[self.problem.shapes[shape[there], scarce] > 0]
        lower = there[priority[there] < priority[stream]]
        order: Ints = np.lexsort((-self.size[lower], priority[lower]))
        victims: Ints = lower[order[: self.asked.most_victims]]
        return victims

    # ------------------------------------------------------------ packing

    def packed(self) -> Mended:
        """The plan held, packed and bought; where it does not pack it is changed until it does.

        First the search must do with fewer machines where packing lacks some; where that does not help, nothing new may
        come to the pool. What the plan in force leaves there always packs.
        """
        turn = 0
        while True:
            solution, pool, slot, lacking = self._bought(self.books.plan())
            if not len(pool) and not self._relieved(solution.machines):
                return Mended(solution, self._missing(), self.books.moves)
            if not len(pool):
                self._find_room()
                continue
            if turn < _SQUEEZES:
                self.books.squeeze(pool, slot, lacking)
            else:
                self._close(np.unique(pool))
            self._resettle(np.unique(pool))
            turn += 1

    def packed_if_it_fits(self) -> Mended | None:
        """The plan held, packed; where packing lacks room what moved there goes home again, and where that is no help,
        all that came or went there is as in the plan before. None where shared limits are still passed.
        """
        books = self.books
        for _ in range(_SQUEEZES + 1):
            solution, pool, slot, lacking = self._bought(books.plan())
            if not len(pool) and not self._relieved(solution.machines):
                return Mended(solution, self._missing(), books.moves)
            if not len(pool):
                continue
            books.squeeze(pool, slot, lacking)
            newcomers = self._newcomers(np.unique(pool))
            go_home(books.state, books.tables, books.leave, newcomers[self.whole[newcomers]])
            resettle(books.state, books.tables, books.scratch, books.leave, newcomers[~self.whole[newcomers]],
                     books.moves, self.asked.most_moves)
        while len(pool):
            self._go_back(np.unique(pool))
            solution, pool, slot, lacking = self._bought(books.plan())
        return None if self._relieved(solution.machines) else Mended(solution, self._missing(), books.moves)

    def _go_back(self, pools: Ints) -> None:
        """Undo what changed in these pools since the plan before, which packs; other pools get back what left them.

        Raises RuntimeError where nothing changed there.
        """
        state, pool = self.books.state, self.books.tables.units.pool
        now, before = _units_of(state.placed, state.copies), _units_of(*self.before)
        changed = (now != before).any(axis=1)
        there = np.isin(np.append(pool, -1), pools)[np.stack([now, before])].any(axis=(0, 2))
        if not (changed & there).any():
            raise RuntimeError(f"pool {pools[0]} does not hold what the plan before has there")
        go_back(state, self.books.tables, np.flatnonzero(changed & there), *self.before)

    def _careful(self) -> Floats:
        """Limits that leave packing some room, where there is not less already."""
        careful = np.ceil(self.books.limit * _CAREFUL - 1e-9)
        most: Floats = np.maximum(self.books.state.machines, careful)
        return most

    def _close(self, pools: Ints) -> None:
        """Nothing new comes to these pools any more. Raises RuntimeError where nothing new is there."""
        if self.closed[pools].any():
            raise RuntimeError(f"pool {pools[self.closed[pools]][0]} does not hold what the plan in force has there")
        self.closed[pools] = True
        self.books.bar(self.closed)

    def _resettle(self, pools: Ints) -> None:
        """Newcomers of some pools leave together and look for places again; at home there always is one."""
        books, newcomers = self.books, self._newcomers(pools)
        resettle(books.state, books.tables, books.scratch, books.leave, newcomers, books.moves, self.asked.most_moves)
        self._find_room()

    def _newcomers(self, pools: Ints) -> Ints:
        """Streams with a unit in these pools that the plan in force has not, the first in priority first."""
        stream, unit = self.books.placed()
        there = np.isin(self.books.tables.units.pool[unit], pools) & ~self.books.leave.same[unit]
        return self._in_order(np.unique(stream[there]))

    def _bought(self, units: Units) -> tuple[Solution, Ints, Ints, Ints]:
        """Machines for the plan, and where how many lack: only pools with other units than last time are packed."""
        problem, now = self.problem, _rows(units.stream, units.candidate, units.variant, units.start)
        changed = np.unique(problem.candidates.pool[_difference(now, self.last)])
        some = np.isin(problem.candidates.pool[units.candidate], changed)
        loads = pool_loads(problem, Units(*(getattr(units, f.name)[some] for f in fields(units))))
        for pool in changed.tolist():
            rows = self.offered.offer[pool][self.offered.offer[pool] >= 0]
            if _alike(loads[pool], self.loads[pool]):
                self.machines_now[rows], self.lacking[pool] = self.machines[rows], 0
                continue
            firm, total = self._needed(pool, loads[pool])
            bought = buy(pool, self.offered, firm[None], total[None])
            self.machines_now[rows] = bought.counts[self.offered.offer[pool] >= 0]
            self.lacking[pool] = bought.lacking
        self.last, (pools, slots) = now, np.nonzero(self.lacking)
        return self._with_bought(units, self.machines_now.copy()), pools, slots, self.lacking[pools, slots]

    def _needed(self, pool: int, load: Load) -> tuple[Ints, Ints]:
        """Machines (not spot, in all) [T] that hold a load: as simple orders pack it, or those that run by the plan in
        force, in slots with just what it has there, and, where simple orders find no room, with less.
        """
        firm, total = count_machines(self.problem, pool, load)
        was, slots = self.loads[pool], np.zeros(len(total), bool)
        if len(load.shapes) and np.isin(load.shapes, was.shapes).all():
            at = np.searchsorted(was.shapes, load.shapes)
            slots |= ((load.firm <= was.firm[at]) & (load.flexible <= was.flexible[at])).all(axis=0)
        in_force, most = self.by_kind[pool], self.books.purse.pool_max[pool]
        slots &= (total > np.minimum(most, in_force.sum(axis=0))) & (total > 0)
        firm[slots], total[slots] = in_force[: Purchase.SPOT, slots].sum(axis=0), in_force[:, slots].sum(axis=0)
        return firm, total

    # ------------------------------------------------------------ what pools share

    def _with_bought(self, units: Units, machines: Counts) -> Solution:
        """With what is bought of commitments: what is best now, and nothing that is bought by the plan in force less.
        """
        if not len(self.problem.commitments.owned):
            return Solution(units, machines)
        bought = best_bought(self.problem, machines)
        return Solution(units, machines, bought=np.maximum(bought, self.bought) if len(self.bought) else bought)

    def _relieved(self, machines: Counts) -> bool:
        """Whether shared limits are passed: then newcomers that count leave for good, the lowest priority first, as few
        as could be enough.
        """
        problem, limits, books = self.problem, self.problem.limits, self.books
        over = np.flatnonzero(passed(problem, machines).any(axis=1))
        for row in over.tolist():
            pools = limits.amount[row] > 0
            excess = np.maximum(measured(problem, machines)[row] - limits.most[row], 0.0)
            newcomers = self._newcomers(np.flatnonzero(pools))[::-1]
            newcomers = newcomers[np.argsort(self.asked.priority[problem.streams.workload[newcomers]], kind="stable")]
            if not len(newcomers):
                raise RuntimeError(f"limit {row} does not hold what the plan in force has left")
            counts = self._counts(row, machines)
            many = 0
            while many < len(newcomers) and (excess > 1e-9).any():
                stream = int(newcomers[many])
                for unit in books.state.placed[stream, : books.state.copies[stream]].tolist():
                    pool, need = books.tables.units.pool[unit], books.tables.units.needs[books.tables.units.need[unit]]
                    excess -= counts[pool] * np.ceil(self.prices.share[problem.streams.shape[stream], pool] * need)
                many += 1
            leave = newcomers[:many][::-1].copy()
            self.kept_out.append((leave, pools))
            self._keep_out(leave, pools)
            resettle(books.state, books.tables, books.scratch, books.leave, leave, books.moves, self.asked.most_moves)
        return len(over) > 0

    def _counts(self, row: int, machines: Counts) -> Floats:
        """What one machine of each pool counts for a limit, slot by slot [P, T]."""
        problem, amount = self.problem, self.problem.limits.amount[row][:, None]
        if not problem.limits.paid[row]:
            return np.repeat(amount, problem.slots, axis=1)
        usd = np.zeros(problem.pools.max_machines.shape)
        np.add.at(usd, problem.offers.pool, paid_usd(problem, machines))
        each: Floats = amount * usd / np.maximum(machines_by_kind(problem, machines).sum(axis=1), 1)
        return each

    def _keep_out(self, streams: Ints, pools: Bools) -> None:
        """Make these pools [P] too dear for streams, but for where they are by the plan in force."""
        units = self.books.tables.units
        many = np.diff(units.block_first[units.stream_first])
        mine = np.repeat(np.isin(np.arange(len(many)), streams), many)
        units.usd[mine & pools[units.pool] & ~self.books.leave.same] = np.inf

    # ------------------------------------------------------------ better

    def look_for_better(self, best: Mended, turn: int) -> None:
        """From the best plan so far, move what saves most, as far as moves go, then change a few streams together."""
        units, asked, missing, books = best.solution.units, self.asked, best.shed, self.books
        movers, only = self._movers(turn), np.zeros(len(self.homes), np.int64)
        only[self.incumbent.stream] = self.problem.variants.copies[self.incumbent.variant]
        self.prices = prices_now(self.problem, books.purse, machines_by_kind(
            self.problem, best.solution.machines).sum(axis=1))
        self.places = np.concatenate([self._places(self.lost, _WIDE), self._places(movers, _NARROW, only=only[movers]),
                                      self._places(missing, _ALL, alike=_ALL, numbers=_ALL)])
        self._open(_rows(units.stream, units.candidate, units.variant, units.start), asked.stay_usd)
        self.before = books.state.placed.copy(), books.state.copies.copy()
        books.use(self._careful())
        state, tables, scratch, leave = books.state, books.tables, books.scratch, books.leave
        saved = np.empty(len(movers))
        savings(state, tables, scratch, movers, saved)
        order = np.argsort(-saved, kind="stable")
        best_movers = movers[order[saved[order] > 1e-6]]
        most = asked.most_moves - int(self.homes[missing[self.whole[missing]]].sum())  # these may come back elsewhere
        left = best.moves - self._give_up(saved[order])
        left += move(state, tables, scratch, leave, best_movers, most - left)
        pick = np.unique(np.concatenate([self.lost, best_movers[: 4 * asked.most_moves]]))
        pick = pick[np.argsort(-self.size[pick], kind="stable")]
        polish(state, tables, scratch, leave, pick, _ROUNDS, asked.seed * 1000 + turn, 4, left, most)
        books.use(books.limit)
        insert(state, tables, scratch, missing)

    def _give_up(self, saved: Floats) -> int:
        """Send home what moved for less than others save, `saved` [k] in falling order; how many moves come free."""
        books = self.books
        stream, unit = books.placed()
        moved = np.unique(stream[~books.leave.home[unit] & self.whole[stream]])
        worth = np.empty(len(moved))
        worth_of_moves(books.state, books.tables, books.leave, moved, worth)
        free, order = self.asked.most_moves - books.moves, np.argsort(worth, kind="stable")
        rivals = saved[max(0, free):][: len(moved)]
        lose = order[: len(rivals)][worth[order[: len(rivals)]] < rivals - 1e-6]
        before = books.moves
        go_home(books.state, books.tables, books.leave, moved[lose])
        return before - books.moves

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


def _alike(one: Load, other: Load) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))


def _units_of(placed: Ints, copies: Ints) -> Ints:
    """Units [S, K] of each stream in order, -1 where there is none."""
    units: Ints = np.sort(np.where(np.arange(placed.shape[1]) < copies[:, None], placed, -1), axis=1)
    return units


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
