"""The search's books: which unit is where, the loads by packing weight, the machines they come to, and the money.

Booking a stream in or out touches only the pools of its copies. `book_all` counts everything again from the choice of
units alone; both must agree at all times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.jit import fast_jit, inner_jit, jit
from placement.payment import Purse, pool_cost
from placement.problem import Bools, Counts, Floats, Ints
from placement.shortlist import Shortlist

_ROUND = 1e-5
"""Slack under a whole number of machines that weights may reach by rounding."""
MISSING_USD = 1e6
"""What the search pays for a stream without a place."""
_OVER_BUDGET = 1e4
"""What the search pays for a USD over the budget: more than leaving any workload out is worth."""


class Links(NamedTuple):
    """Data between streams: what stream s receives and what it sends ([S + 1] ranges), with GB and egress prices."""

    in_first: Ints
    in_stream: Ints
    in_gb: Floats
    out_first: Ints
    out_stream: Ints
    out_gb: Floats
    egress: Floats
    pool_cluster: Ints


class Rules(NamedTuple):
    """Who is who and what is allowed; [S] by stream, [W] by workload.

    Streams have a `shape`, are `firm` (not on spot) and need availability `target`; pools lie in failure domains
    `pool_domain` [P] with `path` [D, L] and `up` [M] as in `placement.problem.Domains`. The streams of workload w are
    `member[member_first[w]:member_first[w + 1]]`. `drop_usd` is what leaving a workload out costs the search,
    `drop_weight` what it takes of `slack`. `least_usd` [S] is the least a stream costs at the bound's prices.
    """

    shape: Ints
    firm: Bools
    target: Floats
    pool_domain: Ints
    path: Ints
    up: Floats
    workload: Ints
    member_first: Ints
    member: Ints
    may_drop: Bools
    drop_usd: Floats
    drop_weight: Floats
    slack: float
    budget_usd: float
    least_usd: Floats


class Tables(NamedTuple):
    """What stays the same during a search. `weights` [P, C, W] are packing weights, `counts` [P] how many of a pool."""

    units: Shortlist
    rules: Rules
    purse: Purse
    links: Links
    weights: Floats
    counts: Ints


class State(NamedTuple):
    """A plan in the making. `placed` [S, K] are units of the shortlist, `copies` [S] (0: not placed), `dropped` [W].

    `used` and `firm_used` [P, W, T] are loads by weight vector, `machines` and `firm_machines` [P, T] what they come
    to (whole, but floats: see `Purse`; without spot machines `firm_used` stays empty, and all machines are firm),
    `pool_usd` and `level` [P] the cost and the fixed machines held; `totals` = (USD, price of what is dropped).
    The copies in a pool, each as stream x K + copy, form a list: `first_there` [P] (-1: none), then `next_there`
    [S x K]; `last_there` [S x K] is the one before.
    """

    placed: Ints
    copies: Ints
    dropped: Bools
    used: Floats
    firm_used: Floats
    machines: Floats
    firm_machines: Floats
    pool_usd: Floats
    level: Ints
    totals: Floats
    first_there: Ints
    next_there: Ints
    last_there: Ints


def new_state(placed: Ints, copies: Ints, dropped: Bools, weights: Floats, held: Ints, slots: int) -> State:
    """The books of a plan, not counted yet, where `weights` [P, C, W] count machines and `held` [P] are paid anyway."""
    pools, width = len(weights), weights.shape[2]
    used, firm_used = np.zeros((2, pools, width, slots))
    machines, firm_machines = np.zeros((2, pools, slots))
    next_there, last_there = np.full((2, placed.size), -1)
    return State(placed, copies, dropped, used, firm_used, machines, firm_machines, np.zeros(pools), held.copy(),
                 np.zeros(2), np.full(pools, -1), next_there, last_there)


@inner_jit
def raised(
    used: Floats, machines: Floats, weights: Floats, counts: Ints, p: int, shape: int, needs: Counts, row: int,
    begin: int, end: int, load: Floats, every: Floats,
) -> bool:  # fmt: skip
    """Machines of pool p with the replicas of a row of `needs` in, into `every` [T]; False when none is added.

    `used` [P, W, T] are loads by the `weights` [P, C, W], of which pool p has `counts` [P], and `machines` [P, T] what
    they come to now. `load` [T] is working memory. Weight by weight, so that slots are worked on side by side. Arrays
    come one by one and whole: tuples and parts of arrays are counted in and out, which takes longer than the work.
    """
    for t in range(len(every)):
        every[t] = machines[p, t]
    for t in range(begin, end):
        load[t] = 0.0
    for w in range(counts[p]):
        weight = weights[p, shape, w]
        if weight <= 0:
            continue
        for t in range(begin, end):
            load[t] = max(load[t], used[p, w, t] + needs[row, t] * weight)
    more = 0.0
    for t in range(begin, end):
        wanted = max(np.ceil(load[t] - _ROUND), every[t])
        more += wanted - every[t]
        every[t] = wanted
    return more > 0.5


@fast_jit
def _add_need(
    used: Floats, weights: Floats, need: Counts, sign: float, begin: int, end: int, count: int, load: Floats,
    machines: Floats,
) -> None:  # fmt: skip
    """Add `sign` times `need` [T] replicas to `used` [W, T]; `machines` [T] become what it comes to, as `_machines`."""
    for t in range(begin, end):
        load[t] = 0.0
    for w in range(count):
        weight = sign * weights[w]
        for t in range(begin, end):
            used[w, t] += need[t] * weight
            load[t] = max(load[t], used[w, t])
    for t in range(begin, end):
        machines[t] = np.ceil(load[t] - _ROUND)


@jit
def _move_unit(state: State, tables: Tables, unit: int, stream: int, sign: float) -> None:
    """Put a unit in (`sign` 1.0) or take it out (-1.0): loads and machines of its pool, not the cost."""
    units, p = tables.units, tables.units.pool[unit]
    row, shape, count = units.need[unit], tables.rules.shape[stream], tables.counts[p]
    need, begin, end = units.needs[row], units.begin[row], units.end[row]
    load = np.empty(len(need))
    weights = tables.weights[p, shape]
    _add_need(state.used[p], weights, need, sign, begin, end, count, load, state.machines[p])
    if not tables.purse.has_spot[p]:
        state.firm_machines[p, begin:end] = state.machines[p, begin:end]
    elif tables.rules.firm[stream]:
        _add_need(state.firm_used[p], weights, need, sign, begin, end, count, load, state.firm_machines[p])


@jit
def _come(state: State, pool: int, at: int) -> None:
    """Put a copy, stream x K + copy, on the list of those in a pool."""
    then = state.first_there[pool]
    state.next_there[at], state.last_there[at], state.first_there[pool] = then, -1, at
    if then >= 0:
        state.last_there[then] = at


@jit
def _go(state: State, pool: int, at: int) -> None:
    """Take a copy off the list of those in a pool."""
    before, then = state.last_there[at], state.next_there[at]
    if before >= 0:
        state.next_there[before] = then
    else:
        state.first_there[pool] = then
    if then >= 0:
        state.last_there[then] = before


@jit
def list_copies(state: State, pool: Ints, stream: int, sign: float) -> None:
    """Put all copies of a stream on the lists of their pools (`sign` 1.0) or take them off (-1.0).

    `pool` is that of every unit.
    """
    width = state.placed.shape[1]
    for c in range(state.copies[stream]):
        if sign > 0:
            _come(state, pool[state.placed[stream, c]], stream * width + c)
        else:
            _go(state, pool[state.placed[stream, c]], stream * width + c)


@jit
def received_usd(state: State, tables: Tables, stream: int, cluster: int) -> float:
    """Egress of what one copy of a stream in `cluster` receives from senders as they are placed now."""
    links, total = tables.links, 0.0
    for i in range(links.in_first[stream], links.in_first[stream + 1]):
        sender = links.in_stream[i]
        if state.copies[sender] > 0:
            source = links.pool_cluster[tables.units.pool[state.placed[sender, 0]]]
            total += links.in_gb[i] * links.egress[source, cluster]
    return total


@jit
def sent_usd(state: State, tables: Tables, stream: int, cluster: int) -> float:
    """Egress of what a stream sends from `cluster` to all copies of its receivers as they are placed now."""
    links, total = tables.links, 0.0
    for i in range(links.out_first[stream], links.out_first[stream + 1]):
        receiver = links.out_stream[i]
        for c in range(state.copies[receiver]):
            target = links.pool_cluster[tables.units.pool[state.placed[receiver, c]]]
            total += links.out_gb[i] * links.egress[cluster, target]
    return total


@jit
def put(state: State, tables: Tables, stream: int, sign: float) -> None:
    """Book a stream's units in (`sign` 1.0) or out (-1.0): loads, machines, costs. `copies` says how many."""
    units = tables.units
    list_copies(state, units.pool, stream, sign)
    for c in range(state.copies[stream]):
        u = state.placed[stream, c]
        p = units.pool[u]
        g = tables.links.pool_cluster[p]
        state.totals[0] += sign * (units.usd[u] + received_usd(state, tables, stream, g))
        if c == 0:
            state.totals[0] += sign * sent_usd(state, tables, stream, g)
        _move_unit(state, tables, u, stream, sign)
        usd, level = pool_cost(tables.purse, p, state.level[p], state.firm_machines[p], state.machines[p])
        state.totals[0] += usd - state.pool_usd[p]
        state.pool_usd[p] = usd
        state.level[p] = level


@jit
def score(totals: Floats, missing: int, budget_usd: float) -> float:
    """What the search lowers, from a state's totals: USD, streams missing, weight left out, money over budget."""
    over = max(0.0, totals[0] - budget_usd)
    return float(totals[0] + MISSING_USD * missing + totals[1] + _OVER_BUDGET * over)


@jit
def book_all(state: State, tables: Tables) -> None:
    """Recompute loads, machines and money of the state from `placed`, `copies` and `dropped` alone."""
    for p in range(len(state.pool_usd)):
        state.first_there[p] = -1
        for t in range(state.machines.shape[1]):
            state.machines[p, t] = state.firm_machines[p, t] = 0.0
            for w in range(state.used.shape[1]):
                state.used[p, w, t] = state.firm_used[p, w, t] = 0.0
    usd = dropped = 0.0
    for s in range(len(state.copies)):
        list_copies(state, tables.units.pool, s, 1.0)
        for c in range(state.copies[s]):
            u = state.placed[s, c]
            _move_unit(state, tables, u, s, 1.0)
            usd += tables.units.usd[u]
            usd += received_usd(state, tables, s, tables.links.pool_cluster[tables.units.pool[u]])
    for p in range(len(state.pool_usd)):
        paid, level = pool_cost(tables.purse, p, state.level[p], state.firm_machines[p], state.machines[p])
        state.pool_usd[p] = paid
        state.level[p] = level
        usd += paid
    for w in range(len(state.dropped)):
        if state.dropped[w]:
            dropped += tables.rules.drop_usd[w]
    state.totals[0], state.totals[1] = usd, dropped
