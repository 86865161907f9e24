"""What one more machine, or one unit of weight less, would be worth: shadow prices from the prices of the bound.

At given prices the bound of `placement.bound` is a sum over pools and workloads. With one more machine allowed in every
slot only that pool's term falls, by `pool_usd`: so no plan with the machine is cheaper than the bound less that price.
Where the prices are the best there are, it is what the linear program behind the bound would save with a small part of
a machine more, a machine's worth at that rate; whole machines and replicas may save less, or more in one leap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from placement.bound import Prices, pools_bound
from placement.needs import machines_by_kind, pool_loads
from placement.packing import Effort, needed
from placement.problem import Bools, Floats, Problem, Purchase
from placement.purchase import buy, terms
from placement.result import Solution, Worth
from placement.shared import measured


def more_in_pools(problem: Problem) -> Problem:
    """One machine more in every pool and slot, also of the offers that are limited as the pool is."""
    pools, offers = problem.pools, problem.offers
    with_pool = (offers.max_machines >= pools.max_machines[offers.pool]) & (pools.max_machines[offers.pool] > 0)
    return replace(problem, pools=replace(pools, max_machines=pools.max_machines + np.int32(1)),
                   offers=replace(offers, max_machines=offers.max_machines + with_pool.astype(np.int32)))


def more_of(problem: Problem, purchase: Purchase) -> Problem:
    """One machine more of every offer of a purchase, in the slots where it has any and fewer than its pool."""
    offers = problem.offers
    less = (offers.max_machines < problem.pools.max_machines[offers.pool]) & (offers.max_machines > 0)
    here = less & (offers.purchase == purchase)[:, None]
    return replace(problem, offers=replace(offers, max_machines=offers.max_machines + here.astype(np.int32)))


def worth(problem: Problem, prices: Prices) -> Worth:
    """Shadow prices at the bound's prices: one machine more in every slot, pool by pool and offer by offer."""
    scale = 1.0 if problem.objective.mode == "min_cost" else prices.cost_scale
    per_usd = 1.0 / scale if scale > 0 else 0.0
    base = pools_bound(problem, prices)
    pool_usd = np.maximum(0.0, base - pools_bound(more_in_pools(problem), prices)) * per_usd
    offer_usd = np.zeros(len(problem.offers.pool))
    for purchase in Purchase:
        mine = problem.offers.purchase == purchase
        gained = np.maximum(0.0, base - pools_bound(more_of(problem, purchase), prices)) * per_usd
        offer_usd[mine] = gained[problem.offers.pool[mine]]
    limit_usd = prices.shared.limit.sum(axis=1) * per_usd if prices.shared.limit.size else np.zeros(0)
    return Worth(pool_usd, offer_usd, _weight_usd(problem, prices), limit_usd)


def _weight_usd(problem: Problem, prices: Prices) -> float:
    """In `min_cost` the price of the floor, which stands before the slack; in `max_sla` that of the budget, turned."""
    if problem.objective.mode == "max_sla":
        return 1.0 / prices.cost_scale if prices.cost_scale > 0 else 0.0
    weight, dropped = problem.workloads.weight, np.isfinite(prices.drop_cost)
    at = np.flatnonzero(dropped & (weight > 0))
    return float(prices.drop_cost[at[0]] / weight[at[0]]) if len(at) else 0.0


@dataclass(frozen=True, slots=True)
class Reached:
    """Limits that a solution reaches in some slot: of pools [P], of offers that are limited below them [O], and shared
    ones [L].
    """

    pools: Bools
    offers: Bools
    limits: Bools


def reached(problem: Problem, solution: Solution) -> Reached:
    """Where a solution runs as many machines as it may."""
    running = machines_by_kind(problem, solution.machines).sum(axis=1)
    below = problem.offers.max_machines < problem.pools.max_machines[problem.offers.pool]
    full = (solution.machines >= problem.offers.max_machines) & (solution.machines > 0) & below
    pools = ((running >= problem.pools.max_machines) & (running > 0)).any(axis=1)
    most = problem.limits.most.reshape(-1, problem.slots)
    shared = (measured(problem, solution.machines) >= most - 1e-6 * np.maximum(1.0, most)).any(axis=1)
    return Reached(np.asarray(pools, np.bool_), np.asarray(full.any(axis=1), np.bool_), np.asarray(shared, np.bool_))


def bought_again_usd(problem: Problem, solution: Solution) -> Floats:
    """[O] what one machine more of each offer saves with all units where they are: their pool bought anew.

    A saving that is certain, unlike a shadow price; 0 for offers whose limit is not reached.
    """
    running, full = machines_by_kind(problem, solution.machines), reached(problem, solution).offers
    saved, loads = np.zeros(len(problem.offers.pool)), pool_loads(problem, solution.units) if full.any() else ()
    now = terms(problem)
    for purchase in sorted({int(kind) for kind in problem.offers.purchase[full]}):
        then = terms(more_of(problem, Purchase(purchase)))
        for o in np.flatnonzero(full & (problem.offers.purchase == purchase)).tolist():
            pool = int(problem.offers.pool[o])
            ways = running[pool, : Purchase.SPOT].sum(axis=0)[None], running[pool].sum(axis=0)[None]
            if problem.paths is None:  # else what one row needs says nothing
                packed = needed(loads[pool], problem.shapes, problem.pools.room[pool], effort=Effort.ORDERS)
                ways = np.vstack([ways[0], packed.firm]), np.vstack([ways[1], packed.machines])
            before, after = (buy(pool, offered, *ways) for offered in (now, then))
            saved[o] = max(0.0, before.cost_usd - after.cost_usd)
    return saved
