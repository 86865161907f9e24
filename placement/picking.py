"""Which streams a round of the search takes out, before they are put back where they cost least.

Mostly a few that share one or two pools; sometimes one that costs much more than at the bound's prices, together with
many that stand where it should be: a stream with a large need finds no room unless others make it.
"""
# ruff: noqa: NPY002  (compiled code has the legacy generator only: one per thread, seeded in `placement.search`)

from __future__ import annotations

import numpy as np

from placement.booking import State
from placement.jit import jit
from placement.problem import Bools, Floats, Ints
from placement.shortlist import Shortlist

_TOGETHER, _TWO_POOLS = 0.75, 0.4
"""Chances that the streams taken out share pools, and that these are two."""
_EVICTED = 80
"""Streams at most that leave their pools for one with a large need."""


@jit
def pick(state: State, pool: Ints, most: int, picked: Ints, together: Ints) -> int:
    """Streams to take out, into `picked`: mostly some that share one or two pools, else any. Returns how many.

    `pool` is that of every unit; `together` is working memory.
    """
    copies = state.copies
    size, seed, count = np.random.randint(1, most + 1), np.random.randint(len(copies)), 0
    if np.random.random() < _TOGETHER and copies[seed] > 0:
        first = _some_pool(state, pool, seed)
        second = -1
        if np.random.random() < _TWO_POOLS:
            second = _some_pool(state, pool, np.random.randint(len(copies)))
        count = _in_pools(state, pool, first, second, together)
        count = some_first(together, count, size)
        for i in range(count):
            picked[i] = together[i]
        return count
    for _ in range(size):
        s = np.random.randint(len(copies))
        known = copies[s] == 0
        for i in range(count):
            if picked[i] == s:
                known = True
        if not known:
            picked[count] = s
            count += 1
    return count


@jit
def _some_pool(state: State, pool: Ints, stream: int) -> int:
    """The pool of one of the stream's copies; -1 when it is not placed."""
    copies = state.copies[stream]
    return int(pool[state.placed[stream, np.random.randint(copies)]]) if copies > 0 else -1


@jit
def _in_pools(state: State, pool: Ints, first: int, second: int, found: Ints) -> int:
    """Streams with a copy in one of two pools (-1: none), into `found`, each once; returns how many."""
    count, width = 0, state.placed.shape[1]
    at = state.first_there[first] if first >= 0 else -1
    while at >= 0:
        found[count] = at // width
        count += 1
        at = state.next_there[at]
    at = state.first_there[second] if second >= 0 and second != first else -1
    while at >= 0:
        s = at // width
        known = False
        for c in range(state.copies[s]):
            known = known or pool[state.placed[s, c]] == first
        if not known:
            found[count] = s
            count += 1
        at = state.next_there[at]
    return count


@jit
def some_first(values: Ints, count: int, wanted: int) -> int:
    """Bring `wanted` of the first `count` values (or all, if there are fewer), drawn at random, to the front."""
    drawn = min(count, wanted)
    for i in range(drawn):
        j = i + np.random.randint(count - i)
        values[i], values[j] = values[j], values[i]
    return drawn


@jit
def least_priced(units: Shortlist, pool_domain: Ints, domains: int) -> Floats:
    """What every stream [S] costs at the bound's prices where it costs least."""
    least = np.full(len(units.stream_first) - 1, np.inf)
    at, usd = np.empty(domains, np.int64), np.empty(domains)
    for s in range(len(least)):
        for block in range(units.stream_first[s], units.stream_first[s + 1]):
            least[s] = min(least[s], _cheapest(units, pool_domain, block, 0.0, usd, at))
    return least


@jit
def _cheapest(units: Shortlist, pool_domain: Ints, block: int, noise: float, usd: Floats, at: Ints) -> float:
    """USD of the copies of a block in the domains where they cost least at the bound's prices; infinite if too few.

    `at` [D] receives the units. Prices are raised at random by up to the share `noise`. `usd` [D] is working memory.
    """
    usd[:] = np.inf
    found = np.empty(len(at), np.int64)
    for u in range(units.block_first[block], units.block_first[block + 1]):
        d = pool_domain[units.pool[u]]
        cost = units.priced_usd[u]
        if noise > 0:
            cost += noise * np.random.random() * abs(cost)
        if cost < usd[d]:
            usd[d], found[d] = cost, u
    total = 0.0
    for c in range(units.block_copies[block]):
        d = int(np.argmin(usd)) if c < len(usd) else 0
        if c >= len(usd) or usd[d] == np.inf:
            return np.inf
        total += usd[d]
        at[c] = found[d]
        usd[d] = np.inf
    return total


@jit
def dearness(placed: Ints, copies: Ints, out: Bools, units: Shortlist, least: Floats) -> Floats:
    """For every stream [S] the sum of what it and all before it cost more than at best, at the bound's prices.

    A stream without a place that should have one (not `out` [S]) counts twice what it costs.
    """
    total, found = 0.0, np.empty(len(copies))
    for s in range(len(copies)):
        if copies[s] == 0 and not out[s] and least[s] < np.inf:
            total += 2 * least[s]
        elif copies[s] > 0:
            usd = 0.0
            for c in range(copies[s]):
                usd += units.priced_usd[placed[s, c]]
            total += max(0.0, usd - least[s])
        found[s] = total
    return found


@jit
def pick_dear(
    state: State, units: Shortlist, pool_domain: Ints, dear: Floats, picked: Ints, together: Ints, marked: Bools,
    noise: float,
) -> int:  # fmt: skip
    """Take out a dear stream (by chance, as `dear` of `dearness`), first of `picked`, and some that stand in its way.

    Its way are the pools of copies that cost little at the bound's prices, up to `noise`. Returns how many leave.
    """
    s = int(np.searchsorted(dear, np.random.random() * dear[-1]))
    usd, at, best_at = np.empty(len(pool_domain)), np.empty(len(pool_domain), np.int64), np.empty(0, np.int64)
    best = np.inf
    for block in range(units.stream_first[s], units.stream_first[s + 1]):
        total = _cheapest(units, pool_domain, block, noise, usd, at)
        if total < best:
            best, best_at = total, at[: units.block_copies[block]].copy()
    picked[0], count, share = s, 1, np.random.random() ** 2
    marked[s] = True
    for u in best_at:
        found = _in_pools(state, units.pool, units.pool[u], -1, together)
        wanted = min(_EVICTED // len(best_at), int(np.ceil(share * found)))
        for i in range(some_first(together, found, wanted)):
            if not marked[together[i]]:
                marked[together[i]] = True
                picked[count] = together[i]
                count += 1
    for i in range(count):
        marked[picked[i]] = False
    return count


@jit
def largest_first(picked: Ints, count: int, least: Floats) -> None:
    """Order `picked` after the first by what streams cost, dearest first, up to a factor of chance."""
    key = np.empty(count)
    for i in range(count):
        key[i] = -np.inf if i == 0 else -least[picked[i]] * (0.5 + np.random.random())
    order = np.argsort(key)
    picked[:count] = picked[:count][order]


__all__ = ["dearness", "largest_first", "least_priced", "pick", "pick_dear", "some_first"]
