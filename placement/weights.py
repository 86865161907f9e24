"""Packing weights: linear proofs that replicas need machines.

A weight vector w >= 0 over shapes is valid for a room when no legal pattern (whole replicas on one machine) weighs more
than 1. Then sum(w[c] * replicas[c]) machines are needed at least, however the replicas are packed. The best such vector
for given replicas is the dual of the configuration LP (Gilmore and Gomory, "A linear programming approach to the
cutting-stock problem", Operations Research 9, 1961), found by pricing patterns with a bounded knapsack. Vectors are
lifted afterwards: a shape without weight gets the most it may have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from placement.jit import jit
from placement.problem import TOLERANCE, Floats, Ints
from placement.simplex import open_highs

_LIMITS = np.array([[0.0, 3e3], [0.002, 3e3], [0.01, 6e3], [0.03, 1e4], [0.1, 2e4]])
"""Knapsack tries: relative slack a node may be cut by, and the nodes allowed. A looser try costs a bit of the bound."""
_NEGLIGIBLE = 1e-9


@jit
def _densities(values: Floats, sizes: Floats) -> Floats:
    """[n + 1, R]: the most value per unit of resource r that items i and later have (infinite where one takes none)."""
    n, resources = sizes.shape
    density = np.zeros((n + 1, resources))
    for i in range(n - 1, -1, -1):
        for r in range(resources):
            here = values[i] / sizes[i, r] if sizes[i, r] > 0 else np.inf
            density[i, r] = max(density[i + 1, r], here)
    return density


@jit
def _at_most(density: Floats, free: Floats) -> float:
    """Value that fits into `free` [R] at the best density [R] of each resource."""
    most = np.inf
    for r in range(len(free)):
        if density[r] < np.inf:
            most = min(most, free[r] * density[r])
    return most


@jit
def _count(size: Floats, free: Floats) -> int:
    """How many whole items of `size` [R] fit into `free` [R]."""
    count = 1 << 40
    for r in range(len(free)):
        if size[r] > 0:
            count = min(count, int(np.floor(free[r] / size[r] + 1e-12)))
    return max(count, 0)


@jit
def _knapsack(values: Floats, sizes: Floats, room: Floats, slack: float, max_nodes: int, pattern: Ints) -> float:
    """Most value of whole items that fit one machine, by depth-first search; `pattern` [n] receives the best found.

    Returns an upper bound that is exact to the relative `slack`, or -1 when the nodes run out.
    """
    n, resources = sizes.shape
    density = _densities(values, sizes)
    taken = np.zeros(n, np.int64)
    free = room.copy()
    pattern[:] = 0
    value = best = 0.0
    depth = nodes = 0
    while True:
        while depth < n and value + _at_most(density[depth], free) > best * (1 + slack) + 1e-10:
            count = _count(sizes[depth], free)
            taken[depth] = count
            value += count * values[depth]
            for r in range(resources):
                free[r] -= count * sizes[depth, r]
            depth += 1
            nodes += 1
        if value > best + 1e-12:
            best = value
            for i in range(n):
                pattern[i] = taken[i] if i < depth else 0
        if nodes > max_nodes:
            return -1.0
        depth -= 1
        while depth >= 0 and taken[depth] == 0:
            depth -= 1
        if depth < 0:
            return best * (1 + slack) + 1e-10
        taken[depth] -= 1
        value -= values[depth]
        for r in range(resources):
            free[r] += sizes[depth, r]
        depth += 1


@jit
def _by_value_per_share(weights: Floats, sizes: Floats, room: Floats) -> Ints:
    """Shapes with weight, those first that weigh most for their largest share of a machine."""
    order = np.empty(len(weights), np.int64)
    rank = np.empty(len(weights))
    count = 0
    for c in range(len(weights)):
        if weights[c] <= _NEGLIGIBLE:
            continue
        share = 0.0
        for r in range(len(room)):
            share = max(share, sizes[c, r] / max(room[r], 1e-9))
        mine, at = weights[c] / share, count
        while at > 0 and rank[at - 1] < mine:
            order[at], rank[at] = order[at - 1], rank[at - 1]
            at -= 1
        order[at], rank[at] = c, mine
        count += 1
    return order[:count]


@jit
def heaviest_pattern(weights: Floats, sizes: Floats, room: Floats, pattern: Ints) -> float:
    """Upper bound on what the heaviest pattern weighs; `pattern` [C] receives the heaviest found.

    weights [C], sizes [C, R] with every positive-weight shape positive in some resource, room [R].
    """
    order = _by_value_per_share(weights, sizes, room)
    n, resources = len(order), len(room)
    pattern[:] = 0
    if n == 0:
        return 0.0
    values, small, part = np.empty(n), np.empty((n, resources)), np.zeros(n, np.int64)
    for i in range(n):
        values[i] = weights[order[i]]
        for r in range(resources):
            small[i, r] = sizes[order[i], r]
    bound = -1.0
    for k in range(len(_LIMITS)):
        if bound < 0:
            bound = _knapsack(values, small, room, _LIMITS[k, 0], int(_LIMITS[k, 1]), part)
    for i in range(n):
        pattern[order[i]] = part[i]
    return bound if bound >= 0 else _at_most(_densities(values, small)[0], room)


@jit
def _lift(weights: Floats, sizes: Floats, room: Floats, order: Ints) -> None:
    """Raise each weightless shape in `order` to the most that keeps the vector valid, in place."""
    pattern = np.zeros(len(weights), np.int64)
    for c in order:
        if weights[c] > _NEGLIGIBLE:
            continue
        fit = _count(sizes[c], room)
        lift = 1.0
        for count in range(1, fit + 1):
            rest = heaviest_pattern(weights, sizes, room - count * sizes[c] + 1e-12, pattern)
            lift = min(lift, (1.0 - rest) / count)
            if lift <= _NEGLIGIBLE:
                break
        if fit > 0 and lift > _NEGLIGIBLE:
            weights[c] = lift * (1 - 1e-12)


class WeightFinder:
    """Finds weight vectors for one kind of machine; patterns found are kept, so each call starts warm.

    `sizes` [C, R] and `room` [R] in the resources' units, `legal` the shapes that may ever be on this machine: each
    fits it and takes something.
    """

    def __init__(self, sizes: Floats, room: Floats, legal: Ints) -> None:
        self._legal = legal
        self._sizes = np.ascontiguousarray(sizes[legal])
        self._room = room + TOLERANCE
        self._shapes = len(sizes)
        self._lp = open_highs()
        none = np.zeros(0, np.int32)
        for _ in legal:
            self._lp.addRow(0.0, np.inf, 0, none, none.astype(float))
        for i in range(len(legal)):
            positive = self._sizes[i] > 0
            alone = np.zeros(len(legal), np.int64)
            alone[i] = int(np.floor(min(self._room[positive] / self._sizes[i, positive])))
            self._add(alone)

    def resource_weights(self) -> Floats:
        """The share of each resource a replica takes [resources in use, C]: valid weights without any search."""
        shares = self._sizes / np.maximum(self._room, 1e-9)
        found = np.zeros((self._room.size, self._shapes))
        found[:, self._legal] = shares.T
        used: Floats = found[found.max(axis=1, initial=0.0) > 0]
        return used

    def find(self, replicas: Floats, lift_order: Ints | None = None) -> Floats:
        """The valid weight vector [C] that proves most machines for `replicas` [C] (fractions allowed)."""
        wanted = replicas[self._legal]
        rows = np.arange(len(self._legal), dtype=np.int32)
        self._lp.changeRowsBounds(len(rows), rows, wanted.astype(float), np.full(len(rows), np.inf))
        pattern = np.zeros(len(self._legal), np.int64)
        weights, heaviest = np.zeros(len(rows)), 0.0
        for _ in range(300):
            self._lp.run()
            dual = np.asarray(self._lp.getSolution().row_dual)
            weights = np.where(dual > _NEGLIGIBLE, dual, 0.0)
            heaviest = heaviest_pattern(weights, self._sizes, self._room, pattern)
            if pattern @ weights <= 1 + 1e-7:
                break
            self._add(pattern)
        weights = weights / max(heaviest, 1.0)
        order = np.argsort(-wanted, kind="stable") if lift_order is None else lift_order
        _lift(weights, self._sizes, self._room, order)
        found = np.zeros(self._shapes)
        found[self._legal] = weights
        return found

    def _add(self, pattern: Ints) -> None:
        where = np.flatnonzero(pattern)
        self._lp.addCol(1.0, 0.0, np.inf, len(where), where.astype(np.int32), pattern[where].astype(float))


def stack(vectors: Sequence[Floats], shapes: int) -> Floats:
    """Weight vectors as one array [n, shapes] (n may be 0)."""
    return np.array(vectors, np.float64).reshape(len(vectors), shapes)


def undominated(weights: Floats) -> Floats:
    """The rows of `weights` [n, C] that no other row equals or exceeds everywhere, in their order."""
    rows = weights[np.sort(np.unique(np.round(weights, 9), axis=0, return_index=True)[1])]
    below = (rows[:, None, :] <= rows[None, :, :] + 1e-12).all(axis=2)
    first = np.tri(len(rows), dtype=bool)  # of near-equals keep the first
    beaten = (below & (first | ~below.T) & ~np.eye(len(rows), dtype=bool)).any(axis=1)
    left: Floats = rows[~beaten]
    return left
