"""The units worth trying for every stream, by what they cost at the bound's prices.

The search cannot try every start slot in every pool. Prices say which units a good plan uses: for every stream and
number of copies the cheapest are kept, enough failure domains among them to choose from, and every unit that the
fractional solution of the master uses. Where the cheapest copies of a stream miss its availability together, cheap ones
that meet it are kept too: the bound does not ask for that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.bound import (
    EARLIEST,
    LATEST,
    ROW,
    Choices,
    Prices,
    Tables,
    by_kind_shape_pool,
    cheapest_by_domain,
    run_rent,
    steady_rent,
    sum_up,
    tables,
)
from placement.columns import Column, UnitTable
from placement.domains import SLO_TOLERANCE, choose_domains, failure_domains, together
from placement.jit import jit, read_only
from placement.needs import unit_needs as all_needs
from placement.problem import Counts, Floats, Ints, Problem
from placement.result import Units

_STARTS_KEPT = 6
_MOST = 40
_DEARER = 1.3
"""A number of copies is left out when even at the prices it costs this much more than the best number."""


class Shortlist(NamedTuple):
    """Units [N] sorted by stream, then copies, then price; and their needs.

    Blocks of one stream and number of copies: `block_first` [B + 1] into units, `block_copies` [B]; the blocks of
    stream s are `stream_first[s]:stream_first[s + 1]`. `usd` is what a unit costs beside machines (users' egress shared
    by the copies). `need` indexes `needs` [M, T]; slots outside `begin`..`end` of a need are empty.
    `priced_usd` is what a unit costs at the bound's prices, machines and all.
    """

    stream_first: Ints
    block_first: Ints
    block_copies: Ints
    candidate: Ints
    variant: Ints
    start: Ints
    pool: Ints
    usd: Floats
    need: Ints
    needs: Counts
    begin: Ints
    end: Ints
    priced_usd: Floats


@jit
def _keep(cost: float, n: int, variant: int, start: int, kept: int, costs: Floats, units: Ints) -> int:
    """Insert a unit into the cheapest so far, `costs` [K] and `units` [K, 3] in order; returns how many are kept."""
    if kept == len(costs):
        if cost >= costs[kept - 1]:
            return kept
        kept -= 1
    at = kept
    while at > 0 and costs[at - 1] > cost:
        costs[at] = costs[at - 1]
        for i in range(3):
            units[at, i] = units[at - 1, i]
        at -= 1
    costs[at] = cost
    units[at, 0], units[at, 1], units[at, 2] = n, variant, start
    return kept + 1


@jit
def _cheapest_units(
    table: Tables, price: Floats, cost_scale: float, starts_kept: int, wanted: Ints, units: Ints
) -> Ints:
    """For every wanted row [n] the cheapest units, `units` [n, most, 3] (candidate, variant, start); how many, [n].

    `price` as `cheapest_by_domain` takes it.
    """
    found = np.zeros(len(wanted), np.int64)
    costs, sums = np.empty(units.shape[1]), np.empty(price.shape[1] + 1)
    start_costs, start_units = np.empty(starts_kept), np.empty((starts_kept, 3), np.int64)
    most, pool, single, speed, peak = table.most, table.pool, table.single, table.speed, table.peak
    cost_usd, user_usd, candidate_speed = table.cost_usd, table.user_usd, table.candidate_speed
    rows, timing = table.rows, table.timing
    for i in range(len(wanted)):
        q = wanted[i]
        s, k, mine = table.q_stream[q], table.q_copies[q], units[i]
        kind, shape = table.kind[s], table.shape[s]
        first_variant, end_variant = table.q_variant[q], table.q_variant[q + 1]
        first_price = (kind * most.shape[1] + shape) * most.shape[2]
        for n in range(table.candidate_first[s], table.candidate_first[s + 1]):
            if k == 1 and not single[n]:
                continue
            p, summed = pool[n], False
            fixed = cost_scale * (cost_usd[n] + user_usd[n] / k)
            for u in range(first_variant, end_variant):
                if speed[u] != candidate_speed[n] or peak[u] > most[kind, shape, p]:
                    continue
                if timing[u, ROW] >= 0:
                    paid = fixed + steady_rent(rows, timing[u, ROW], price, first_price + p)
                    found[i] = _keep(paid, n, u, 0, found[i], costs, mine)
                    continue
                if not summed:
                    sum_up(price, first_price + p, sums)
                    summed = True
                kept = 0
                for first in range(timing[u, EARLIEST], timing[u, LATEST] + 1):
                    paid = fixed + run_rent(timing, u, first, sums)
                    kept = _keep(paid, n, u, first, kept, start_costs, start_units)
                for j in range(kept):
                    found[i] = _keep(start_costs[j], n, u, start_units[j, 2], found[i], costs, mine)
    return found


def shortlist(problem: Problem, prices: Prices, choices: Choices, used: Ints, most: int = _MOST) -> Shortlist:
    """Build the list from prices [of `placement.bound`] and the cheapest choices at them.

    `used` [n, 4] are units to keep in any case: row of the choices, candidate, variant, start.
    """
    cost, legal = _surviving(problem, prices, choices)
    best = np.full(len(choices.best), np.inf)
    np.minimum.at(best, choices.stream, cost)
    wanted = (cost <= _DEARER * best[choices.stream] + 1e-6) & np.isfinite(cost)
    wanted[used[:, 0]] = True
    rows = np.flatnonzero(wanted)
    units = np.zeros((len(rows), most, 3), np.int64)
    scale = prices.cost_scale if prices.cost_scale > 0 else 1.0  # where money is no object, still the cheapest
    found = _cheapest_units(tables(problem), by_kind_shape_pool(prices), scale, _STARTS_KEPT, rows, units)
    cheapest = np.arange(most) < found[:, None]
    listed = np.column_stack([np.repeat(rows, found), units[cheapest]])
    legal = legal[wanted[legal[:, 0]]]
    return _table(problem, prices, choices, rows, np.concatenate([listed, used, _taken(choices, rows), legal]))


def _surviving(problem: Problem, prices: Prices, choices: Choices) -> tuple[Floats, Ints]:
    """What copies cost that meet their availability together [Q]; and the units [n, 4] of those not the cheapest."""
    domains, table = failure_domains(problem), tables(problem)
    target = problem.streams.availability[choices.stream]
    asked = np.flatnonzero((choices.copies > 1) & (target > 0) & np.isfinite(choices.cost))
    most = int(choices.copies[asked].max(initial=1))
    of_place = np.append(domains.pool[problem.candidates.pool], -1)[choices.candidate]
    chosen = np.full((len(asked), most), -1, np.int64)
    for k in range(most):
        some = choices.copies[asked] > k
        chosen[some, k] = of_place[choices.first[asked[some]] + k]
    weak = asked[together(domains.path, domains.up, chosen) < target[asked] - SLO_TOLERANCE]
    cost = choices.cost.copy()
    cost[weak] = np.inf
    best = np.full(len(choices.best), np.inf)
    np.minimum.at(best, choices.stream, cost)
    weak = weak[choices.cost[weak] <= _DEARER * best[choices.stream[weak]] + 1e-6]  # others are too dear as they are
    cost[weak], units = _cheapest_surviving(
        table, weak, by_kind_shape_pool(prices), prices.cost_scale, read_only(domains.path), read_only(domains.up),
        problem.streams.availability, most)  # fmt: skip
    there = (np.arange(most) < choices.copies[weak, None]) & np.isfinite(cost[weak])[:, None]
    return cost, np.column_stack([np.repeat(weak, there.sum(axis=1)), units[there]])


@jit
def _cheapest_surviving(
    table: Tables, rows: Ints, price: Floats, cost_scale: float, path: Ints, up: Floats, target: Floats, most: int
) -> tuple[Floats, Ints]:
    """For `rows` [n] of streams and copies a cheap choice that meets the availability `target` [S]: USD and units.

    The units are [n, most, 3] (candidate, variant, start); the USD infinite where no such choice is found.
    """
    cost, units = np.full(len(rows), np.inf), np.zeros((len(rows), most, 3), np.int64)
    at, chosen = np.empty((len(path), 3), np.int64), np.empty(most, np.int64)
    may, sums = np.zeros(len(path), np.int64), np.empty(price.shape[1] + 1)
    for i in range(len(rows)):
        q = rows[i]
        k = table.q_copies[q]
        usd = cheapest_by_domain(table, q, may, price, cost_scale, sums, at)
        cost[i] = choose_domains(usd, path, up, k, target[table.q_stream[q]], chosen)
        if cost[i] < np.inf:
            for c in range(k):
                units[i, c] = at[chosen[c]]
    return cost, units


def columns_in_use(choices: Choices, columns: list[Column], fraction: Floats, table: UnitTable) -> Ints:
    """The units [n, 4] of columns that the master's solution takes, as `shortlist` wants them."""
    row = {(int(s), int(k)): q for q, (s, k) in enumerate(zip(choices.stream, choices.copies, strict=True))}
    units = sorted({(row[column.stream, len(column.units)], *table.units[u])
                    for column, value in zip(columns, fraction, strict=False) if value > 1e-6 for u in column.units})
    return np.array(units, np.int64).reshape(-1, 4)


def keys(problem: Problem, candidate: Ints, variant: Ints, start: Ints) -> Ints:
    """One number for every unit [n]: equal where the units are."""
    return (candidate * max(1, len(problem.variants.stream)) + variant) * problem.slots + start


def _taken(choices: Choices, rows: Ints) -> Ints:
    """[n, 4]: the units of the cheapest choice of each of `rows`, and its unit in the next best cluster."""
    count = choices.first[rows + 1] - choices.first[rows]
    row = np.repeat(rows, count)
    place = np.repeat(choices.first[rows] - np.cumsum(count) + count, count) + np.arange(len(row))
    there = choices.candidate[place] >= 0
    row, place = row[there], place[there]
    return np.column_stack([row, choices.candidate[place], choices.variant[place], choices.start[place]])


def _table(problem: Problem, prices: Prices, choices: Choices, rows: Ints, units: Ints) -> Shortlist:
    """The list of `units` [n, 4], each once, by row and then as they come; every one of `rows` has some."""
    key = keys(problem, units[:, 1], units[:, 2], units[:, 3])
    units = units[np.sort(np.unique(key, return_index=True)[1])]  # a variant belongs to one row
    units = units[np.argsort(units[:, 0], kind="stable")]
    row, candidate, variant, start = (np.ascontiguousarray(column) for column in units.T)
    kinds, need = np.unique(variant * problem.slots + start, return_inverse=True)
    needs, c = _needs(problem, *np.divmod(kinds, problem.slots)), problem.candidates
    need, (begin, end) = need.reshape(-1).astype(np.int64), _busy(needs)
    usd = c.cost_usd[candidate] + c.user_usd[candidate] / choices.copies[row]
    scale = prices.cost_scale if prices.cost_scale > 0 else 1.0
    rents = _rents(tables(problem), candidate, need, needs, begin, end, prices.replica_usd)
    return Shortlist(
        np.searchsorted(choices.stream[rows], np.arange(len(problem.streams.shape) + 1)).astype(np.int64),
        np.append(np.searchsorted(row, rows), len(row)).astype(np.int64), choices.copies[rows], candidate, variant,
        start, c.pool[candidate], usd, need, needs, begin, end, scale * usd + rents,
    )  # fmt: skip


@jit
def _rents(
    table: Tables, candidate: Ints, need: Ints, needs: Counts, begin: Ints, end: Ints, replica_usd: Floats
) -> Floats:
    """What the machines of every unit [N] cost at the prices."""
    found = np.zeros(len(candidate))
    stream = 0
    for u in range(len(candidate)):
        if candidate[u] < table.candidate_first[stream]:
            stream = 0
        while candidate[u] >= table.candidate_first[stream + 1]:
            stream += 1
        price = replica_usd[table.kind[stream], table.shape[stream], table.pool[candidate[u]]]
        for t in range(begin[need[u]], end[need[u]]):
            found[u] += needs[need[u], t] * price[t]
    return found


def listed_again(units: Shortlist, problem: Problem) -> Shortlist:
    """The same units with the needs that this problem's variants have."""
    first = np.unique(units.need, return_index=True)[1]
    needs = _needs(problem, units.variant[first], units.start[first])
    begin, end = _busy(needs)
    return units._replace(needs=needs, begin=begin, end=end)


def _busy(needs: Counts) -> tuple[Ints, Ints]:
    """First slot and end of what each of `needs` [M, T] is; both 0 where it is nothing."""
    busy = needs > 0
    begin = np.where(busy.any(axis=1), busy.argmax(axis=1), 0)
    end = np.where(busy.any(axis=1), needs.shape[1] - busy[:, ::-1].argmax(axis=1), 0)
    return begin.astype(np.int64), end.astype(np.int64)


def _needs(problem: Problem, variant: Ints, start: Ints) -> Counts:
    """Replicas per slot [n, T] of one copy of each variant that starts at `start`."""
    nothing = np.zeros(len(variant), np.int64)
    return all_needs(problem, Units(nothing, nothing, nothing, variant, start))
