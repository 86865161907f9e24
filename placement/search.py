"""Ruin and recreate on whole plans: take a few streams out, put each back where it costs least, keep what is better.

Schrimpf, Schneider, Stamm-Wilbrandt, Dueck, "Record breaking optimization results using the ruin and recreate
principle", Journal of Computational Physics 159, 2000. Machines are counted by packing weights (`placement.weights`):
in every pool and slot the least whole number that no weight vector disproves. `placement.complete` turns the plan into
packed machines afterwards; where that needs more, a weight is made heavier, so that the search learns.
"""
# ruff: noqa: NPY002  (compiled code has the legacy generator only: one per thread, seeded in `improve`)

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.booking import (
    MISSING_USD,
    State,
    Tables,
    list_copies,
    put,
    raised,
    received_usd,
    score,
    sent_usd,
)
from placement.domains import choose_domains
from placement.jit import jit
from placement.payment import best_level
from placement.picking import dearness, largest_first, pick, pick_dear
from placement.problem import Bools, Floats, Ints
from placement.shortlist import Shortlist

_FLIP, _DEAR, _LARGEST_FIRST = 0.15, 0.05, 0.5
"""Chances that a workload is dropped or taken in, that a dear stream is given room, that streams return by size."""
_DEAR_NOISE = 0.3
_TRIED, _TRY = 8, 0.2
"""Streams without a place that a round tries to put in, and the chance that it does: a large one has many places."""


class Undo(NamedTuple):
    """What a round changes, as it was before: some pools (`pool`, marked in `touched` [P]) and streams taken out."""

    placed: Ints
    copies: Ints
    used: Floats
    firm_used: Floats
    machines: Floats
    firm_machines: Floats
    pool_usd: Floats
    level: Ints
    totals: Floats
    touched: Bools
    pool: Ints


class Scratch(NamedTuple):
    """Working memory: streams `picked`, `together` in pools, `marked` [S]; `load`, machines [T]; a choice [K + 1]."""

    picked: Ints
    together: Ints
    marked: Bools
    load: Floats
    every: Floats
    firm_every: Floats
    chosen: Ints


@jit
def _price_domains(
    state: State, tables: Tables, scratch: Scratch, stream: int, block: int, noise: float, limit: float,
    received: Floats, usd: Floats, at: Ints,
) -> None:  # fmt: skip
    """The cheapest unit of a block in every domain: `usd` and the unit `at`, [D] each; none from `limit` USD on.

    `received` [G] keeps what is received in which cluster, -1 while unknown.
    """
    units, rules, purse, weights, counts = tables.units, tables.rules, tables.purse, tables.weights, tables.counts
    unit_pool, unit_usd, row, needs, begin, end = units.pool, units.usd, units.need, units.needs, units.begin, units.end
    by_slot, by_level, has_spot, over_usd = purse.by_slot, purse.by_level, purse.has_spot, purse.over_usd
    cluster, domain, shape, firm_only = tables.links.pool_cluster, rules.pool_domain, rules.shape[stream], rules.firm
    used, firm_used, machines, firm_machines = state.used, state.firm_used, state.machines, state.firm_machines
    pool_usd, level, load, every, firm = state.pool_usd, state.level, scratch.load, scratch.every, scratch.firm_every
    usd[:] = np.inf
    for u in range(units.block_first[block], units.block_first[block + 1]):
        if noise > 0 and np.random.random() < noise:
            continue
        p = unit_pool[u]
        g, d = cluster[p], domain[p]
        if received[g] < 0:
            received[g] = received_usd(state, tables, stream, g)
        cost = unit_usd[u] + received[g]
        if cost >= usd[d] or cost >= limit:
            continue
        first, last = begin[row[u]], end[row[u]]
        more = raised(used, machines, weights, counts, p, shape, needs, row[u], first, last, load, every)
        if has_spot[p]:
            last = last if firm_only[stream] else first
            new = raised(firm_used, firm_machines, weights, counts, p, shape, needs, row[u], first, last, load, firm)
            more = more or new
        if more:
            wanted = firm if has_spot[p] else every
            paid, _ = best_level(by_slot, by_level, p, level[p], wanted, every, over_usd, level[p])
            cost += paid - pool_usd[p]
        if cost < usd[d]:
            usd[d], at[d] = cost, u


@jit
def choose(state: State, tables: Tables, scratch: Scratch, stream: int, noise: float) -> None:
    """Choose the cheapest copies for a stream that is out; `scratch.chosen` receives k and the units (k 0: none found).

    Copies lie in distinct domains, so in distinct pools: what each costs does not depend on the others. The copy from
    which the stream's data leave cheapest is copy 0.
    """
    units, chosen, rules = tables.units, scratch.chosen, tables.rules
    clusters, domains = len(tables.links.egress), len(rules.path)
    usd, at = np.empty(domains), np.empty(domains, np.int64)
    received, sent = np.full(clusters, -1.0), np.full(clusters, -1.0)
    picked = np.empty(len(chosen), np.int64)
    best = MISSING_USD
    chosen[0] = 0
    for block in range(units.stream_first[stream], units.stream_first[stream + 1]):
        k = units.block_copies[block]
        _price_domains(state, tables, scratch, stream, block, noise, best, received, usd, at)
        total = choose_domains(usd, rules.path, rules.up, k, rules.target[stream], picked)
        if total >= best:
            continue
        first, least = 0, np.inf
        for c in range(k):
            g = tables.links.pool_cluster[units.pool[at[picked[c]]]]
            if sent[g] < 0:
                sent[g] = sent_usd(state, tables, stream, g)
            if sent[g] < least:
                first, least = c, sent[g]
        total += least
        if total < best:
            best = total
            picked[0], picked[first] = picked[first], picked[0]
            chosen[0] = k
            for c in range(k):
                chosen[1 + c] = at[picked[c]]


@jit
def _flip(dropped: Bools, weight: Floats, slack: float, workload: int) -> bool:
    """Drop a workload or take it in again; False when more weight is dropped than the slack."""
    dropped[workload] = not dropped[workload]
    total = 0.0
    for w in range(len(dropped)):
        if dropped[w]:
            total += weight[w]
    return total <= slack


@jit
def _with_members(of: Ints, first: Ints, member: Ints, picked: Ints, count: int, workload: int) -> int:
    """Have all streams of a workload among the `count` picked, once each; returns how many are picked now."""
    kept = 0
    for i in range(count):
        if of[picked[i]] != workload:
            picked[kept] = picked[i]
            kept += 1
    for i in range(first[workload], first[workload + 1]):
        picked[kept] = member[i]
        kept += 1
    return kept


@jit
def _with_missing(copies: Ints, dropped: Bools, of: Ints, picked: Ints, count: int) -> int:
    """Add streams that lack a place they should have, a few of them, to the `count` picked; returns how many now."""
    first, added, before = np.random.randint(max(1, len(copies))), 0, count
    for i in range(len(copies)):
        s = (first + i) % len(copies)
        if copies[s] == 0 and not dropped[of[s]] and not _among(picked, before, s):
            picked[count] = s
            count += 1
            added += 1
            if added == _TRIED:
                break
    return count


@jit
def _among(picked: Ints, count: int, stream: int) -> bool:
    """Whether a stream is one of the first `count` picked."""
    found = False
    for i in range(count):
        found = found or picked[i] == stream
    return found


@jit
def _missing(copies: Ints, dropped: Bools, of: Ints) -> int:
    """How many streams lack a place they should have."""
    missing = 0
    for s in range(len(copies)):
        if copies[s] == 0 and not dropped[of[s]]:
            missing += 1
    return missing


@jit
def _lacking(copies: Ints, dropped: Bools, of: Ints, picked: Ints, count: int) -> int:
    """How many of the `count` picked streams lack a place they should have."""
    lacking = 0
    for i in range(count):
        if copies[picked[i]] == 0 and not dropped[of[picked[i]]]:
            lacking += 1
    return lacking


@jit
def _keep_pool(state: State, tables: Tables, undo: Undo, p: int, kept: int) -> int:
    """Note pool p as it is now, once a round; returns how many pools are noted."""
    if undo.touched[p]:
        return kept
    undo.touched[p] = True
    undo.pool[kept] = p
    _copy_pool(p, state.used, state.firm_used, state.machines, state.firm_machines, undo.used, undo.firm_used,
               undo.machines, undo.firm_machines, tables.purse.has_spot[p])  # fmt: skip
    undo.pool_usd[p], undo.level[p] = state.pool_usd[p], state.level[p]
    return kept + 1


@jit
def _copy_pool(
    p: int, used: Floats, firm_used: Floats, machines: Floats, firm_machines: Floats,
    to_used: Floats, to_firm_used: Floats, to_machines: Floats, to_firm_machines: Floats, has_spot: bool,
) -> None:  # fmt: skip
    to_machines[p], to_firm_machines[p] = machines[p], firm_machines[p]
    to_used[p] = used[p]
    if has_spot:
        to_firm_used[p] = firm_used[p]


@jit
def _ruin(state: State, tables: Tables, scratch: Scratch, undo: Undo, count: int) -> int:
    """Take the picked streams out; returns how many pools were noted for undoing."""
    kept = 0
    undo.totals[0], undo.totals[1] = state.totals[0], state.totals[1]
    for i in range(count):
        s = scratch.picked[i]
        undo.copies[s] = state.copies[s]
        for c in range(state.copies[s]):
            undo.placed[s, c] = state.placed[s, c]
            kept = _keep_pool(state, tables, undo, tables.units.pool[state.placed[s, c]], kept)
        put(state, tables, s, -1.0)
        state.copies[s] = 0
    return kept


@jit
def _recreate(state: State, tables: Tables, scratch: Scratch, undo: Undo, count: int, kept: int, noise: float) -> int:
    """Put the picked streams back in order, save those of dropped workloads; how many pools are noted."""
    picked, chosen = scratch.picked, scratch.chosen
    for i in range(count):
        s = picked[i]
        if state.dropped[tables.rules.workload[s]]:
            continue
        choose(state, tables, scratch, s, noise)
        for c in range(chosen[0]):
            state.placed[s, c] = chosen[1 + c]
            kept = _keep_pool(state, tables, undo, tables.units.pool[chosen[1 + c]], kept)
        state.copies[s] = chosen[0]
        put(state, tables, s, 1.0)
    return kept


@jit
def _restore(state: State, tables: Tables, scratch: Scratch, undo: Undo, count: int, kept: int) -> None:
    """Take back what a round did to the picked streams and the noted pools."""
    for i in range(count):
        s = scratch.picked[i]
        list_copies(state, tables.units.pool, s, -1.0)
        state.copies[s] = undo.copies[s]
        for c in range(state.copies[s]):
            state.placed[s, c] = undo.placed[s, c]
        list_copies(state, tables.units.pool, s, 1.0)
    for i in range(kept):
        p = undo.pool[i]
        _copy_pool(p, undo.used, undo.firm_used, undo.machines, undo.firm_machines, state.used, state.firm_used,
                   state.machines, state.firm_machines, tables.purse.has_spot[p])  # fmt: skip
        state.pool_usd[p], state.level[p] = undo.pool_usd[p], undo.level[p]
    state.totals[0], state.totals[1] = undo.totals[0], undo.totals[1]


@jit
def _copy_plan(placed: Ints, copies: Ints, dropped: Bools, to_placed: Ints, to_copies: Ints, to_dropped: Bools) -> None:
    for s in range(len(copies)):
        to_copies[s] = copies[s]
        for c in range(copies[s]):
            to_placed[s, c] = placed[s, c]
    for w in range(len(dropped)):
        to_dropped[w] = dropped[w]


@jit
def _note(picked: Ints, count: int, changed: Ints, known: Bools, many: int) -> int:
    """Add the `count` picked streams to the `many` that `changed` lists, each once (`known` [S]); how many it lists."""
    for i in range(count):
        if not known[picked[i]]:
            known[picked[i]] = True
            changed[many] = picked[i]
            many += 1
    return many


@jit
def _copy_changed(
    state: State, changed: Ints, known: Bools, many: int, flipped: bool, to_placed: Ints, to_copies: Ints,
    to_dropped: Bools,
) -> None:  # fmt: skip
    """Copy the places of the `many` streams that `changed` lists, and what is dropped if any of it was `flipped`.

    Forgets that the streams changed.
    """
    for w in range(len(to_dropped) if flipped else 0):
        to_dropped[w] = state.dropped[w]
    for i in range(many):
        s = changed[i]
        known[s] = False
        to_copies[s] = state.copies[s]
        for c in range(state.copies[s]):
            to_placed[s, c] = state.placed[s, c]


@jit
def draw(
    units: Shortlist, chance: Floats, luck: Floats, workload: Ints, dropped: Bools, placed: Ints, copies: Ints
) -> None:  # fmt: skip
    """A start at random: each stream takes one block, and copies in it, by the `chance` [N] of its units.

    The copies of a block are drawn together (systematic sampling), so that a unit taken wholly is always among them.
    `luck` [2 S] are random numbers. A stream without chances stays out.
    """
    for s in range(len(copies)):
        copies[s] = 0
        if dropped[workload[s]]:
            continue
        total = 0.0
        for b in range(units.stream_first[s], units.stream_first[s + 1]):
            total += _block_chance(units, chance, b)
        left = luck[2 * s] * total
        for b in range(units.stream_first[s], units.stream_first[s + 1]):
            part = _block_chance(units, chance, b)
            left -= part
            if part > 0 and left <= 0:
                _draw_copies(units, chance, b, part, luck[2 * s + 1], placed[s])
                copies[s] = units.block_copies[b]
                break


@jit
def _block_chance(units: Shortlist, chance: Floats, block: int) -> float:
    """The chance of a block, 0 when too few of its units have any for its copies to lie apart."""
    total, count = 0.0, 0
    for u in range(units.block_first[block], units.block_first[block + 1]):
        total += chance[u]
        count += chance[u] > 0
    copies = units.block_copies[block]
    return float(total / copies) if count >= copies else 0.0


@jit
def _draw_copies(units: Shortlist, chance: Floats, block: int, part: float, luck: float, placed: Ints) -> None:
    """Draw as many units of a block as it has copies, each with `chance` / `part`, into `placed` [K]."""
    taken, reached = 0, 0.0
    first, end = units.block_first[block], units.block_first[block + 1]
    for u in range(first, end):
        reached += min(1.0, chance[u] / part)
        if taken < units.block_copies[block] and reached > taken + luck:
            placed[taken] = u
            taken += 1
    u = end - 1
    while taken < units.block_copies[block]:  # rounding left one out: the last with a chance that is not there yet
        known = chance[u] <= 0
        for c in range(taken):
            known = known or placed[c] == u
        if not known:
            placed[taken] = u
            taken += 1
        u -= 1


@jit
def improve(
    state: State, tables: Tables, rounds: int, seed: int, hot_usd: float, cold_usd: float, most: int, noise: float,
    best_placed: Ints, best_copies: Ints, best_dropped: Bools,
) -> float:  # fmt: skip
    """Ruin and recreate for `rounds` rounds with a falling temperature; best_* receive the best plan; its score.

    Worse plans are kept with probability exp(-loss / temperature), the temperature falling from `hot_usd` to
    `cold_usd`. `most` streams at most leave at once; `noise` is the chance that an option is not looked at.
    """
    np.random.seed(seed)
    streams, slots = len(state.copies), state.machines.shape[1]
    scratch = Scratch(
        np.empty(2 * streams + most, np.int64), np.empty(streams, np.int64), np.zeros(streams, np.bool_),
        np.empty(slots), np.empty(slots), np.empty(slots), np.empty(state.placed.shape[1] + 1, np.int64),
    )  # fmt: skip
    undo = Undo(
        np.empty_like(state.placed), np.empty_like(state.copies), np.empty_like(state.used),
        np.empty_like(state.firm_used), np.empty_like(state.machines), np.empty_like(state.firm_machines),
        np.empty_like(state.pool_usd), np.empty_like(state.level), np.empty_like(state.totals),
        np.zeros(len(state.pool_usd), np.bool_), np.empty(len(state.pool_usd), np.int64),
    )  # fmt: skip
    rules, count = tables.rules, 0
    droppable = np.flatnonzero(rules.may_drop)
    of, picked = rules.workload, scratch.picked
    missing = _missing(state.copies, state.dropped, of)
    now = best = score(state.totals, missing, rules.budget_usd)
    _copy_plan(state.placed, state.copies, state.dropped, best_placed, best_copies, best_dropped)
    changed, known, many, flipped = np.empty(streams, np.int64), np.zeros(streams, np.bool_), 0, False
    dear = dearness(state.placed, state.copies, state.dropped[of], tables.units, rules.least_usd)
    for step in range(rounds if streams > 0 else 0):
        heat = hot_usd * (cold_usd / hot_usd) ** (step / rounds)
        by_size = np.random.random() < _LARGEST_FIRST
        if dear[-1] > 0 and np.random.random() < _DEAR:
            count = pick_dear(state, tables.units, rules.pool_domain, dear, picked, scratch.together, scratch.marked,
                              _DEAR_NOISE)
            by_size = True
        else:
            count = pick(state, tables.units.pool, most, picked, scratch.together)
        if missing > 0 and np.random.random() < _TRY:
            count = _with_missing(state.copies, state.dropped, of, picked, count)
        flip = -1
        if len(droppable) > 0 and np.random.random() < _FLIP:
            flip = droppable[np.random.randint(len(droppable))]
            count = _with_members(of, rules.member_first, rules.member, picked, count, flip)
        lacking = missing - _lacking(state.copies, state.dropped, of, picked, count)
        kept = _ruin(state, tables, scratch, undo, count)
        new = np.inf
        if flip < 0 or _flip(state.dropped, rules.drop_weight, rules.slack, flip):
            if flip >= 0:
                state.totals[1] += rules.drop_usd[flip] if state.dropped[flip] else -rules.drop_usd[flip]
            if by_size:
                largest_first(picked, count, rules.least_usd)
            kept = _recreate(state, tables, scratch, undo, count, kept, noise)
            lacking += _lacking(state.copies, state.dropped, of, picked, count)
            new = score(state.totals, lacking, rules.budget_usd)
        for i in range(kept):
            undo.touched[undo.pool[i]] = False
        if new <= now or np.random.random() < np.exp((now - new) / heat):
            now, missing, flipped = new, lacking, flipped or flip >= 0
            many = _note(picked, count, changed, known, many)
        else:
            if flip >= 0:
                state.dropped[flip] = not state.dropped[flip]
            _restore(state, tables, scratch, undo, count, kept)
        if now < best - 1e-7:
            best = now
            _copy_changed(state, changed, known, many, flipped, best_placed, best_copies, best_dropped)
            many, flipped = 0, False
    return best
