"""Machines held for what a loss may bring: the cheapest way to have them there, beside what runs in any case.

More owned or committed machines are held, which then also run in place of dearer ones, or more spot machines run. A
level is stated in a plan by the most machines that run in any slot, so a level kept in reserve runs in one slot.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from placement.packing import Pairs
from placement.problem import Bools, Floats, Ints
from placement.purchase import COMMITTED, OWNED, SPOT, Terms, buy

_LEVELS = 6
"""Levels that are tried between none more and all that is asked for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a pool must have after a loss: `firm` of `machines` [T] not spot, of which `assured` [T] come on demand."""

    firm: Ints
    machines: Ints
    assured: Ints


def headroom(offered: Terms, pool: int, counts: Ints) -> tuple[Ints, Ints]:
    """(machines not spot, machines) [T] that could be there after a loss beside those that `counts` [4, T] come to."""
    firm = np.zeros(counts.shape[1], np.int64)
    for kind, level in _levels(offered, pool, counts):
        firm += np.maximum(offered.most[pool, kind] - np.maximum(level, offered.owned[pool, kind]), 0)
    spot = np.maximum(offered.most[pool, SPOT] - counts[SPOT], 0)
    return firm, firm + spot


def _levels(offered: Terms, pool: int, counts: Ints) -> list[tuple[int, int]]:
    """(purchase, level held) of the fixed offers of a pool."""
    return [(kind, int(max(counts[kind].max(initial=0), np.max(offered.owned[pool, kind]))))
            for kind in (OWNED, COMMITTED) if offered.offer[pool, kind] >= 0]


def _fixed_headroom(offered: Terms, pool: int, counts: Ints) -> list[tuple[int, int, float]]:
    """(purchase, machines more that could be held, USD of one) beside `counts` [4, T], cheapest first."""
    found = []
    for kind, level in _levels(offered, pool, counts):
        most = int(min(offered.most[pool, kind].max(initial=0), offered.pool_most[pool].max(initial=0)))
        if most > level:
            found.append((kind, most - level, float(offered.price_usd[pool, kind].sum())))
    return sorted(found, key=lambda row: row[2])


def level_usd(offered: Terms, machines: Ints, most_level: Ints) -> Floats:
    """About what machines held more cost each pool [P, levels]: fixed offers, cheapest first, then spot in all slots.
    """
    table = np.zeros((len(machines), int(most_level.max(initial=0)) + 1))
    for p in np.flatnonzero(most_level).tolist():
        steps = [*_fixed_headroom(offered, p, machines[p]),
                 (SPOT, int(offered.most[p, SPOT].max(initial=0)), float(offered.price_usd[p, SPOT].sum()))]
        prices = np.concatenate([np.full(more, usd) for _, more, usd in steps])[:table.shape[1] - 1]
        table[p, 1: len(prices) + 1] = np.cumsum(prices)
        table[p, len(prices) + 1:] = table[p, len(prices)]
    return table


def pool_usd(offered: Terms, pool: int, counts: Ints) -> float:
    """What a pool's machines `counts` [4, T] cost."""
    price = offered.price_usd[pool]
    held = np.maximum(offered.owned[pool].T, counts.max(axis=1)).T.reshape(4, -1) * price
    fixed = float(held[[OWNED, COMMITTED]].sum())
    loose = float((counts * price)[COMMITTED + 1:].sum())
    return fixed + loose + float((counts.sum(axis=0) * offered.run_usd[pool]).sum())


def there_after(offered: Terms, pool: int, counts: Ints, assured: Ints) -> tuple[Ints, Ints]:
    """(machines not spot, machines) [T] that the pool has after a loss, when `counts` [4, T] run before it."""
    paid = np.maximum(offered.owned[pool].T, counts.max(axis=1)).T.reshape(4, -1)
    held = np.minimum(paid, offered.most[pool])[[OWNED, COMMITTED]].sum(axis=0)
    most = offered.pool_most[pool]
    return np.minimum(held + assured, most), np.minimum(held + assured + counts[SPOT], most)


def hold(pool: int, offered: Terms, need: Pairs, counts: Ints, wanted: Wanted) -> Ints | None:
    """Counts [4, T] that meet the pool's needs and are what is wanted after a loss, the cheapest found; None if none.

    `counts` are the cheapest without that.
    """
    best, best_usd = None, np.inf
    room = _fixed_headroom(offered, pool, counts)
    most = sum(more for _, more, _ in room)
    short = min(_short(offered, pool, counts, wanted), most)
    for level in range(most + 1) if most <= _LEVELS else sorted({0, short, min(short + 1, most), most}):
        for tried in (_bought(pool, offered, need, counts, room, level), counts):
            shown = _shown(offered, pool, tried, _floor(offered, pool, counts, room, level))
            if shown is None:
                continue
            shown = _more_spot(offered, pool, shown, wanted)
            usd = pool_usd(offered, pool, shown)
            if usd < best_usd - 1e-9 and _short(offered, pool, shown, wanted) == 0:
                best, best_usd = shown, usd
    return best


def _short(offered: Terms, pool: int, counts: Ints, wanted: Wanted) -> int:
    """Machines that lack in the worst slot."""
    firm, every = there_after(offered, pool, counts, wanted.assured)
    return int(max((wanted.firm - firm).max(initial=0), (wanted.machines - every).max(initial=0), 0))


def _floor(offered: Terms, pool: int, counts: Ints, room: list[tuple[int, int, float]], level: int) -> Ints:
    """Levels [4] of all purchases when `level` more are held than `counts` say, cheapest first."""
    floor = np.zeros(4, np.int64)
    floor[[OWNED, COMMITTED]] = counts.max(axis=1)[[OWNED, COMMITTED]]
    for kind, more, _ in room:
        taken = min(level, more)
        if taken:
            floor[kind] = max(floor[kind], int(np.min(offered.owned[pool, kind]))) + taken
        level -= taken
    return floor


def _bought(pool: int, offered: Terms, need: Pairs, counts: Ints, room: list[tuple[int, int, float]],
            level: int) -> Ints:
    """The cheapest counts when that level is paid for anyway."""
    floor, owned = _floor(offered, pool, counts, room, level), offered.owned.copy()
    owned[pool] = np.maximum(owned[pool].T, floor).T
    return buy(pool, replace(offered, owned=owned), need.firm, need.machines).counts


def _shown(offered: Terms, pool: int, counts: Ints, floor: Ints) -> Ints | None:
    """The counts with each level of `floor` [4] reached in some slot, the one where that costs least to run."""
    shown = counts.copy()
    for kind in (OWNED, COMMITTED):
        more = floor[kind] - shown[kind]
        if floor[kind] <= max(shown[kind].max(initial=0), int(np.min(offered.owned[pool, kind]))):
            continue
        may: Bools = ((shown.sum(axis=0) + more <= offered.pool_most[pool]) & (floor[kind] <= offered.most[pool, kind]))
        if not may.any():
            return None
        t = int(np.where(may, offered.run_usd[pool] * more, np.inf).argmin())
        shown[kind, t] = floor[kind]
    return shown


def _more_spot(offered: Terms, pool: int, counts: Ints, wanted: Wanted) -> Ints:
    """The counts with more spot machines running where machines lack that may be spot."""
    _, every = there_after(offered, pool, counts, wanted.assured)
    free = np.minimum(offered.most[pool, SPOT] - counts[SPOT], offered.pool_most[pool] - counts.sum(axis=0))
    more = counts.copy()
    more[SPOT] += np.clip(wanted.machines - every, 0, np.maximum(free, 0))
    return more
