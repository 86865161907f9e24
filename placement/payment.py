"""What a pool's machines cost the search: for wanted machines per slot, the cheapest mix of the pool's offers.

Compiled, and approximate in one respect only: where the limits of owned and of committed machines vary over time, both
are taken as one. `placement.purchase` buys exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.jit import fast_jit, jit
from placement.levels import pool_levels
from placement.needs import has_spot
from placement.problem import Bools, Floats, Ints, Problem, Purchase

OVER_USD = 1e5
"""Penalty for a machine and slot over a limit: never worth it, yet finite, so that the search can pass through."""


class Purse(NamedTuple):
    """How each pool's machines are paid for. [P] or [P, T]; prices infinite where an offer does not exist.

    `held` machines are paid for anyway, for `sunk_usd`; further fixed machines come in steps [P, K] of `step_max` for
    `step_usd` each over the whole horizon, cheapest first; `fixed_max` caps fixed machines by slot. Then on demand and
    spot by slot. `pool_max` caps all machines, `pool_min` run in any case; `run_usd` is paid for each that runs. Only
    where a pool `has_spot` machines [P] does it matter which replicas are firm. A machine and slot over a limit costs
    `over_usd`.
    """

    held: Ints
    sunk_usd: Floats
    step_usd: Floats
    step_max: Ints
    fixed_max: Ints
    demand_usd: Floats
    demand_max: Ints
    spot_usd: Floats
    spot_max: Ints
    pool_max: Ints
    pool_min: Ints
    run_usd: Floats
    has_spot: Bools
    over_usd: float = OVER_USD


def make_purse(problem: Problem) -> Purse:
    """The pools' offers as the search pays them. One offer per purchase in a pool."""
    offers, pools = problem.offers, problem.pools
    count, slots = len(pools.cluster), problem.slots
    usd = {kind: np.full((count, slots), np.inf) for kind in Purchase}
    most = {kind: np.zeros((count, slots), np.int64) for kind in Purchase}
    for o in range(len(offers.pool)):
        kind, p = Purchase(int(offers.purchase[o])), offers.pool[o]
        usd[kind][p], most[kind][p] = offers.price_usd[o], offers.max_machines[o]
    levels = [pool_levels(problem, np.flatnonzero(offers.pool == p)) for p in range(count)]
    steps = max((len(one.width) for one in levels), default=0)
    step_usd, step_max = np.zeros((count, steps)), np.zeros((count, steps), np.int64)
    for p, one in enumerate(levels):
        step_usd[p, : len(one.usd)], step_max[p, : len(one.width)] = one.usd, one.width
    return Purse(
        np.array([one.held for one in levels], np.int64), np.array([one.sunk_usd for one in levels]), step_usd,
        step_max, most[Purchase.OWNED] + most[Purchase.COMMITTED], usd[Purchase.ON_DEMAND], most[Purchase.ON_DEMAND],
        usd[Purchase.SPOT], most[Purchase.SPOT], pools.max_machines.astype(np.int64),
        pools.min_machines.astype(np.int64), pools.run_usd.copy(),
        has_spot(problem),
    )  # fmt: skip


@jit
def _held_cost(purse: Purse, p: int, level: int) -> float:
    """USD of holding `level` fixed machines over the horizon."""
    extra = level - purse.held[p]
    total = purse.sunk_usd[p]
    for i in range(purse.step_max.shape[1]):
        bought = min(extra, purse.step_max[p, i])
        if bought <= 0:
            break
        total += bought * purse.step_usd[p, i]
        extra -= bought
    return float(total)


@jit
def _firm_cost(
    every: Ints, level: int, fixed_max: Ints, demand_usd: Floats, demand_max: Ints, pool_max: Ints, pool_min: Ints,
    run_usd: Floats, over_usd: float,
) -> float:  # fmt: skip
    """USD over all slots [T] beside what is held, where no machine is spot. Slots are worked on side by side."""
    usd = np.empty(len(every))
    for t in range(len(every)):
        wanted = max(every[t], pool_min[t])
        more = max(wanted - min(level, fixed_max[t]), 0)
        over = max(wanted - pool_max[t], 0) + max(more - demand_max[t], 0)
        price = demand_usd[t] if demand_max[t] > 0 else 0.0
        usd[t] = wanted * run_usd[t] + min(more, demand_max[t]) * price + over * over_usd
    return _sum(usd)


@fast_jit
def _sum(values: Floats) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


@jit
def _level_cost(purse: Purse, p: int, level: int, firm: Ints, every: Ints) -> float:
    """USD of pool p over all slots when `level` fixed machines are held and `firm`, `every` [T] machines are wanted."""
    total = _held_cost(purse, p, level)
    if not purse.has_spot[p]:
        return total + _firm_cost(
            every, level, purse.fixed_max[p], purse.demand_usd[p], purse.demand_max[p], purse.pool_max[p],
            purse.pool_min[p], purse.run_usd[p], purse.over_usd,
        )  # fmt: skip
    for t in range(len(every)):
        wanted = max(every[t], purse.pool_min[p, t])
        total += wanted * purse.run_usd[p, t]
        if wanted > purse.pool_max[p, t]:
            total += purse.over_usd * (wanted - purse.pool_max[p, t])
        held = min(level, purse.fixed_max[p, t])
        more = wanted - held
        if more <= 0:
            continue
        loose = max(firm[t] - held, more - purse.spot_max[p, t], 0)
        if purse.demand_usd[p, t] <= purse.spot_usd[p, t]:
            loose = max(loose, min(more, purse.demand_max[p, t]))
        if loose > purse.demand_max[p, t]:
            total += purse.over_usd * (loose - purse.demand_max[p, t])
            total += purse.demand_max[p, t] * purse.demand_usd[p, t] if purse.demand_max[p, t] > 0 else 0.0
        elif loose > 0:
            total += loose * purse.demand_usd[p, t]
        if more > loose:
            total += (more - loose) * purse.spot_usd[p, t]
    return float(total)


@jit
def pool_cost(purse: Purse, p: int, start: int, firm: Ints, every: Ints) -> tuple[float, int]:
    """Least USD of pool p for `firm`, `every` [T] machines, and the level of fixed machines that reaches it.

    The cost is convex in the level: from `start` on, steps double downhill, then bisection ends the search.
    """
    low = high = purse.held[p]
    for i in range(purse.step_max.shape[1]):
        high += purse.step_max[p, i]
    if low == high:
        return _level_cost(purse, p, low, firm, every), low
    peak = 0
    for t in range(len(every)):
        peak = max(peak, every[t], purse.pool_min[p, t])
    high = max(low, min(high, peak))
    at = min(max(start, low), high)
    here = _level_cost(purse, p, at, firm, every)
    way = 0
    if at < high:
        above = _level_cost(purse, p, at + 1, firm, every)
        if above < here:
            way, here = 1, above
    if way == 0 and at > low:
        below = _level_cost(purse, p, at - 1, firm, every)
        if below < here:
            way, here = -1, below
    if way == 0:
        return here, at
    before, at, step = at, at + way, 1
    while low <= at + way * step <= high:
        there = _level_cost(purse, p, at + way * step, firm, every)
        if there > here:
            break
        before, at, here, step = at, at + way * step, there, step * 2
    if way > 0:  # the lowest may lie before the last step, too
        return _bisect(purse, p, before, min(high, at + step), firm, every)
    return _bisect(purse, p, max(low, at - step), before, firm, every)


@jit
def _bisect(purse: Purse, p: int, low: int, high: int, firm: Ints, every: Ints) -> tuple[float, int]:
    """The best level between `low` and `high`, by the slope."""
    while low < high:
        middle = (low + high) // 2
        if _level_cost(purse, p, middle + 1, firm, every) < _level_cost(purse, p, middle, firm, every):
            low = middle + 1
        else:
            high = middle
    return _level_cost(purse, p, low, firm, every), low
