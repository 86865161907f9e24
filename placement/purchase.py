"""The cheapest way to buy the machines that a pool needs, exactly: levels of owned and committed, then slot by slot.

Owned and committed offers are paid in every slot for the most that run, or for what is owned then if that is more, so
each is one level to choose; machines held at that level cost nothing more in a slot. What they leave open is bought on
demand or as spot, cheapest first; spot never takes the place of a machine that firm replicas need. For given needs the
cost is convex in the levels (a slot's saving by one more held machine falls as more are held), so bisection finds the
least; where a slot may choose between needs, it is not, and every level is tried.

Kernels take one pool's terms as arrays with a row per `Purchase` ([4] or [4, T]); an offer the pool does not have has
`most` 0. T slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.jit import jit
from placement.problem import Floats, Ints, Problem, Purchase

OWNED, COMMITTED, ON_DEMAND, SPOT = (int(kind) for kind in Purchase)
TRIES = 10_000_000
"""Most (levels x slots x needs) that are tried one by one; beyond, the search over levels is by bisection."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every pool offers, dense: `price_usd`, `most`, `owned` [P, 4, T], `offer` [P, 4] (row of the problem's
    offers, -1 where there is none), `pool_most`, `run_usd`, `pool_least` [P, T].
    """

    price_usd: Floats
    most: Ints
    owned: Ints
    offer: Ints
    pool_most: Ints
    run_usd: Floats
    pool_least: Ints


@dataclass(frozen=True, slots=True)
class Bought:
    """`counts` [4, T] machines that run by purchase, `choice` [T] which of the given needs was bought, `lacking` [T]
    machines that no offer gave, `cost_usd` of the machines (without what lacks).
    """

    counts: Ints
    choice: Ints
    lacking: Ints
    cost_usd: float


def terms(problem: Problem) -> Terms:
    """The problem's offers by pool and purchase. Raises ValueError when a pool has two offers of one purchase."""
    offers, pools, slots = problem.offers, len(problem.pools.cluster), problem.slots
    price, most = np.zeros((pools, 4, slots)), np.zeros((pools, 4, slots), np.int64)
    owned, offer = np.zeros((pools, 4, slots), np.int64), np.full((pools, 4), -1)
    for o, (pool, kind) in enumerate(zip(offers.pool, offers.purchase, strict=True)):
        if offer[pool, kind] >= 0:
            name = Purchase(int(kind)).name.lower()
            raise ValueError(f"pool {pool} has two {name} offers; one offer a purchase is allowed")
        offer[pool, kind], owned[pool, kind] = o, offers.owned[o] if kind <= COMMITTED else 0
        price[pool, kind], most[pool, kind] = offers.price_usd[o], offers.max_machines[o]
    return Terms(price, most, owned, offer, problem.pools.max_machines.astype(np.int64), problem.pools.run_usd.copy(),
                 problem.pools.min_machines.astype(np.int64))


@jit
def slot_split(firm: int, total: int, held: int, on_demand_usd: float, spot_usd: float, on_demand_most: int,
               spot_most: int, pool_most: int) -> tuple[int, int, int, int]:
    """(held that run, on_demand, spot, lacking) machines of one slot that needs `firm` of `total` machines not spot."""
    wanted = min(total, pool_most)
    running = min(held, wanted)
    rest = wanted - running
    spot_most = min(spot_most, wanted - max(min(firm, wanted), running))
    if spot_usd < on_demand_usd:
        spot = min(rest, spot_most)
        on_demand = min(rest - spot, on_demand_most)
    else:
        on_demand = min(rest, on_demand_most)
        spot = min(rest - on_demand, spot_most)
    return running, on_demand, spot, total - running - on_demand - spot


@jit
def _slot_usd(t: int, firm: int, total: int, held: int, price: Floats, most: Ints, pool_most: Ints, run_usd: Floats,
              excess_usd: float) -> float:
    """USD of slot t beside what the held machines cost anyway; every machine that lacks costs `excess_usd`."""
    running, on_demand, spot, lacking = slot_split(firm, total, held, price[ON_DEMAND, t], price[SPOT, t],
                                                   most[ON_DEMAND, t], most[SPOT, t], pool_most[t])
    return float(on_demand * price[ON_DEMAND, t] + spot * price[SPOT, t] + (running + on_demand + spot) * run_usd[t]
                 + lacking * excess_usd)


@jit
def _levels_usd(own: int, commit: int, firm: Ints, total: Ints, price: Floats, most: Ints, owned: Ints,
                pool_most: Ints, run_usd: Floats, excess_usd: float) -> float:
    """USD of the pool when `own` and `commit` machines are held; needs [K, T] are chosen slot by slot."""
    usd = 0.0
    for t in range(total.shape[1]):
        held = min(own, most[OWNED, t]) + min(commit, most[COMMITTED, t])
        least = np.inf
        for k in range(total.shape[0]):
            least = min(least, _slot_usd(t, firm[k, t], total[k, t], held, price, most, pool_most, run_usd, excess_usd))
        usd += least + max(own, owned[OWNED, t]) * price[OWNED, t]
        usd += max(commit, owned[COMMITTED, t]) * price[COMMITTED, t]
    return usd


@jit
def _best_commit(own: int, low: int, high: int, firm: Ints, total: Ints, price: Floats, most: Ints, owned: Ints,
                 pool_most: Ints, run_usd: Floats, excess_usd: float) -> tuple[int, float]:
    """The least committed level that costs least beside `own` owned machines, and its USD, by bisection."""
    while low < high:
        middle = (low + high) // 2
        here = _levels_usd(own, middle, firm, total, price, most, owned, pool_most, run_usd, excess_usd)
        more = _levels_usd(own, middle + 1, firm, total, price, most, owned, pool_most, run_usd, excess_usd)
        if more >= here - 1e-9:
            high = middle
        else:
            low = middle + 1
    return low, _levels_usd(own, low, firm, total, price, most, owned, pool_most, run_usd, excess_usd)


@jit
def _lowest(kind: int, owned: Ints) -> int:
    """The level of a fixed offer that is paid for anyway: the fewest owned in any slot."""
    level = owned[kind, 0]
    for t in range(owned.shape[1]):
        level = min(level, owned[kind, t])
    return int(level)


@jit
def _highest(kind: int, total: Ints, most: Ints, owned: Ints) -> int:
    """The highest level of a fixed offer that can be of use."""
    level = _lowest(kind, owned)
    for t in range(total.shape[1]):
        for k in range(total.shape[0]):
            level = max(level, min(total[k, t], most[kind, t]))
    return int(level)


@jit
def _try_all(firm: Ints, total: Ints, price: Floats, most: Ints, owned: Ints, pool_most: Ints, run_usd: Floats,
             excess_usd: float) -> tuple[int, int, float]:
    """The cheapest levels (owned, committed) of all, and their USD."""
    best_own, best_commit, best = _lowest(OWNED, owned), _lowest(COMMITTED, owned), np.inf
    for own in range(best_own, _highest(OWNED, total, most, owned) + 1):
        for commit in range(_lowest(COMMITTED, owned), _highest(COMMITTED, total, most, owned) + 1):
            usd = _levels_usd(own, commit, firm, total, price, most, owned, pool_most, run_usd, excess_usd)
            if usd < best - 1e-9:
                best_own, best_commit, best = own, commit, usd
    return best_own, best_commit, best


@jit
def best_levels(firm: Ints, total: Ints, price: Floats, most: Ints, owned: Ints, pool_most: Ints, run_usd: Floats,
                excess_usd: float) -> tuple[int, int, float]:
    """The cheapest levels (owned, committed) to pay for, and the pool's USD, for needs `firm`, `total` [K, T].

    Nested bisection; each level tried in turn when K > 1 and that is less than `TRIES`.
    """
    low, high = _lowest(OWNED, owned), _highest(OWNED, total, most, owned)
    low_commit, high_commit = _lowest(COMMITTED, owned), _highest(COMMITTED, total, most, owned)
    if total.shape[0] > 1 and (high - low + 1) * (high_commit - low_commit + 1) * total.size <= TRIES:
        return _try_all(firm, total, price, most, owned, pool_most, run_usd, excess_usd)
    while low < high:
        middle = (low + high) // 2
        here = _best_commit(middle, low_commit, high_commit, firm, total, price, most, owned, pool_most, run_usd,
                            excess_usd)[1]
        more = _best_commit(middle + 1, low_commit, high_commit, firm, total, price, most, owned, pool_most, run_usd,
                            excess_usd)[1]
        if more >= here - 1e-9:
            high = middle
        else:
            low = middle + 1
    commit, usd = _best_commit(low, low_commit, high_commit, firm, total, price, most, owned, pool_most, run_usd,
                               excess_usd)
    return low, commit, usd


@jit
def pool_cost(firm: Ints, total: Ints, price: Floats, most: Ints, owned: Ints, pool_most: Ints, run_usd: Floats,
              excess_usd: float) -> float:
    """Least USD of a pool whose slots need `firm` of `total` machines [1, T] not spot, for inner loops.

    Each machine beyond what pool and offers allow costs `excess_usd`, which must exceed a machine's price over the
    horizon. Nothing is allocated.
    """
    return best_levels(firm, total, price, most, owned, pool_most, run_usd, excess_usd)[2]


@jit
def _counts(own: int, commit: int, firm: Ints, total: Ints, price: Floats, most: Ints, pool_most: Ints, run_usd: Floats,
            excess_usd: float) -> tuple[Ints, Ints, Ints]:
    """(counts [4, T], choice [T], lacking [T]) at these levels; the first of equally cheap needs."""
    slots = total.shape[1]
    counts, choice, lacking = np.zeros((4, slots), np.int64), np.zeros(slots, np.int64), np.zeros(slots, np.int64)
    for t in range(slots):
        held_own = min(own, most[OWNED, t])
        held, least = held_own + min(commit, most[COMMITTED, t]), np.inf
        for k in range(total.shape[0]):
            usd = _slot_usd(t, firm[k, t], total[k, t], held, price, most, pool_most, run_usd, excess_usd)
            if usd < least - 1e-12:
                choice[t], least = k, usd
        k = choice[t]
        running, counts[ON_DEMAND, t], counts[SPOT, t], lacking[t] = slot_split(
            firm[k, t], total[k, t], held, price[ON_DEMAND, t], price[SPOT, t], most[ON_DEMAND, t], most[SPOT, t],
            pool_most[t])
        counts[OWNED, t] = min(running, held_own)
        counts[COMMITTED, t] = running - counts[OWNED, t]
    return counts, choice, lacking


def buy(pool: int, offered: Terms, firm: Ints, total: Ints) -> Bought:
    """Buy for one pool the cheapest machines that meet its needs.

    `firm`, `total` [K, T]: in every slot one of K pairs has to be met, `firm` of `total` machines not being spot.
    Machines that the pool's or its offers' limits do not allow are told in `lacking`, as few as can be. As many as the
    pool's `min_machines` run in any case.
    """
    price, most, owned = offered.price_usd[pool], offered.most[pool], offered.owned[pool]
    pool_most, run_usd = offered.pool_most[pool], offered.run_usd[pool]
    firm = np.ascontiguousarray(firm, np.int64)
    total = np.maximum(np.ascontiguousarray(total, np.int64), offered.pool_least[pool])
    excess_usd = 10.0 * (1.0 + float(price.sum()) + float(run_usd.sum()))
    own, commit, usd = best_levels(firm, total, price, most, owned, pool_most, run_usd, excess_usd)
    counts, choice, lacking = _counts(own, commit, firm, total, price, most, pool_most, run_usd, excess_usd)
    return Bought(counts, choice, lacking, usd - excess_usd * float(lacking.sum()))
