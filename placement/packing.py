"""Exact packing: how many machines a pool's replicas need, slot by slot, shown by a packing of whole replicas.

Machines of a pool are alike. Replicas come in classes of equal ones; *firm* replicas must lie on machines that are not
spot, *flexible* ones lie anywhere. Bounds come from weights on classes (no machine holds more than 1 of their sum),
packings from simple orders first, then from patterns seen in other slots, the configuration LP and exact search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from placement.fitting import bound_by, by_orders, dive, fill_gaps, first_fit, machines_used, reuse, search
from placement.needs import Load
from placement.patterns import best_pattern, configuration_lp, simple_weights
from placement.problem import Bools, Floats, Ints

ROUNDS = 300
"""Columns that the configuration LP may generate for one slot."""
NODES = 3_000
"""Branches of an exact search inside a dive."""


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


@dataclass(frozen=True, slots=True)
class Needed:
    """Machines that one pool needs; [T] each.

    `firm` are the fewest machines found that are not spot, `machines` the fewest found in all with so few firm ones;
    `least` says that both are proven. `order` is the simple order that reaches them (a row of `ORDERS`), -1 where none
    does. `low` machines are proven necessary. `fewer` holds, for a slot where more firm machines make fewer in all,
    those (firm, machines) pairs. `packer` shows the packings.
    """

    firm: Ints
    machines: Ints
    least: Bools
    order: Ints
    low: Ints
    fewer: dict[int, tuple[tuple[int, int], ...]]
    packer: Packer


ORDERS = ("largest share", "sum of shares", "first resource", "second resource")
"""First fit decreasing by: the largest share of a machine's room a replica takes, the sum of shares, one resource."""


def needed(load: Load, shapes: Floats, room: Floats, *, effort: int = 2) -> Needed:
    """Machines that a pool's replicas need in every slot.

    `shapes` [C, R] are what one replica takes, `room` [R] what a machine has. `effort` 0 tries the simple orders only,
    1 also patterns of the LP where orders leave a gap to the bound, 2 also exact search. Raises ValueError when a replica
    that is wanted fits no machine.
    """
    packer = Packer(load, shapes, room)
    packer.pack(effort)
    which = packer.which
    rows = [packer.fewer(int(u)) for u in which]
    return Needed(packer.firm_machines[which], packer.machines[which], packer.least[which], packer.order[which],
                  packer.low[which], {t: found for t, found in enumerate(rows) if found}, packer)


class Packer:
    """Packs one pool's replicas; equal slots are packed once. Columns are (firm classes, flexible classes), each [2c]."""

    def __init__(self, load: Load, shapes: Floats, room: Floats) -> None:
        counts = np.concatenate((load.firm, load.flexible)).T.astype(np.int64)
        self.counts, which = np.unique(counts, axis=0, return_inverse=True)
        self.which: Ints = which.reshape(-1)
        classes = len(load.shapes)
        self.room = np.ascontiguousarray(room, np.float64)
        self._own = np.ascontiguousarray(shapes[load.shapes], np.float64)
        self.sizes: Floats = np.concatenate((self._own, self._own))
        self.firm: Bools = np.arange(2 * classes) < classes
        self._refuse_misfits(load)
        self.orders = _orders(self.sizes, self.room, self.firm)
        self.weights: Floats = np.tile(simple_weights(self._own, self.room), 2)
        many = len(self.counts)
        self.firm_machines, self.machines = np.zeros(many, np.int64), np.zeros(many, np.int64)
        self.order, self.low_firm, self.low = (np.zeros(many, np.int64) for _ in range(3))
        self.least = np.zeros(many, np.bool_)
        self._shown: dict[int, tuple[Ints, Ints]] = {}
        self._fewer: dict[int, list[tuple[int, int, Ints, Ints]]] = {}

    def pack(self, effort: int) -> None:
        """Find the fewest machines for every column, as hard as `effort` says."""
        (self.firm_machines, self.machines, self.order, self.low_firm, self.low) = by_orders(
            self.counts, self.sizes, self.room, self.firm, self.weights, self.orders)
        self.least = (self.firm_machines == self.low_firm) & (self.machines == self.low)
        if effort > 0:
            for u in np.flatnonzero(~self.least):
                self._improve(int(u))
        if effort > 1:
            for u in np.flatnonzero(~self.least):
                self._close(int(u))

    def fewer(self, u: int) -> tuple[tuple[int, int], ...]:
        """(firm machines, machines) of column u where more firm machines make fewer in all."""
        return tuple((firm, machines) for firm, machines, _, _ in self._fewer.get(u, ()))

    def packing(self, slot: int, firm_machines: int, machines: int, nodes: int = 200_000) -> Packing | None:
        """A packing of `slot` into `machines`, `firm_machines` of them not spot; None when none is found.

        `impossible` tells whether that is a proof.
        """
        u = int(self.which[slot])
        for patterns, times in self._known(u):
            firm, total = machines_used(patterns, times, self.firm)
            if firm <= firm_machines and total <= machines:
                return self._as_packing(patterns, times)
        found = self._search(u, min(firm_machines, machines), machines, nodes)
        return self._as_packing(*found) if isinstance(found, tuple) else None

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

    def _known(self, u: int) -> Iterator[tuple[Ints, Ints]]:
        """Packings of column u found so far."""
        yield self._pattern_rows(u)
        for _, _, patterns, times in self._fewer.get(u, ()):
            yield patterns, times

    def _pattern_rows(self, u: int) -> tuple[Ints, Ints]:
        if u in self._shown:
            return self._shown[u]
        return first_fit(self.counts[u], self.sizes, self.room, self.orders[self.order[u]])

    def _as_packing(self, patterns: Ints, times: Ints) -> Packing:
        classes = len(self._own)
        return Packing(patterns[:, :classes], patterns[:, classes:], times)

    def _take(self, u: int, patterns: Ints, times: Ints) -> None:
        """Keep a packing of column u if it needs fewer firm machines, or as many and fewer machines."""
        firm, total = machines_used(patterns, times, self.firm)
        if (firm, total) < (self.firm_machines[u], self.machines[u]):
            self.firm_machines[u], self.machines[u], self.order[u] = firm, total, -1
            self._shown[u] = (patterns, times)
        self.least[u] = self.firm_machines[u] == self.low_firm[u] and self.machines[u] == self.low[u]

    def _raise_bounds(self, u: int, counts: Ints, limit: Ints) -> None:
        """Prove more machines for `counts` [c] by the configuration LP, and keep its weights for the other columns."""
        here = np.flatnonzero(counts)
        bound, weights, _, _ = configuration_lp(counts[here], counts[here], self._own[here], self.room, ROUNDS)
        limit[u] = max(limit[u], int(np.ceil(bound - 1e-6)))
        free = np.full(len(here), 1 << 20)
        above = best_pattern(weights, free, self._own[here], self.room)[1]
        row = np.zeros(len(self._own))
        row[here] = weights / max(above, 1e-12)
        if float(row @ counts) > bound_by(self.weights, np.tile(counts, 2) * self.firm) - 1 + 1e-6:
            self.weights = np.vstack((self.weights, np.tile(row, 2)))

    def _by_weights(self, u: int) -> None:
        """Bounds of column u by every weight vector found so far."""
        self.low_firm[u] = max(self.low_firm[u], bound_by(self.weights, self.counts[u] * self.firm))
        self.low[u] = max(self.low[u], bound_by(self.weights, self.counts[u]))

    def _improve(self, u: int) -> None:
        """Bounds by the LP, packings by neighbours' patterns and by diving."""
        self._by_weights(u)
        for near in (u - 1, u + 1):
            if near in self._shown:
                self._take(u, *reuse(self.counts[u], self.sizes, self.room, self.firm, self.orders, *self._shown[near]))
        if self.least[u]:
            return
        classes = len(self._own)
        firm, flexible = self.counts[u][:classes], self.counts[u][classes:]
        self._raise_bounds(u, firm + flexible, self.low)
        if firm.any() and flexible.any():
            self._raise_bounds(u, firm, self.low_firm)
        elif firm.any():
            self.low_firm[u] = self.low[u]
        self._take(u, *self._firm_first(u))

    def _firm_first(self, u: int) -> tuple[Ints, Ints]:
        """Dive for the firm replicas, fill their machines' gaps with flexible ones, dive for the rest."""
        patterns, times = self._dive(self.counts[u] * self.firm)
        rest = self.counts[u] * ~self.firm
        if rest.any() and len(times):
            worth = self.weights[-1] * ~self.firm
            patterns, times, rest = fill_gaps(patterns, times, rest, self.sizes, self.room, worth, 4 * len(times) + 64)
        more, more_times = self._dive(rest)
        return np.concatenate((patterns, more)), np.concatenate((times, more_times))

    def _dive(self, counts: Ints) -> tuple[Ints, Ints]:
        return dive(counts, self.sizes, self.room, self.weights, self.orders[0], ROUNDS, NODES)

    def _close(self, u: int) -> None:
        """Search exactly, fewer and fewer machines, until the bound is met, it is proven, or the branches run out."""
        total, proven = int(self.counts[u].sum()), True
        if total > 80:
            return
        while proven and self.firm_machines[u] > self.low_firm[u]:
            wanted = int(self.firm_machines[u]) - 1
            found = self._search(u, wanted, wanted + int((self.counts[u] * ~self.firm).sum()), 20_000)
            if isinstance(found, tuple):
                self._take(u, *found)
            elif found == 0:
                self.low_firm[u] = self.firm_machines[u]
            proven = found != -1
        self._close_total(u, proven)

    def _close_total(self, u: int, proven: bool) -> None:
        found: tuple[Ints, Ints] | int = 1
        while self.machines[u] > self.low[u] and (found == 1 or isinstance(found, tuple)):
            found = self._search(u, int(self.firm_machines[u]), int(self.machines[u]) - 1, 20_000)
            if isinstance(found, tuple):
                self._take(u, *found)
        self.least[u] = proven and found != -1
        if found == 0 and self.firm[self.counts[u] > 0].any() and not self.firm[self.counts[u] > 0].all():
            self._trade(u)

    def _trade(self, u: int) -> None:
        """Packings of column u with more firm machines and fewer in all."""
        best = int(self.machines[u])
        for firm in range(int(self.firm_machines[u]) + 1, best):
            while best > max(self.low[u], firm):
                found = self._search(u, firm, best - 1, 20_000)
                if not isinstance(found, tuple):
                    break
                needs_firm, best = machines_used(*found, self.firm)
                self._fewer.setdefault(u, []).append((needs_firm, best, *found))
        if u not in self._fewer:
            return
        self._fewer[u] = [point for point in self._fewer[u]
                          if not any(other[0] <= point[0] and other[1] < point[1] for other in self._fewer[u])]

    def _search(self, u: int, firm_machines: int, machines: int, nodes: int) -> tuple[Ints, Ints] | int:
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


def _orders(sizes: Floats, room: Floats, firm: Bools) -> Ints:
    """Class orders [k, 2c] for first fit decreasing, firm classes first; ties by the lower row."""
    share = sizes / np.maximum(room, 1e-12) * (sizes > 0)
    keys = [share.max(axis=1, initial=0.0), share.sum(axis=1), *share.T[:2]]
    return np.array([np.lexsort((-key, ~firm)) for key in keys], np.int64).reshape(len(keys), len(sizes))
