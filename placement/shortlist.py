"""The units worth trying for every stream, by what they cost at the bound's prices.

The search cannot try every start slot in every pool. Prices say which units a good plan uses: for every stream and
number of copies the cheapest are kept, enough failure domains among them to choose from, and every unit that the
fractional solution of the master uses. Where the cheapest copies of a stream miss its availability together, cheap ones
that meet it are kept too: the bound does not ask for that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.bound import Choices, Prices, Tables, cheapest_by_domain, run_rent, sum_up, tables
from placement.columns import Column, Unit, UnitTable, unit_needs
from placement.domains import SLO_TOLERANCE, choose_domains, failure_domains, together
from placement.jit import jit, read_only
from placement.problem import Bools, Counts, Floats, Ints, Problem

_STARTS_KEPT = 6
_MOST = 40
_DEARER = 1.3
"""A number of copies is left out when even at the prices it costs this much more than the best number."""


class Shortlist(NamedTuple):
    """Units [N] sorted by stream, then copies, then price; and their needs.

    Blocks of one stream and number of copies: `block_first` [B + 1] into units, `block_copies` [B]; the blocks of
    stream s are `stream_first[s]:stream_first[s + 1]`. `usd` is what a unit costs beside machines (users' egress shared
    by the copies). `need` indexes `needs` [M, T]; slots outside `begin`..`end` of a need are empty.
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
def _cheapest_starts(
    table: Tables, n: int, variant: int, fixed: float, price: Floats, sums: Floats, costs: Floats, units: Ints
) -> int:
    """The cheapest starts of a variant at candidate n, into `costs` and `units`; returns how many."""
    row = table.row[variant]
    kept = start = 0
    if row >= 0:
        for t in range(len(price)):
            fixed += table.rows[row, t] * price[t]
        return _keep(fixed, n, variant, start, kept, costs, units)
    sum_up(price, sums)
    for first in range(table.earliest[variant], table.latest[variant] + 1):
        kept = _keep(fixed + run_rent(table, variant, first, sums), n, variant, first, kept, costs, units)
    return kept


@jit
def _cheapest_units(
    table: Tables, replica_usd: Floats, cost_scale: float, starts_kept: int, wanted: Bools, units: Ints
) -> Ints:
    """For every wanted row q the cheapest units, `units` [Q, most, 3] (candidate, variant, start); how many, [Q]."""
    found = np.zeros(len(table.q_stream), np.int64)
    costs, sums = np.empty(units.shape[1]), np.empty(replica_usd.shape[3] + 1)
    start_costs, start_units = np.empty(starts_kept), np.empty((starts_kept, 3), np.int64)
    for q in range(len(table.q_stream)):
        if not wanted[q]:
            continue
        s, k = table.q_stream[q], table.q_copies[q]
        for n in range(table.candidate_first[s], table.candidate_first[s + 1]):
            if k == 1 and not table.single[n]:
                continue
            price = replica_usd[table.kind[s], table.shape[s], table.pool[n]]
            fixed = cost_scale * (table.cost_usd[n] + table.user_usd[n] / k)
            for u in range(table.q_variant[q], table.q_variant[q + 1]):
                if table.speed[u] != table.candidate_speed[n] or table.peak[u] > table.most[n]:
                    continue
                starts = _cheapest_starts(table, n, u, fixed, price, sums, start_costs, start_units)
                for i in range(starts):
                    found[q] = _keep(start_costs[i], n, u, start_units[i, 2], found[q], costs, units[q])
    return found


def shortlist(
    problem: Problem, prices: Prices, choices: Choices, columns: list[Column], fraction: Floats, table: UnitTable,
    most: int = _MOST,
) -> Shortlist:  # fmt: skip
    """Build the list from prices [of `placement.bound`], the cheapest choices at them, and the master's solution."""
    used: dict[tuple[int, int], set[Unit]] = {}
    for column, value in zip(columns, fraction, strict=False):  # columns added since have no value yet
        if value > 1e-6:
            used.setdefault((column.stream, len(column.units)), set()).update(table.units[u] for u in column.units)
    cost, legal = _surviving(problem, prices, choices)
    best = np.full(len(choices.best), np.inf)
    np.minimum.at(best, choices.stream, cost)
    wanted = (cost <= _DEARER * best[choices.stream] + 1e-6) & np.isfinite(cost)
    wanted |= np.array([(int(a), int(b)) in used for a, b in zip(choices.stream, choices.copies, strict=True)], bool)
    units = np.zeros((len(choices.stream), most, 3), np.int64)
    scale = prices.cost_scale if prices.cost_scale > 0 else 1.0  # where money is no object, still the cheapest
    found = _cheapest_units(tables(problem), prices.replica_usd, scale, _STARTS_KEPT, wanted, units)
    return _table(problem, choices, wanted, units, found, used, legal)


def _surviving(problem: Problem, prices: Prices, choices: Choices) -> tuple[Floats, dict[int, list[Unit]]]:
    """What copies cost that meet their availability together [Q]; and the units of those that are not the cheapest."""
    domains, table = failure_domains(problem), tables(problem)
    target, most = problem.streams.availability[choices.stream], int(choices.copies.max(initial=1))
    of_place = np.append(domains.pool[problem.candidates.pool], -1)[choices.candidate]
    chosen = np.full((len(target), most), -1, np.int64)
    for k in range(most):
        some = choices.copies > k
        chosen[some, k] = of_place[choices.first[:-1][some] + k]
    asked = np.flatnonzero((choices.copies > 1) & (target > 0) & np.isfinite(choices.cost))
    weak = asked[together(domains.path, domains.up, chosen[asked]) < target[asked] - SLO_TOLERANCE]
    cost, found = choices.cost.copy(), {}
    for q, paid, units in zip(weak.tolist(), *_cheapest_surviving(
        table, weak, prices.replica_usd, prices.cost_scale, read_only(domains.path), read_only(domains.up),
        problem.streams.availability, most), strict=True):  # fmt: skip
        cost[q] = paid
        found[q] = [(int(n), int(v), int(t)) for n, v, t in units[: choices.copies[q]]] if np.isfinite(paid) else []
    return cost, found


@jit
def _cheapest_surviving(
    table: Tables, rows: Ints, replica_usd: Floats, cost_scale: float, path: Ints, up: Floats, target: Floats, most: int
) -> tuple[Floats, Ints]:
    """For `rows` [n] of streams and copies a cheap choice that meets the availability `target` [S]: USD and units.

    The units are [n, most, 3] (candidate, variant, start); the USD infinite where no such choice is found.
    """
    cost, units = np.full(len(rows), np.inf), np.zeros((len(rows), most, 3), np.int64)
    at, chosen = np.empty((len(path), 3), np.int64), np.empty(most, np.int64)
    may, sums = np.zeros(len(path), np.int64), np.empty(replica_usd.shape[3] + 1)
    for i in range(len(rows)):
        q = rows[i]
        k = table.q_copies[q]
        usd = cheapest_by_domain(table, q, may, replica_usd, cost_scale, sums, at)
        cost[i] = choose_domains(usd, path, up, k, target[table.q_stream[q]], chosen)
        if cost[i] < np.inf:
            for c in range(k):
                units[i, c] = at[chosen[c]]
    return cost, units


def _table(
    problem: Problem, choices: Choices, wanted: Bools, cheapest: Ints, found: Ints,
    used: dict[tuple[int, int], set[Unit]], legal: dict[int, list[Unit]],
) -> Shortlist:  # fmt: skip
    """The cheapest units of each wanted row, those used, those of its cheapest choice and of the next domain, and those
    of a cheap choice that meets the availability (`legal`, by row, where the cheapest does not).
    """
    units: list[Unit] = []
    block_first, block_copies, block_stream = [0], [], []
    for q in np.flatnonzero(wanted):
        s, k, first = int(choices.stream[q]), int(choices.copies[q]), int(choices.first[q])
        mine = [(int(a), int(b), int(t)) for a, b, t in cheapest[q, : found[q]]]
        mine += sorted(used.get((s, k), set()) - set(mine))
        best = ((int(choices.candidate[i]), int(choices.variant[i]), int(choices.start[i]))
                for i in range(first, first + k + 1))  # fmt: skip
        mine += [unit for unit in best if unit[0] >= 0 and unit not in mine]
        mine += [unit for unit in legal.get(int(q), ()) if unit not in mine]
        units += mine
        block_first.append(len(units))
        block_copies.append(k)
        block_stream.append(s)
    needs: dict[tuple[int, int], int] = {}
    need = np.array([needs.setdefault((u, t), len(needs)) for _, u, t in units], np.int64)
    rows = np.array([unit_needs(problem, u, t) for u, t in needs], np.int32).reshape(-1, problem.slots)
    columns = np.array(units, np.int64).reshape(-1, 3)
    candidate, copies = columns[:, 0].copy(), np.repeat(np.array(block_copies, np.int64), np.diff(block_first))
    c, busy = problem.candidates, rows > 0
    begin = np.where(busy.any(axis=1), busy.argmax(axis=1), 0)
    end = np.where(busy.any(axis=1), problem.slots - busy[:, ::-1].argmax(axis=1), 0)
    return Shortlist(
        np.searchsorted(block_stream, np.arange(len(problem.streams.shape) + 1)).astype(np.int64),
        np.array(block_first, np.int64), np.array(block_copies, np.int64), candidate, columns[:, 1].copy(),
        columns[:, 2].copy(), c.pool[candidate], c.cost_usd[candidate] + c.user_usd[candidate] / copies, need, rows,
        begin.astype(np.int64), end.astype(np.int64),
    )  # fmt: skip
