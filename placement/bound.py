"""A proven limit on the objective from any prices: Lagrangian relaxation of the packing rows.

Let y[p, t, w] >= 0 be the price of packing row w (a valid weight vector, see `placement.weights`) of pool p in slot t:

    sum over units in p of w[shape] * replicas[t]  <=  machines of p in t            (all work, all machines)
    sum over units that are not preemptible        <=  machines that are not spot    (firm rows)

Moved into the objective, what is left falls apart into the workloads (each takes its cheapest choice, machines being
rented at the prices) and the pools (each runs the machines that earn most). Their sum is a lower bound for every y, by
weak duality (Geoffrion, "Lagrangean relaxation for integer programming", Mathematical Programming Study 2, 1974). In
`max_sla` the budget row is priced too, by `cost_scale`. Flows between streams cost nothing in the bound (they are >= 0),
and copies need only lie in distinct clusters, so the bound holds for the full problem. All sums are float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from placement.jit import jit
from placement.problem import TOLERANCE, Counts, Floats, Ints, Problem, Purchase

@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of the packing rows, summed up over rows.

    `replica_usd` [2, C, P, T]: rent of one replica by kind (0 firm, 1 preemptible), shape, pool and slot.
    `firm_usd`, `spot_usd` [P, T]: what a machine that is not spot, or is spot, earns.
    `cost_scale`: 1 in `min_cost`; in `max_sla` the price of the budget, in attainment weight for a USD.
    `drop_cost` [W]: what leaving a workload out costs; infinite where that is not allowed.
    `constant`: the terms without a decision.
    """

    replica_usd: Floats
    firm_usd: Floats
    spot_usd: Floats
    cost_scale: float
    drop_cost: Floats
    constant: float


@dataclass(frozen=True, slots=True)
class Choices:
    """For every stream and number of copies (a row, [Q]) the cheapest choice at some prices.

    Row q takes the k places `first[q]:first[q] + k` for its copies, in k distinct clusters, cheapest first; the place
    after them is the next best cluster (candidate -1 where there is none). `cost` [Q] is infinite where no choice exists.
    `unit_cost`, `candidate`, `variant`, `start` are per place; `best` [S] is the cheapest over a stream's rows.
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


@jit
def rent(
    row: int, level: int, length: int, period: int, runs: int, earliest: int, latest: int, rows: Counts, price: Floats
) -> tuple[float, int]:
    """Cheapest rent of one copy of a variant at `price` [T] per replica, and the start slot where it is reached."""
    slots = len(price)
    if row >= 0:
        total = 0.0
        for t in range(slots):
            total += rows[row, t] * price[t]
        return total, 0
    best, start = np.inf, earliest
    sums = np.zeros(slots + 1)
    for t in range(slots):
        sums[t + 1] = sums[t] + price[t]
    for first in range(earliest, latest + 1):
        total = 0.0
        for k in range(runs):
            begin = first + k * period
            total += sums[begin + length] - sums[begin]
        if total < best:
            best, start = total, first
    return best * level, start


@jit
def _price_rows(
    q_stream: Ints,
    q_variant: Ints,
    q_first: Ints,
    streams: tuple[Ints, Ints, Ints],
    candidates: tuple[Ints, Ints, Floats, Floats, Ints, Ints],
    variants: tuple[Ints, Ints, Ints, Ints, Ints, Ints, Ints, Ints, Ints, Ints],
    rows: Counts,
    pool_cluster: Ints,
    clusters: int,
    replica_usd: Floats,
    cost_scale: float,
    allowed: Ints,
    must: Ints,
    cost: Floats,
    unit_cost: Floats,
    candidate: Ints,
    variant: Ints,
    start: Ints,
) -> None:
    """Fill the arrays of `Choices`; `q_variant` [Q + 1] are the rows of variants of each (stream, copies)."""
    shape, kind, candidate_first = streams
    pool, speed, own_usd, user_usd, single, most = candidates
    v_copies, v_speed, v_row, v_level, v_length, v_period, v_runs, v_earliest, v_latest, v_peak = variants
    cheapest = np.empty(clusters)
    at = np.empty((clusters, 3), np.int64)
    for q in range(len(q_stream)):
        s, k = q_stream[q], v_copies[q_variant[q]]
        cheapest[:] = np.inf
        first = q_first[q]
        for i in range(k + 1):
            candidate[first + i] = -1
            unit_cost[first + i] = np.inf
        cost[q] = np.inf
        if allowed[q] == 0:
            continue
        for n in range(candidate_first[s], candidate_first[s + 1]):
            if k == 1 and single[n] == 0:
                continue
            p = pool[n]
            g = pool_cluster[p]
            if must[s, g] < 0:
                continue
            fixed = cost_scale * (own_usd[n] + user_usd[n] / k)
            if fixed >= cheapest[g]:
                continue
            for u in range(q_variant[q], q_variant[q + 1]):
                if v_speed[u] != speed[n] or v_peak[u] > most[n]:
                    continue
                paid, begin = rent(
                    v_row[u], v_level[u], v_length[u], v_period[u], v_runs[u], v_earliest[u], v_latest[u], rows,
                    replica_usd[kind[s], shape[s], p],
                )  # fmt: skip
                if fixed + paid < cheapest[g]:
                    cheapest[g] = fixed + paid
                    at[g, 0], at[g, 1], at[g, 2] = n, u, begin
        rank = cheapest.copy()
        complete = True
        for g in range(clusters):
            if must[s, g] > 0:
                rank[g] = -np.inf  # taken whatever it costs
                complete = complete and cheapest[g] < np.inf
        order = np.argsort(rank)
        total = 0.0
        for i in range(min(k + 1, clusters)):
            g = order[i]
            if cheapest[g] < np.inf:
                candidate[first + i], variant[first + i], start[first + i] = at[g]
                unit_cost[first + i] = cheapest[g]
        for i in range(k):
            total += unit_cost[first + i]
            complete = complete and (i < clusters)
        for i in range(k, clusters):
            complete = complete and must[s, order[i]] <= 0
        if complete:
            cost[q] = total


@dataclass(frozen=True, slots=True)
class Fixed:
    """What a branch fixes: `copies` [S, K + 1] numbers of copies allowed, `clusters` [S, G] 1 must, -1 must not, 0 may."""

    copies: NDArray[np.bool_]
    clusters: Ints


def free(problem: Problem) -> Fixed:
    """Nothing fixed."""
    streams, most = len(problem.streams.shape), int(problem.variants.copies.max(initial=1))
    clusters = np.zeros((streams, len(problem.clusters.availability)), np.int64)
    return Fixed(np.ones((streams, most + 1), bool), clusters)


class Pricer:
    """The problem's tables in the form the kernels take. One per problem; prices come and go."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        s, c, v = problem.streams, problem.candidates, problem.variants
        self._streams = (s.shape, s.preemptible.astype(np.int64), s.candidate_first)
        self._candidates = (c.pool, c.speed, c.cost_usd, c.user_usd, c.single.astype(np.int64), most_replicas(problem))
        self._variants = (
            v.copies, v.speed, v.row, v.level, v.length, v.period, v.runs, v.earliest, v.latest, peaks(problem),
        )  # fmt: skip
        new = np.ones(len(v.stream), bool)
        new[1:] = (np.diff(v.stream) != 0) | (np.diff(v.copies) != 0)
        begin = np.flatnonzero(new)
        self._q_variant = np.append(begin, len(v.stream)).astype(np.int64)
        self._q_stream, self._q_copies = v.stream[begin], v.copies[begin]
        self._q_first = np.append(0, np.cumsum(self._q_copies + 1)).astype(np.int64)

    def cheapest(self, prices: Prices, fixed: Fixed | None = None) -> Choices:
        """The cheapest choice of every stream and number of copies at `prices`, within what is `fixed`."""
        fixed = fixed or free(self._problem)
        row = np.clip(self._q_copies, 0, fixed.copies.shape[1] - 1)
        allowed = fixed.copies[self._q_stream, row].astype(np.int64)
        places = int(self._q_first[-1])
        cost, unit_cost = np.full(len(self._q_stream), np.inf), np.full(places, np.inf)
        candidate, variant, start = (np.full(places, -1, np.int64) for _ in range(3))
        _price_rows(
            self._q_stream, self._q_variant, self._q_first, self._streams, self._candidates, self._variants,
            self._problem.variants.rows, self._problem.pools.cluster, len(self._problem.clusters.availability),
            prices.replica_usd, prices.cost_scale, allowed, fixed.clusters, cost, unit_cost, candidate, variant, start,
        )  # fmt: skip
        best = np.full(len(self._problem.streams.shape), np.inf)
        np.minimum.at(best, self._q_stream, cost)
        return Choices(self._q_stream, self._q_copies, self._q_first, cost, unit_cost, candidate, variant, start, best)

    def bound(self, prices: Prices, choices: Choices) -> float:
        """The Lagrangian bound at `prices`, given the cheapest choices at the same prices.

        A lower bound on cost in `min_cost`, on the weight left out in `max_sla`; infinite when a workload that may not
        be left out has a stream without any choice.
        """
        w = self._problem.workloads
        placed = np.zeros(len(w.weight))
        np.add.at(placed, self._problem.streams.workload, choices.best)
        return float(np.minimum(placed, prices.drop_cost).sum() + pools_bound(self._problem, prices).sum() + prices.constant)


def pools_bound(problem: Problem, prices: Prices) -> Floats:
    """For every pool [P] the least of (its machines' cost - what they earn at `prices`), over all counts within limits."""
    pools, offers = problem.pools, problem.offers
    result = np.zeros(len(pools.cluster))
    for p in range(len(result)):
        mine = np.flatnonzero(offers.pool == p)
        fixed = mine[offers.purchase[mine] <= Purchase.COMMITTED]
        usd = prices.cost_scale * (offers.price_usd[mine] + pools.run_usd[p])
        loose = offers.purchase[mine] > Purchase.COMMITTED
        spot = offers.purchase[mine][loose] == Purchase.SPOT
        earn = np.where(spot[:, None], prices.spot_usd[p], prices.firm_usd[p])
        gain = earn - usd[loose]
        limit = offers.max_machines[mine][loose]
        result[p] = -_best_pool(
            gain, limit.astype(np.int64), pools.max_machines[p].astype(np.int64),
            prices.firm_usd[p] - prices.cost_scale * pools.run_usd[p],
            offers.owned[fixed], offers.max_machines[fixed].astype(np.int64),
            prices.cost_scale * offers.price_usd[fixed].sum(axis=1),
        )  # fmt: skip
    return result


@jit
def _slot_gain(gain: Floats, limit: Ints, most: int, held: int, held_gain: float, t: int) -> float:
    """Most that the machines of one slot earn: dearest first, at most `most` of them, `held` being paid already."""
    room = float(most)
    total = 0.0
    done = np.zeros(len(gain) + 1, np.bool_)
    for _ in range(len(gain) + 1):
        best, at = 0.0, -1
        for i in range(len(gain)):
            if not done[i] and gain[i, t] > best:
                best, at = gain[i, t], i
        if not done[len(gain)] and held_gain > best:
            best, at = held_gain, len(gain)
        if at < 0 or room <= 0:
            break
        count = min(room, float(held if at == len(gain) else limit[at, t]))
        total += best * count
        room -= count
        done[at] = True
    return total


@jit
def _best_pool(
    gain: Floats, limit: Ints, most: Ints, held_gain: Floats, owned: Ints, fixed_max: Ints, fixed_usd: Floats
) -> float:
    """Most that one pool earns over all slots: every level of the fixed offers, cheapest bought first.

    Which fixed offer a level is made of does not change what it earns, so buying the cheapest first is best; where an
    offer's max varies over time, each slot holds at most the sum of what is there.
    """
    offers = len(owned)
    slots = len(most)
    base = 0.0
    level = 0
    extra = 0
    for i in range(offers):
        base += owned[i] * fixed_usd[i]
        level += owned[i]
        highest = np.int64(0)
        for t in range(slots):
            highest = max(highest, fixed_max[i, t])
        extra += max(np.int64(0), highest - owned[i])
    order = np.argsort(fixed_usd)
    best = -np.inf
    at, bought = 0, np.int64(0)
    before = -np.inf
    for step in range(extra + 1):
        total = -base
        for t in range(slots):
            there = np.int64(0)
            for i in range(offers):
                there += fixed_max[i, t]
            total += _slot_gain(gain, limit, most[t], min(level, there), held_gain[t], t)
        best = max(best, total)
        if step == extra or total < before - 1e-9 * abs(before):
            break  # what a level earns is concave in the level
        before = total
        while True:
            i = order[at]
            highest = np.int64(0)
            for t in range(slots):
                highest = max(highest, fixed_max[i, t])
            if bought < highest - owned[i]:
                break
            at, bought = at + 1, np.int64(0)
        bought += 1
        level += 1
        base += fixed_usd[i]
    return best


def peaks(problem: Problem) -> Ints:
    """The most replicas that one copy of each variant [V] runs in any slot."""
    v = problem.variants
    steady = v.row >= 0
    result = v.level.copy()
    result[steady] = v.rows.max(axis=1, initial=0)[v.row[steady]]
    return result


def most_replicas(problem: Problem) -> Ints:
    """For each candidate [N] the most replicas its pool can ever hold, were it empty: machines at most x what one holds.

    A copy that needs more can never be there, though a fraction of it could: leaving such choices out lifts the bound.
    """
    offers, pools, c = problem.offers, problem.pools, problem.candidates
    count = len(pools.cluster)
    firm, every = np.zeros(count, np.int64), np.zeros(count, np.int64)
    most = np.maximum(offers.max_machines.max(axis=1, initial=0), 0).astype(np.int64)
    np.add.at(every, offers.pool, most)
    np.add.at(firm, offers.pool[offers.purchase != Purchase.SPOT], most[offers.purchase != Purchase.SPOT])
    limit = pools.max_machines.max(axis=1, initial=0).astype(np.int64)
    shape = problem.streams.shape[c.stream]
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = np.where(problem.shapes[:, None, :] > 0, (pools.room + TOLERANCE) / problem.shapes[:, None, :], np.inf)
    fit = np.floor(np.minimum(fit.min(axis=2), 1e9)).astype(np.int64)
    machines = np.where(problem.streams.preemptible[c.stream], np.minimum(limit, every)[c.pool], np.minimum(limit, firm)[c.pool])
    return fit[shape, c.pool] * machines
