"""What machines cost at least beyond what they earn at prices, pool by pool, and what pools share.

Written out for `placement.checks.reprove`; nothing of the search for prices is used. Sizes as in `placement.problem`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.certificate import Leaf
from placement.checks.rounding import relative_error
from placement.jit import jit
from placement.problem import Floats, Ints, Problem, Purchase


@dataclass(frozen=True, slots=True)
class _Priced:
    """What machines cost at the prices of what pools share: `offer` [O, T] a machine and slot, `run` [P, T] beside.

    `constant` are terms without a decision, `gross` the sum of their absolute values.
    """

    offer: Floats
    run: Floats
    constant: float
    gross: float


def machines_least(problem: Problem, leaf: Leaf) -> tuple[Floats, Floats]:
    """For every pool, and last for what pools share, the least of cost - earnings [P + 1], rounded down; and by how
    much it was. Infinite where a pool cannot run the machines that it must.
    """
    shared = _shared(problem, leaf)
    pools, slots = problem.pools.max_machines.shape
    firm, every = np.zeros((pools, slots)), np.zeros((pools, slots))
    np.add.at(every, leaf.rows.pool[~leaf.rows.firm], leaf.rows.price[~leaf.rows.firm])
    np.add.at(firm, leaf.rows.pool, leaf.rows.price)
    error = relative_error(slots + len(leaf.rows.pool) + 8 * len(problem.limits.paid))
    least, off = np.empty(pools + 1), np.empty(pools + 1)
    for pool in range(pools):
        least[pool], off[pool] = _pool(problem, pool, shared, firm[pool], every[pool], error)
    terms = slots * (len(problem.limits.paid) + 4 * len(problem.commitments.owned))
    off[pools] = relative_error(terms) * shared.gross
    least[pools] = shared.constant - off[pools]
    return least, off


def _shared(problem: Problem, leaf: Leaf) -> _Priced:
    """Machines at the prices of limits (each adds rent, and gives its amount back) and of commitments' units.

    A covered on_demand machine costs its own price or the rent of the units that pay for it. Of every commitment what
    is owned is paid, and as much is bought as earns more than it costs.
    """
    offers, limits, c, scale = problem.offers, problem.limits, problem.commitments, leaf.usd_price
    offer, run = scale * offers.price_usd, scale * problem.pools.run_usd
    units_usd = leaf.unit if len(leaf.unit) else scale * c.price_usd  # not priced: what they are sold for
    constant = gross = 0.0
    for k, unit_usd in enumerate(units_usd):
        rows = np.flatnonzero((offers.purchase == Purchase.ON_DEMAND) & c.covers[k, offers.pool])
        offer[rows] = np.minimum(offer[rows], unit_usd * _units(problem, k, rows))
        lost = float((scale * c.price_usd[k] - unit_usd).sum())
        constant += lost * float(c.owned[k]) + min(0.0, lost) * float(c.most[k])
        gross += float((scale * c.price_usd[k] + unit_usd).sum()) * float(c.owned[k] + c.most[k] * (lost < 0))
    for row, price in enumerate(leaf.limit):
        rent = price * limits.amount[row][:, None]
        if limits.paid[row]:
            offer += rent[offers.pool] * offers.price_usd
        else:
            run += rent
        given_back = float((price * limits.most[row]).sum())
        constant, gross = constant - given_back, gross + abs(given_back)
    return _Priced(offer, run, constant, gross)


def _units(problem: Problem, k: int, rows: Ints) -> Floats:
    """Units of commitment k that one machine of each offer takes in each slot [n, T]."""
    c, price = problem.commitments, problem.offers.price_usd[rows]
    if c.by_machine[k]:
        return np.ones_like(price)
    sold = np.broadcast_to(c.price_usd[k], price.shape)
    units: Floats = np.divide((1 - c.discount[k]) * price, sold, out=np.where(price > 0, np.inf, 0.0), where=sold > 0)
    return units


def _pool(problem: Problem, pool: int, shared: _Priced, firm: Floats, every: Floats,
          error: float) -> tuple[float, float]:
    """The least of one pool, where a machine that is not spot earns `firm` [T] and a spot machine `every` [T]."""
    offers, pools = problem.offers, problem.pools
    mine = np.flatnonzero(offers.pool == pool)
    fixed = mine[offers.purchase[mine] <= Purchase.COMMITTED]
    loose = mine[offers.purchase[mine] > Purchase.COMMITTED]
    earned = np.where((offers.purchase[loose] == Purchase.SPOT)[:, None], every, firm)
    costs = np.vstack([shared.offer[loose] + shared.run[pool], shared.run[pool][None]])
    earned = np.vstack([earned, firm[None]])
    held, paid = _levels(problem, shared, fixed)
    limit = np.vstack([offers.max_machines[loose], offers.max_machines[fixed].sum(axis=0, dtype=np.int64)[None]])
    return _best_level(earned - costs, earned + costs, limit.astype(np.int64),
                       pools.max_machines[pool].astype(np.int64), pools.min_machines[pool].astype(np.int64), held, paid,
                       error)


def _levels(problem: Problem, shared: _Priced, fixed: Ints) -> tuple[int, Floats]:
    """Fixed machines held in any case, and what it costs [n] to hold so many, one more, and so on.

    At level d an offer costs the sum over slots of price x max(owned, d), which is convex in d: of several offers the
    cheapest further machine is taken first, which no plan can do cheaper.
    """
    held, paid = 0, 0.0
    steps = [np.zeros(0)]
    for o in fixed.tolist():
        owned, price = problem.offers.owned[o], shared.offer[o]
        least, most = int(owned.min()), int(problem.offers.max_machines[o].max(initial=0))
        held, paid = held + least, paid + float((price * owned).sum())
        ends = np.unique(np.clip(np.append(owned, most), least, max(least, most)))
        for low, high in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
            steps.append(np.full(high - low, float(price[owned <= low].sum())))
    more = np.sort(np.concatenate(steps))
    return held, paid + np.concatenate([[0.0], np.cumsum(more)])


@jit
def _best_level(gain: Floats, gross: Floats, limit: Ints, most: Ints, least: Ints, held: int, paid: Floats,
                error: float) -> tuple[float, float]:
    """The least over all levels of what is paid - gained, and by how much that is rounded down.

    In a slot the kinds of machines [n] (the last: fixed ones, as many as the level) run best first while they gain, at
    least `least` and at most `most` [T] together; `gross` [n, T] is what errors of `gain` are relative to.
    """
    kinds, slots = gain.shape
    order = np.empty((slots, kinds), np.int64)
    for t in range(slots):
        for i in range(kinds):
            at = i
            while at > 0 and gain[order[t, at - 1], t] < gain[i, t]:
                order[t, at] = order[t, at - 1]
                at -= 1
            order[t, at] = i
    best, off = np.inf, 0.0
    for level in range(len(paid)):
        total, size = paid[level], abs(paid[level])
        for t in range(slots):
            running = 0
            for i in range(kinds):
                kind = order[t, i]
                count = limit[kind, t]
                if kind == kinds - 1:
                    count = min(count, held + level)
                wanted = most[t] if gain[kind, t] > 0 else least[t]
                count = max(0, min(count, wanted - running))
                total -= count * gain[kind, t]
                size += count * gross[kind, t]
                running += count
            if running < least[t]:
                total = np.inf
        if total - error * size < best:
            best, off = total - error * size, error * size
    return best, off
