"""Certificates of bounds: what the methods that prove bounds keep of their best prices, written out in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from placement.certificate import Certificate, Decision, Leaf, PricedRows
from placement.groups import Groups
from placement.problem import Bools, Floats, Ints, Problem
from placement.shared_bound import FREE, SharedPrices


@dataclass(frozen=True, slots=True)
class RowProof:
    """Prices of a master's packing rows, [n] each; `rate` is the price of the floor (`min_cost`) or of the budget.

    `factor` [P, T] says how the price of a group is spread over its slots; None: evenly.
    """

    group: Ints
    weight: Ints
    firm: Bools
    price: Floats
    rate: float
    shared: SharedPrices = FREE
    factor: Floats | None = None


class Vectors:
    """Weight vectors numbered as they come, equal ones once."""

    def __init__(self, shapes: int) -> None:
        self._row: dict[bytes, int] = {}
        self._found: list[Floats] = []
        self._shapes = shapes

    def number(self, vector: Floats) -> int:
        """The row of a vector [C]."""
        row = self._row.setdefault(vector.tobytes(), len(self._found))
        if row == len(self._found):
            self._found.append(vector)
        return row

    @property
    def stacked(self) -> Floats:
        """All of them [V, C]."""
        return np.array(self._found).reshape(len(self._found), self._shapes)


def no_prices(problem: Problem) -> Certificate:
    """What proves that a plan costs at least what is paid anyway, or attains no more than all."""
    min_cost, none = problem.objective.mode == "min_cost", np.zeros(0, np.int64)
    rows = PricedRows(none, none, np.zeros(0, np.bool_), np.zeros((0, problem.slots)))
    leaf = Leaf((), rows, 1.0 if min_cost else 0.0, 0.0, np.zeros((0, problem.slots)), np.zeros((0, problem.slots)))
    return Certificate(np.zeros((0, len(problem.shapes))), (leaf,))


def of_master(problem: Problem, groups: Groups, weights: Sequence[Sequence[Floats]],
              leaves: Sequence[tuple[tuple[Decision, ...], RowProof]]) -> Certificate:
    """Certificate of a master's proofs by leaf; its `weights` by pool and its `groups` only ever grow."""
    vectors, found = Vectors(len(problem.shapes)), []
    for decisions, proof in leaves:
        pool = np.array([groups.pool[g] for g in proof.group.tolist()], np.int64)
        number = [vectors.number(weights[p][w]) for p, w in zip(pool.tolist(), proof.weight.tolist(), strict=True)]
        price = np.zeros((len(pool), problem.slots))
        for row, (g, p) in enumerate(zip(proof.group.tolist(), pool.tolist(), strict=True)):
            slots = groups.slots[g]
            price[row, slots] = proof.price[row] * (1.0 if proof.factor is None else proof.factor[p, slots])
        found.append(_leaf(problem, decisions, proof, _gathered(pool, np.array(number, np.int64), proof.firm, price)))
    return Certificate(vectors.stacked, tuple(found))


def _leaf(problem: Problem, decisions: tuple[Decision, ...], proof: RowProof, rows: PricedRows) -> Leaf:
    min_cost = problem.objective.mode == "min_cost"
    limit, unit = (values.reshape(-1, problem.slots) for values in (proof.shared.limit, proof.shared.unit))
    return Leaf(decisions, rows, 1.0 if min_cost else proof.rate, proof.rate if min_cost else 0.0, limit, unit)


def _gathered(pool: Ints, weight: Ints, firm: Bools, price: Floats) -> PricedRows:
    """Rows of the same pool, vector and kind as one, sorted; those without a price are left out."""
    keys, row = np.unique(np.stack([pool, weight, firm], axis=1), axis=0, return_inverse=True)
    total = np.zeros((len(keys), price.shape[1]))
    np.add.at(total, row.reshape(-1), price)
    keys, total = keys[total.any(axis=1)], total[total.any(axis=1)]
    return PricedRows(keys[:, 0], keys[:, 1], keys[:, 2].astype(np.bool_), total)


def of_pools(problem: Problem, weights: Sequence[Sequence[Floats]], every: Floats, firm: Floats,
             rate: float) -> Certificate:
    """Certificate of prices by pool, vector and slot [P, W, T]: of all work, and of what is firm; `rate` as above."""
    vectors, pool, number = Vectors(len(problem.shapes)), [], []
    for p, known in enumerate(weights):
        pool += [p] * len(known)
        number += [vectors.number(vector) for vector in known]
    price = [np.concatenate([values[p, : len(known)] for p, known in enumerate(weights)]) for values in (every, firm)]
    kinds = np.repeat([False, True], len(pool))
    rows = _gathered(np.array(pool * 2, np.int64), np.array(number * 2, np.int64), kinds, np.concatenate(price))
    nothing = RowProof(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros(0), rate)
    return Certificate(vectors.stacked, (_leaf(problem, (), nothing, rows),))


def of_capacity(problem: Problem, unit_usd: Floats, capacity: Ints) -> Certificate:
    """Certificate of prices [P] of a replica's room in one slot, where machines are held and each pool takes `capacity`
    [P] replicas of one size.
    """
    vectors = Vectors(len(problem.shapes))
    held = np.zeros(len(unit_usd), np.int64)
    np.add.at(held, problem.offers.pool, problem.offers.owned[:, 0])
    shape, at = problem.streams.shape[problem.candidates.stream], problem.candidates.pool
    pool = np.flatnonzero((unit_usd > 0) & (held > 0) & (capacity > 0))
    number = np.zeros(len(pool), np.int64)
    for row, p in enumerate(pool.tolist()):
        weight = np.zeros(len(problem.shapes))
        weight[shape[at == p]] = held[p] / capacity[p]
        number[row] = vectors.number(weight)
    price = (unit_usd[pool] * capacity[pool] / held[pool])[:, None]
    nothing = RowProof(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros(0), 0.0)
    rows = PricedRows(pool, number, np.zeros(len(pool), np.bool_), price)
    return Certificate(vectors.stacked, (_leaf(problem, (), nothing, rows),))
