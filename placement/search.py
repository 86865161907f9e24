"""Ruin and recreate on whole plans: take a few streams out, put each back where it costs least, keep what is better.

Schrimpf, Schneider, Stamm-Wilbrandt, Dueck, "Record breaking optimization results using the ruin and recreate principle",
Journal of Computational Physics 159, 2000. Machines are counted by packing weights (`placement.weights`): in every pool
and slot the least whole number that no weight vector disproves. `placement.complete` turns the plan into packed machines
afterwards; where that needs more, a weight is made heavier, so that the search learns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.jit import jit
from placement.problem import Bools, Floats, Ints, Problem, Purchase
from placement.shortlist import Shortlist

_ROUND = 1e-5
"""Slack under a whole number of machines that weights may reach by rounding."""
_OVER_USD = 1e5
"""Penalty for a machine and slot over a limit: never worth it, yet finite, so that the search can pass through."""
_MISSING_USD = 1e6
_OVER_BUDGET = 1e4
"""Penalty for a USD over the budget: more than leaving any workload out is worth."""


class Purse(NamedTuple):
    """How each pool's machines are paid for. [P] or [P, T]; prices infinite where an offer does not exist.

    `held` machines are paid for anyway; `first_usd` and `second_usd` buy one more fixed machine for the whole horizon,
    at most `first_max` and `second_max` of them; `fixed_max` caps fixed machines by slot. Then on demand and spot by slot.
    """

    held: Ints
    sunk_usd: Floats
    first_usd: Floats
    first_max: Ints
    second_usd: Floats
    second_max: Ints
    fixed_max: Ints
    demand_usd: Floats
    demand_max: Ints
    spot_usd: Floats
    spot_max: Ints
    pool_max: Ints
    run_usd: Floats


class Links(NamedTuple):
    """Data between streams: for stream s, what it receives and what it sends ([S + 1] ranges), with GB and egress prices."""

    in_first: Ints
    in_stream: Ints
    in_gb: Floats
    out_first: Ints
    out_stream: Ints
    out_gb: Floats
    egress: Floats
    pool_cluster: Ints


class Rules(NamedTuple):
    """Who is who: [S] or [W]. `drop_usd` is what leaving a workload out costs, `drop_weight` what it takes of `slack`."""

    shape: Ints
    firm: Bools
    target: Floats
    up: Floats
    workload: Ints
    member_first: Ints
    member: Ints
    may_drop: Bools
    drop_usd: Floats
    drop_weight: Floats
    slack: float
    budget_usd: float


class State(NamedTuple):
    """A plan in the making. `placed` [S, K] are units of the shortlist, `copies` [S] (0: not placed).

    `used` and `firm_used` [P, T, W] are loads by weight vector, `machines` and `firm_machines` [P, T] what they come to,
    `pool_usd` and `level` [P] the cost and the fixed machines bought; `totals` = (other USD, weight dropped).
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


def purse(problem: Problem) -> Purse:
    """The pools' offers as the search pays them. One offer per purchase in a pool."""
    offers, pools = problem.offers, problem.pools
    count, slots = len(pools.cluster), problem.slots
    usd = {kind: np.full((count, slots), np.inf) for kind in Purchase}
    most = {kind: np.zeros((count, slots), np.int64) for kind in Purchase}
    owned = {kind: np.zeros(count, np.int64) for kind in Purchase}
    for o in range(len(offers.pool)):
        kind, p = Purchase(int(offers.purchase[o])), offers.pool[o]
        usd[kind][p], most[kind][p], owned[kind][p] = offers.price_usd[o], offers.max_machines[o], offers.owned[o]
    fixed = [Purchase.OWNED, Purchase.COMMITTED]
    whole = np.stack([usd[kind].sum(axis=1) for kind in fixed])
    left = np.stack([np.maximum(most[kind].max(axis=1) - owned[kind], 0) for kind in fixed])
    held = np.stack([owned[kind] for kind in fixed])
    sunk = np.where(held > 0, np.where(np.isfinite(whole), whole, 0.0) * held, 0.0).sum(axis=0)
    order = np.argsort(whole, axis=0, kind="stable")
    whole, left = np.take_along_axis(whole, order, 0), np.take_along_axis(left, order, 0)
    left = np.where(np.isfinite(whole), left, 0)
    whole = np.where(np.isfinite(whole), whole, 0.0)
    return Purse(
        held.sum(axis=0), sunk, whole[0], left[0], whole[1], left[1], most[fixed[0]] + most[fixed[1]],
        usd[Purchase.ON_DEMAND], most[Purchase.ON_DEMAND], usd[Purchase.SPOT], most[Purchase.SPOT],
        pools.max_machines.astype(np.int64), pools.run_usd.astype(float),
    )  # fmt: skip


@jit
def _level_cost(purse: Purse, p: int, level: int, firm: Ints, every: Ints) -> float:
    """USD of pool p over all slots when `level` fixed machines are held and `firm`, `every` [T] machines are wanted."""
    extra = level - purse.held[p]
    total = purse.sunk_usd[p] + min(extra, purse.first_max[p]) * purse.first_usd[p]
    if extra > purse.first_max[p]:
        total += (extra - purse.first_max[p]) * purse.second_usd[p]
    for t in range(len(every)):
        wanted = every[t]
        total += wanted * purse.run_usd[p, t]
        if wanted > purse.pool_max[p, t]:
            total += _OVER_USD * (wanted - purse.pool_max[p, t])
        held = min(level, purse.fixed_max[p, t])
        more = wanted - held
        if more <= 0:
            continue
        loose = max(firm[t] - held, more - purse.spot_max[p, t], 0)
        if purse.demand_usd[p, t] <= purse.spot_usd[p, t]:
            loose = max(loose, min(more, purse.demand_max[p, t]))
        if loose > purse.demand_max[p, t]:
            total += _OVER_USD * (loose - purse.demand_max[p, t])
            total += purse.demand_max[p, t] * purse.demand_usd[p, t] if purse.demand_max[p, t] > 0 else 0.0
        elif loose > 0:
            total += loose * purse.demand_usd[p, t]
        if more > loose:
            total += (more - loose) * purse.spot_usd[p, t]
    return total


@jit
def _pool_cost(purse: Purse, p: int, start: int, firm: Ints, every: Ints) -> tuple[float, int]:
    """Least USD of pool p and the level of fixed machines that reaches it; the cost is convex in the level."""
    low, high = purse.held[p], purse.held[p] + purse.first_max[p] + purse.second_max[p]
    if low == high:
        return _level_cost(purse, p, low, firm, every), low
    peak = np.int64(0)
    for t in range(len(every)):
        peak = max(peak, every[t])
    high = max(low, min(high, peak))
    at = min(max(start, low), high)
    here = _level_cost(purse, p, at, firm, every)
    step = 1
    if at < high:
        above = _level_cost(purse, p, at + 1, firm, every)
        if above < here:
            low, here = at + 1, above
            while low + step <= high:
                there = _level_cost(purse, p, low + step, firm, every)
                if there > here:
                    break
                low, here, step = low + step, there, step * 2
            high = min(high, low + step)
            return _descend(purse, p, low, high, firm, every)
    if at > low:
        below = _level_cost(purse, p, at - 1, firm, every)
        if below < here:
            high, here = at - 1, below
            while high - step >= low:
                there = _level_cost(purse, p, high - step, firm, every)
                if there > here:
                    break
                high, here, step = high - step, there, step * 2
            low = max(low, high - step)
            return _descend(purse, p, low, high, firm, every)
    return here, at


@jit
def _descend(purse: Purse, p: int, low: int, high: int, firm: Ints, every: Ints) -> tuple[float, int]:
    """Bisect on the slope between `low` and `high`."""
    while low < high:
        middle = (low + high) // 2
        if _level_cost(purse, p, middle + 1, firm, every) < _level_cost(purse, p, middle, firm, every):
            low = middle + 1
        else:
            high = middle
    return _level_cost(purse, p, low, firm, every), low


@jit
def _with_unit(
    state: State, units: Shortlist, weights: Floats, count: int, unit: int, shape: int, firm: bool,
    every: Ints, firm_every: Ints,
) -> bool:  # fmt: skip
    """Machines of the unit's pool with the unit in, into `every` and `firm_every` [T]; False when none is added."""
    p, row = units.pool[unit], units.need[unit]
    every[:] = state.machines[p]
    firm_every[:] = state.firm_machines[p]
    changed = False
    for t in range(units.begin[row], units.end[row]):
        need = units.needs[row, t]
        if need == 0:
            continue
        most = 0.0
        for w in range(count):
            most = max(most, state.used[p, t, w] + need * weights[p, shape, w])
        n = np.int64(np.ceil(most - _ROUND))
        if n > every[t]:
            every[t] = n
            changed = True
        if firm:
            most = 0.0
            for w in range(count):
                most = max(most, state.firm_used[p, t, w] + need * weights[p, shape, w])
            n = np.int64(np.ceil(most - _ROUND))
            if n > firm_every[t]:
                firm_every[t] = n
                changed = True
    return changed


@jit
def _move_unit(
    state: State, units: Shortlist, weights: Floats, count: int, unit: int, shape: int, firm: bool, sign: int
) -> None:
    """Put a unit in (`sign` 1) or take it out (-1): loads and machines of its pool, not the cost."""
    p, row = units.pool[unit], units.need[unit]
    for t in range(units.begin[row], units.end[row]):
        need = sign * units.needs[row, t]
        if need == 0:
            continue
        most = firm_most = 0.0
        for w in range(count):
            state.used[p, t, w] += need * weights[p, shape, w]
            if firm:
                state.firm_used[p, t, w] += need * weights[p, shape, w]
            most = max(most, state.used[p, t, w])
            firm_most = max(firm_most, state.firm_used[p, t, w])
        state.machines[p, t] = np.int64(np.ceil(most - _ROUND))
        state.firm_machines[p, t] = np.int64(np.ceil(firm_most - _ROUND))


@jit
def _received_usd(state: State, units: Shortlist, links: Links, stream: int, cluster: int) -> float:
    """Egress of what one copy of a stream in `cluster` receives from senders as they are placed now."""
    total = 0.0
    for i in range(links.in_first[stream], links.in_first[stream + 1]):
        sender = links.in_stream[i]
        if state.copies[sender] > 0:
            source = links.pool_cluster[units.pool[state.placed[sender, 0]]]
            total += links.in_gb[i] * links.egress[source, cluster]
    return total


@jit
def _sent_usd(state: State, units: Shortlist, links: Links, stream: int, cluster: int) -> float:
    """Egress of what a stream sends from `cluster` to all copies of its receivers as they are placed now."""
    total = 0.0
    for i in range(links.out_first[stream], links.out_first[stream + 1]):
        receiver = links.out_stream[i]
        for c in range(state.copies[receiver]):
            target = links.pool_cluster[units.pool[state.placed[receiver, c]]]
            total += links.out_gb[i] * links.egress[cluster, target]
    return total


@jit
def _survives(up: Floats, clusters: Ints, k: int, target: float) -> bool:
    """Whether at most one of k independent copies is down with probability `target` or more."""
    none, one = 1.0, 0.0
    for i in range(k):
        a = up[clusters[i]]
        one = one * a + none * (1 - a)
        none *= a
    return none + one >= target - 1e-12


@jit
def _choose_clusters(usd: Floats, up: Floats, k: int, target: float, chosen: Ints) -> float:
    """The k cheapest clusters [G] that survive together, into `chosen` [k]; their USD, infinite where there are none.

    When the cheapest do not meet the availability `target`, the least available is given up for the next cheapest.
    """
    order = np.argsort(usd)
    if k > len(order) or usd[order[k - 1]] == np.inf:
        return np.inf
    total = 0.0
    for i in range(k):
        chosen[i] = order[i]
        total += usd[order[i]]
    following = k
    while k > 1 and not _survives(up, chosen, k, target):
        if following >= len(order) or usd[order[following]] == np.inf:
            return np.inf
        weakest = 0
        for i in range(1, k):
            if up[chosen[i]] < up[chosen[weakest]]:
                weakest = i
        if up[order[following]] > up[chosen[weakest]]:
            total += usd[order[following]] - usd[chosen[weakest]]
            chosen[weakest] = order[following]
        following += 1
    return total


@jit
def _insert(
    state: State, units: Shortlist, rules: Rules, purse: Purse, links: Links, weights: Floats, counts: Ints,
    stream: int, noise: float, every: Ints, firm_every: Ints, chosen: Ints,
) -> float:  # fmt: skip
    """Choose the cheapest copies for a stream that is out; `chosen` [K + 1] receives k and the units. USD it adds.

    Copies lie in distinct clusters, so in distinct pools: what each costs does not depend on the others. The copy from
    which the stream's data leave cheapest is copy 0.
    """
    shape, firm = rules.shape[stream], rules.firm[stream]
    clusters = len(rules.up)
    usd, at = np.empty(clusters), np.empty(clusters, np.int64)
    received, sent = np.full(clusters, -1.0), np.full(clusters, -1.0)
    picked = np.empty(len(chosen), np.int64)
    best = _MISSING_USD
    chosen[0] = 0
    for block in range(units.stream_first[stream], units.stream_first[stream + 1]):
        k = units.block_copies[block]
        usd[:] = np.inf
        for u in range(units.block_first[block], units.block_first[block + 1]):
            if noise > 0 and np.random.random() < noise:
                continue
            p = units.pool[u]
            g = links.pool_cluster[p]
            if received[g] < 0:
                received[g] = _received_usd(state, units, links, stream, g)
            cost = units.usd[u] + received[g]
            if cost >= usd[g] or cost >= best:
                continue
            if _with_unit(state, units, weights, counts[p], u, shape, firm, every, firm_every):
                paid, _ = _pool_cost(purse, p, state.level[p], firm_every, every)
                cost += paid - state.pool_usd[p]
            if cost < usd[g]:
                usd[g], at[g] = cost, u
        total = _choose_clusters(usd, rules.up, k, rules.target[stream], picked)
        if total >= best:
            continue
        first = 0
        for c in range(k):
            g = picked[c]
            if sent[g] < 0:
                sent[g] = _sent_usd(state, units, links, stream, g)
            if sent[g] < sent[picked[first]]:
                first = c
        total += sent[picked[first]]
        if total < best:
            best = total
            picked[0], picked[first] = picked[first], picked[0]
            chosen[0] = k
            for c in range(k):
                chosen[1 + c] = at[picked[c]]
    return best


@jit
def _put(
    state: State, units: Shortlist, rules: Rules, purse: Purse, links: Links, weights: Floats, counts: Ints,
    stream: int, sign: int, every: Ints, firm_every: Ints,
) -> None:  # fmt: skip
    """Book a stream's units in (1) or out (-1): loads, machines, pool costs and other costs. `copies` is set when in."""
    for c in range(state.copies[stream]):
        u = state.placed[stream, c]
        p = units.pool[u]
        g = links.pool_cluster[p]
        state.totals[0] += sign * (units.usd[u] + _received_usd(state, units, links, stream, g))
        if c == 0:
            state.totals[0] += sign * _sent_usd(state, units, links, stream, g)
        _move_unit(state, units, weights, counts[p], u, rules.shape[stream], rules.firm[stream], sign)
        usd, level = _pool_cost(purse, p, state.level[p], state.firm_machines[p], state.machines[p])
        state.totals[0] += usd - state.pool_usd[p]
        state.pool_usd[p] = usd
        state.level[p] = level


@jit
def _score(state: State, rules: Rules, missing: int) -> float:
    """What the search lowers: USD, streams missing, weight left out, money over budget."""
    over = max(0.0, state.totals[0] - rules.budget_usd)
    return state.totals[0] + _MISSING_USD * missing + state.totals[1] + _OVER_BUDGET * over


@jit
def _pick(
    state: State, units: Shortlist, most: int, picked: Ints, pool_of: Ints
) -> int:
    """Streams to take out: mostly some that share one or two pools, else any. Returns how many."""
    streams = len(state.copies)
    size = np.random.randint(1, most + 1)
    seed = np.random.randint(streams)
    count = 0
    if np.random.random() < 0.75 and state.copies[seed] > 0:
        first = units.pool[state.placed[seed, np.random.randint(state.copies[seed])]]
        second = first
        if np.random.random() < 0.4:
            other = np.random.randint(streams)
            if state.copies[other] > 0:
                second = units.pool[state.placed[other, np.random.randint(state.copies[other])]]
        together = 0
        for s in range(streams):
            for c in range(state.copies[s]):
                p = units.pool[state.placed[s, c]]
                if p == first or p == second:
                    pool_of[together] = s
                    together += 1
                    break
        for i in range(min(size, together)):
            j = np.random.randint(i, together)
            pool_of[i], pool_of[j] = pool_of[j], pool_of[i]
            picked[count] = pool_of[i]
            count += 1
        return count
    for _ in range(size):
        s = np.random.randint(streams)
        known = False
        for i in range(count):
            if picked[i] == s:
                known = True
        if not known and state.copies[s] > 0:
            picked[count] = s
            count += 1
    return count


@jit
def improve(
    state: State, units: Shortlist, rules: Rules, purse: Purse, links: Links, weights: Floats, counts: Ints,
    rounds: int, seed: int, hot_usd: float, cold_usd: float, most: int, noise: float,
    best_placed: Ints, best_copies: Ints, best_dropped: Bools,
) -> float:  # fmt: skip
    """Ruin and recreate for `rounds` rounds with a falling temperature; the best plan goes to best_*; returns its score.

    Worse plans are kept with probability exp(-loss / temperature), the temperature falling from `hot_usd` to `cold_usd`.
    `most` streams at most leave at once; `noise` is the chance that an option is not looked at.
    """
    np.random.seed(seed)
    slots = state.machines.shape[1]
    streams, pools = len(state.copies), len(state.pool_usd)
    every, firm_every = np.empty(slots, np.int64), np.empty(slots, np.int64)
    chosen = np.empty(state.placed.shape[1] + 1, np.int64)
    picked, together = np.empty(streams + most, np.int64), np.empty(streams, np.int64)
    old_placed, old_copies = np.empty_like(state.placed), np.empty_like(state.copies)
    touched, saved = np.zeros(pools, np.bool_), np.empty(pools, np.int64)
    old_used, old_firm_used = np.empty_like(state.used), np.empty_like(state.firm_used)
    old_machines, old_firm = np.empty_like(state.machines), np.empty_like(state.firm_machines)
    old_usd, old_level, old_totals = np.empty_like(state.pool_usd), np.empty_like(state.level), np.empty(2)
    droppable = np.flatnonzero(rules.may_drop)
    missing = 0
    for s in range(streams):
        if state.copies[s] == 0 and not state.dropped[rules.workload[s]]:
            missing += 1
    score = _score(state, rules, missing)
    best = score
    best_placed[:] = state.placed
    best_copies[:] = state.copies
    best_dropped[:] = state.dropped
    for step in range(rounds):
        heat = hot_usd * (cold_usd / hot_usd) ** (step / rounds)
        count = _pick(state, units, most, picked, together)
        if missing > 0:  # streams without a place always try again
            for s in range(streams):
                if state.copies[s] == 0 and not state.dropped[rules.workload[s]] and count < len(picked):
                    picked[count] = s
                    count += 1
        flip = -1
        if len(droppable) > 0 and np.random.random() < 0.15:
            w = droppable[np.random.randint(len(droppable))]
            flip = w
            kept = 0
            for i in range(count):
                if rules.workload[picked[i]] != w:
                    picked[kept] = picked[i]
                    kept += 1
            count = kept
            for i in range(rules.member_first[w], rules.member_first[w + 1]):
                if count < len(picked):
                    picked[count] = rules.member[i]
                    count += 1
        # ruin
        old_totals[:] = state.totals
        old_missing = missing
        n_saved = 0
        for i in range(count):
            s = picked[i]
            old_placed[s] = state.placed[s]
            old_copies[s] = state.copies[s]
            for c in range(state.copies[s]):
                p = units.pool[state.placed[s, c]]
                if not touched[p]:
                    touched[p] = True
                    saved[n_saved] = p
                    n_saved += 1
                    old_used[p], old_firm_used[p] = state.used[p], state.firm_used[p]
                    old_machines[p], old_firm[p] = state.machines[p], state.firm_machines[p]
                    old_usd[p], old_level[p] = state.pool_usd[p], state.level[p]
            if state.copies[s] == 0 and not state.dropped[rules.workload[s]]:
                missing -= 1
            if state.copies[s] > 0:
                _put(state, units, rules, purse, links, weights, counts, s, -1, every, firm_every)
                state.copies[s] = 0
        legal = True
        out = False
        if flip >= 0:
            state.dropped[flip] = not state.dropped[flip]
            out = state.dropped[flip]
            sign = 1.0 if out else -1.0
            state.totals[1] += sign * rules.drop_usd[flip]
            weight = 0.0
            for w in droppable:
                if state.dropped[w]:
                    weight += rules.drop_weight[w]
            legal = weight <= rules.slack
        # recreate in random order
        for i in range(count - 1, 0, -1):
            j = np.random.randint(i + 1)
            picked[i], picked[j] = picked[j], picked[i]
        for i in range(count):
            s = picked[i]
            if not legal or state.dropped[rules.workload[s]]:
                continue
            _insert(state, units, rules, purse, links, weights, counts, s, noise, every, firm_every, chosen)
            if chosen[0] == 0:
                missing += 1
                continue
            for c in range(chosen[0]):
                u = chosen[1 + c]
                state.placed[s, c] = u
                p = units.pool[u]
                if not touched[p]:
                    touched[p] = True
                    saved[n_saved] = p
                    n_saved += 1
                    old_used[p], old_firm_used[p] = state.used[p], state.firm_used[p]
                    old_machines[p], old_firm[p] = state.machines[p], state.firm_machines[p]
                    old_usd[p], old_level[p] = state.pool_usd[p], state.level[p]
            state.copies[s] = chosen[0]
            _put(state, units, rules, purse, links, weights, counts, s, 1, every, firm_every)
        new = _score(state, rules, missing)
        if legal and (new <= score or np.random.random() < np.exp((score - new) / heat)):
            score = new
            if score < best - 1e-7:
                best = score
                best_placed[:] = state.placed
                best_copies[:] = state.copies
                best_dropped[:] = state.dropped
        else:
            for i in range(count):
                s = picked[i]
                state.placed[s] = old_placed[s]
                state.copies[s] = old_copies[s]
            if flip >= 0:
                state.dropped[flip] = not state.dropped[flip]
            for i in range(n_saved):
                p = saved[i]
                state.used[p], state.firm_used[p] = old_used[p], old_firm_used[p]
                state.machines[p], state.firm_machines[p] = old_machines[p], old_firm[p]
                state.pool_usd[p], state.level[p] = old_usd[p], old_level[p]
            state.totals[:] = old_totals
            missing = old_missing
        for i in range(n_saved):
            touched[saved[i]] = False
    return best
