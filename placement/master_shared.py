"""Limits and commitments that pools share, in the master's linear program.

A row stands for all slots in which its pools are in the same groups: the sum of those slots' rows, so its price is that
of each of them. What is in a group of slots is taken to be spread evenly over it.
"""

from __future__ import annotations

import numpy as np

from placement.groups import Cut, Groups
from placement.master_lp import Key, Lp
from placement.problem import Floats, Ints, Problem, Purchase
from placement.shared import covered, has_shared, units_per_machine
from placement.shared_bound import SharedPrices


def share(lp: Lp, problem: Problem, groups: Groups, scale: float) -> None:
    """Rows of shared limits, columns and rows of commitments; the columns of machines must be there."""
    if not has_shared(problem):
        return
    column = {key: number for number, key in enumerate(lp.col_keys)}
    for row in range(len(problem.limits.paid)):
        _limit(lp, problem, groups, row, column)
    paid_for: dict[tuple[int, int], int] = {}
    for k in range(len(problem.commitments.owned)):
        _commitment(lp, problem, groups, k, scale, column, paid_for)


def _alike(groups: Groups, pools: Ints, also: list[Floats] | list[Ints]) -> list[Ints]:
    """Slots in which all these pools are in the same groups and what is `also` looked at, [T] each, is the same."""
    table = np.vstack([groups.slot_group[pools], *also])
    _, which = np.unique(table, axis=1, return_inverse=True)
    return [np.flatnonzero(which.reshape(-1) == c) for c in range(int(which.max()) + 1)]


def _limit(lp: Lp, problem: Problem, groups: Groups, row: int, column: dict[Key, int]) -> None:
    limits, offers = problem.limits, problem.offers
    mine = np.flatnonzero(limits.amount[row, offers.pool] > 0)
    paid = bool(limits.paid[row])
    also = [limits.most[row]] + ([*offers.owned[mine], *offers.price_usd[mine]] if paid else [])
    for slots in _alike(groups, np.unique(offers.pool[mine]), also):
        at = int(slots[0])
        number = lp.row(("limit", row, at), -np.inf, float(limits.most[row, slots].sum()))
        lp.shared.append(("limit", row, slots, number))
        for o in mine.tolist():
            amount = float(limits.amount[row, offers.pool[o]]) * (float(offers.price_usd[o, at]) if paid else 1.0)
            if paid and offers.purchase[o] <= Purchase.COMMITTED:
                lp.entries.append((number, column["level", o], amount * len(slots)))
                beyond = column.get(("beyond", o, int(offers.owned[o, at])))
                if beyond is not None:
                    lp.entries.append((number, beyond, amount * len(slots)))
                continue
            group = int(groups.slot_group[offers.pool[o], at])
            part = len(slots) / len(groups.slots[group])
            lp.entries.append((number, column["run", o, group], amount * part))


def _commitment(lp: Lp, problem: Problem, groups: Groups, k: int, scale: float, column: dict[Key, int],
                paid_for: dict[tuple[int, int], int]) -> None:
    """Units held, and the machines that they pay for by offer and group; never more machines than run."""
    c, offers, rows = problem.commitments, problem.offers, covered(problem, k)
    usd, owned = float(c.price_usd[k].sum()), float(c.owned[k])
    held = lp.col(("held", k), scale * usd, owned, owned + float(c.most[k]), usd)
    pays: dict[tuple[int, int], int] = {}
    for o in rows.tolist():
        for group in groups.alive[offers.pool[o]]:
            saved = float(offers.price_usd[o, groups.slots[group][0]])
            pays[o, group] = lp.col(("pays", k, o, group), -scale * saved, 0.0, np.inf, -saved)
            if (o, group) not in paid_for:
                paid_for[o, group] = lp.row(("pay", o, group), -np.inf, 0.0)
                lp.entries.append((paid_for[o, group], column["run", o, group], -1.0))
            lp.entries.append((paid_for[o, group], pays[o, group], 1.0))
    if not len(rows):
        return
    each = units_per_machine(problem, k, rows)
    for slots in _alike(groups, np.unique(offers.pool[rows]), [c.price_usd[k]]):
        at = int(slots[0])
        number = lp.row(("units", k, at), -np.inf, 0.0)
        lp.shared.append(("units", k, slots, number))
        lp.entries.append((number, held, -float(len(slots))))
        for i, o in enumerate(rows.tolist()):
            group = int(groups.slot_group[offers.pool[o], at])
            part = len(slots) / len(groups.slots[group])
            lp.entries.append((number, pays[o, group], float(each[i, at]) * part))


def shared_prices(lp: Lp, problem: Problem, dual: Floats) -> SharedPrices:
    """What the rows' prices come to, slot by slot."""
    limit = np.zeros((len(problem.limits.paid), problem.slots))
    unit = np.zeros((len(problem.commitments.owned), problem.slots))
    for kind, row, slots, number in lp.shared:
        (limit if kind == "limit" else unit)[row, slots] = max(0.0, -float(dual[number]))
    return SharedPrices(limit, unit)


def spread(problem: Problem, groups: Groups, prices: SharedPrices) -> Floats:
    """How packing prices of groups are spread over their slots [P, T]; 1 on average.

    Where a covered machine costs less, because units are cheap, it earns less: else it would earn without limit there.
    """
    factor = np.ones((len(groups.alive), problem.slots))
    for k in range(len(prices.unit)):
        rows = covered(problem, k)
        rent = np.minimum(units_per_machine(problem, k, rows) * prices.unit[k], problem.offers.price_usd[rows])
        for pool, usd in zip(problem.offers.pool[rows].tolist(), rent, strict=True):
            for slots in (groups.slots[group] for group in groups.alive[pool]):
                mean = float(usd[slots].mean())
                if mean > 0:
                    factor[pool, slots] = usd[slots] / mean
    return factor


def unit_cuts(problem: Problem, groups: Groups, need: Floats, held: Floats, prices: SharedPrices) -> list[Cut]:
    """Groups of slots in which a commitment's units are worth so different sums that they should be told apart.

    In a slot a covered machine costs the less of its price and its units' rent; over a group the program takes the mean
    of the rent. The difference, for machines beyond those `held` [P] that are in `need` [P, T], is lost to the bound.
    """
    cuts: list[Cut] = []
    for k in range(len(prices.unit)):
        rows = covered(problem, k)
        rent = units_per_machine(problem, k, rows) * prices.unit[k]
        pools, prices_usd = problem.offers.pool[rows].tolist(), problem.offers.price_usd[rows]
        for pool, each, usd in zip(pools, rent, prices_usd, strict=True):
            for group in groups.alive[pool]:
                slots = groups.slots[group]
                cost = np.minimum(each[slots], usd[slots])
                lost = min(float(each[slots].mean()), float(usd[slots].mean())) - float(cost.mean())
                worth = lost * float(np.maximum(need[pool, slots] - held[pool], 0.0).sum())
                above = cost > (cost.min() + cost.max()) / 2
                if worth > 0 and above.any() and not above.all():
                    cuts.append(Cut(worth, group, above))
    return cuts


def shared_levels(problem: Problem, need: Floats, held: Floats,
                  units: list[float]) -> dict[int, list[tuple[float, Floats]]]:
    """Where slots of a pool should be told apart for what it shares: a number of machines and an amount [T], by pool.

    `need` [P, T] machines, `held` [P] of them on owned and committed offers, `units` held of every commitment. A pool
    has its part of the distance between what all of them come to and the level.
    """
    found: dict[int, list[tuple[float, Floats]]] = {}
    loose = np.maximum(need - held[:, None], 0.0)
    for row in np.flatnonzero(~problem.limits.paid):
        _tell(found, problem.limits.amount[row][:, None] * need, problem.limits.amount[row],
              float(problem.limits.most[row].mean()))
    for k, level in enumerate(units):
        each = np.zeros(need.shape)
        rows = covered(problem, k)
        each[problem.offers.pool[rows]] = units_per_machine(problem, k, rows)
        _tell(found, each * loose, each.mean(axis=1), level)
    return found


def _tell(found: dict[int, list[tuple[float, Floats]]], amount: Floats, each: Floats, level: float) -> None:
    total = amount.sum(axis=0)
    for pool in np.flatnonzero((each > 0) & amount.any(axis=1)).tolist():
        part = float(amount[pool].sum() / total.sum() / each[pool])
        found.setdefault(pool, []).append((level * part, total * part))
