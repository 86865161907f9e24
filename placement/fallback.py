"""Where lost units go: a fallback with room for every single loss, at the least extra cost that is found.

Losses are looked at one by one, for room is needed for one loss at a time. First with the machines there are anyway:
biggest units first, each into the roomiest pool, and again with those in front that found nothing. Where that fails,
more owned and committed machines are held; what is held for one loss serves all others. In the end each pool is asked
whether it could do with fewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from placement.domains import failure_domains
from placement.fallback_kernels import Loss, Places, Room, place_lost, shortest
from placement.needs import Load, has_spot, replicas_per_machine
from placement.options import needs_of
from placement.packing import Pairs
from placement.problem import Counts, Floats, Ints, Problem, Purchase
from placement.purchase import Terms
from placement.reserve import Wanted, headroom, hold, level_usd, there_after
from placement.result import Fallbacks, Units
from placement.survival import asked_of, lost_units, unit_clusters, variants_at

_ROUNDS = 24
"""Orders that are tried for one loss before more machines are held or the loss is given up."""
_TRIES = 4
"""Pools with room among which the one that costs least is chosen."""
_NOISE = 0.6
_DROPS = 40
"""Pools that are asked whether they could hold fewer machines."""
_TOLD = 12
"""Units without a fallback for which room is asked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """Fallbacks for all losses, and counts [4, T] of the pools that must hold or run more machines for them."""

    fallbacks: Fallbacks
    counts: dict[int, Ints]


@dataclass(frozen=True, slots=True)
class Homeless:
    """Units that find no room after a loss: `loss`, `unit`, `stream` [k], and what lacks where: `pool`, `slot`,
    `lacking` [n].
    """

    loss: Ints
    unit: Ints
    stream: Ints
    pool: Ints
    slot: Ints
    lacking: Ints


@dataclass(slots=True)
class _Placed:
    """One loss solved: rows of the places that `units` took, and machines needed in the `pools` they are in [k, T]."""

    units: Ints
    rows: Ints
    pools: Ints
    firm: Ints
    every: Ints


def find_fallbacks(problem: Problem, units: Units, loads: tuple[Load, ...], packed: list[Pairs], offered: Terms,
                   machines: Ints) -> Found | Homeless:
    """Fallbacks for units whose pools hold `loads`, `packed` onto `machines` [P, 4, T].

    The plan may hold or run more machines for it; what runs anyway is never less.
    """
    search = _Search(problem, units, loads, packed, offered, machines)
    return search.run()


class _Search:
    """One call's tables and state."""

    def __init__(self, problem: Problem, units: Units, loads: tuple[Load, ...], packed: list[Pairs], offered: Terms,
                 machines: Ints) -> None:
        self.problem, self.units, self.packed = problem, units, packed
        self.offered, self.machines = offered, machines
        self.survival = asked_of(problem)
        self.loss, self.unit = lost_units(problem, units)
        self.assured = _assured(problem)
        self.room = _room(problem, loads, packed, offered, machines, self.assured)
        self.places, self.candidate = _places(problem, units, np.unique(self.unit))
        pools, slots = self.room.own.shape
        self.levels = np.zeros(pools, np.int64)
        self.most_level = self.room.rise.max(axis=1, initial=0)
        self.usd = np.zeros((pools, 1))
        self.spare = np.maximum((self.room.cap - self.room.own).min(axis=1, initial=1 << 20), 0)
        self.state = Loss(np.zeros_like(self.room.base), np.zeros((pools, slots), np.int64),
                          np.zeros((pools, slots), np.int64), np.zeros(pools, np.bool_), self.spare.copy(),
                          np.full(len(units.stream), -1))
        self.size = self._sizes()
        self.solved: dict[int, _Placed] = {}

    def run(self) -> Found | Homeless:
        """Free room first, then room that is paid for, then less of that."""
        losses = np.unique(self.loss).tolist()
        nothing = np.zeros_like(self.levels)
        open_losses = [loss for loss in losses if not self._solve(loss, nothing)]
        if open_losses:
            self.usd = level_usd(self.offered, self.machines, self.most_level)
            hopeless = [loss for loss in open_losses if not self._solve(loss, self.most_level)]
            if hopeless:
                return self._homeless(hopeless)
            self._hold_less()
        return self._answer()

    def _sizes(self) -> Floats:
        """How much of a machine each unit's replicas take at their peak, where they take least [U]."""
        size, places = np.zeros(len(self.units.stream)), self.places
        peak = places.needs.max(axis=1, initial=0)
        for u in np.unique(self.unit).tolist():
            rows = slice(places.first[u], places.first[u + 1])
            each = self.room.each[places.pool[rows], places.shape[u]]
            size[u] = (peak[places.need[rows]] / np.maximum(each, 1)).min(initial=np.inf) if len(each) else np.inf
        return size

    def _solve(self, loss: int, most_level: Ints) -> bool:
        """Find fallbacks for one loss, holding `most_level` [P] more machines at most; keeps what it finds."""
        mine = self.unit[self.loss == loss]
        order = mine[np.argsort(-self.size[mine], kind="stable")]
        best_usd, found, before = np.inf, None, self.levels.copy()
        free = bool((most_level <= before).all())
        for trial in range(_ROUNDS):
            levels = before.copy()
            failed = place_lost(self.room, self.places, self.survival.lost[loss], order, levels,
                                np.maximum(most_level, before), self.usd, _TRIES if free else 1 << 20,
                                _NOISE if trial else 0.0, trial, self.state, self.spare)
            took = self.state.took[order]
            if failed == 0:
                usd = float(self._level_cost(levels).sum())
                if usd < best_usd - 1e-9:
                    best_usd, found = usd, (self._kept(order), levels)
                if free or best_usd <= float(self._level_cost(before).sum()) + 1e-9:
                    break
            order = np.concatenate((order[took < 0], order[took >= 0]))
        if found is None:
            return False
        self.solved[loss], self.levels = found
        return True

    def _level_cost(self, levels: Ints) -> Floats:
        last = self.usd.shape[1] - 1
        cost: Floats = self.usd[np.arange(len(levels)), np.minimum(levels, last)]
        return cost

    def _kept(self, order: Ints) -> _Placed:
        pools = np.flatnonzero(self.state.touched)
        return _Placed(order.copy(), self.state.took[order], pools, self.state.firm[pools].copy(),
                       self.state.every[pools].copy())

    def _hold_less(self) -> None:
        """Ask the pools that hold more, the dearest first, whether all losses find room with fewer there."""
        for p in np.argsort(-self._level_cost(self.levels), kind="stable")[:_DROPS].tolist():
            while self.levels[p] > 0:
                tried = [0, int(self.levels[p]) - 1]
                if not any(self._do_with(p, level) for level in dict.fromkeys(tried)):
                    break

    def _do_with(self, pool: int, level: int) -> bool:
        """Whether all losses find room when a pool holds that few; kept if so."""
        before, solved = self.levels.copy(), dict(self.solved)
        self.levels[pool] = level
        fixed = self.levels.copy()
        for loss, placed in solved.items():
            at = np.flatnonzero(placed.pools == pool)
            if len(at) and self._lacks(pool, placed.firm[at[0]], placed.every[at[0]]) and not self._solve(loss, fixed):
                self.levels, self.solved = before, solved
                return False
        return True

    def _lacks(self, pool: int, firm: Ints, every: Ints) -> bool:
        room, level = self.room, self.levels[pool]
        return bool((firm > room.firm_cap[pool] + np.minimum(level, room.firm_rise[pool])).any()
                    or (every > room.cap[pool] + np.minimum(level, room.rise[pool])).any())

    def _answer(self) -> Found | Homeless:
        """The map, and the machines that each pool must have for it."""
        firm, every = np.zeros_like(self.room.own), np.zeros_like(self.room.own)
        for placed in self.solved.values():
            firm[placed.pools] = np.maximum(firm[placed.pools], placed.firm)
            every[placed.pools] = np.maximum(every[placed.pools], placed.every)
        counts: dict[int, Ints] = {}
        for p in np.flatnonzero((firm > self.room.firm_cap).any(axis=1) | (every > self.room.cap).any(axis=1)).tolist():
            held = hold(p, self.offered, self.packed[p], self.machines[p], Wanted(firm[p], every[p], self.assured[p]))
            if held is None:
                return self._homeless([loss for loss, placed in self.solved.items() if p in placed.pools])
            counts[p] = held
        rows = [(loss, int(u), int(self.candidate[row])) for loss, placed in self.solved.items()
                for u, row in zip(placed.units, placed.rows, strict=True)]
        table = np.array(sorted(rows), np.int64).reshape(-1, 3).T
        return Found(Fallbacks(*(column.copy() for column in table)), counts)

    def _homeless(self, losses: list[int]) -> Homeless:
        """What the units without a fallback lack, where they lack least."""
        rows: list[tuple[int, int]] = []
        lacking: dict[tuple[int, int], int] = {}
        for loss in losses:
            for u, short in self._without(loss):
                rows.append((loss, u))
                for pool, slot, many in short:
                    lacking[pool, slot] = max(lacking.get((pool, slot), 0), many)
        places = np.array([(*place, many) for place, many in sorted(lacking.items())], np.int64).reshape(-1, 3).T
        table = np.array(rows, np.int64).reshape(-1, 2)
        return Homeless(table[:, 0].copy(), table[:, 1].copy(), self.units.stream[table[:, 1]],
                        *(column.copy() for column in places))

    def _without(self, loss: int) -> Iterator[tuple[int, list[tuple[int, int, int]]]]:
        """Units that find no room, the biggest few, each with (pool, slot, machines) that lack where it lacks least."""
        mine = self.unit[self.loss == loss]
        order = mine[np.argsort(-self.size[mine], kind="stable")]
        levels = np.maximum(self.most_level, self.levels)
        place_lost(self.room, self.places, self.survival.lost[loss], order, levels, levels, self.usd, _TRIES, 0.0, 0,
                   self.state, self.spare)
        for u in order[self.state.took[order] < 0][:_TOLD].tolist():
            short = np.zeros(self.room.own.shape[1], np.int64)
            row = shortest(self.room, self.places, self.survival.lost[loss], self.state, u, levels, short)
            own = int(self.problem.candidates.pool[self.units.candidate[u]])
            pool = int(self.places.pool[row]) if row >= 0 and short.any() else own
            if pool == own:  # nowhere else can room be made: the unit must not be where it is
                short = np.ones_like(short)
            yield u, [(pool, int(t), int(short[t])) for t in np.flatnonzero(short)]


# ---------------------------------------------------------------- tables


def _assured(problem: Problem) -> Ints:
    """Machines that come on demand after a loss [P, T]."""
    offers = problem.offers
    assured = np.zeros((len(problem.pools.cluster), problem.slots), np.int64)
    demand = offers.purchase == Purchase.ON_DEMAND
    np.add.at(assured, offers.pool[demand], asked_of(problem).assured[demand])
    return assured


def _room(problem: Problem, loads: tuple[Load, ...], packed: list[Pairs], offered: Terms, machines: Ints,
          assured: Ints) -> Room:
    shapes, pools = len(problem.shapes), len(loads)
    base = np.zeros((pools, 2 * shapes, problem.slots), np.int32)
    own_firm, own = (np.zeros((pools, problem.slots), np.int64) for _ in range(2))
    firm_cap, cap, firm_rise, rise = (np.zeros_like(own) for _ in range(4))
    for p, load in enumerate(loads):
        base[p, load.shapes], base[p, load.shapes + shapes] = load.firm, load.flexible
        own_firm[p], own[p] = packed[p].firm[0], packed[p].machines[0]
        firm_cap[p], cap[p] = there_after(offered, p, machines[p], assured[p])
        firm_rise[p], rise[p] = headroom(offered, p, machines[p])
    sizes = np.ascontiguousarray(np.concatenate((problem.shapes, problem.shapes)), np.float64)
    share = problem.shapes[None] / np.maximum(problem.pools.room[:, None], 1e-12)
    order = np.argsort(-share.max(axis=2), axis=1, kind="stable")
    return Room(base, own_firm, own, firm_cap, cap, firm_rise, rise, offered.pool_most.copy(),
                replicas_per_machine(problem), sizes, np.array(problem.pools.room, np.float64), order.astype(np.int64))


def _places(problem: Problem, units: Units, lost: Ints) -> tuple[Places, Ints]:
    """Where each of the `lost` units could go, and the candidate of every row."""
    c = problem.candidates
    first, end = (problem.streams.candidate_first[units.stream[lost] + i] for i in (0, 1))
    unit = np.repeat(lost, end - first)
    candidate = np.arange(len(unit)) - np.repeat(np.cumsum(end - first) - (end - first), end - first)
    candidate = candidate + np.repeat(first, end - first)
    start = units.start[unit]
    variant = variants_at(problem, units.variant[unit], candidate, start)
    legal = variant >= 0
    unit, candidate, variant, start = unit[legal], candidate[legal], variant[legal], start[legal]
    needs, need = _needs(problem, variant, start)
    pool = c.pool[candidate]
    flexible = problem.streams.preemptible[units.stream[unit]] & has_spot(problem)[pool]
    copies_first = np.searchsorted(units.stream, units.stream, side="left")
    copies_end = np.searchsorted(units.stream, units.stream, side="right")
    rows = np.searchsorted(unit, np.arange(len(units.stream) + 1))
    domain = failure_domains(problem).pool
    return Places(problem.streams.shape[units.stream], unit_clusters(problem, units), domain[c.pool[units.candidate]],
                  copies_first, copies_end, rows, pool, problem.pools.cluster[pool], domain[pool], need, flexible,
                  needs), candidate


def _needs(problem: Problem, variant: Ints, start: Ints) -> tuple[Counts, Ints]:
    """Replicas [J, T] of distinct (variant, start), and which one each is."""
    pairs, at = np.unique(np.column_stack((variant, start)), axis=0, return_inverse=True)
    steady = problem.variants.row[pairs[:, 0]] >= 0
    needs = np.zeros((len(pairs), problem.slots), np.int32)
    needs[steady] = problem.variants.rows[problem.variants.row[pairs[steady, 0]]]
    for j in np.flatnonzero(~steady).tolist():
        v, first = pairs[j]
        needs[j] = needs_of(problem, int(v))[first - problem.variants.earliest[v]]
    return needs, at.reshape(-1).astype(np.int64)
