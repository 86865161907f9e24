"""Where units may go at little cost given what runs already: the shortlist of a repair.

A machine more in a pool and slot costs nothing while a held one stands idle there, and the price of the next offer
after that. By these prices the cheapest places and starts of the streams that may move are listed; all others keep
their own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.jit import fast_jit, jit
from placement.payment import (
    DEMAND_MAX,
    DEMAND_USD,
    FIXED_MAX,
    NO_OFFER_USD,
    RUN_USD,
    SPOT_MAX,
    SPOT_USD,
    Purse,
)
from placement.problem import TOLERANCE, Bools, Counts, Floats, Incumbent, Ints, Problem
from placement.shortlist import Shortlist

_STARTS = 3
"""Starts of a batch unit that are kept in one pool."""
_NUMBERS = 3
"""Numbers of copies that are listed for a stream that may have any."""
_CHUNK = 4096
"""Streams listed at a time: what they may need at most is set aside for so many."""
_FULL = 20.0
"""A pool that is full seems this much dearer: room may come free, but seldom does."""


class Prices(NamedTuple):
    """USD of a machine more, by kind (0 firm, 1 preemptible), pool and slot [2, P, T]; `sums` [2, P, T + 1] of them.

    `share` [C, P]: of a machine that one replica of a shape takes. `left` [P, T]: machines that may still come, and one
    for the gaps on those that run.
    """

    usd: Floats
    sums: Floats
    share: Floats
    left: Floats


class _Places(NamedTuple):
    """What the kernel reads of candidates, by row, and of streams."""

    first: Ints
    pool: Ints
    speed: Ints
    usd: Floats
    user_usd: Floats
    single: Bools
    cluster: Ints
    shape: Ints
    kind: Ints


class _Sizes(NamedTuple):
    """What the kernel reads of variants, by row."""

    first: Ints
    copies: Ints
    speed: Ints
    row: Ints
    level: Ints
    length: Ints
    period: Ints
    runs: Ints
    earliest: Ints
    latest: Ints
    rows: Counts


def prices_now(problem: Problem, purse: Purse, running: Ints) -> Prices:
    """What a machine more costs, when `running` [P, T] machines run."""
    fixed_max, demand_max, spot_max = (purse.by_slot[:, kind] for kind in (FIXED_MAX, DEMAND_MAX, SPOT_MAX))
    held = np.minimum(np.maximum(purse.held[:, None], np.minimum(running.max(axis=1, initial=0),
                      fixed_max.max(axis=1))[:, None]), fixed_max)
    own = np.where(purse.step_max > 0, purse.step_usd / problem.slots, np.inf).min(axis=1, initial=np.inf)[:, None]
    loose = np.where(running < held + demand_max, purse.by_slot[:, DEMAND_USD], np.inf)
    spot = np.where(running < held + demand_max + spot_max, purse.by_slot[:, SPOT_USD], np.inf)
    firm = np.minimum(loose, own)
    usd = np.stack([firm, np.minimum(firm, spot)])
    usd = np.where(usd < NO_OFFER_USD, usd, 1e3)
    usd = np.where(running < held, 0.0, usd) + purse.by_slot[:, RUN_USD] + 1e-6
    usd = np.where(running >= purse.pool_max, _FULL * (usd + 1.0), usd)
    with np.errstate(divide="ignore"):
        each = np.floor(((problem.pools.room + TOLERANCE) / np.maximum(problem.shapes[:, None], 1e-12)).min(axis=2))
        share = np.where(each > 0, 1 / np.maximum(each, 1), 1e6)
    sums = np.concatenate([np.zeros((*usd.shape[:2], 1)), usd.cumsum(axis=2)], axis=2)
    return Prices(usd, sums, share, np.maximum(purse.pool_max - running, 0) + 1.0)


@jit
def _place(cost: float, row: Ints, cluster: int, most: int, alike: int, kept: int, costs: Floats, rows: Ints,
           clusters: Ints) -> int:
    """Keep a place when it is among the `most` cheapest and the `alike` cheapest of its cluster; how many are kept."""
    worst, count, dearest = -1, 0, 0
    for i in range(kept):
        if clusters[i] == cluster:
            count += 1
            if worst < 0 or costs[i] > costs[worst]:
                worst = i
        if costs[i] > costs[dearest]:
            dearest = i
    at = kept
    if count >= alike:
        at = worst
    elif kept == most:
        at = dearest
    if at < kept and cost >= costs[at]:
        return kept
    costs[at], clusters[at] = cost, cluster
    for i in range(3):
        rows[at, i] = row[i]
    return max(kept, at + 1)


@fast_jit
def _steady_usd(row: Counts, share: float, usd: Floats, left: Floats) -> float:
    """Price of the machines for a row of replicas; many times as much where more are needed than are left."""
    total, over = 0.0, 0.0
    for t in range(len(row)):
        total += row[t] * usd[t]
        over = max(over, share * row[t] - left[t])
    return float(total * share * (_FULL if over > 0 else 1.0))


@jit
def _batch_usd(sizes: _Sizes, variant: int, start: int, sums: Floats) -> float:
    """Price of `level` machines during all runs."""
    total = 0.0
    for run in range(sizes.runs[variant]):
        first = start + run * sizes.period[variant]
        total += sums[first + sizes.length[variant]] - sums[first]
    return float(total * sizes.level[variant])


@jit
def _holds_batch(sizes: _Sizes, variant: int, start: int, share: float, left: Floats) -> bool:
    """Whether as many machines are left as `level` replicas need during all runs."""
    for run in range(sizes.runs[variant]):
        first = start + run * sizes.period[variant]
        for t in range(first, first + sizes.length[variant]):
            if share * sizes.level[variant] > left[t]:
                return False
    return True


@jit
def _best_starts(sizes: _Sizes, variant: int, sums: Floats, first_start: int, usd: Floats, starts: Ints) -> int:
    """The cheapest starts of a batch variant, into `usd` and `starts` in order; returns how many."""
    kept = 0
    for start in range(max(first_start, sizes.earliest[variant]), sizes.latest[variant] + 1):
        cost = _batch_usd(sizes, variant, start, sums)
        if kept == len(usd) and cost >= usd[kept - 1]:
            continue
        at = min(kept, len(usd) - 1)
        while at > 0 and usd[at - 1] > cost:
            usd[at], starts[at] = usd[at - 1], starts[at - 1]
            at -= 1
        usd[at], starts[at] = cost, start
        kept = min(kept + 1, len(usd))
    return kept


class _Wanted(NamedTuple):
    """How many places are kept: per number of copies `most` (and as many more as there are further copies), of them
    `alike` in one cluster, for the `numbers` of copies that seem cheapest. Batch work starts at `first_start` or later.
    """

    most: int
    alike: int
    numbers: int
    first_start: int


class _Kept(NamedTuple):
    """Working memory: the places kept of one number of copies."""

    usd: Floats
    rows: Ints
    clusters: Ints
    start_usd: Floats
    starts: Ints


@jit
def _block(places: _Places, sizes: _Sizes, prices: Prices, wanted: _Wanted, s: int, v: int, end: int,
           kept: _Kept) -> int:
    """The cheapest places of a stream by its variants `v`..`end`, all of one number of copies: how many are kept."""
    count, row, k = 0, np.empty(3, np.int64), sizes.copies[v]
    most = wanted.most + k - 1
    alike = max(1, min(wanted.alike, most // (k + 1)))
    for n in range(places.first[s], places.first[s + 1]):
        if k == 1 and not places.single[n]:
            continue
        p = places.pool[n]
        fixed = places.usd[n] + places.user_usd[n] / k
        share = prices.share[places.shape[s], p]
        row[0] = n
        for variant in range(v, end):
            if sizes.speed[variant] != places.speed[n]:
                continue
            row[1], row[2] = variant, 0
            if sizes.row[variant] >= 0:
                usd = _steady_usd(sizes.rows[sizes.row[variant]], share, prices.usd[places.kind[s], p], prices.left[p])
                count = _place(fixed + usd, row, places.cluster[p], most, alike, count, kept.usd, kept.rows,
                               kept.clusters)
                continue
            starts = _best_starts(sizes, variant, prices.sums[places.kind[s], p], wanted.first_start, kept.start_usd,
                                  kept.starts)
            for j in range(starts):
                row[2], usd = kept.starts[j], share * kept.start_usd[j]
                usd *= 1.0 if _holds_batch(sizes, variant, row[2], share, prices.left[p]) else _FULL
                count = _place(fixed + usd, row, places.cluster[p], most, alike, count, kept.usd,
                               kept.rows, kept.clusters)
    return count


@jit
def _apart_usd(kept: _Kept, count: int, copies: int) -> float:
    """About what the cheapest `copies` of the places kept cost, each in a cluster of its own; infinite if too few."""
    total, used = 0.0, np.zeros(count, np.bool_)
    for _ in range(copies):
        best = -1
        for i in range(count):
            if not used[i] and (best < 0 or kept.usd[i] < kept.usd[best]):
                best = i
        if best < 0:
            return np.inf
        total += kept.usd[best]
        for i in range(count):
            if kept.clusters[i] == kept.clusters[best]:
                used[i] = True
    return total


@jit
def _worst(usd: Floats, blocks: int) -> int:
    """The dearest of some numbers of copies."""
    worst = 0
    for i in range(blocks):
        if usd[i] > usd[worst]:
            worst = i
    return worst


@jit
def _cheapest(places: _Places, sizes: _Sizes, prices: Prices, wanted: _Wanted, streams: Ints, only: Ints,
              most_copies: int, found: Ints) -> int:
    """The cheapest places of `streams` for `only` [.] copies (0: any number), into `found` [n, 4]: how many.

    A stream's numbers of copies are tried from the fewest on, until two in turn are dearer than the best so far.
    """
    count, width = 0, wanted.most + most_copies
    kept = _Kept(np.empty(width), np.empty((width, 3), np.int64), np.empty(width, np.int64), np.empty(_STARTS),
                 np.empty(_STARTS, np.int64))
    rows, held = np.empty((wanted.numbers, width, 3), np.int64), np.empty(wanted.numbers, np.int64)
    usd = np.empty(wanted.numbers)
    for i in range(len(streams)):
        s = streams[i]
        v, blocks, best, dearer = sizes.first[s], 0, np.inf, 0
        while v < sizes.first[s + 1] and dearer < 2:
            end = v
            while end < sizes.first[s + 1] and sizes.copies[end] == sizes.copies[v]:
                end += 1
            if only[i] == 0 or only[i] == sizes.copies[v]:
                many = _block(places, sizes, prices, wanted, s, v, end, kept)
                cost = _apart_usd(kept, many, sizes.copies[v])
                dearer = dearer + 1 if cost >= best and best < np.inf else 0
                best = min(best, cost)
                at = blocks if blocks < wanted.numbers else _worst(usd, blocks)
                if cost < np.inf and (at == blocks or cost < usd[at]):
                    usd[at], held[at] = cost, many
                    rows[at, :many] = kept.rows[:many]
                    blocks = max(blocks, at + 1)
            v = end
        for b in range(blocks):
            for j in range(held[b]):
                found[count, 0] = s
                for c in range(3):
                    found[count, 1 + c] = rows[b, j, c]
                count += 1
    return count


def _tables(problem: Problem) -> tuple[_Places, _Sizes]:
    c, s, v = problem.candidates, problem.streams, problem.variants
    places = _Places(s.candidate_first, c.pool, c.speed, c.cost_usd, c.user_usd, c.single, problem.pools.cluster,
                     s.shape, s.preemptible.astype(np.int64))
    return places, _Sizes(s.variant_first, v.copies, v.speed, v.row, v.level, v.length, v.period, v.runs, v.earliest,
                          v.latest, v.rows)


def cheapest_places(problem: Problem, prices: Prices, streams: Ints, only: Ints, most: int, *, alike: int = _STARTS,
                    numbers: int = _NUMBERS, first_start: int = 0) -> Ints:
    """Units worth trying: rows (stream, candidate, variant, start) [n, 4].

    `streams` [k] with `only` [k] copies (0: as many as they like, of which the `numbers` that seem cheapest are kept);
    per number of copies about the `most` cheapest, at most `alike` of them in one cluster; batch units start at
    `first_start` or later.
    """
    most_copies, tables = int(problem.variants.copies.max(initial=1)), _tables(problem)
    wanted, found = _Wanted(most, alike, numbers, first_start), [np.zeros((0, 4), np.int64)]
    blocks = np.diff(problem.streams.variant_first)
    for at in range(0, len(streams), _CHUNK):
        some, of = streams[at: at + _CHUNK], only[at: at + _CHUNK]
        each = np.minimum(np.where(of > 0, 1, numbers), blocks[some])
        room = np.empty((int(each.sum()) * (most + most_copies), 4), np.int64)
        listed = wanted._replace(numbers=int(each.max(initial=1)))
        found.append(room[: _cheapest(*tables, prices, listed, some, of, most_copies, room)].copy())
    return np.concatenate(found)


class Listed(NamedTuple):
    """A shortlist; the rows in it of the units held [K] and of the incumbent's `own`; whether a unit is in a pool where
    the incumbent has one: `home` [N].
    """

    units: Shortlist
    held: Ints
    own: Ints
    home: Bools


def list_units(problem: Problem, incumbent: Incumbent, held: Ints, found: Ints, stay_usd: Floats) -> Listed:
    """The units `held` [K, 4], the incumbent's and those `found` [n, 4] as a shortlist; rows as of `cheapest_places`.

    A unit at home counts `stay_usd` [S] less than it costs, so that leaving has its price.
    """
    c = problem.candidates
    own = np.column_stack([incumbent.stream, incumbent.candidate, incumbent.variant, incumbent.start])
    rows = np.concatenate([held, own, found])
    key = _sort_key(problem, rows)
    order = np.argsort(key, kind="stable")
    new = np.ones(len(order), bool)
    new[1:] = key[order[1:]] != key[order[:-1]]
    at = np.empty(len(order), np.int64)
    at[order] = np.cumsum(new) - 1
    stream, candidate, variant, start = np.ascontiguousarray(rows[order[new]].T)
    home = np.zeros(len(c.pool), bool)
    home[incumbent.candidate] = True
    stays, copies = home[candidate], problem.variants.copies[variant]
    usd = c.cost_usd[candidate] + c.user_usd[candidate] / copies - stay_usd[stream] * stays
    return Listed(_shortlist(problem, stream, copies, candidate, variant, start, usd), at[: len(held)],
                  at[len(held): len(held) + len(own)], stays)


def _sort_key(problem: Problem, rows: Ints) -> Ints:
    """One number a row (stream, candidate, variant, start), in order of stream, copies, candidate, variant, start."""
    s, (stream, candidate, variant, start) = problem.streams, rows.T
    key = stream * (int(problem.variants.copies.max(initial=1)) + 1) + problem.variants.copies[variant]
    key = key * (int(np.diff(s.candidate_first).max(initial=0)) + 1) + candidate - s.candidate_first[stream]
    key = key * (int(np.diff(s.variant_first).max(initial=0)) + 1) + variant - s.variant_first[stream]
    found: Ints = key * problem.slots + start
    return found


def _shortlist(problem: Problem, stream: Ints, copies: Ints, candidate: Ints, variant: Ints, start: Ints,
               usd: Floats) -> Shortlist:
    """Units [N] sorted by stream and number of copies, as a shortlist."""
    block = np.ones(len(stream), bool)
    block[1:] = (stream[1:] != stream[:-1]) | (copies[1:] != copies[:-1])
    first = np.flatnonzero(block)
    pairs, need = np.unique(variant * problem.slots + start, return_inverse=True)
    rows, edges = np.empty((len(pairs), problem.slots), np.int32), np.empty((2, len(pairs)), np.int64)
    _needs(_tables(problem)[1], pairs // problem.slots, pairs % problem.slots, rows, edges)
    return Shortlist(
        np.searchsorted(stream[first], np.arange(len(problem.streams.shape) + 1)).astype(np.int64),
        np.append(first, len(stream)).astype(np.int64), copies[first], candidate, variant, start,
        problem.candidates.pool[candidate], usd, need.reshape(-1).astype(np.int64), rows, edges[0], edges[1], usd)


@jit
def _needs(sizes: _Sizes, variants: Ints, starts: Ints, rows: Counts, edges: Ints) -> None:
    """Replicas by slot of (variant, start) pairs, into `rows` [n, T]; the first slot with any and the one after the
    last, into `edges` [2, n].
    """
    for i in range(len(variants)):
        v, start = variants[i], starts[i]
        if sizes.row[v] >= 0:
            rows[i] = sizes.rows[sizes.row[v]]
        else:
            rows[i] = 0
            for run in range(sizes.runs[v]):
                first = start + run * sizes.period[v]
                for t in range(max(0, first), min(rows.shape[1], first + sizes.length[v])):
                    rows[i, t] += sizes.level[v]
        begin, end = 0, 0
        for t in range(rows.shape[1]):
            if rows[i, t] > 0:
                begin = t if end == 0 else begin
                end = t + 1
        edges[0, i], edges[1, i] = begin, end
