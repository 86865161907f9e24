"""What every stream costs at least at prices: each copy at its cheapest place, copies in distinct failure domains.

Written out for `placement.checks.reprove`; nothing of the search for prices is used. Sizes as in `placement.problem`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from placement.certificate import Decision, PricedRows
from placement.checks.rounding import UNIT, relative_error
from placement.domains import failure_domains
from placement.jit import jit, read_only
from placement.problem import TOLERANCE, Bools, Counts, Floats, Ints, Problem, Purchase

_ANY = 1 << 40


class _Table(NamedTuple):
    """Columns of the problem's tables. `kind` [S] is 0 for firm streams, 1 for preemptible ones, `peak` [V] the most
    replicas that a variant runs in a slot, `room` [2, P, C] the most that a pool can ever hold; rents of a shape in a
    pool are in row `pair` [P, C], -1 where it cannot be there.
    """

    shape: Ints
    kind: Ints
    candidate_first: Ints
    variant_first: Ints
    pool: Ints
    candidate_speed: Ints
    cost_usd: Floats
    user_usd: Floats
    single: Bools
    copies: Ints
    speed: Ints
    row: Ints
    level: Ints
    length: Ints
    period: Ints
    runs: Ints
    earliest: Ints
    latest: Ints
    peak: Ints
    rows: Counts
    domain: Ints
    room: Ints
    pair: Ints


class _Rules(NamedTuple):
    """Decisions by stream: rule `of` [S], 0 for those without any; a rule allows `least` to `most` copies [n], and
    wants a domain (1), rules it out (-1) or leaves it free (0), `wish` [n, D].
    """

    of: Ints
    least: Ints
    most: Ints
    wish: Ints


class StreamCosts:
    """The cheapest choices of a problem's streams, at any prices."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._pair = _pairs(problem)
        s, c, v = problem.streams, problem.candidates, problem.variants
        peak = v.level.copy()
        peak[v.row >= 0] = v.rows.max(axis=1, initial=0)[v.row[v.row >= 0]]
        self._table = _Table(*map(read_only, (
            s.shape, s.preemptible.astype(np.int64), s.candidate_first, s.variant_first, c.pool, c.speed, c.cost_usd,
            c.user_usd, c.single, v.copies, v.speed, v.row, v.level, v.length, v.period, v.runs, v.earliest, v.latest,
            peak, v.rows, failure_domains(problem).pool, _room(problem), self._pair)))  # type: ignore[arg-type]
        pool, shape = np.nonzero(self._pair >= 0)
        self._shapes_of = [shape[pool == p] for p in range(len(self._pair))]

    def least(self, rows: PricedRows, weights: Floats, usd_price: float,
              decisions: Sequence[Decision]) -> tuple[Floats, Floats]:
        """The least cost of every stream [S] in units of the objective, rounded down, and by how much it was.

        `weights` [n, C] are the vectors of the `rows`. Infinite where the decisions leave a stream no choice.
        """
        rent, terms = self._rents(rows, weights)
        error = relative_error(self._problem.slots + terms)
        best, off = np.full(len(self._table.shape), np.inf), np.zeros(len(self._table.shape))
        _least(self._table, rent, float(usd_price), error, self._rules(decisions), best, off)
        return best, off

    def _rents(self, rows: PricedRows, weights: Floats) -> tuple[Floats, int]:
        """Rents of one replica [pairs, 2, T], of firm work and of preemptible work; the most rows that one adds up."""
        rent = np.zeros((int(self._pair.max(initial=-1)) + 1, 2, self._problem.slots))
        count = np.bincount(rows.pool, minlength=1) if len(rows.pool) else np.zeros(1, np.int64)
        for row, pool in enumerate(rows.pool.tolist()):
            shapes = self._shapes_of[pool]
            usd = weights[row, shapes][:, None] * rows.price[row]
            at = self._pair[pool, shapes]
            rent[at, 0] += usd
            if not rows.firm[row]:
                rent[at, 1] += usd
        return rent, int(count.max())

    def _rules(self, decisions: Sequence[Decision]) -> _Rules:
        streams = sorted({decision.stream for decision in decisions})
        rule = {stream: place for place, stream in enumerate(streams, start=1)}
        of = np.zeros(len(self._table.shape), np.int64)
        of[streams] = np.arange(1, len(streams) + 1)
        least, most = np.zeros(len(streams) + 1, np.int64), np.full(len(streams) + 1, _ANY, np.int64)
        wish = np.zeros((len(streams) + 1, len(failure_domains(self._problem).path)), np.int64)
        for decision in decisions:
            at = rule[decision.stream]
            if decision.domain >= 0:
                # wished for and ruled out at once: no choice is left, which a least number beyond all says
                wanted = 1 if decision.yes else -1
                least[at] = _ANY if wish[at, decision.domain] == -wanted else least[at]
                wish[at, decision.domain] = wanted
            elif decision.yes:
                most[at] = min(most[at], decision.copies)
            else:
                least[at] = max(least[at], decision.copies + 1)
        return _Rules(of, least, most, wish)


def _pairs(problem: Problem) -> Ints:
    """[P, C]: a number for every shape that may be in a pool, -1 for the others."""
    pools, shapes, c = len(problem.pools.cluster), len(problem.shapes), problem.candidates
    there = np.zeros(pools * shapes, np.bool_)
    for first in range(0, len(c.pool), 1 << 20):  # in parts: there may be tens of millions
        some = slice(first, first + (1 << 20))
        there[c.pool[some] * shapes + problem.streams.shape[c.stream[some]]] = True
    return np.where(there, np.cumsum(there) - 1, -1).reshape(pools, shapes)


def _room(problem: Problem) -> Ints:
    """[2, P, C]: the most replicas of a shape that a pool can ever hold, were it empty; of firm work, and of other."""
    offers, pools = problem.offers, problem.pools
    machines = np.zeros((2, len(pools.cluster)), np.int64)
    most = offers.max_machines.max(axis=1, initial=0).astype(np.int64)
    np.add.at(machines[0], offers.pool, np.where(offers.purchase == Purchase.SPOT, 0, most))
    np.add.at(machines[1], offers.pool, most)
    machines = np.minimum(machines, pools.max_machines.max(axis=1, initial=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        fits = np.where(problem.shapes > 0, (pools.room[:, None, :] + TOLERANCE) / problem.shapes, np.inf).min(axis=2)
    whole = np.floor(np.minimum(fits, 1e9) * (1 + UNIT)).astype(np.int64)
    room: Ints = machines[:, :, None] * whole
    return room


@jit
def _least(table: _Table, rent: Floats, usd_price: float, error: float, rules: _Rules, best: Floats,
           off: Floats) -> None:
    """Fill `best` and `off` [S]."""
    domains, slots = rules.wish.shape[1], rent.shape[2]
    most = 1
    for s in range(len(best)):
        most = max(most, table.variant_first[s + 1] - table.variant_first[s])
    cost, slack = np.empty((most, domains)), np.empty((most, domains))
    copies, sums, taken = np.empty(most, np.int64), np.zeros(slots + 1), np.empty(domains, np.bool_)
    for s in range(len(best)):
        rule = rules.of[s]
        numbers = _by_domain(table, rent, usd_price, error, s, cost, slack, copies, sums)
        for b in range(numbers):
            if rules.least[rule] <= copies[b] <= rules.most[rule]:
                total, less = _cheapest(cost[b], slack[b], copies[b], rules.wish[rule], taken)
                if total < best[s]:
                    best[s], off[s] = total, less


@jit
def _by_domain(table: _Table, rent: Floats, usd_price: float, error: float, s: int, cost: Floats, slack: Floats,
               copies: Ints, sums: Floats) -> int:
    """Into row b of `cost` [B, D] the cheapest copy in every domain for the b-th number of `copies` of stream s,
    rounded down by `slack`; returns how many numbers there are. `sums` [T + 1] is working memory.
    """
    first, end, numbers, timed = table.variant_first[s], table.variant_first[s + 1], 0, False
    for v in range(first, end):
        if v == first or table.copies[v] != table.copies[v - 1]:
            copies[numbers] = table.copies[v]
            cost[numbers, :] = np.inf
            numbers += 1
        timed = timed or table.row[v] < 0
    for n in range(table.candidate_first[s], table.candidate_first[s + 1]):
        pool = table.pool[n]
        price = rent[table.pair[pool, table.shape[s]], table.kind[s]]
        if timed:
            for t in range(len(price)):
                sums[t + 1] = sums[t] + price[t]
        at, d, room = -1, table.domain[pool], table.room[table.kind[s], pool, table.shape[s]]
        for v in range(first, end):
            k = table.copies[v]
            if v == first or k != table.copies[v - 1]:
                at += 1
            unfit = table.speed[v] != table.candidate_speed[n] or table.peak[v] > room
            if unfit or (k == 1 and not table.single[n]):
                continue
            paid, gross = _rent(table, v, price, sums)
            usd = usd_price * (table.cost_usd[n] + table.user_usd[n] / k)
            less = error * (gross + abs(usd))
            if paid + usd - less < cost[at, d]:
                cost[at, d], slack[at, d] = paid + usd - less, less
    return numbers


@jit
def _rent(table: _Table, v: int, price: Floats, sums: Floats) -> tuple[float, float]:
    """Least rent of a copy of variant v at `price` [T] a replica, over its starts; what its error is relative to."""
    row = table.row[v]
    if row >= 0:
        a = b = c = d = 0.0
        whole = len(price) // 4 * 4
        for t in range(0, whole, 4):
            a += table.rows[row, t] * price[t]
            b += table.rows[row, t + 1] * price[t + 1]
            c += table.rows[row, t + 2] * price[t + 2]
            d += table.rows[row, t + 3] * price[t + 3]
        for t in range(whole, len(price)):
            a += table.rows[row, t] * price[t]
        total = a + b + c + d
        return total, total
    length, period, runs = table.length[v], table.period[v], table.runs[v]
    best = np.inf
    for start in range(table.earliest[v], table.latest[v] + 1):
        total = 0.0
        for k in range(runs):
            total += sums[start + k * period + length] - sums[start + k * period]
        best = min(best, total)
    return best * table.level[v], 2.0 * sums[len(price)] * runs * table.level[v]


@jit
def _cheapest(cost: Floats, slack: Floats, copies: int, wish: Ints, taken: Bools) -> tuple[float, float]:
    """Least sum of `copies` of the domains' costs [D] with all those wished for and none ruled out; infinite for none.

    Also by how much it was rounded down. `taken` [D] is working memory.
    """
    total = less = 0.0
    left = copies
    for d in range(len(cost)):
        taken[d] = wish[d] != 0
        if wish[d] > 0:
            total += cost[d]
            less += slack[d]
            left -= 1
    if left < 0 or total == np.inf:
        return np.inf, 0.0
    for _ in range(left):
        at = -1
        for d in range(len(cost)):
            if not taken[d] and cost[d] < np.inf and (at < 0 or cost[d] < cost[at]):
                at = d
        if at < 0:
            return np.inf, 0.0
        taken[at] = True
        total += cost[at]
        less += slack[at]
    return total, less
