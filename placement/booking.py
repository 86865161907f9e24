"""The search's books: which unit is where, the loads by packing weight, the machines they come to, and the money.

Booking a stream in or out touches only the pools of its copies. `book_all` counts everything again from the choice of
units alone; both must agree at all times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.jit import jit
from placement.payment import Purse, pool_cost
from placement.problem import Bools, Floats, Ints
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
    `drop_weight` what it takes of `slack`.
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

    `used` and `firm_used` [P, T, W] are loads by weight vector, `machines` and `firm_machines` [P, T] what they come
    to, `pool_usd` and `level` [P] the cost and the fixed machines held; `totals` = (USD, price of what is dropped).
    """

    placed: Ints
    copies: Ints
    dropped: Bools
    used: Floats
    firm_used: Floats
    machines: Ints
    firm_machines: Ints
    pool_usd: Floats
    level: Ints
    totals: Floats


@jit
def with_unit(state: State, tables: Tables, unit: int, stream: int, every: Ints, firm_every: Ints) -> bool:
    """Machines of the unit's pool with the unit in, into `every` and `firm_every` [T]; False when none is added."""
    units, weights = tables.units, tables.weights
    p, row = units.pool[unit], units.need[unit]
    shape, firm, count = tables.rules.shape[stream], tables.rules.firm[stream], tables.counts[p]
    for t in range(len(every)):
        every[t] = state.machines[p, t]
        firm_every[t] = state.firm_machines[p, t]
    changed = False
    for t in range(units.begin[row], units.end[row]):
        need = units.needs[row, t]
        if need == 0:
            continue
        most = 0.0
        for w in range(count):
            most = max(most, state.used[p, t, w] + need * weights[p, shape, w])
        machines = int(np.ceil(most - _ROUND))
        if machines > every[t]:
            every[t] = machines
            changed = True
        if not firm:
            continue
        most = 0.0
        for w in range(count):
            most = max(most, state.firm_used[p, t, w] + need * weights[p, shape, w])
        machines = int(np.ceil(most - _ROUND))
        if machines > firm_every[t]:
            firm_every[t] = machines
            changed = True
    return changed


@jit
def _move_unit(state: State, tables: Tables, unit: int, stream: int, sign: float) -> None:
    """Put a unit in (`sign` 1.0) or take it out (-1.0): loads and machines of its pool, not the cost."""
    units, weights = tables.units, tables.weights
    p, row = units.pool[unit], units.need[unit]
    shape, firm, count = tables.rules.shape[stream], tables.rules.firm[stream], tables.counts[p]
    for t in range(units.begin[row], units.end[row]):
        need = sign * units.needs[row, t]
        if need == 0:
            continue
        most = firm_most = 0.0
        for w in range(count):
            load = need * weights[p, shape, w]
            state.used[p, t, w] += load
            if firm:
                state.firm_used[p, t, w] += load
            most = max(most, state.used[p, t, w])
            firm_most = max(firm_most, state.firm_used[p, t, w])
        state.machines[p, t] = np.int64(np.ceil(most - _ROUND))
        state.firm_machines[p, t] = np.int64(np.ceil(firm_most - _ROUND))


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
        for t in range(state.machines.shape[1]):
            state.machines[p, t] = state.firm_machines[p, t] = 0
            for w in range(state.used.shape[2]):
                state.used[p, t, w] = state.firm_used[p, t, w] = 0.0
    usd = dropped = 0.0
    for s in range(len(state.copies)):
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
