"""Which commitments pay: by how many hours a month machines are in use, on joint sample paths of demand.

A machine that is committed to is paid in every hour, one on demand in the hours it runs. The n-th machine of a pool is
worth committing to where it runs more hours a month than its break-even, 730 x committed price / price on demand; so
the number to hold is a quantile of use (the newsvendor's; Arrow, Harris and Marschak 1951). What is owned already comes
first and is not counted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from planner.room import Room
from planner.scenario.model import Commitment, Offer, Pool, Scenario

Floats = NDArray[np.float64]

HOURS_PER_MONTH = 730
BINS = 512
HEADROOM = 4.0
"""Use is told apart up to so many times that of the first week."""


@dataclass(frozen=True, slots=True)
class Commit:
    """`buy` units beyond `owned` of a pool's committed offer, or of a commitment that several pools share.

    A unit pays from `break_even_hours` a month on; the last one bought runs `last_unit_hours`. Savings are USD a month
    against on demand: the mean over paths, and what nine tenths of the paths exceed and fall below.
    """

    name: str
    unit: str
    owned: float
    buy: float
    most: float
    price_usd_per_hour: float
    on_demand_usd_per_hour: float
    break_even_hours: float
    last_unit_hours: float
    saving_usd_per_month: float
    saving_p10: float
    saving_p90: float
    term_days: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Offer:
    """What may be committed to: each pool's machines count `weight` [P] units after `held` [P] that are paid anyway."""

    name: str
    unit: str
    weight: Floats
    held: Floats
    owned: float
    most: float
    price: float
    on_demand: float
    term_days: float | None


class Use:
    """How many hours each number of units is in use, by path: counts [C, K, BINS] of use in steps of `width` [C]."""

    def __init__(self, offers: tuple[_Offer, ...], paths: int) -> None:
        self.offers = offers
        self.width = np.zeros(len(offers))
        self.counts = np.zeros((len(offers), paths, BINS), np.int64)
        self.hours = 0

    @classmethod
    def over(cls, scenario: Scenario, room: Room, paths: int) -> Use:
        """Nothing seen yet; committed offers of pools that have a price on demand, and commitments that pools share."""
        pools = [pool for cluster in scenario.clusters for pool in cluster.pools]
        own = [made for p, pool in enumerate(pools) for offer in pool.offers
               if (made := _of_pool(p, pool, offer, room)) is not None]
        shared = [made for row in scenario.commitments if (made := _of_many(row, pools, room)) is not None]
        return cls((*own, *shared), paths)

    def take(self, machines: NDArray[np.float32]) -> None:
        """Machines [P, K, T] needed in the next hours."""
        paths = np.arange(machines.shape[1])[:, None]
        for c, offer in enumerate(self.offers):
            beyond = np.maximum(machines - offer.held[:, None, None], 0.0)
            units = np.einsum("p,pkt->kt", offer.weight, beyond)
            if self.width[c] == 0:
                top = max(HEADROOM * float(units.max()), offer.owned, 1.0 if offer.unit == "usd_per_hour" else BINS)
                self.width[c] = max(top / BINS, 1.0 if offer.unit == "machines" else 0.0)
                if offer.unit == "machines":
                    self.width[c] = np.ceil(self.width[c])
            at = np.minimum(np.ceil(units / self.width[c] - 1e-9), BINS - 1).astype(np.int64)
            self.counts[c] += np.bincount((paths * BINS + at).ravel(), minlength=self.counts[c].size).reshape(-1, BINS)
        self.hours += machines.shape[2]


def commits(room: Room, use: Use, told: Sequence[int]) -> tuple[Commit, ...]:
    """What to buy of each commitment over pools of which something is told, most saved first."""
    known = np.zeros(len(room.names), bool)
    known[list(told)] = True
    found = [_commit(offer, use.counts[c] / max(1, use.hours), float(use.width[c]))
             for c, offer in enumerate(use.offers) if (offer.weight[known] > 0).any()]
    return tuple(sorted(found, key=lambda row: (-row.saving_usd_per_month, row.name)))


def _commit(offer: _Offer, share: Floats, width: float) -> Commit:
    """Units for which running beats the price; `share` [K, BINS] of hours in which so many steps are in use."""
    running = np.flip(np.cumsum(np.flip(share, axis=1), axis=1), axis=1)[:, 1:]
    edges = width * np.arange(BINS)
    even = offer.price / offer.on_demand
    part = np.clip((np.minimum(edges[1:], offer.owned + offer.most) - np.maximum(edges[:-1], offer.owned)), 0.0, None)
    pays = (running.mean(axis=0) > even) & (part > 0)
    buy = float(part[pays].sum())
    saving = ((running * offer.on_demand - offer.price) * np.where(pays, part, 0.0)).sum(axis=1) * HOURS_PER_MONTH
    last = float(running.mean(axis=0)[np.flatnonzero(pays)[-1]]) if pays.any() else 0.0
    return Commit(offer.name, offer.unit, offer.owned, round(buy, 6), offer.most, offer.price, offer.on_demand,
                  round(even * HOURS_PER_MONTH, 2), round(last * HOURS_PER_MONTH, 2), round(float(saving.mean()), 2),
                  round(float(np.quantile(saving, 0.1)), 2), round(float(np.quantile(saving, 0.9)), 2), offer.term_days)


def _price(pool: Pool, purchase: str) -> float | None:
    prices = [float(np.mean(offer.price_usd_per_hour)) for offer in pool.offers
              if offer.purchase == purchase and offer.price_usd_per_hour is not None]
    return min(prices, default=None)


def _top(value: float | tuple[float, ...] | None, other: float) -> float:
    return other if value is None else float(np.max(value))


def _paid(pool: Pool) -> float:
    """Machines that are paid anyway: owned ones of every purchase."""
    return sum(_top(offer.owned, 0.0) if offer.purchase != "owned" else
               max(_top(offer.owned, 0.0), _top(offer.max, _top(pool.max, 0.0))) for offer in pool.offers)


def _of_pool(p: int, pool: Pool, offer: Offer, room: Room) -> _Offer | None:
    on_demand = _price(pool, "on_demand")
    if offer.purchase != "committed" or offer.price_usd_per_hour is None or not on_demand:
        return None
    weight, held = np.zeros(len(room.names)), np.zeros(len(room.names))
    owned = _top(offer.owned, 0.0)
    weight[p], held[p] = 1.0, _paid(pool) - owned
    most = max(0.0, _top(offer.max, _top(pool.max, 0.0)) - owned)
    return _Offer("/".join(room.names[p]), "machines", weight, held, owned, most,
                  float(np.mean(offer.price_usd_per_hour)), on_demand, None)


def _of_many(row: Commitment, pools: Sequence[Pool], room: Room) -> _Offer | None:
    """A commitment that pools share, in machines, or in USD an hour at committed prices."""
    price = np.array([_price(pool, "on_demand") or 0.0 for pool in pools])
    covered = np.array([any(fnmatchcase("/".join(name), pattern) for pattern in row.covers) for name in room.names])
    price = np.where(covered, price, 0.0)
    held = np.array([_paid(pool) for pool in pools])
    if not price.any():
        return None
    if row.unit == "machines":
        if row.price_usd_per_hour is None:
            return None
        mean = float(price[price > 0].mean())
        return _Offer(row.name, "machines", (price > 0).astype(float), held, row.owned, row.max_buy,
                      row.price_usd_per_hour, mean, row.term_days)
    paid = 1 - (row.discount or 0.0)
    return _Offer(row.name, "usd_per_hour", price * paid, held, row.owned, row.max_buy, 1.0, 1 / paid, row.term_days)
