"""Where units may go at little cost given what runs already: the shortlist of a repair.

A machine more in a pool and slot costs nothing while a held one stands idle there, and the price of the next offer
after that. By these prices the cheapest places and starts of the streams that may move are listed; all others keep
their own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.jit import jit
from placement.payment import Purse
from placement.problem import TOLERANCE, Bools, Counts, Floats, Incumbent, Ints, Problem
from placement.shortlist import Shortlist

_STARTS = 3
"""Starts of a batch unit that are kept in one pool."""
_FULL = 20.0
"""A pool that is full seems this much dearer: room may come free, but seldom does."""


class Prices(NamedTuple):
    """USD of a machine more, by kind (0 firm, 1 preemptible), pool and slot [2, P, T]; `sums` [2, P, T + 1] of them.

    `share` [C, P]: of a machine that one replica of a shape takes.
    """

    usd: Floats
    sums: Floats
    share: Floats


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
    held = np.minimum(np.maximum(purse.held[:, None], np.minimum(running.max(axis=1, initial=0),
                      purse.fixed_max.max(axis=1))[:, None]), purse.fixed_max)
    own = np.where(purse.step_max > 0, purse.step_usd / problem.slots, np.inf).min(axis=1, initial=np.inf)[:, None]
    loose = np.where(running < held + purse.demand_max, purse.demand_usd, np.inf)
    spot = np.where(running < held + purse.demand_max + purse.spot_max, purse.spot_usd, np.inf)
    firm = np.minimum(loose, own)
    usd = np.stack([firm, np.minimum(firm, spot)])
    usd = np.where(np.isfinite(usd), usd, 1e3)
    usd = np.where(running < held, 0.0, usd) + purse.run_usd + 1e-6
    usd = np.where(running >= purse.pool_max, _FULL * (usd + 1.0), usd)
    with np.errstate(divide="ignore"):
        each = np.floor(((problem.pools.room + TOLERANCE) / np.maximum(problem.shapes[:, None], 1e-12)).min(axis=2))
        share = np.where(each > 0, 1 / np.maximum(each, 1), 1e6)
    sums = np.concatenate([np.zeros((*usd.shape[:2], 1)), usd.cumsum(axis=2)], axis=2)
    return Prices(usd, sums, share)


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


@jit
def _steady_usd(row: Counts, usd: Floats) -> float:
    total = 0.0
    for t in range(len(row)):
        total += row[t] * usd[t]
    return total


@jit
def _batch_usd(sizes: _Sizes, variant: int, start: int, sums: Floats) -> float:
    """Price of `level` machines during all runs."""
    total = 0.0
    for run in range(sizes.runs[variant]):
        first = start + run * sizes.period[variant]
        total += sums[first + sizes.length[variant]] - sums[first]
    return float(total * sizes.level[variant])


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


@jit
def _cheapest(places: _Places, sizes: _Sizes, prices: Prices, streams: Ints, only: Ints, first_start: int, most: int,
              alike: int, found: Ints) -> int:
    """The cheapest places of `streams` for `only` [.] copies (0: any number), into `found` [n, 4]: how many."""
    count = 0
    kept_usd, kept_rows = np.empty(most), np.empty((most, 3), np.int64)
    kept_clusters, row = np.empty(most, np.int64), np.empty(3, np.int64)
    best_usd, best = np.empty(_STARTS), np.empty(_STARTS, np.int64)
    for i in range(len(streams)):
        s = streams[i]
        v = sizes.first[s]
        while v < sizes.first[s + 1]:
            k, end = sizes.copies[v], v
            while end < sizes.first[s + 1] and sizes.copies[end] == k:
                end += 1
            kept = 0
            for n in range(places.first[s], places.first[s + 1]):
                if (only[i] > 0 and only[i] != k) or (k == 1 and not places.single[n]):
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
                        usd = _steady_usd(sizes.rows[sizes.row[variant]], prices.usd[places.kind[s], p])
                        kept = _place(fixed + share * usd, row, places.cluster[p], most, alike, kept, kept_usd,
                                      kept_rows, kept_clusters)
                        continue
                    starts = _best_starts(sizes, variant, prices.sums[places.kind[s], p], first_start, best_usd, best)
                    for j in range(starts):
                        row[2] = best[j]
                        kept = _place(fixed + share * best_usd[j], row, places.cluster[p], most, alike, kept,
                                      kept_usd, kept_rows, kept_clusters)
            for j in range(kept):
                found[count, 0] = s
                for c in range(3):
                    found[count, 1 + c] = kept_rows[j, c]
                count += 1
            v = end
    return count


def _tables(problem: Problem) -> tuple[_Places, _Sizes]:
    c, s, v = problem.candidates, problem.streams, problem.variants
    places = _Places(s.candidate_first, c.pool, c.speed, c.cost_usd, c.user_usd, c.single, problem.pools.cluster,
                     s.shape, s.preemptible.astype(np.int64))
    return places, _Sizes(s.variant_first, v.copies, v.speed, v.row, v.level, v.length, v.period, v.runs, v.earliest,
                          v.latest, v.rows)


def cheapest_places(problem: Problem, prices: Prices, streams: Ints, only: Ints, most: int, *, alike: int = _STARTS,
                    first_start: int = 0) -> Ints:
    """Units worth trying: rows (stream, candidate, variant, start) [n, 4].

    `streams` [k] with `only` [k] copies (0: as many as they like); per number of copies the `most` cheapest, at most
    `alike` of them in one cluster; batch units start at `first_start` or later.
    """
    s = problem.streams
    blocks = np.zeros(len(s.shape), np.int64)
    v = problem.variants
    new = np.ones(len(v.stream), bool)
    new[1:] = (v.stream[1:] != v.stream[:-1]) | (v.copies[1:] != v.copies[:-1])
    np.add.at(blocks, v.stream[new], 1)
    found = np.empty((int(blocks[streams].sum()) * most, 4), np.int64)
    return found[: _cheapest(*_tables(problem), prices, streams, only, first_start, most, alike, found)]


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
    table = np.insert(rows[order[new]], 1, problem.variants.copies[rows[order[new], 2]], axis=1)
    home = np.zeros(len(c.pool), bool)
    home[incumbent.candidate] = True
    stays = home[table[:, 2]]
    usd = c.cost_usd[table[:, 2]] + c.user_usd[table[:, 2]] / table[:, 1] - stay_usd[table[:, 0]] * stays
    return Listed(_shortlist(problem, table, usd), at[: len(held)], at[len(held): len(held) + len(own)],
                  stays)


def _sort_key(problem: Problem, rows: Ints) -> Ints:
    """One number a row (stream, candidate, variant, start), in order of stream, copies, candidate, variant, start."""
    s, (stream, candidate, variant, start) = problem.streams, rows.T
    key = stream * (int(problem.variants.copies.max(initial=1)) + 1) + problem.variants.copies[variant]
    key = key * (int(np.diff(s.candidate_first).max(initial=0)) + 1) + candidate - s.candidate_first[stream]
    key = key * (int(np.diff(s.variant_first).max(initial=0)) + 1) + variant - s.variant_first[stream]
    found: Ints = key * problem.slots + start
    return found


def _shortlist(problem: Problem, table: Ints, usd: Floats) -> Shortlist:
    """`table` [N, 5]: stream, copies, candidate, variant, start, sorted."""
    block = np.ones(len(table), bool)
    block[1:] = (table[1:, :2] != table[:-1, :2]).any(axis=1)
    first = np.flatnonzero(block)
    pairs, need = np.unique(table[:, 3] * problem.slots + table[:, 4], return_inverse=True)
    rows = _needs(problem, *np.divmod(pairs, problem.slots))
    busy = rows > 0
    begin = np.where(busy.any(axis=1), busy.argmax(axis=1), 0)
    end = np.where(busy.any(axis=1), problem.slots - busy[:, ::-1].argmax(axis=1), 0)
    return Shortlist(
        np.searchsorted(table[first, 0], np.arange(len(problem.streams.shape) + 1)).astype(np.int64),
        np.append(first, len(table)).astype(np.int64), table[first, 1].copy(), table[:, 2].copy(), table[:, 3].copy(),
        table[:, 4].copy(), problem.candidates.pool[table[:, 2]], usd, need.reshape(-1).astype(np.int64), rows,
        begin.astype(np.int64), end.astype(np.int64))


def _needs(problem: Problem, variant: Ints, start: Ints) -> Counts:
    """Replicas by slot of (variant, start) pairs [n, T]."""
    v = problem.variants
    rows = np.zeros((len(variant), problem.slots), np.int32)
    steady = v.row[variant] >= 0
    rows[steady] = v.rows[v.row[variant[steady]]]
    batch = np.flatnonzero(~steady)
    for run in range(int(v.runs[variant[batch]].max(initial=0))):
        on = batch[v.runs[variant[batch]] > run]
        first = start[on] + run * v.period[variant[on]]
        slot = np.arange(problem.slots)
        inside = (slot >= first[:, None]) & (slot < (first + v.length[variant[on]])[:, None])
        rows[on] += (inside * v.level[variant[on], None]).astype(np.int32)
    return rows
