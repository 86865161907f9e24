"""Prices of capacity for an assignment, and the bound they prove.

Any prices y >= 0 a unit of capacity give, by weak duality, the lower bound

    bound(y) = sum over streams min over pools (cost + y x weight)  -  sum over pools y x capacity

The best prices are the dual of the linear program. It is solved over the few cheapest places of every stream; places
that price out come in until none does (sifting). The bound is evaluated over all places afterwards, in float64.
"""

from __future__ import annotations

import numpy as np

from placement.problem import Bools, Floats, Ints
from placement.simplex import open_highs

_BY_COLUMN, _MINIMISE = 1, 1
"""As HiGHS numbers matrix formats and senses."""
_FIRST_PLACES = 6
_STEPS = 150
_ROUNDS = 60
_CLOSE = 1e-7
"""Rounds of sifting end when the bound comes within this share of the program's value."""


def find_prices(cost: Floats, weight: Ints, capacity: Ints) -> tuple[Floats, float]:
    """USD a unit of capacity [P], and the bound they prove in USD; infinite where no assignment can exist.

    `cost` [S, P] is infinite where a stream may not be, `weight` [S, P], `capacity` [P].
    """
    if not np.isfinite(cost).any(axis=1).all():
        return np.zeros(len(capacity)), np.inf
    prices = _rough_prices(cost, weight, capacity)
    best = bound_of(prices, cost, weight, capacity)
    chosen = _cheapest(cost + prices * weight, _FIRST_PLACES)
    dearest = float(np.where(np.isfinite(cost), cost, -np.inf).max(axis=1).sum())
    penalty = 10 * (dearest + 1.0)
    for _ in range(_ROUNDS):
        value, new = _restricted(cost, weight, capacity, chosen, penalty)
        bound = bound_of(new, cost, weight, capacity)
        if bound > best:
            best, prices = bound, new
        if value - bound <= _CLOSE * max(1.0, abs(value)):
            break
        chosen |= _cheapest(cost + new * weight, 2)
    if best > dearest + 1e-6 * max(1.0, abs(dearest)):
        return prices, np.inf  # more than any assignment could cost: there is none
    return prices, best


def bound_of(prices: Floats, cost: Floats, weight: Ints, capacity: Ints) -> float:
    """The lower bound that `prices` [P] prove."""
    return float((cost + prices * weight).min(axis=1).sum() - prices @ capacity)


def _rough_prices(cost: Floats, weight: Ints, capacity: Ints) -> Floats:
    """A few steps of a subgradient method: good enough to say which places the linear program should look at."""
    streams = np.arange(len(cost))
    known = np.isfinite(cost)
    scale = float(cost[known].mean() - cost[known].min()) / max(1.0, float(weight[known].mean()))
    prices, best, kept = np.zeros(len(capacity)), -np.inf, np.zeros(len(capacity))
    for step in range(_STEPS):
        priced = cost + prices * weight
        place = priced.argmin(axis=1)
        value = float(priced[streams, place].sum() - prices @ capacity)
        if value > best:
            best, kept = value, prices.copy()
        load = np.bincount(place, weight[streams, place], len(capacity))
        slope = (load - capacity) / np.maximum(capacity, 1)
        prices = np.maximum(0.0, prices + scale * slope / (1 + 0.1 * step))
    return kept


def _cheapest(priced: Floats, most: int) -> Bools:
    """[S, P] the `most` cheapest places of every stream, as far as they are legal."""
    chosen = np.zeros(priced.shape, np.bool_)
    most = min(most, priced.shape[1])
    places = np.argpartition(priced, most - 1, axis=1)[:, :most]
    np.put_along_axis(chosen, places, values=True, axis=1)
    return np.asarray(chosen & np.isfinite(priced))


def _restricted(cost: Floats, weight: Ints, capacity: Ints, chosen: Bools, penalty: float) -> tuple[float, Floats]:
    """Value and prices of the program over the places `chosen` [S, P]; leaving a stream out costs `penalty`."""
    streams, pools = np.nonzero(chosen)
    many, count = len(cost), len(capacity)
    columns = len(streams) + many
    index = np.empty(2 * len(streams) + many, np.int32)
    index[0: 2 * len(streams): 2], index[1: 2 * len(streams): 2] = pools, count + streams
    index[2 * len(streams):] = count + np.arange(many)
    value = np.ones(len(index))
    value[0: 2 * len(streams): 2] = weight[streams, pools]
    start = np.concatenate([2 * np.arange(len(streams)), 2 * len(streams) + np.arange(many + 1)]).astype(np.int32)
    solver = open_highs()
    inf = float("inf")
    prices_usd = np.concatenate([cost[streams, pools], np.full(many, penalty)])
    solver.passModel(
        columns, count + many, len(index), _BY_COLUMN, _MINIMISE, 0.0,
        prices_usd, np.zeros(columns), np.full(columns, inf),
        np.concatenate([np.full(count, -inf), np.ones(many)]),
        np.concatenate([capacity.astype(np.float64), np.ones(many)]),
        start[:-1], index, value, np.zeros(columns, np.int32))  # fmt: skip
    solver.run()
    duals = np.array(solver.getSolution().row_dual)[:count]
    return float(solver.getInfo().objective_function_value), np.maximum(0.0, -duals)

