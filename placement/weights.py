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
from placement.patterns import best_pattern, fitting
from placement.problem import TOLERANCE, Floats, Ints
from placement.simplex import open_highs

_TRIES = np.array([[0.0, 5e3], [1e-3, 2e4], [1e-3, 1e5]])
"""Knapsack tries: relative slack a branch may be cut by, and the branches allowed. Slack costs a bit of the bound."""
_QUICK_TRIES = np.array([[0.0, 2e2], [1e-2, 5e2]])
"""The same where very many are asked."""
_LAST_TRIES = np.array([[1e-3, 5e5]])
"""The same once, where all else says that weights are done but has not proven it."""
_UNPROVEN = 1.005
"""Weights are scaled down by what is not proven of them: by so much without another try."""
_ENOUGH = 1 + 1e-7
"""A pattern heavier than this makes weights lighter."""
_NEGLIGIBLE = 1e-9


@jit
def heaviest_pattern(weights: Floats, sizes: Floats, room: Floats, pattern: Ints, tries: Floats = _TRIES,
                     enough: float = np.inf) -> float:
    """Upper bound on what the heaviest pattern weighs; `pattern` [C] receives the heaviest found.

    weights [C], sizes [C, R] with every positive-weight shape positive in some resource, room [R], which is taken to be
    `TOLERANCE` more. A pattern heavier than `enough` ends the search.
    """
    limits, bound, most = np.full(len(weights), 1 << 20), np.inf, -1.0
    for k in range(len(tries)):
        slack = tries[k, 0]
        value, above, found = best_pattern(weights, limits, sizes, room, slack, int(tries[k, 1]))
        if value > most:
            pattern[:], most = found, value
        bound = min(bound, above)
        if bound <= most * (1 + 1e-3) or most > enough:
            break
    return bound * (1 + 1e-12)


@jit
def _lift(weights: Floats, sizes: Floats, room: Floats, order: Ints) -> None:
    """Raise each weightless shape in `order` to the most that keeps the vector valid, in place."""
    pattern = np.zeros(len(weights), np.int64)
    for c in order:
        if weights[c] > _NEGLIGIBLE:
            continue
        fit = fitting(sizes[c], room + TOLERANCE)
        lift = 1.0
        for count in range(1, fit + 1):
            rest = heaviest_pattern(weights, sizes, room - count * sizes[c], pattern, _QUICK_TRIES)
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
        self._room = np.array(room, np.float64)
        self._shapes = len(sizes)
        self._lp = open_highs()
        none = np.zeros(0, np.int32)
        for _ in legal:
            self._lp.addRow(0.0, np.inf, 0, none, none.astype(float))
        for i in range(len(legal)):
            alone = np.zeros(len(legal), np.int64)
            alone[i] = fitting(self._sizes[i], self._room + TOLERANCE)
            self._add(alone)

    def resource_weights(self) -> Floats:
        """The share of each resource a replica takes [resources in use, C]: valid weights without any search."""
        shares = self._sizes / (self._room + TOLERANCE)
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
            heaviest = heaviest_pattern(weights, self._sizes, self._room, pattern, _TRIES, _ENOUGH)
            if pattern @ weights <= _ENOUGH and heaviest > _UNPROVEN:
                heaviest = heaviest_pattern(weights, self._sizes, self._room, pattern, _LAST_TRIES, _ENOUGH)
            if pattern @ weights <= _ENOUGH:
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
