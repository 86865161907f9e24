"""Slots of a pool that the master does not tell apart, and where they should be told apart.

A row over a group of slots is the sum of the rows of its slots: valid, only weaker. So a group is split where the
fractions would treat its slots differently, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.problem import Bools, Floats, Ints, Problem


@dataclass(frozen=True, slots=True)
class Row:
    """A packing row: weight vector `weight` of the group's pool over the slots of `group`, all work or `firm` only."""

    group: int
    weight: int
    firm: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """A way to split a group: the slots where `above` is true from the others; what it is worth in objective units."""

    worth: float
    group: int
    above: Bools


class Groups:
    """Groups of slots, numbered as they come: `slots` and `pool` of each, `alive` ones by pool, `slot_group` [P, T]."""

    def __init__(self, problem: Problem) -> None:
        pools = len(problem.pools.cluster)
        self.pool: list[int] = []
        self.slots: list[Ints] = []
        self.alive: list[list[int]] = [[] for _ in range(pools)]
        self.slot_group = np.zeros((pools, problem.slots), np.int64)
        for p in range(pools):
            for slots in _alike(problem, p):
                self._add(p, slots)

    def _add(self, pool: int, slots: Ints) -> int:
        number = len(self.slots)
        self.pool.append(pool)
        self.slots.append(slots)
        self.alive[pool].append(number)
        self.slot_group[pool, slots] = number
        return number

    def split(self, cut: Cut) -> tuple[int, int]:
        """The two groups that take the place of the one cut."""
        pool, slots = self.pool[cut.group], self.slots[cut.group]
        self.alive[pool].remove(cut.group)
        return self._add(pool, slots[cut.above]), self._add(pool, slots[~cut.above])


def _alike(problem: Problem, pool: int) -> list[Ints]:
    """Slots of a pool whose limits and prices are the same, kept together."""
    mine = problem.offers.pool == pool
    table = np.vstack([
        problem.pools.max_machines[pool], problem.pools.min_machines[pool], problem.pools.run_usd[pool],
        problem.offers.max_machines[mine], problem.offers.price_usd[mine],
    ]).T  # fmt: skip
    _, group = np.unique(table, axis=0, return_inverse=True)
    return [np.flatnonzero(group == g) for g in range(int(group.max()) + 1)]


def best_cut(group: int, slots: Ints, used: Floats, levels: list[tuple[float, Floats]], usd: float) -> Cut | None:
    """The cut of a group that matters most, or None where its slots agree.

    `used` [weights, T] is what each weight vector counts in machines; each level is a number of machines and an amount
    [T] that should lie on the same side of it in all slots. `usd` is what a machine and slot is worth.
    """
    best: Cut | None = None
    for level, amount in levels:
        above = amount[slots] > level + 1e-6
        if above.all() or not above.any():
            continue
        worth = min((amount[slots][above] - level).sum(), (level - amount[slots][~above]).sum()) * usd
        if worth > (best.worth if best else 0.0):
            best = Cut(float(worth), group, above)
    need, sums = used[:, slots].max(axis=0), used[:, slots].sum(axis=1)
    worth = float(need.sum() - sums.max()) * usd
    if worth > (best.worth if best else 0.0):
        above = used[int(sums.argmax()), slots] < need - 1e-6
        if above.any() and not above.all():
            best = Cut(worth, group, above)
    return best
