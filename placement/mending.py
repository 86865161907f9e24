"""Compiled steps of a repair: put streams where they are cheapest, see what a move would save, move what saves most.

They work on the books of the search (`placement.booking`). What a step may not do is take more than there is: a stream
that finds no room stays out.
"""
# ruff: noqa: NPY002  (compiled code has the legacy generator only, seeded in `polish`)

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.booking import State, Tables, put
from placement.jit import jit
from placement.payment import DEMAND_MAX, FIXED_MAX, POOL_MAX, SPOT_MAX, Purse, most_fixed
from placement.problem import Bools, Floats, Ints
from placement.search import Scratch, choose

_EARLY = 2.5
"""How much more often the first of a row of streams are tried: power of a random number below 1."""


class Leave(NamedTuple):
    """What leaving means: `home` [N] units are in a pool where the plan in force has one, `same` [N] its very units.

    Stream s has the units `own[first[s]:first[s + 1]]` by the plan in force, all it needs where `whole` [S].
    """

    home: Bools
    same: Bools
    own: Ints
    first: Ints
    whole: Bools


def new_scratch(state: State) -> Scratch:
    """Working memory for the steps."""
    streams, slots = len(state.copies), state.machines.shape[1]
    return Scratch(np.empty(streams, np.int64), np.empty(streams, np.int64), np.zeros(streams, np.bool_),
                   np.empty(slots), np.empty(slots), np.empty(slots), np.empty(state.placed.shape[1] + 1, np.int64))


@jit
def take_out(state: State, tables: Tables, stream: int, kept: Ints) -> int:
    """Take a stream out; `kept` [K] receives its units, the answer is how many."""
    count = state.copies[stream]
    for c in range(count):
        kept[c] = state.placed[stream, c]
    put(state, tables, stream, -1.0)
    state.copies[stream] = 0
    return int(count)


@jit
def put_back(state: State, tables: Tables, stream: int, kept: Ints, count: int) -> None:
    """Put a stream's units where they were."""
    for c in range(count):
        state.placed[stream, c] = kept[c]
    state.copies[stream] = count
    put(state, tables, stream, 1.0)


@jit
def _over(purse: Purse, p: int, firm: Floats, every: Floats) -> float:
    """Machines and slots by which pool p exceeds what can be had."""
    by_slot, fixed, over = purse.by_slot, most_fixed(purse.by_level, p), 0.0
    for t in range(len(every)):
        loose = every[t] - min(fixed, by_slot[p, FIXED_MAX, t]) - by_slot[p, DEMAND_MAX, t]
        over += max(0.0, every[t] - by_slot[p, POOL_MAX, t])
        over += max(0.0, loose - every[t] + firm[t])
        over += max(0.0, loose - by_slot[p, SPOT_MAX, t])
    return over


@jit
def put_in(state: State, tables: Tables, scratch: Scratch, stream: int) -> bool:
    """Put a stream that is out where it costs least; False, and it stays out, where there is no room."""
    chosen, purse = scratch.chosen, tables.purse
    choose(state, tables, scratch, stream, 0.0)
    if chosen[0] == 0:
        return False
    over = 0.0
    for c in range(chosen[0]):
        p = tables.units.pool[chosen[1 + c]]
        over -= _over(purse, p, state.firm_machines[p], state.machines[p])
    put_back(state, tables, stream, chosen[1:], chosen[0])
    for c in range(chosen[0]):
        p = tables.units.pool[chosen[1 + c]]
        over += _over(purse, p, state.firm_machines[p], state.machines[p])
    if over <= 0:
        return True
    put(state, tables, stream, -1.0)
    state.copies[stream] = 0
    return False


@jit
def insert(state: State, tables: Tables, scratch: Scratch, streams: Ints) -> int:
    """Put streams in, in this order; returns how many found room."""
    placed = 0
    for i in range(len(streams)):
        if put_in(state, tables, scratch, streams[i]):
            placed += 1
    return placed


@jit
def moves_of(state: State, leave: Leave, stream: int) -> int:
    """Places of the plan in force that a stream has left; none for one that lost a copy, which is placed anew."""
    if not leave.whole[stream]:
        return 0
    at_home = 0
    for c in range(state.copies[stream]):
        if leave.home[state.placed[stream, c]]:
            at_home += 1
    homes = leave.first[stream + 1] - leave.first[stream]
    return int(homes - at_home) if state.copies[stream] > 0 else 0


@jit
def resettle(state: State, tables: Tables, scratch: Scratch, leave: Leave, streams: Ints, left: int,
             most_moves: int) -> None:
    """Take streams out together and put them in again, in this order, where they cost least now.

    Where there is no room, or more places would be left than `most_moves` (`left` are now), a stream goes home, be
    there room or not; without a home it stays out.
    """
    kept = np.empty(state.placed.shape[1], np.int64)
    for i in range(len(streams)):
        left -= moves_of(state, leave, streams[i])
        take_out(state, tables, streams[i], kept)
    for i in range(len(streams)):
        s = streams[i]
        if put_in(state, tables, scratch, s):
            more = moves_of(state, leave, s)
            if more == 0 or left + more <= most_moves:
                left += more
            else:
                put(state, tables, s, -1.0)
                state.copies[s] = 0
        if state.copies[s] == 0 and leave.whole[s]:
            put_back(state, tables, s, leave.own[leave.first[s]:], leave.first[s + 1] - leave.first[s])


@jit
def go_home(state: State, tables: Tables, leave: Leave, streams: Ints) -> None:
    """Send streams back to where the plan in force has them, be there room or not."""
    kept = np.empty(state.placed.shape[1], np.int64)
    for i in range(len(streams)):
        s = streams[i]
        take_out(state, tables, s, kept)
        put_back(state, tables, s, leave.own[leave.first[s]:], leave.first[s + 1] - leave.first[s])


@jit
def go_back(state: State, tables: Tables, streams: Ints, placed: Ints, copies: Ints) -> None:
    """Send streams back to units `placed` [S, C] they had, the first `copies` [S] of each, be there room or not."""
    kept = np.empty(state.placed.shape[1], np.int64)
    for i in range(len(streams)):
        s = streams[i]
        take_out(state, tables, s, kept)
        put_back(state, tables, s, placed[s], copies[s])


@jit
def savings(state: State, tables: Tables, scratch: Scratch, streams: Ints, usd: Floats) -> None:
    """What each stream alone could save by moving, `usd` [k]; all stay where they are."""
    kept = np.empty(state.placed.shape[1], np.int64)
    for i in range(len(streams)):
        s, before = streams[i], state.totals[0]
        count = take_out(state, tables, s, kept)
        usd[i] = 0.0
        if put_in(state, tables, scratch, s):
            usd[i] = before - state.totals[0]
            put(state, tables, s, -1.0)
            state.copies[s] = 0
        put_back(state, tables, s, kept, count)


@jit
def worth_of_moves(state: State, tables: Tables, leave: Leave, streams: Ints, usd: Floats) -> None:
    """What each stream alone would cost more at home, `usd` [k]; all stay where they are."""
    kept, home = np.empty(state.placed.shape[1], np.int64), np.empty(state.placed.shape[1], np.int64)
    for i in range(len(streams)):
        s, before = streams[i], state.totals[0]
        count = take_out(state, tables, s, kept)
        put_back(state, tables, s, leave.own[leave.first[s]:], leave.first[s + 1] - leave.first[s])
        usd[i] = state.totals[0] - before
        take_out(state, tables, s, home)
        put_back(state, tables, s, kept, count)


@jit
def move(state: State, tables: Tables, scratch: Scratch, leave: Leave, streams: Ints, most: int) -> int:
    """Move streams, in this order, where it saves; together they leave `most` places at most. Returns how many."""
    kept = np.empty(state.placed.shape[1], np.int64)
    left = 0
    for i in range(len(streams)):
        if left >= most:
            break
        s, before = streams[i], state.totals[0]
        already = moves_of(state, leave, s)
        count = take_out(state, tables, s, kept)
        fits = put_in(state, tables, scratch, s)
        more = moves_of(state, leave, s) - already
        if fits and state.totals[0] < before - 1e-6 and left + more <= most:
            left += more
            continue
        if fits:
            put(state, tables, s, -1.0)
            state.copies[s] = 0
        put_back(state, tables, s, kept, count)
    return left


@jit
def _company(state: State, tables: Tables, streams: Ints, most: int, picked: Ints) -> int:
    """A few of `streams` to take out together: one at random, the first more often, and others that share a pool."""
    first = streams[int(len(streams) * np.random.random() ** _EARLY)]
    picked[0] = first
    count, size = 1, np.random.randint(1, most + 1)
    if state.copies[first] == 0:
        return count
    pool = tables.units.pool[state.placed[first, np.random.randint(state.copies[first])]]
    offset = np.random.randint(len(streams))
    for i in range(len(streams)):
        if count >= size:
            break
        s = streams[(i + offset) % len(streams)]
        if s == first:
            continue
        near = np.random.random() < 0.01
        for c in range(state.copies[s]):
            if tables.units.pool[state.placed[s, c]] == pool:
                near = True
        if near:
            picked[count] = s
            count += 1
    return count


@jit
def polish(state: State, tables: Tables, scratch: Scratch, leave: Leave, streams: Ints, rounds: int, seed: int,
           most: int, left: int, most_moves: int) -> int:
    """Take a few of `streams` out and put them back in random order; keep what is cheaper and within `most_moves`.

    `left` places are left at the start; returns how many are at the end.
    """
    np.random.seed(seed)
    copies = state.placed.shape[1]
    kept, counts = np.empty((most, copies), np.int64), np.empty(most, np.int64)
    picked = scratch.picked
    for _ in range(rounds if len(streams) > 0 else 0):
        count = _company(state, tables, streams, most, picked)
        before, now = state.totals[0], left
        for i in range(count - 1, 0, -1):
            j = np.random.randint(i + 1)
            picked[i], picked[j] = picked[j], picked[i]
        for i in range(count):
            now -= moves_of(state, leave, picked[i])
            counts[i] = take_out(state, tables, picked[i], kept[i])
        fits = True
        for i in range(count):
            if counts[i] > 0 and fits:
                fits = put_in(state, tables, scratch, picked[i])
                now += moves_of(state, leave, picked[i])
        if fits and now <= most_moves and state.totals[0] < before - 1e-7:
            left = now
            continue
        for i in range(count):
            if state.copies[picked[i]] > 0:
                put(state, tables, picked[i], -1.0)
                state.copies[picked[i]] = 0
        for i in range(count):
            put_back(state, tables, picked[i], kept[i], counts[i])
    return left
