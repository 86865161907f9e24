"""Trying everything where pools share limits or commitments: their machines are bought together.

For every number of machines held, every mix of machines that holds each slot's replicas in every pool, and every level
of a commitment at which its cost can bend: what some mix takes of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

import numpy as np

from placement.problem import Floats, Problem, Purchase
from placement.solvers.brute_losses import Demand

Counts = tuple[int, ...]


class Shop(Protocol):
    """One pool's offers, in the order of the problem's; see `placement.solvers.brute`."""

    fixed: list[bool]
    spot: list[bool]
    owned: list[list[int]]
    price: list[list[float]]
    run_usd: list[list[float]]
    least: list[int]
    most: list[int]
    max: list[list[int]]

    def buy(self, demand: tuple[Demand, ...]) -> tuple[float, list[Counts]]:
        """(USD, machines of each offer slot by slot) when the pool shares nothing."""

    def firm_needed(self, items: Demand, spot: int) -> int:
        """The fewest machines that are not spot, beside so many spot machines, that hold these replicas."""


def supports(problem: Problem) -> str | None:
    """Why this is refused: commitments that cover the same pool have too many levels worth trying, and so have pools
    that share and must have room for fallbacks.
    """
    if problem.survival is not None and len(problem.limits.paid) + len(problem.commitments.owned):
        return "pools share limits or commitments, and losses are to be survived"
    if (problem.commitments.covers.sum(axis=0) > 1).any():
        return "commitments cover the same pool"
    return None


def least_prices(problem: Problem) -> Problem:
    """The problem without what pools share, each on_demand machine at the least that a commitment makes of its price.

    Its plans never cost more: a commitment costs what it may save at that price, or more.
    """
    offers, c = problem.offers, problem.commitments
    price = offers.price_usd.copy()
    for k in range(len(c.owned)):
        mine = (offers.purchase == Purchase.ON_DEMAND) & c.covers[k, offers.pool]
        least = np.broadcast_to(c.price_usd[k], price.shape) if c.by_machine[k] else (1 - c.discount[k]) * price
        price[mine] = np.minimum(price, least)[mine]
    return replace(problem, offers=replace(offers, price_usd=price))


class Together:
    """The cheapest machines of all pools for given replicas."""

    def __init__(self, problem: Problem, shops: Sequence[Shop]) -> None:
        self.problem, self.shops = problem, shops
        touched = (problem.limits.amount > 0).any(axis=0) if len(problem.limits.paid) else np.zeros(len(shops), bool)
        if len(problem.commitments.owned):
            touched = touched | problem.commitments.covers.any(axis=0)
        self.sharing = np.flatnonzero(touched).tolist()
        self.ways = lru_cache(maxsize=None)(self._ways)

    def buy(self, demands: Sequence[tuple[Demand, ...]]) -> tuple[float, list[list[Counts]], Floats]:
        """(USD, machines of each pool's offers slot by slot, what is bought of commitments)."""
        alone = {pool: self.shops[pool].buy(demands[pool]) for pool in range(len(self.shops))}
        usd = sum(alone[pool][0] for pool in alone if pool not in self.sharing)
        bought = [alone[pool][1] for pool in alone]
        best, level = float("inf"), np.zeros(0)
        counts: list[tuple[Counts, ...]] = []
        for held in itertools.product(*(self._levels(pool, demands[pool]) for pool in self.sharing)):
            found = self._with_held(demands, held)
            if found is not None and found[0] < best:
                best, counts, level = found
        for at, pool in enumerate(self.sharing):
            if counts:
                bought[pool] = [slot[at] for slot in counts]
        return usd + best, bought, level

    def _levels(self, pool: int, demand: tuple[Demand, ...]) -> list[tuple[int | None, ...]]:
        """Every number of machines held of a pool's offers; None for those that are not held."""
        shop, useful = self.shops[pool], [max(len(items), n) for items, n in zip(demand, self.shops[pool].least,
                                                                                strict=True)]
        levels: list[Sequence[int | None]] = [
            range(min(owned), max(min(owned), *(min(n, use) for n, use in zip(most, useful, strict=True))) + 1)
            if fixed else [None] for fixed, owned, most in zip(shop.fixed, shop.owned, shop.max, strict=True)]
        return list(itertools.product(*levels))

    def _with_held(self, demands: Sequence[tuple[Demand, ...]],
                   held: tuple[tuple[int | None, ...], ...]) -> tuple[float, list[tuple[Counts, ...]], Floats] | None:
        """The best when so many are held: (USD, machines by slot, sharing pool and offer, units bought)."""
        ways = [self._slot(demands, held, t) for t in range(self.problem.slots)]
        if not all(ways):
            return None
        c = self.problem.commitments
        tries = [self._tries(k, ways) for k in range(len(c.owned))]
        total = np.zeros([len(each) for each in tries])
        choice = []
        for t, combos in enumerate(ways):
            usd = np.array([self._usd(mix, t) for mix in combos]).reshape(-1, *(1 for _ in tries))
            for k, levels in enumerate(tries):
                shape = [len(combos)] + [len(each) if j == k else 1 for j, each in enumerate(tries)]
                usd = usd - np.array([self._saved(k, mix, t, levels) for mix in combos]).reshape(shape)
            choice.append(usd.argmin(axis=0))
            total = total + usd.min(axis=0)
        for k, levels in enumerate(tries):
            shape = [len(each) if j == k else 1 for j, each in enumerate(tries)]
            total = total + (levels * c.price_usd[k].sum()).reshape(shape)
        at = np.unravel_index(int(total.argmin()), total.shape)
        level = np.array([levels[i] for levels, i in zip(tries, at, strict=True)])
        paid = sum(self._held_usd(pool, n, t) for pool, n in zip(self.sharing, held, strict=True)
                   for t in range(self.problem.slots))
        counts = [combos[int(choice[t][at])] for t, combos in enumerate(ways)]
        return float(total[at]) + paid, counts, level - c.owned

    def _slot(self, demands: Sequence[tuple[Demand, ...]], held: tuple[tuple[int | None, ...], ...],
              t: int) -> list[tuple[Counts, ...]]:
        """Mixes of machines by sharing pool and offer that hold a slot's replicas within all shared limits."""
        options = []
        for pool, levels in zip(self.sharing, held, strict=True):
            shop, items = self.shops[pool], demands[pool][t]
            useful = max(len(items), shop.least[t])
            options.append(self.ways(pool, t, items, tuple(
                min(most[t], useful, useful if n is None else n) for most, n in zip(shop.max, levels, strict=True))))
        return [mix for mix in itertools.product(*options) if self._kept(mix, held, t)]

    def _ways(self, pool: int, t: int, items: Demand, caps: Counts) -> list[Counts]:
        """Machines of each offer, at most `caps`, that hold the replicas, none of them to spare."""
        shop, found = self.shops[pool], list[Counts]()
        for counts in itertools.product(*(range(cap + 1) for cap in caps)):
            spot = sum(n for n, is_spot in zip(counts, shop.spot, strict=True) if is_spot)
            if (shop.least[t] <= sum(counts) <= shop.most[t] and shop.firm_needed(items, spot) <= sum(counts) - spot
                    and not any(all(a <= b for a, b in zip(known, counts, strict=True)) for known in found)):
                found.append(counts)
        return found

    def _kept(self, mix: tuple[Counts, ...], held: tuple[tuple[int | None, ...], ...], t: int) -> bool:
        limits = self.problem.limits
        for row in range(len(limits.paid)):
            total = 0.0
            for pool, counts, levels in zip(self.sharing, mix, held, strict=True):
                shop, amount = self.shops[pool], float(limits.amount[row, pool])
                if limits.paid[row]:
                    total += amount * self._held_usd(pool, levels, t)
                    total += amount * sum(n * price[t] for n, price, fixed in
                                          zip(counts, shop.price, shop.fixed, strict=True) if not fixed)
                else:
                    total += amount * sum(counts)
            if total > float(limits.most[row, t]) * (1 + 1e-6) + 1e-6:
                return False
        return True

    def _held_usd(self, pool: int, levels: tuple[int | None, ...], t: int) -> float:
        shop = self.shops[pool]
        return sum(price[t] * max(own[t], n) for n, price, own in zip(levels, shop.price, shop.owned, strict=True)
                   if n is not None)

    def _usd(self, mix: tuple[Counts, ...], t: int) -> float:
        """What the machines of a slot cost as they run."""
        return float(sum(n * usd[t] for pool, counts in zip(self.sharing, mix, strict=True)
                         for n, usd in zip(counts, self.shops[pool].run_usd, strict=True)))

    def _taken(self, k: int, mix: tuple[Counts, ...], t: int) -> list[tuple[float, float]]:
        """(price, units of commitment k) of every on_demand machine in a slot, the dearest first."""
        problem, c, found = self.problem, self.problem.commitments, []
        for pool, counts in zip(self.sharing, mix, strict=True):
            rows = np.flatnonzero(problem.offers.pool == pool).tolist()
            for o, n in zip(rows, counts, strict=True):
                if c.covers[k, pool] and problem.offers.purchase[o] == Purchase.ON_DEMAND:
                    price = float(problem.offers.price_usd[o, t])
                    found += [(price, 1.0 if c.by_machine[k]
                               else (1 - float(c.discount[k])) * price / float(c.price_usd[k, t]))] * n
        return sorted(found, reverse=True)

    def _tries(self, k: int, ways: list[list[tuple[Counts, ...]]]) -> Floats:
        """Levels of a commitment worth trying."""
        c = self.problem.commitments
        low, high = float(c.owned[k]), float(c.owned[k] + c.most[k])
        if c.by_machine[k]:
            return np.arange(low, np.floor(high) + 1)
        sums = {sum(units for _, units in self._taken(k, mix, t)) for t, combos in enumerate(ways) for mix in combos}
        return np.unique(np.clip(np.round([low, high, *sums], 6), low, high))

    def _saved(self, k: int, mix: tuple[Counts, ...], t: int, levels: Floats) -> Floats:
        """USD of machines that each of some levels pays for in a slot."""
        saved, left = np.zeros(len(levels)), levels.copy()
        for price, units in self._taken(k, mix, t):
            part = np.clip(left / units, 0.0, 1.0) if units > 0 else np.ones(len(levels))
            saved += part * price
            left = left - part * units
        return saved
