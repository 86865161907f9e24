"""How much the contents of one machine can weigh at most: whether a packing weight vector proves what it says.

Depth first over the shapes, most of each first, heaviest for their size first. What is left of a machine bounds what
may still come in: by each resource alone and by each two added up, no shape brings more than its best ratio of weight
to size. A branch that cannot come over 1, or over the heaviest content met, is cut.
"""

from __future__ import annotations

import numpy as np

from placement.jit import jit
from placement.problem import TOLERANCE, Floats

MOST_NODES = 20_000_000
"""Branches after which a vector's weight is bounded without going on."""
_ROUNDING = 1e-9
"""What sums of weights and sizes may be off by, relative to 1 and to a machine: contents so much too large count."""


def heaviest(weights: Floats, sizes: Floats, room: Floats) -> float:
    """An upper bound on what whole replicas that fit one machine weigh; 1 + 1e-9 where it is proven to be no more.

    weights [C] (0 or more), sizes [C, R], room [R]. It is exact where it is more than that, unless the search was cut
    short. Infinite where a shape with weight takes no room.
    """
    used = np.flatnonzero(weights > 0)
    fits = (sizes[used] <= room + TOLERANCE).all(axis=1)  # what is too large for a machine is in no content
    used = used[fits]
    if not len(used):
        return 0.0
    share = sizes[used] / (room + TOLERANCE)
    if (share.max(axis=1) <= 0).any():
        return float("inf")
    pairs = [share[:, a] + share[:, b] for a in range(share.shape[1]) for b in range(a)]
    table = np.column_stack([share, *pairs])
    full = np.concatenate([np.ones(share.shape[1]), np.full(len(pairs), 2.0)]) + _ROUNDING
    order = np.argsort(-weights[used] / share.max(axis=1), kind="stable")
    return float(_search(weights[used][order], np.ascontiguousarray(table[order]), full, 1 + _ROUNDING, MOST_NODES))


@jit
def _ratios(weights: Floats, table: Floats) -> Floats:
    """[n + 1, R]: the most weight per share of resource r among shapes i and later; infinite where one takes none."""
    count, resources = table.shape
    ratio = np.zeros((count + 1, resources))
    for i in range(count - 1, -1, -1):
        for r in range(resources):
            here = weights[i] / table[i, r] if table[i, r] > 0 else np.inf
            ratio[i, r] = max(ratio[i + 1, r], here)
    return ratio


@jit
def _still(ratio: Floats, free: Floats) -> float:
    """What may come into `free` [R] at best."""
    most = np.inf
    for r in range(len(free)):
        if ratio[r] < np.inf:
            most = min(most, max(free[r], 0.0) * ratio[r])
    return most


@jit
def _whole(size: Floats, free: Floats) -> int:
    """How many whole replicas of `size` [R] fit into `free` [R]."""
    count = np.inf
    for r in range(len(free)):
        if size[r] > 0:
            count = min(count, np.floor(free[r] / size[r] + 1e-12))
    return max(0, int(min(count, 1e9)))


@jit
def _search(weights: Floats, table: Floats, full: Floats, enough: float, most_nodes: int) -> float:
    """The heaviest content, or `enough` where none is heavier; what bounds the first branch when nodes run out."""
    count, resources = table.shape
    ratio = _ratios(weights, table)
    taken = np.zeros(count, np.int64)
    free, value = np.empty((count + 1, resources)), np.zeros(count + 1)  # before each shape: no sum is ever taken back
    free[0] = full
    best, depth, nodes = enough, 0, 0
    while True:
        while depth < count and value[depth] + _still(ratio[depth], free[depth]) > best:
            taken[depth] = _whole(table[depth], free[depth])
            _take(weights, table, taken[depth], depth, free, value)
            depth += 1
            nodes += 1
            best = max(best, value[depth])
        if nodes > most_nodes:
            return max(best, _still(ratio[0], full))
        depth -= 1
        while depth >= 0 and taken[depth] == 0:
            depth -= 1
        if depth < 0:
            return best
        taken[depth] -= 1
        _take(weights, table, taken[depth], depth, free, value)
        depth += 1


@jit
def _take(weights: Floats, table: Floats, times: int, depth: int, free: Floats, value: Floats) -> None:
    """What is free, and what the content weighs, after `times` replicas of the shape at `depth`."""
    value[depth + 1] = value[depth] + times * weights[depth]
    for r in range(table.shape[1]):
        free[depth + 1, r] = free[depth, r] - times * table[depth, r]
