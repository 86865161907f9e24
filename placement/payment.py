"""What a pool's machines cost the search: for wanted machines per slot, the cheapest mix of the pool's offers.

Compiled, and approximate in one respect only: where the limits of owned and of committed machines vary over time, both
are taken as one. `placement.purchase` buys exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.jit import inner_jit, jit
from placement.levels import pool_levels
from placement.needs import has_spot
from placement.problem import Bools, Floats, Ints, Problem, Purchase

OVER_USD = 1e5
"""Penalty for a machine and slot over a limit: never worth it, yet finite, so that the search can pass through."""
NO_OFFER_USD = 1e300
"""Price where an offer does not exist; finite, because the kernels here know no infinities."""
RUN_USD, POOL_MIN, POOL_MAX, FIXED_MAX, DEMAND_USD, DEMAND_MAX, SPOT_USD, SPOT_MAX = range(8)
"""What `Purse.by_slot` holds."""
_HELD, _SUNK_USD, _STEPS = 0, 1, 2
"""What `Purse.by_level` holds: from `_STEPS` on the machines of each step and their price in turn."""


class Purse(NamedTuple):
    """How each pool's machines are paid for.

    `by_slot` [P, 8, T]: `RUN_USD` is paid for each machine that runs, at least `POOL_MIN` and at most `POOL_MAX`; of
    these `FIXED_MAX` fixed ones, then `DEMAND_MAX` and `SPOT_MAX` at prices that are `NO_OFFER_USD` where there is no
    such offer. `by_level` [P, 2 + 2 K]: fixed machines held anyway, what they cost, then steps of so many more for so
    much each over the whole horizon, cheapest first. Counts are whole, but floats: slots are worked on side by side
    then, and few arrays are counted in and out on the way. Only where a pool `has_spot` machines [P] does it matter
    which replicas are firm. A machine and slot over a limit costs `over_usd`.
    """

    by_slot: Floats
    by_level: Floats
    has_spot: Bools
    over_usd: float = OVER_USD

    @property
    def held(self) -> Ints:
        """Fixed machines that are paid for anyway [P]."""
        return self.by_level[:, _HELD].astype(np.int64)

    @property
    def sunk_usd(self) -> Floats:
        """What those cost [P]."""
        return self.by_level[:, _SUNK_USD]

    @property
    def step_max(self) -> Ints:
        """Fixed machines of each further step [P, K]."""
        return self.by_level[:, _STEPS::2].astype(np.int64)

    @property
    def step_usd(self) -> Floats:
        """What each of them costs over the horizon [P, K]."""
        return self.by_level[:, _STEPS + 1 :: 2]

    @property
    def pool_max(self) -> Floats:
        """Machines that may run [P, T]; may be written to."""
        return self.by_slot[:, POOL_MAX]


def make_purse(problem: Problem) -> Purse:
    """The pools' offers as the search pays them. One offer per purchase in a pool."""
    offers, pools = problem.offers, problem.pools
    by_slot = np.zeros((len(pools.cluster), 8, problem.slots))
    by_slot[:, [DEMAND_USD, SPOT_USD]] = NO_OFFER_USD
    by_slot[:, RUN_USD], by_slot[:, POOL_MIN] = pools.run_usd, pools.min_machines
    by_slot[:, POOL_MAX] = pools.max_machines
    for o, p in enumerate(offers.pool.tolist()):
        match offers.purchase[o]:
            case Purchase.ON_DEMAND:
                by_slot[p, DEMAND_USD], by_slot[p, DEMAND_MAX] = offers.price_usd[o], offers.max_machines[o]
            case Purchase.SPOT:
                by_slot[p, SPOT_USD], by_slot[p, SPOT_MAX] = offers.price_usd[o], offers.max_machines[o]
            case _:
                by_slot[p, FIXED_MAX] += offers.max_machines[o]
    levels = [pool_levels(problem, np.flatnonzero(offers.pool == p)) for p in range(len(by_slot))]
    by_level = np.zeros((len(by_slot), _STEPS + 2 * max((len(one.width) for one in levels), default=0)))
    for row, one in zip(by_level, levels, strict=True):
        row[_HELD], row[_SUNK_USD] = one.held, one.sunk_usd
        row[_STEPS::2][: len(one.width)], row[_STEPS + 1 :: 2][: len(one.usd)] = one.width, one.usd
    return Purse(by_slot, by_level, has_spot(problem))


@inner_jit
def _held_usd(by_level: Floats, p: int, level: float) -> float:
    """USD of holding `level` fixed machines over the horizon."""
    extra, total = level - by_level[p, _HELD], by_level[p, _SUNK_USD]
    for i in range(_STEPS, by_level.shape[1], 2):
        bought = max(min(extra, by_level[p, i]), 0.0)
        total += bought * by_level[p, i + 1]
        extra -= bought
    return float(total)


@inner_jit
def most_fixed(by_level: Floats, p: int) -> int:
    """Fixed machines of pool p that can be had."""
    most = by_level[p, _HELD]
    for i in range(_STEPS, by_level.shape[1], 2):
        most += by_level[p, i]
    return int(most)


@inner_jit
def _loose_usd(
    more: float, firm: float, over_usd: float, demand_usd: float, demand_max: float, spot_usd: float, spot_max: float
) -> float:  # fmt: skip
    """USD of `more` machines in one slot beside those held, of which `firm` must not be spot."""
    loose = max(firm, more - spot_max)
    if demand_usd <= spot_usd:
        loose = max(loose, min(more, demand_max))
    loose = max(loose, 0.0)
    on_demand = min(loose, demand_max)
    return on_demand * demand_usd + (loose - on_demand) * over_usd + max(more - loose, 0.0) * spot_usd


@inner_jit
def _two_levels(
    by_slot: Floats, by_level: Floats, p: int, level: int, firm: Floats, every: Floats, over_usd: float
) -> tuple[float, float]:  # fmt: skip
    """USD of pool p over all slots when `firm`, `every` [T] machines wanted, and `level` held, or one more.

    Without branches, so that slots are worked on side by side.
    """
    here = above = beside = 0.0
    fixed, more = float(level), level + 1.0
    for t in range(len(every)):
        wanted = max(every[t], by_slot[p, POOL_MIN, t])
        beside += wanted * by_slot[p, RUN_USD, t] + max(wanted - by_slot[p, POOL_MAX, t], 0.0) * over_usd
        demand_usd, demand_max = by_slot[p, DEMAND_USD, t], by_slot[p, DEMAND_MAX, t]
        spot_usd, spot_max = by_slot[p, SPOT_USD, t], by_slot[p, SPOT_MAX, t]
        held = min(fixed, by_slot[p, FIXED_MAX, t])
        left = max(wanted - held, 0.0)
        here += _loose_usd(left, firm[t] - held, over_usd, demand_usd, demand_max, spot_usd, spot_max)
        held = min(more, by_slot[p, FIXED_MAX, t])
        left = max(wanted - held, 0.0)
        above += _loose_usd(left, firm[t] - held, over_usd, demand_usd, demand_max, spot_usd, spot_max)
    return _held_usd(by_level, p, fixed) + beside + here, _held_usd(by_level, p, more) + beside + above


@inner_jit
def best_level(
    by_slot: Floats, by_level: Floats, p: int, start: int, firm: Floats, every: Floats, over_usd: float, least: int
) -> tuple[float, int]:  # fmt: skip
    """Least USD of pool p for `firm`, `every` [T] machines, and the level of fixed machines that reaches it.

    The cost is convex in the level: from `start` on, steps double downhill, then bisection by the slope ends the
    search. The level is known not to be below `least`: what was best for fewer machines.
    """
    high = most_fixed(by_level, p)
    low = min(max(int(by_level[p, _HELD]), least), high)
    at, step = min(max(start, low), high), 1
    usd, above = _two_levels(by_slot, by_level, p, at, firm, every, over_usd)
    if at < high and above < usd:
        low = at + 1
        while above < usd:  # no level below `low` is best, nor any above `at` in the end
            at, step = min(high, low + step - 1), 2 * step
            usd, above = _two_levels(by_slot, by_level, p, at, firm, every, over_usd)
            if at == high:
                break
            low = at + 1 if above < usd else low
    while low < at:
        lower = max(low, at - step) if step < at - low else (low + at) // 2
        here, above = _two_levels(by_slot, by_level, p, lower, firm, every, over_usd)
        step = 2 * step
        if above < here:
            low, step = lower + 1, at
        else:
            at, usd = lower, here
    return usd, at


@jit
def pool_cost(purse: Purse, p: int, start: int, firm: Floats, every: Floats) -> tuple[float, int]:
    """As `best_level`, where no level is ruled out."""
    return best_level(purse.by_slot, purse.by_level, p, start, firm, every, purse.over_usd, 0)
