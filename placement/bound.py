"""A proven limit on the objective from any prices: Lagrangian relaxation of the packing rows.

Let y[p, t, w] >= 0 be the price of packing row w (a valid weight vector, see `placement.weights`) of pool p in slot t:

    sum over units in p of w[shape] * replicas[t]  <=  machines of p in t            (all work, all machines)
    sum over units that are not preemptible        <=  machines that are not spot    (firm rows)

Moved into the objective, what is left falls apart into the workloads (each takes its cheapest choice, machines being
rented at the prices) and the pools (each runs the machines that earn most). Their sum is a lower bound for every y, by
weak duality (Geoffrion, "Lagrangean relaxation for integer programming", Mathematical Programming Study 2, 1974). In
`max_sla` the budget row is priced too, by `cost_scale`. Flows between streams cost nothing in the bound (they are
>= 0), and copies need only lie in distinct failure domains, so the bound holds for the full problem. All sums are
float64.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from placement.domains import failure_domains
from placement.jit import inner_jit, jit, read_only
from placement.levels import pool_levels
from placement.problem import TOLERANCE, Bools, Counts, Floats, Ints, Problem, Purchase
from placement.shared_bound import FREE, SharedPrices, priced

_TURNS = 8
"""Parts of the rows that each of several threads prices, so that none waits long for another."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of the packing rows, summed up over rows.

    `replica_usd` [2, C, P, T]: rent of one replica by kind (0 firm, 1 preemptible), shape, pool and slot.
    `firm_usd`, `spot_usd` [P, T]: what a machine that is not spot, or is spot, earns.
    `cost_scale`: 1 in `min_cost`; in `max_sla` the price of the budget, in attainment weight for a USD.
    `drop_cost` [W]: what leaving a workload out costs; infinite where that is not allowed.
    `constant`: the terms without a decision, save those of `shared`: limits and commitments that pools share.
    """

    replica_usd: Floats
    firm_usd: Floats
    spot_usd: Floats
    cost_scale: float
    drop_cost: Floats
    constant: float
    shared: SharedPrices = FREE


def by_kind_shape_pool(prices: Prices) -> Floats:
    """Prices of a replica, a row for each kind, shape and pool in turn: [2 C P, T]."""
    return prices.replica_usd.reshape(-1, prices.replica_usd.shape[3])


@dataclass(frozen=True, slots=True)
class Choices:
    """For every stream and number of copies (a row, [Q]) the cheapest choice at some prices.

    Row q takes the k places `first[q]:first[q] + k` for its copies, in k distinct domains, cheapest first; the place
    after them is the next best domain (candidate -1 where there is none). `cost` [Q] is infinite where there is no
    choice. `unit_cost`, `candidate`, `variant`, `start` are per place; `best` [S] is the cheapest over a stream's rows.
    """

    stream: Ints
    copies: Ints
    first: Ints
    cost: Floats
    unit_cost: Floats
    candidate: Ints
    variant: Ints
    start: Ints
    best: Floats


def may_drop(problem: Problem) -> Bools:
    """Workloads [W] that a plan may leave out."""
    w = problem.workloads
    if problem.objective.mode == "max_sla":
        return np.ones(len(w.weight), bool)
    return w.droppable & (w.weight <= problem.slack)


ROW, LEVEL, LENGTH, PERIOD, RUNS, EARLIEST, LATEST = range(7)
"""What `Tables.timing` holds of each variant."""


class Tables(NamedTuple):
    """The problem's tables as kernels take them; arrays as in `placement.problem`, and no copies of the long ones.

    `kind` [S] is 1 for preemptible streams. Rows q of a stream and a number of copies: `q_stream` [Q], `q_copies` [Q];
    the variants of row q are `q_variant[q]:q_variant[q + 1]`. `timing` [V, 7] says when a variant needs what (`ROW` of
    `rows`, -1 for batch, and so on). `most` [2, C, P] and `peak` [V]: see `most_replicas` and `peaks`.
    """

    shape: Ints
    kind: Ints
    candidate_first: Ints
    pool: Ints
    candidate_speed: Ints
    cost_usd: Floats
    user_usd: Floats
    single: Bools
    most: Ints
    speed: Ints
    timing: Ints
    peak: Ints
    rows: Counts
    pool_domain: Ints
    q_stream: Ints
    q_copies: Ints
    q_variant: Ints


def tables(problem: Problem) -> Tables:
    """The tables of `problem`, without copying them."""
    s, c, v = problem.streams, problem.candidates, problem.variants
    new = np.ones(len(v.stream), bool)
    new[1:] = (np.diff(v.stream) != 0) | (np.diff(v.copies) != 0)
    begin = np.flatnonzero(new)
    arrays = (
        s.shape, s.preemptible.astype(np.int64), s.candidate_first, c.pool, c.speed, c.cost_usd, c.user_usd, c.single,
        most_replicas(problem), v.speed,
        np.column_stack([v.row, v.level, v.length, v.period, v.runs, v.earliest, v.latest]).astype(np.int64),
        peaks(problem), v.rows, failure_domains(problem).pool, v.stream[begin], v.copies[begin],
        np.append(begin, len(v.stream)),
    )  # fmt: skip
    return Tables(*(read_only(array) for array in arrays))


@inner_jit
def steady_rent(rows: Counts, row: int, price: Floats, at: int) -> float:
    """Rent of the replicas of a row of `rows` at row `at` of `price` [M, T]."""
    total = 0.0
    for t in range(price.shape[1]):
        total += rows[row, t] * price[at, t]
    return total


@inner_jit
def sum_up(price: Floats, at: int, sums: Floats) -> None:
    """`sums[t]` [T + 1] becomes the sum of `price[at, :t]`."""
    sums[0] = 0.0
    for t in range(price.shape[1]):
        sums[t + 1] = sums[t] + price[at, t]


@inner_jit
def run_rent(timing: Ints, variant: int, first: int, sums: Floats) -> float:
    """Rent of one copy of a batch variant that starts at slot `first`, from sums of prices."""
    total, length = 0.0, timing[variant, LENGTH]
    for k in range(timing[variant, RUNS]):
        begin = first + k * timing[variant, PERIOD]
        total += sums[begin + length] - sums[begin]
    return float(total * timing[variant, LEVEL])


@inner_jit
def best_start(timing: Ints, variant: int, sums: Floats) -> tuple[float, int]:
    """Cheapest rent of one copy of a batch variant, from sums of prices, and the start slot where it is reached."""
    best, start = run_rent(timing, variant, timing[variant, EARLIEST], sums), timing[variant, EARLIEST]
    for first in range(timing[variant, EARLIEST] + 1, timing[variant, LATEST] + 1):
        total = run_rent(timing, variant, first, sums)
        if total < best:
            best, start = total, first
    return best, start


@jit
def _cheapest_first(values: Floats) -> Ints:
    """Positions of `values` in ascending order; insertion sort: they are few, and it compiles quickly."""
    order = np.empty(len(values), np.int64)
    for i in range(len(values)):
        at = i
        while at > 0 and values[order[at - 1]] > values[i]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = i
    return order


@jit
def cheapest_by_domain(
    table: Tables, q: int, must: Ints, price: Floats, cost_scale: float, sums: Floats, at: Ints
) -> Floats:
    """Cost of the cheapest copy of row q in every domain [D] that `must` [D] does not rule out (-1).

    `price` [2 C P, T] are the prices of a replica by kind, shape and pool. `at` [D, 3] receives candidate, variant and
    start, `sums` [T + 1] is working memory. Tables are taken out before the loops: within, that takes longer than the
    work.
    """
    s, k = table.q_stream[q], table.q_copies[q]
    kind, shape = table.kind[s], table.shape[s]
    first_variant, end_variant = table.q_variant[q], table.q_variant[q + 1]
    most, pool, pool_domain, single = table.most, table.pool, table.pool_domain, table.single
    cost_usd, user_usd, candidate_speed, speed = table.cost_usd, table.user_usd, table.candidate_speed, table.speed
    peak, rows, timing = table.peak, table.rows, table.timing
    first_price = (kind * most.shape[1] + shape) * most.shape[2]
    cheapest = np.full(len(at), np.inf)
    for n in range(table.candidate_first[s], table.candidate_first[s + 1]):
        if k == 1 and not single[n]:
            continue
        p = pool[n]
        d, summed = pool_domain[p], False
        fixed = cost_scale * (cost_usd[n] + user_usd[n] / k)
        if must[d] < 0 or fixed >= cheapest[d]:
            continue
        for u in range(first_variant, end_variant):
            if speed[u] != candidate_speed[n] or peak[u] > most[kind, shape, p]:
                continue
            if timing[u, ROW] >= 0:
                paid, first = steady_rent(rows, timing[u, ROW], price, first_price + p), 0
            else:
                if not summed:
                    sum_up(price, first_price + p, sums)
                    summed = True
                paid, first = best_start(timing, u, sums)
            if fixed + paid < cheapest[d]:
                cheapest[d] = fixed + paid
                at[d, 0], at[d, 1], at[d, 2] = n, u, first
    return cheapest


@jit
def _rank(cheapest: Floats, must: Ints, copies: int) -> tuple[Ints, bool]:
    """Domains, those that must be used first, then by `cheapest` [D]; and whether so many copies can be there."""
    rank = cheapest.copy()
    fixed = 0
    for d in range(len(rank)):
        if must[d] > 0:
            fixed += 1
            if cheapest[d] == np.inf:
                fixed += copies  # impossible: it must be used and cannot be
            rank[d] = -np.inf
    order = _cheapest_first(rank)
    return order, fixed <= copies <= len(rank)


@jit
def _price_rows(
    table: Tables, price: Floats, cost_scale: float, allowed: Bools, must: Ints, begin: int, end: int,
    q_first: Ints, cost: Floats, unit_cost: Floats, candidate: Ints, variant: Ints, start: Ints,
) -> None:  # fmt: skip
    """Fill rows `begin` to `end` of `Choices`, which come with costs infinite and candidates -1; `must` as
    `Fixed.domains`, `price` as `cheapest_by_domain`.
    """
    domains = must.shape[1]
    at = np.empty((domains, 3), np.int64)
    sums = np.empty(price.shape[1] + 1)
    for q in range(begin, end):
        if not allowed[q]:
            continue
        k, first = table.q_copies[q], q_first[q]
        cheapest = cheapest_by_domain(table, q, must[table.q_stream[q]], price, cost_scale, sums, at)
        order, possible = _rank(cheapest, must[table.q_stream[q]], k)
        for i in range(min(k + 1, domains)):
            d = order[i]
            if cheapest[d] < np.inf:
                candidate[first + i], variant[first + i], start[first + i] = at[d, 0], at[d, 1], at[d, 2]
                unit_cost[first + i] = cheapest[d]
        if possible:
            cost[q] = unit_cost[first : first + k].sum()


@dataclass(frozen=True, slots=True)
class Fixed:
    """What a branch fixes: `copies` [S, K + 1] numbers of copies allowed, `domains` [S, D] 1 must, -1 never, 0 may.

    `never` [N] are candidates that may not be used; None: there are none.
    """

    copies: Bools
    domains: Ints
    never: Bools | None = None


def free(problem: Problem) -> Fixed:
    """Nothing fixed."""
    streams, most = len(problem.streams.shape), int(problem.variants.copies.max(initial=1))
    domains = np.zeros((streams, len(failure_domains(problem).path)), np.int64)
    return Fixed(np.ones((streams, most + 1), bool), domains)


class Pricer:
    """The problem's tables in the form the kernels take. One per problem; prices come and go."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._tables = tables(problem)
        self._first = np.append(0, np.cumsum(self._tables.q_copies + 1)).astype(np.int64)

    def cheapest(self, prices: Prices, fixed: Fixed | None = None, threads: int = 1) -> Choices:
        """The cheapest choice of every stream and number of copies at `prices`, within what is `fixed`."""
        table, first = self._tables, self._first
        fixed = fixed or free(self._problem)
        if fixed.never is not None:
            table = table._replace(cost_usd=read_only(np.where(fixed.never, np.inf, table.cost_usd)))
        allowed, replica_usd = fixed.copies[table.q_stream, table.q_copies], by_kind_shape_pool(prices)
        cost, unit_cost = np.full(len(table.q_stream), np.inf), np.full(int(first[-1]), np.inf)
        candidate, variant, start = (np.full(int(first[-1]), -1, np.int64) for _ in range(3))

        def price(begin: int, end: int) -> None:
            _price_rows(table, replica_usd, prices.cost_scale, allowed, fixed.domains, begin, end, first, cost,
                        unit_cost, candidate, variant, start)

        ends = np.linspace(0, len(cost), threads * _TURNS + 1 if threads > 1 else 2).astype(int).tolist()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(price, ends[:-1], ends[1:]))
        best = np.full(len(self._problem.streams.shape), np.inf)
        np.minimum.at(best, table.q_stream, cost)
        return Choices(table.q_stream, table.q_copies, first, cost, unit_cost, candidate, variant, start, best)

    def bound(self, prices: Prices, choices: Choices) -> float:
        """The Lagrangian bound at `prices`, given the cheapest choices at the same prices.

        A lower bound on cost in `min_cost`, on the weight left out in `max_sla`; infinite when a workload that may not
        be left out has a stream without any choice.
        """
        w = self._problem.workloads
        placed = np.zeros(len(w.weight))
        np.add.at(placed, self._problem.streams.workload, choices.best)
        streams = np.minimum(placed, prices.drop_cost).sum()
        shared = priced(self._problem, prices.shared, prices.cost_scale)[1]
        return float(streams + pools_bound(self._problem, prices).sum() + shared + prices.constant)


def pools_bound(problem: Problem, prices: Prices) -> Floats:
    """For every pool [P] the least of (cost of its machines - what they earn at `prices`), over all legal counts.

    Machines cost what they do at the prices of what pools share.
    """
    costed, _ = priced(problem, prices.shared, prices.cost_scale)
    pools, offers = costed.pools, costed.offers
    result = np.zeros(len(pools.cluster))
    for p in range(len(result)):
        mine = np.flatnonzero(offers.pool == p)
        kinds = offers.purchase[mine]
        fixed, loose = mine[kinds <= Purchase.COMMITTED], mine[kinds > Purchase.COMMITTED]
        run_usd, levels = pools.run_usd[p], pool_levels(costed, fixed)
        spot = (offers.purchase[loose] == Purchase.SPOT)[:, None]
        earn = np.where(spot, prices.spot_usd[p], prices.firm_usd[p])
        most = offers.max_machines[fixed]
        result[p] = -_best_pool(
            earn - run_usd - offers.price_usd[loose],
            offers.max_machines[loose].astype(np.int64), pools.max_machines[p].astype(np.int64),
            pools.min_machines[p].astype(np.int64), prices.firm_usd[p] - run_usd, most.sum(axis=0, dtype=np.int64),
            levels.held, levels.sunk_usd, levels.width, levels.usd,
        )  # fmt: skip
    return result


@jit
def _slot_gain(gain: Floats, limit: Ints, most: int, least: int, held: int, held_gain: float, t: int) -> float:
    """Most that the machines of one slot earn: best first, at most `most` of them, `held` being paid already.

    At least `least` run, though they earn nothing; minus infinity when there are not so many.
    """
    room, short = float(most), float(least)
    total = 0.0
    done = np.zeros(len(gain) + 1, np.bool_)
    for _ in range(len(gain) + 1):
        best, at = -np.inf, -1
        for i in range(len(gain)):
            if not done[i] and gain[i, t] > best:
                best, at = gain[i, t], i
        if not done[len(gain)] and held_gain > best:
            best, at = held_gain, len(gain)
        if best <= 0:
            room = min(room, short)
        if at < 0 or room <= 0:
            break
        count = min(room, float(held if at == len(gain) else limit[at, t]))
        total += best * count
        room -= count
        short -= count
        done[at] = True
    return total if short <= 0 else -np.inf


@jit
def _best_pool(
    gain: Floats, limit: Ints, most: Ints, least: Ints, held_gain: Floats, there: Ints, held: int, sunk_usd: float,
    width: Ints, step_usd: Floats,
) -> float:  # fmt: skip
    """Most that one pool earns over all slots: every level of the fixed offers, cheapest bought first.

    Offers paid by the slot [N, T] earn `gain` each, `limit` of them at most; all machines are `least` to `most` [T].
    Fixed offers together hold `held` machines for `sunk_usd`, may be bought beyond in steps of `width` [K] machines for
    `step_usd` [K] each, and one that is held earns `held_gain` [T]. Which fixed offer a level is made of does not
    change what it earns, so buying the cheapest first is best; where offers' limits vary over time, a slot holds at
    most their sum `there` [T].
    """
    paid, level, left = sunk_usd, held, width.copy()
    best = before = -np.inf
    at = 0
    while True:
        total = -paid
        for t in range(len(most)):
            total += _slot_gain(gain, limit, most[t], least[t], min(level, there[t]), held_gain[t], t)
        best = max(best, total)
        while at < len(left) and left[at] == 0:
            at += 1
        # What a level earns is concave in the level.
        if at == len(left) or (before > -np.inf and total < before - 1e-9 * abs(before)):
            return float(best)
        before = total
        left[at] -= 1
        paid += step_usd[at]
        level += 1


def peaks(problem: Problem) -> Ints:
    """The most replicas that one copy of each variant [V] runs in any slot."""
    v = problem.variants
    steady = v.row >= 0
    result: Ints = v.level.copy()
    result[steady] = v.rows.max(axis=1, initial=0)[v.row[steady]]
    return result


def most_replicas(problem: Problem) -> Ints:
    """The most replicas [2, C, P] by kind and shape that each pool can ever hold: machines x what one holds.

    A copy that needs more can never be there, though a fraction of it could: leaving such choices out lifts the bound.
    """
    offers, pools = problem.offers, problem.pools
    firm, every = np.zeros((2, len(pools.cluster)), np.int64)
    most = offers.max_machines.max(axis=1, initial=0).astype(np.int64)
    np.add.at(every, offers.pool, most)
    np.add.at(firm, offers.pool, np.where(offers.purchase != Purchase.SPOT, most, 0))
    limit = pools.max_machines.max(axis=1, initial=0).astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = np.where(problem.shapes[:, None, :] > 0, (pools.room + TOLERANCE) / problem.shapes[:, None, :], np.inf)
    fit = np.floor(np.minimum(fit.min(axis=2), 1e9)).astype(np.int64)
    held: Ints = fit * np.minimum(limit, np.stack([firm, every]))[:, None]
    return held
