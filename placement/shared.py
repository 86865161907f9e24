"""Limits and commitments that several pools share, as solvers count them; `placement.verify` has its own account.

What a commitment saves in a slot is concave in what is held of it, with a bend at every machine it covers whole. So for
given machines the best level of one is where its price meets what one more unit still saves, summed over slots: a
quantile of what is spent (the newsvendor's rule). Where commitments cover the same on_demand offer, each is bought in
turn for what those before it leave.
"""

from __future__ import annotations

import numpy as np

from placement.problem import Bools, Counts, Floats, Ints, Problem, Purchase
from placement.result import Solution

DIGITS = 6
"""Decimals to which levels are bought."""
SLACK = 1e-6
"""How far a limit may be passed, relative to it (absolute below 1), for rounding in sums."""


def has_shared(problem: Problem) -> bool:
    """Whether pools share limits or commitments at all."""
    return len(problem.limits.paid) + len(problem.commitments.owned) > 0


def covered(problem: Problem, k: int) -> Ints:
    """Rows of the on_demand offers that commitment k pays for."""
    offers = problem.offers
    return np.flatnonzero((offers.purchase == Purchase.ON_DEMAND) & problem.commitments.covers[k, offers.pool])


def units_per_machine(problem: Problem, k: int, rows: Ints) -> Floats:
    """Units of commitment k that one machine of each offer takes in each slot [n, T]."""
    c, price = problem.commitments, problem.offers.price_usd[rows]
    if c.by_machine[k]:
        return np.ones_like(price)
    units: Floats = (1 - c.discount[k]) * price / c.price_usd[k]
    return units


def overlapping(problem: Problem) -> bool:
    """Whether some on_demand offer is covered by two commitments: then their order decides who pays for it."""
    count = np.zeros(len(problem.offers.pool), np.int64)
    for k in range(len(problem.commitments.owned)):
        count[covered(problem, k)] += 1
    return bool((count > 1).any())


def levels(problem: Problem, solution: Solution) -> Floats:
    """Units held of every commitment [K]."""
    owned = problem.commitments.owned
    return owned + solution.bought if len(solution.bought) else owned.copy()


def cover(problem: Problem, k: int, left: Floats, level: float) -> tuple[Floats, Floats]:
    """Machines [O, T] that `level` units of commitment k pay for, of those `left` [O, T]; units used [T]."""
    rows, paid = covered(problem, k), np.zeros_like(left)
    price, each = problem.offers.price_usd[rows], units_per_machine(problem, k, rows)
    order = np.argsort(-price, axis=0, kind="stable")
    want = np.take_along_axis(each * left[rows], order, axis=0)
    take = np.clip(level - (np.cumsum(want, axis=0) - want), 0.0, want)
    sorted_left = np.take_along_axis(left[rows], order, axis=0)
    part = np.divide(take, want, out=np.ones_like(take), where=want > 0) * sorted_left
    whole = np.zeros_like(part)
    np.put_along_axis(whole, order, part, axis=0)
    paid[rows] = whole
    return paid, take.sum(axis=0)


def commitments_usd(problem: Problem, machines: Counts, held: Floats) -> float:
    """What commitments cost less what they save against the offers' prices, with `held` units [K] of each."""
    left, usd = machines.astype(np.float64), 0.0
    for k, level in enumerate(held.tolist()):
        paid, _ = cover(problem, k, left, level)
        left -= paid
        usd += level * float(problem.commitments.price_usd[k].sum())
        usd -= float((paid * problem.offers.price_usd).sum())
    return usd


def shared_usd(problem: Problem, solution: Solution) -> float:
    """What commitments add to the cost of a plan whose machines are paid at their offers' prices; below 0 mostly."""
    if not len(problem.commitments.owned):
        return 0.0
    return commitments_usd(problem, solution.machines, levels(problem, solution))


def best_bought(problem: Problem, machines: Counts) -> Floats:
    """What to buy of every commitment [K] for these machines: the least that costs least, in the commitments' order."""
    c = problem.commitments
    left, bought = machines.astype(np.float64), np.zeros(len(c.owned))
    for k in range(len(bought)):
        bought[k] = _best(problem, k, left)
        left -= cover(problem, k, left, float(c.owned[k] + bought[k]))[0]
    return bought


def _best(problem: Problem, k: int, left: Floats) -> float:
    """The best level of one commitment beyond what is owned, by bisection over the bends of its cost."""
    c, rows = problem.commitments, covered(problem, k)
    if c.most[k] <= 0 or not len(rows):
        return 0.0
    price = problem.offers.price_usd[rows]
    order = np.argsort(-price, axis=0, kind="stable")
    want = np.take_along_axis(units_per_machine(problem, k, rows) * left[rows], order, axis=0)
    ends = np.unique(np.round(np.append(np.cumsum(want, axis=0) - c.owned[k], 0.0), DIGITS))
    ends = ends[(ends >= 0) & (ends < c.most[k])]
    tries = np.append(ends, c.most[k])

    def usd(bought: float) -> float:
        paid, _ = cover(problem, k, left, float(c.owned[k] + bought))
        return bought * float(c.price_usd[k].sum()) - float((paid[rows] * price).sum())

    low, high = 0, len(tries) - 1
    while low < high:
        middle = (low + high) // 2
        if usd(tries[middle + 1]) < usd(tries[middle]) - 1e-9:
            low = middle + 1
        else:
            high = middle
    return float(np.floor(tries[low])) if c.by_machine[k] else float(tries[low])


def paid_usd(problem: Problem, machines: Counts) -> Floats:
    """USD paid for every offer in every slot [O, T], at its price: owned and committed as held."""
    offers = problem.offers
    held = np.maximum(offers.owned, machines.max(axis=1, initial=0)[:, None])
    fixed = (offers.purchase <= Purchase.COMMITTED)[:, None]
    paid: Floats = np.where(fixed, held, machines) * offers.price_usd
    return paid


def measured(problem: Problem, machines: Counts) -> Floats:
    """What every limit's measure comes to in every slot [L, T]."""
    limits, pool = problem.limits, problem.offers.pool
    if not len(limits.paid):
        return np.zeros((0, problem.slots))
    amount = limits.amount[:, pool]
    counted = np.where(limits.paid[:, None], 0.0, amount) @ machines.astype(np.float64)
    total: Floats = counted + np.where(limits.paid[:, None], amount, 0.0) @ paid_usd(problem, machines)
    return total


def passed(problem: Problem, machines: Counts) -> Bools:
    """Limits and slots [L, T] where the measure is above the limit."""
    most = problem.limits.most.reshape(-1, problem.slots)
    over: Bools = measured(problem, machines) > most + SLACK * np.maximum(1.0, most)
    return over


def owned_pass(problem: Problem) -> bool:
    """Whether what is owned alone costs more in some slot than a limit allows: then there is no plan."""
    return bool(passed(problem, np.zeros(problem.offers.price_usd.shape, np.int32)).any())
