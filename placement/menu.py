"""What streams choose from while prices are sought, and how they answer prices: smoothly, so that prices can settle.

A *menu* lists for every row (a stream and a number of copies) the units that may come into question, in flat
arrays. At given prices a stream would take its cheapest choice, and another after the smallest change of a price. Here
it spreads over its choices instead, cheap ones first, the more evenly the higher the `warmth` (entropy smoothing:
Nesterov, "Smooth minimization of non-smooth functions", Mathematical Programming 103, 2005). The fractions of units
that it takes also say where a search may start.

Sizes as in `placement.bound`, and L shapes that any one pool may hold; U units of the menu. Prices and loads by pool
are float32: nothing here is a proof.
"""

from __future__ import annotations

from concurrent.futures import Executor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from placement.bound import LENGTH, LEVEL, PERIOD, ROW, RUNS, Tables, best_start, tables
from placement.jit import fast_jit, inner_jit
from placement.problem import Counts, Floats, Ints, Problem

Singles = NDArray[np.float32]

NEVER = 1e300
"""Cost of what is not possible; finite, because the kernels here know no infinities."""
_NEGLIGIBLE = 1e-3
"""A fraction below this is taken for none."""
_CHUNK = 256
"""Streams whose units are listed at once."""


class Menu(NamedTuple):
    """Units [U] by row: those of row q are `unit_first[q]:unit_first[q + 1]`; of stream s, rows `row_first[s]:...`.

    `shape` is the position of the unit's shape among those of its pool (`Locals.place`), `kind` 1 for preemptible,
    `usd` what the unit costs beside machines.
    """

    row_first: Ints
    unit_first: Ints
    copies: Ints
    candidate: Ints
    variant: Ints
    pool: Ints
    cluster: Ints
    shape: Ints
    kind: Ints
    usd: Floats


class Locals:
    """Shapes numbered within each pool: `legal[p]` are the shapes that may be there, `place` [P, C] their positions."""

    def __init__(self, problem: Problem) -> None:
        pools, shapes = len(problem.pools.cluster), len(problem.shapes)
        shape_of = problem.streams.shape[problem.candidates.stream]
        pairs = np.unique(problem.candidates.pool * shapes + shape_of)
        pairs = pairs[np.any(problem.shapes > 0, axis=1)[pairs % shapes]]  # what takes nothing needs no machine
        ends = np.searchsorted(pairs // shapes, np.arange(pools + 1))
        self.legal = [pairs[a:b] % shapes for a, b in pairwise(ends)]
        self.count = max((len(shapes) for shapes in self.legal), default=0) + 1
        self.place = np.full((pools, shapes), self.count - 1, np.int64)  # the last place is for shapes without weight
        for p, legal in enumerate(self.legal):
            self.place[p, legal] = np.arange(len(legal))

    def narrow(self, replica_usd: Floats) -> Singles:
        """[2, P, L, T] from prices [2, C, P, T]."""
        kinds, _, pools, slots = replica_usd.shape
        found = np.zeros((kinds, pools, self.count, slots), np.float32)
        for p, legal in enumerate(self.legal):
            found[:, p, : len(legal)] = replica_usd[:, legal, p]
        return found

    def wide(self, p: int, values: Floats, shapes: int) -> Floats:
        """[C] from values [L] of pool p, 0 for shapes that cannot be there."""
        found = np.zeros(shapes)
        found[self.legal[p]] = values[: len(self.legal[p])]
        return found


@inner_jit
def _rent(
    timing: Ints, rows: Counts, variant: int, price: Singles, at: int, sums: Floats, summed: Ints
) -> tuple[float, int]:  # fmt: skip
    """Cheapest rent of one copy at row `at` of `price` [M, T], and its start.

    `sums` [T + 1] is working memory that holds the sums of row `summed[0]`.
    """
    row = timing[variant, ROW]
    if row >= 0:
        steady = np.float32(0.0)
        for t in range(price.shape[1]):
            steady += np.float32(rows[row, t]) * price[at, t]
        return float(steady), 0
    if summed[0] != at:
        summed[0], sums[0] = at, 0.0
        for t in range(price.shape[1]):
            sums[t + 1] = sums[t] + price[at, t]
    return best_start(timing, variant, sums)


@fast_jit
def _cheapest(cost: Floats, copies: int) -> tuple[float, float]:
    """Sum and last of the `copies` least values of `cost` [G], which are set to `NEVER`; `NEVER` when too few."""
    total = last = 0.0
    for _ in range(copies):
        at = 0
        for g in range(len(cost)):
            if cost[g] < cost[at]:
                at = g
        if cost[at] >= NEVER:
            return NEVER, NEVER
        last = cost[at]
        total += last
        cost[at] = NEVER
    return total, last


@fast_jit
def _list_units(
    table: Tables, rows: Counts, place: Ints, price: Singles, wide: int, streams: Ints, row_first: Ints,
    factor: float, row_factor: float, found: Ints,
) -> int:  # fmt: skip
    """Units of some streams into `found` [n, 3] (row, candidate, variant); returns how many.

    Kept are rows within `row_factor` of the stream's best, and of those the units within `factor` of the last cluster
    that the row would take. `price` [2 P L, T] is by kind, pool and place of the shape, of which there are `wide` (L).
    """
    by_cluster, sums = np.empty(table.pool_domain.max() + 1), np.empty(price.shape[1] + 1)
    summed = np.full(1, -1)
    pool, pool_domain, single, speed, peak = table.pool, table.pool_domain, table.single, table.speed, table.peak
    cost_usd, user_usd, candidate_speed = table.cost_usd, table.user_usd, table.candidate_speed
    most, timing, pools, count = table.most, table.timing, table.most.shape[2], 0
    for s in streams:
        first, end = table.candidate_first[s], table.candidate_first[s + 1]
        kind, shape = table.kind[s], table.shape[s]
        cost, variant, best = np.empty(end - first), np.empty(end - first, np.int64), NEVER
        for q in range(row_first[s], row_first[s + 1]):
            copies, first_variant, end_variant = table.q_copies[q], table.q_variant[q], table.q_variant[q + 1]
            by_cluster[:] = NEVER
            for n in range(first, end):
                cost[n - first] = NEVER
                if copies == 1 and not single[n]:
                    continue
                p = pool[n]
                at = (kind * pools + p) * wide + place[p, shape]
                for v in range(first_variant, end_variant):
                    if speed[v] != candidate_speed[n] or peak[v] > most[kind, shape, p]:
                        continue
                    usd, _ = _rent(timing, rows, v, price, at, sums, summed)
                    usd += cost_usd[n] + user_usd[n] / copies
                    if usd < cost[n - first]:
                        cost[n - first], variant[n - first] = usd, v
                by_cluster[pool_domain[p]] = min(by_cluster[pool_domain[p]], cost[n - first])
            total, last = _cheapest(by_cluster, copies)
            if total >= NEVER or total > row_factor * best + 1e-6:
                continue
            best = min(best, total)
            for n in range(first, end):
                if cost[n - first] <= factor * last + 1e-6:
                    found[count, 0], found[count, 1], found[count, 2] = q, n, variant[n - first]
                    count += 1
    return count


class Bar:
    """Makes menus for one problem, and asks its streams what they would take.

    Streams without units on a menu take nothing; the loads of stream s count `times[s]` times, for those like it.
    """

    def __init__(self, problem: Problem) -> None:
        self.table, self.places = tables(problem), Locals(problem)
        self._rows = self.table.rows
        streams = np.arange(len(problem.streams.shape) + 1)
        self._row_first = np.searchsorted(self.table.q_stream, streams).astype(np.int64)
        self.times = np.ones(len(streams) - 1)

    def units(self, price: Singles, factor: float, row_factor: float, pool: Executor,
              wanted: Ints | None = None) -> Ints:
        """Rows, candidates, variants [3, n] of units within the factors (see `_list_units`) at `price` [2, P, L, T].

        Those of the streams `wanted` [k], in rising order; None: of all.
        """
        table, count = self.table, len(self._row_first) - 1
        wanted = np.arange(count) if wanted is None else wanted
        many = np.diff(table.candidate_first) * np.diff(self._row_first)
        flat, wide = price.reshape(-1, price.shape[3]), price.shape[2]

        def some(first: int) -> Ints:
            streams = wanted[first : first + _CHUNK]
            found = np.empty((int(many[streams].sum()), 3), np.int64)
            kept = _list_units(table, self._rows, self.places.place, flat, wide, streams, self._row_first, factor,
                               row_factor, found)
            return found[:kept].astype(np.int32)

        parts = list(pool.map(some, range(0, len(wanted), _CHUNK)))
        return np.concatenate(parts).T.astype(np.int64) if parts else np.zeros((3, 0), np.int64)

    def menu(self, units: Ints) -> Menu:
        """The menu of some units [3, n] as `units` lists them, each once."""
        table = self.table
        key = units[0] * max(1, len(table.pool)) + units[1]
        row, candidate, variant = units[:, np.unique(key, return_index=True)[1]]
        stream, at = table.q_stream[row], table.pool[candidate]
        usd = table.cost_usd[candidate] + table.user_usd[candidate] / table.q_copies[row]
        first = np.searchsorted(row, np.arange(len(table.q_stream) + 1)).astype(np.int64)
        shape = self.places.place[at, table.shape[stream]]
        return Menu(self._row_first, first, table.q_copies, candidate, variant, at, table.pool_domain[at], shape,
                    table.kind[stream], usd)

    def answer(self, menu: Menu, price: Singles, warmth: float, pool: Executor, threads: int) -> Answer:
        """What the streams take at `price` [2, P, L, T]."""
        streams, units = len(self._row_first) - 1, len(menu.pool)
        best, share = np.full(streams, NEVER), np.zeros(units)
        start = np.zeros(units, np.int64)
        work = menu.unit_first[self._row_first]
        cuts = np.searchsorted(work, np.linspace(0, units, threads + 1)[1:-1])
        ends, flat = [0, *cuts.tolist(), streams], price.reshape(-1, price.shape[3])

        def part(first: int, end: int) -> Singles:
            load = np.zeros(price.shape, np.float32)
            _answer(self.table, menu, self._rows, flat, price.shape[2], self.times, warmth, first, end,
                    load.reshape(flat.shape), best, share, start)
            return load

        loads = list(pool.map(part, ends[:-1], ends[1:]))
        for load in loads[1:]:
            loads[0] += load
        return Answer(loads[0], best, share, start)


class Answer(NamedTuple):
    """Replicas `load` [2, P, L, T], cost of the cheapest choice `best` [S], and of every unit the fraction `share` [U]
    that is taken and its `start` slot.
    """

    load: Singles
    best: Floats
    share: Floats
    start: Ints


@fast_jit
def _answer(
    table: Tables, menu: Menu, rows: Counts, price: Singles, wide: int, times: Floats, warmth: float, first: int,
    end: int, load: Singles, best: Floats, share: Floats, start: Ints,
) -> None:  # fmt: skip
    """Fill an `Answer` for streams `first` to `end`; `price` and `load` are [2 P L, T], L being `wide`."""
    sums, by_cluster = np.empty(price.shape[1] + 1), np.empty(table.pool_domain.max() + 1)
    at, summed = np.empty(len(by_cluster), np.int64), np.full(1, -1)
    pools, timing = table.most.shape[2], table.timing
    kind, pool, shape, variant, cluster, usd = menu.kind, menu.pool, menu.shape, menu.variant, menu.cluster, menu.usd
    most_rows = most_units = 0
    for s in range(first, end):
        most_rows = max(most_rows, menu.row_first[s + 1] - menu.row_first[s])
        units = menu.unit_first[menu.row_first[s + 1]] - menu.unit_first[menu.row_first[s]]
        most_units = max(most_units, units)
    row_usd, unit_usd = np.empty(most_rows), np.empty(most_units)
    for s in range(first, end):
        a, b = menu.row_first[s], menu.row_first[s + 1]
        base, least = menu.unit_first[a], NEVER
        for q in range(a, b):
            by_cluster[:] = NEVER
            for u in range(menu.unit_first[q], menu.unit_first[q + 1]):
                rent_at = (kind[u] * pools + pool[u]) * wide + shape[u]
                paid, start[u] = _rent(timing, rows, variant[u], price, rent_at, sums, summed)
                unit_usd[u - base] = paid + usd[u]
                by_cluster[cluster[u]] = min(by_cluster[cluster[u]], paid + usd[u])
            total, _ = _cheapest(by_cluster, menu.copies[q])
            row_usd[q - a] = total
            least = min(least, total)
        best[s] = least
        if least >= NEVER:
            continue
        heat = warmth * abs(least) + 1e-9
        _spread(menu, a, b, base, row_usd, unit_usd, least, heat, by_cluster, at, share)
        for u in range(base, menu.unit_first[b]):
            if share[u] >= _NEGLIGIBLE:
                rent_at = (kind[u] * pools + pool[u]) * wide + shape[u]
                _add(timing, rows, variant[u], start[u], times[s] * share[u], load, rent_at)


@inner_jit
def _add(timing: Ints, rows: Counts, variant: int, start: int, share: float, load: Singles, at: int) -> None:
    """Add a fraction of a unit's replicas to row `at` of `load` [M, T]."""
    row, part = timing[variant, ROW], np.float32(share)
    if row >= 0:
        for t in range(load.shape[1]):
            load[at, t] += part * np.float32(rows[row, t])
        return
    level = part * np.float32(timing[variant, LEVEL])
    for k in range(timing[variant, RUNS]):
        begin = start + k * timing[variant, PERIOD]
        for t in range(begin, begin + timing[variant, LENGTH]):
            load[at, t] += level


@fast_jit
def _spread(
    menu: Menu, a: int, b: int, base: int, row_usd: Floats, unit_usd: Floats, least: float, heat: float,
    by_cluster: Floats, at: Ints, share: Floats,
) -> None:  # fmt: skip
    """Fractions of a stream's units: its rows by exp(-cost / heat), and the units of each row by `_copies_of_row`."""
    total = 0.0
    for q in range(a, b):
        if row_usd[q - a] < NEVER:
            total += np.exp((least - row_usd[q - a]) / heat)
    for q in range(a, b):
        first, end = menu.unit_first[q], menu.unit_first[q + 1]
        for u in range(first, end):
            share[u] = 0.0
        if row_usd[q - a] >= NEVER:
            continue
        part = np.exp((least - row_usd[q - a]) / heat) / total
        if part < _NEGLIGIBLE:
            continue
        if menu.copies[q] == 1:
            norm = 0.0
            for u in range(first, end):
                share[u] = np.exp(max(-700.0, (row_usd[q - a] - unit_usd[u - base]) / heat))
                norm += share[u]
            for u in range(first, end):
                share[u] *= part / norm
        else:
            _copies_of_row(menu, q, base, unit_usd, part, heat / menu.copies[q], by_cluster, at, share)


@fast_jit
def _copies_of_row(
    menu: Menu, q: int, base: int, unit_usd: Floats, part: float, heat: float, by_cluster: Floats, at: Ints,
    share: Floats,
) -> None:  # fmt: skip
    """Fractions of k > 1 copies over the cheapest units of clusters: min(1, exp((level - cost) / heat)), k in sum."""
    by_cluster[:] = NEVER
    for u in range(menu.unit_first[q], menu.unit_first[q + 1]):
        g = menu.cluster[u]
        if unit_usd[u - base] < by_cluster[g]:
            by_cluster[g], at[g] = unit_usd[u - base], u
    low, high = NEVER, -NEVER
    for g in range(len(by_cluster)):
        if by_cluster[g] < NEVER:
            low, high = min(low, by_cluster[g]), max(high, by_cluster[g])
    low -= 30 * heat
    for _ in range(40):
        level, total = 0.5 * (low + high), 0.0
        for g in range(len(by_cluster)):
            if by_cluster[g] < NEVER:
                total += np.exp(max(-700.0, min(0.0, (level - by_cluster[g]) / heat)))
        if total < menu.copies[q]:
            low = level
        else:
            high = level
    for g in range(len(by_cluster)):
        if by_cluster[g] < NEVER:
            share[at[g]] = part * np.exp(max(-700.0, min(0.0, (high - by_cluster[g]) / heat)))


