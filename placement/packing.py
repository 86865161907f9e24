"""Exact packing: how many machines a pool's replicas need, slot by slot, shown by a packing of whole replicas.

Machines of a pool are alike. Replicas come in classes of equal ones; *firm* replicas must lie on machines that are not
spot, *flexible* ones lie anywhere. Bounds come from weights on classes (no machine holds more than 1 of their sum),
packings from simple orders first, then from machines filled one by one, from patterns seen in other slots, the
configuration LP and exact search.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from placement.fitting import (
    bound_by,
    by_orders,
    dive,
    fill_gaps,
    fill_machines,
    first_fit,
    machines_used,
    reuse,
    search,
)
from placement.needs import Load
from placement.patterns import GLANCE, SLACK, best_pattern, configuration_lp, simple_weights
from placement.patterns import NODES as BRANCHES
from placement.problem import Bools, Floats, Ints

ROUNDS = 300
"""Columns that the configuration LP may generate for one slot."""
NODES = 3_000
"""Branches of one exact search."""
SEARCHED = 80
"""Most replicas in a slot for which better packings are searched exactly."""
SHY = 0.01
"""Worth of flexible replicas, as a share of firm ones', on machines that firm replicas open."""
MIXES = (0.4, 0.75)
"""Prices of a machine without firm replicas, as a share of others', for which packings of both kinds are looked for."""


class Effort(IntEnum):
    """How hard to pack: each effort includes those before it. One slot takes about 0.02, 2, 20 ms, and up to seconds.

    Simple orders; machines filled one by one; patterns of the configuration LP; exact search for few replicas.
    """

    ORDERS = 0
    FILLING = 1
    PATTERNS = 2
    SEARCH = 3


@dataclass(frozen=True, slots=True)
class Packing:
    """One slot's packing: row k fills `times[k]` machines with `firm[k]` and `flexible[k]` replicas, each [k, c]."""

    firm: Ints
    flexible: Ints
    times: Ints

    @property
    def firm_machines(self) -> int:
        """Machines that hold a firm replica, and so must not be spot."""
        return int(self.times[self.firm.any(axis=1)].sum())

    @property
    def machines(self) -> int:
        """Machines in use."""
        return int(self.times.sum())


ORDERS = ("largest share", "sum of shares", "first resource", "second resource")
"""First fit decreasing by: the largest share of a machine's room a replica takes, the sum of shares, one resource.

Firm replicas go first, so that they share few machines; plain orders mix them, which may need fewer machines in all.
"""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Machines that one pool needs in each slot: any of K pairs, `firm` of `machines` not being spot ([K, T] each).

    More firm machines may make fewer in all; slots with fewer than K pairs repeat their first. `low_firm` and `low` [T]
    are proven necessary.
    """

    firm: Ints
    machines: Ints
    low_firm: Ints
    low: Ints


@dataclass(frozen=True, slots=True)
class Needed(Pairs):
    """What one packing a slot needs: `least` [T] says that no better pair exists. `order` [T] is the simple order (row
    of `ORDERS`) that reaches the first pair, -1 where none does. `packer` shows the packings.
    """

    least: Bools
    order: Ints
    packer: Packer


def needed(load: Load, shapes: Floats, room: Floats, *, effort: Effort = Effort.SEARCH) -> Needed:
    """Machines that a pool's replicas need in every slot.

    `shapes` [C, R] are what one replica takes, `room` [R] what a machine has. More `effort` is made only in slots that
    leave a gap to the bound. Raises ValueError when a replica that is wanted fits no machine.
    """
    packer = Packer(load, shapes, room)
    packer.pack(effort)
    return packer.needed()


Point = tuple[Ints, Ints]
"""One packing of one slot: patterns [k, 2c] and how many machines each fills [k]."""


class Packer:
    """Packs one pool's replicas; equal slots are packed once. Columns are (firm, flexible) classes, each [2c]."""

    def __init__(self, load: Load, shapes: Floats, room: Floats) -> None:
        counts = np.concatenate((load.firm, load.flexible)).T.astype(np.int64)
        _, first, which = np.unique(counts, axis=0, return_index=True, return_inverse=True)
        in_time = np.argsort(first)  # neighbours in time are alike, and serve each other's packings
        self.counts: Ints = counts[first[in_time]]
        self.which: Ints = np.argsort(in_time)[which.reshape(-1)]
        classes = len(load.shapes)
        self.room: Floats = np.array(room, np.float64)  # a writable copy: kernels are compiled once more for others
        self._own = np.ascontiguousarray(shapes[load.shapes], np.float64)
        self.sizes: Floats = np.concatenate((self._own, self._own))
        self.firm: Bools = np.arange(2 * classes) < classes
        self._refuse_misfits(load)
        self.orders = decreasing(self.sizes, self.room, self.firm)
        self.plain_orders = decreasing(self.sizes, self.room, np.zeros(2 * classes, np.bool_))
        self.weights: Floats = np.tile(simple_weights(self._own, self.room), 2)
        self._best, self._machines, self._order, self.low_firm, self.low = by_orders(
            self.counts, self.sizes, self.room, self.firm, self.weights, self.orders)
        self.least = (self._best == self.low_firm) & (self._machines == self.low)
        self._found: dict[int, list[Point]] = {}
        self._filled: set[int] = set()
        self._worth: list[Floats] = []

    def pairs(self) -> tuple[Ints, Ints]:
        """(machines not spot, machines) [K, U] of the packings known of every column, the first one repeated."""
        most = max(map(len, self._found.values()), default=1)
        firm, machines = np.repeat(self._best[None], most, axis=0), np.repeat(self._machines[None], most, axis=0)
        for u, points in self._found.items():
            firm[:, u], machines[:, u] = zip(*(self.used(point) for point in (points + points[:1] * most)[:most]),
                                             strict=True)
        return firm, machines

    def needed(self) -> Needed:
        """The machines of all packings known, slot by slot."""
        which, (firm, machines), order = self.which, self.pairs(), self._order.copy()
        for u in self._found:
            order[u] = self.simple_order(u)
        return Needed(firm[:, which], machines[:, which], self.low_firm[which], self.low[which], self.least[which],
                      order[which], self)

    def pack(self, effort: Effort, only: Bools | None = None) -> None:
        """Find better packings of the columns that the orders leave open, as hard as `effort` says.

        `only` [U] are the columns to look at; all where it is not given.
        """
        chosen = np.ones(len(self.counts), np.bool_) if only is None else only
        if effort >= Effort.FILLING and (~self.least & chosen).any():
            self._guide()
            for u in np.flatnonzero(~self.least & chosen):
                self._fill(int(u))
        if effort >= Effort.PATTERNS:
            for u in np.flatnonzero(~self.least & chosen):
                self._improve(int(u))
        if effort >= Effort.SEARCH:
            for u in np.flatnonzero(~self.least & chosen):
                if self.counts[u].sum() <= SEARCHED:
                    self._close(int(u))

    def points(self, u: int) -> list[Point]:
        """Packings of column u, none of which another one beats; fewest machines in all first."""
        return self._found.get(u) or [self._by_order(u)]

    def used(self, point: Point) -> tuple[int, int]:
        """(machines that must not be spot, machines) of a packing."""
        return machines_used(point[0], point[1], self.firm)

    def simple_order(self, u: int) -> int:
        """The order that reaches the first point of column u, -1 if none does."""
        firm, machines = self.used(self.points(u)[0])
        return int(self._order[u]) if (self._best[u], self._machines[u]) == (firm, machines) else -1

    def packing(self, slot: int, firm_machines: int, machines: int, nodes: int = 50_000) -> Packing | None:
        """A packing of `slot` into `machines`, `firm_machines` of them not spot; None when none is found."""
        u, classes = int(self.which[slot]), len(self._own)
        if self.impossible(slot, firm_machines, machines):
            return None
        fits = [point for point in self.points(u)
                if self.used(point)[0] <= firm_machines and self.used(point)[1] <= machines]
        found = fits[0] if fits else self._search(u, min(firm_machines, machines), machines, nodes)
        return Packing(found[0][:, :classes], found[0][:, classes:], found[1]) if isinstance(found, tuple) else None

    def simply(self, firm_machines: Ints, machines: Ints) -> Bools:
        """[T] whether every simple order, plain or firm first, packs the slot into these machines [T] each."""
        orders = np.unique(np.concatenate((self.orders, self.plain_orders)), axis=0)
        pairs = np.array([[self.used(first_fit(counts, self.sizes, self.room, order)) for order in orders]
                          for counts in self.counts], np.int64)
        most = pairs.max(axis=1)[self.which]
        return np.asarray((most[:, 0] <= firm_machines) & (most[:, 1] <= machines), np.bool_)

    def impossible(self, slot: int, firm_machines: int, machines: int) -> bool:
        """True when the bounds prove that so few machines cannot hold the slot's replicas."""
        u = int(self.which[slot])
        return bool(self.low[u] > machines or self.low_firm[u] > firm_machines)

    def _refuse_misfits(self, load: Load) -> None:
        wanted = load.firm.any(axis=1) | load.flexible.any(axis=1)
        misfit = wanted & (self._own > self.room + 1e-6).any(axis=1)
        if misfit.any():
            shape = int(np.flatnonzero(misfit)[0])
            raise ValueError(f"a replica of shape {int(load.shapes[shape])} takes {self._own[shape].tolist()}, but a "
                             f"machine has room for {self.room.tolist()}; give it a pool whose machines hold it")

    def _by_order(self, u: int) -> Point:
        return first_fit(self.counts[u], self.sizes, self.room, self.orders[self._order[u]])

    def _add(self, u: int, *found: Point) -> None:
        """Keep packings of column u that no other beats."""
        points = sorted([*self.points(u), *found], key=lambda point: self.used(point)[::-1])
        kept: list[Point] = []
        for point in points:
            if not kept or self.used(point)[0] < self.used(kept[-1])[0]:
                kept.append(point)
        self._found[u] = kept
        self.least[u] = self.used(kept[0]) == (self.low_firm[u], self.low[u])

    def _raise_bounds(self, counts: Ints) -> int:
        """Prove machines for `counts` [c] by the configuration LP, and keep its weights for the other columns."""
        here = np.flatnonzero(counts)
        same = np.zeros(len(here), np.bool_)
        bound, weights, _, _ = configuration_lp(counts[here], self._own[here], self.room, same, 1.0, ROUNDS)
        above = best_pattern(weights, np.full(len(here), 1 << 20), self._own[here], self.room, SLACK, BRANCHES)[1]
        row = np.zeros(len(self._own))
        row[here] = weights / max(above, 1e-12)
        self.weights = np.vstack((self.weights, np.tile(row, 2)))
        return int(np.ceil(bound - 1e-6))

    def _guide(self) -> None:
        """The worths by which machines are filled: shares of the room, and weights of the LP for the fullest column.

        They depend on the load alone, so that whoever packs it again finds the same.
        """
        if self._worth:
            return
        classes, u = len(self._own), int(self._machines.argmax())
        self._raise_bounds(self.counts[u][:classes] + self.counts[u][classes:])
        share = (self.sizes / np.maximum(self.room, 1e-12)).sum(axis=1)
        self._worth = [share, self.weights[-1] + SLACK * share]

    def _fill(self, u: int) -> None:
        """Packings by filling machines one by one, opened by the simple orders."""
        if u in self._filled:
            return
        self._filled.add(u)
        counts, firm = self.counts[u], self.firm
        self.low_firm[u] = max(self.low_firm[u], bound_by(self.weights, counts * firm))
        self.low[u] = max(self.low[u], bound_by(self.weights, counts))
        both = bool(counts[firm].any() and counts[~firm].any())
        for worth, order in zip(self._worth, (0, 1), strict=True):
            for shy in (worth * np.where(firm, 1.0, SHY), worth) if both else (worth,):
                self._add(u, fill_machines(counts, self.sizes, self.room, worth, shy, firm, self.orders[order], GLANCE))
                if self.least[u]:
                    return

    def _improve(self, u: int) -> None:
        """Bounds by the LP; packings by neighbours' patterns and by diving."""
        classes = len(self._own)
        firm, flexible = self.counts[u][:classes], self.counts[u][classes:]
        self.low_firm[u] = max(self.low_firm[u], bound_by(self.weights, self.counts[u] * self.firm))
        self.low[u] = max(self.low[u], bound_by(self.weights, self.counts[u]))
        both = bool(firm.any() and flexible.any())
        if both:
            self._add(u, *(first_fit(self.counts[u], self.sizes, self.room, order) for order in self.plain_orders))
        near = [point for v in (u - 2, u - 1) for point in self._found.get(v, [])]
        self._add(u, *(reuse(self.counts[u], self.sizes, self.room, self.firm, self.orders, *point) for point in near))
        if self.least[u]:
            return
        self.low[u] = max(self.low[u], self._raise_bounds(firm + flexible))
        self.low_firm[u] = max(self.low_firm[u], self._raise_bounds(firm)) if both else self.low[u] * firm.any()
        self._add(u)
        if not self.least[u]:
            self._add(u, *([self._firm_first(u), *(self._dive(self.counts[u], cheap) for cheap in MIXES)] if both
                           else [self._dive(self.counts[u], 1.0)]))

    def _firm_first(self, u: int) -> Point:
        """Dive for the firm replicas, fill their machines' gaps with flexible ones, dive for the rest."""
        patterns, times = self._dive(self.counts[u] * self.firm, 1.0)
        worth = self.weights[-2] * ~self.firm  # those of the LP on all replicas
        patterns, times, rest = fill_gaps(patterns, times, self.counts[u] * ~self.firm, self.sizes, self.room, worth,
                                          4 * len(times) + 64)
        more, more_times = self._dive(rest, 1.0)
        return np.concatenate((patterns, more)), np.concatenate((times, more_times))

    def _dive(self, counts: Ints, cheap: float) -> Point:
        return dive(counts, self.sizes, self.room, self.firm, cheap, self.weights, self.orders[0], ROUNDS, NODES)

    def _close(self, u: int) -> None:
        """Search for every pair better than what is known, until each is found, proven impossible or given up."""
        self.least[u] = proven = True
        machines = self.used(self.points(u)[-1])[1]
        for total in range(int(self.low[u]), machines + int(self.counts[u].sum())):
            known = min((pair[0] for pair in (self.used(point) for point in self.points(u))
                         if pair[1] <= total), default=total + 1)
            while known > self.low_firm[u]:
                found = self._search(u, known - 1, total, NODES)
                if not isinstance(found, tuple):
                    proven = proven and found == 0
                    break
                self._add(u, found)
                known = self.used(found)[0]
            if known == self.low_firm[u] or not proven:
                break
        self.least[u] = proven

    def _search(self, u: int, firm_machines: int, machines: int, nodes: int) -> Point | int:
        """A packing, or 0 when proven impossible, or -1 when the branches run out."""
        by_size = self.orders[0]
        done, patterns = search(self.counts[u][by_size], self.sizes[by_size], self.room, self.firm[by_size],
                                np.ascontiguousarray(self.weights[:, by_size]), firm_machines, machines, nodes)
        if done != 1:
            return done
        back = np.zeros_like(patterns)
        back[:, by_size] = patterns
        used = back.any(axis=1)
        return back[used], np.ones(int(used.sum()), np.int64)


def decreasing(sizes: Floats, room: Floats, firm: Bools) -> Ints:
    """Class orders [k, 2c] for first fit decreasing, those of `firm` classes [2c] first; ties by the lower row."""
    share = sizes / np.maximum(room, 1e-12) * (sizes > 0)
    keys = [share.max(axis=1, initial=0.0), share.sum(axis=1), *share.T[:2]]
    return np.array([np.lexsort((-key, ~firm)) for key in keys], np.int64).reshape(len(keys), len(sizes))
