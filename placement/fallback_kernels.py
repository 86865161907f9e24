"""Finding room after one loss: lost units into pools, each slot proven by a packing, all compiled.

Sizes: P pools, C shapes, T slots, U units. Classes of a pool are its shapes twice: firm ones, then flexible ones
[2C], as in `placement.packing`.
"""
# ruff: noqa: NPY002  (compiled code has the legacy generator only: one per thread, seeded in `place_lost`)

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.fitting import first_fit
from placement.jit import jit
from placement.problem import Bools, Counts, Floats, Ints

FULL = 1 << 40
"""Machines that lack where a replica does not fit at all."""


class Room(NamedTuple):
    """What pools hold and could hold. `base` [P, 2C, T] replicas are packed onto `own_firm` of `own` [P, T] machines.

    After a loss there are `firm_cap` of `cap` [P, T] machines, up to `firm_rise` of `rise` [P, T] more if those are
    held, at most `most` [P, T]. A machine holds `each` [P, C] replicas of one shape; `sizes` [2C, R], `room` [P, R];
    `order` [P, C] is largest share first.
    """

    base: Counts
    own_firm: Ints
    own: Ints
    firm_cap: Ints
    cap: Ints
    firm_rise: Ints
    rise: Ints
    most: Ints
    each: Ints
    sizes: Floats
    room: Floats
    order: Ints


class Places(NamedTuple):
    """Units and where they may go. `shape`, `cluster`, `domain`, `copies_first`, `copies_end` [U]: its stream's units.

    Unit u's fallback pools are rows `first[u]:first[u + 1]` of `pool`, `cluster_of`, `domain_of` and `need`, which is a
    row of `needs` [J, T]. `flexible` [rows] says that spot machines may hold it there.
    """

    shape: Ints
    cluster: Ints
    domain: Ints
    copies_first: Ints
    copies_end: Ints
    first: Ints
    pool: Ints
    cluster_of: Ints
    domain_of: Ints
    need: Ints
    flexible: Bools
    needs: Counts


@jit
def _packed(room: Room, p: int, t: int, extra: Counts, plain: bool) -> tuple[int, int]:
    """(firm machines, machines) of first fit on all replicas of a slot; firm ones first unless `plain`."""
    classes = extra.shape[0]
    half = classes // 2
    picked, many = np.empty(classes, np.int64), 0
    if plain:
        for i in range(half):
            for j in (room.order[p, i], room.order[p, i] + half):
                if room.base[p, j, t] + extra[j, t] > 0:
                    picked[many] = j
                    many += 1
    else:
        for kind in range(2):
            for i in range(half):
                j = room.order[p, i] + kind * half
                if room.base[p, j, t] + extra[j, t] > 0:
                    picked[many] = j
                    many += 1
    counts, sizes = np.empty(many, np.int64), np.empty((many, room.sizes.shape[1]))
    for i in range(many):
        counts[i] = room.base[p, picked[i], t] + extra[picked[i], t]
        sizes[i] = room.sizes[picked[i]]
    patterns, times = first_fit(counts, sizes, room.room[p], np.arange(many))
    firm = total = 0
    for k in range(len(times)):
        total += times[k]
        for i in range(many):
            if picked[i] < half and patterns[k, i] > 0:
                firm += times[k]
                break
    return firm, total


@jit
def slot_needs(room: Room, p: int, t: int, extra: Counts, level: int) -> tuple[int, int]:
    """(firm machines, machines) that hold what pool p holds in slot t with `extra` [2C, T]: enough, not always least.

    What is there keeps its machines and what comes gets its own, unless that is more than `level` machines beyond what
    there is after the loss: then everything is packed anew by simple orders.
    """
    half = extra.shape[0] // 2
    firm, total = room.own_firm[p, t], room.own[p, t]
    for j in range(2 * half):
        if extra[j, t] > 0:
            each = room.each[p, j % half]
            if each == 0:
                return FULL, FULL
            more = (extra[j, t] + each - 1) // each
            total += more
            if j < half:
                firm += more
    short = _short(room, p, t, firm, total)
    if short <= level:
        return firm, total
    for kind in range(2):
        other_firm, other = _packed(room, p, t, extra, kind == 1)
        less = _short(room, p, t, other_firm, other)
        if less < short:
            firm, total, short = other_firm, other, less
        if short <= level:
            break
    return firm, total


@jit
def _short(room: Room, p: int, t: int, firm: int, total: int) -> int:
    """Machines that must be held beyond what there is after a loss; `FULL` and more beyond what can be."""
    short_firm, short = firm - room.firm_cap[p, t], total - room.cap[p, t]
    over = max(total - room.most[p, t], short_firm - room.firm_rise[p, t], short - room.rise[p, t])
    return int(FULL + over if over > 0 else max(0, short_firm, short))


class Loss(NamedTuple):
    """The state of one loss: `extra` [P, 2C, T] replicas that came, machines `firm` and `all` [P, T] they make needed
    in pools `touched` [P], `spare` [P] machines left in the pool's fullest slot, and the row each unit `took` [U].
    """

    extra: Counts
    firm: Ints
    every: Ints
    touched: Bools
    spare: Ints
    took: Ints


@jit
def _add(places: Places, loss: Loss, half: int, u: int, row: int, sign: int) -> None:
    p = places.pool[row]
    j = places.shape[u] + (half if places.flexible[row] else 0)
    need = places.needs[places.need[row]]
    for t in range(len(need)):
        loss.extra[p, j, t] += sign * need[t]


@jit
def _try(room: Room, places: Places, loss: Loss, u: int, row: int, level: int, most_level: int) -> int:
    """The level (machines held beyond today's) that pool of `row` needs with unit u in; `FULL` or more: no room."""
    p, half, highest = places.pool[row], room.order.shape[1], level
    need = places.needs[places.need[row]]
    _add(places, loss, half, u, row, 1)
    for t in range(len(need)):
        if need[t] > 0:
            firm, total = slot_needs(room, p, t, loss.extra[p], highest)
            highest = max(highest, _short(room, p, t, firm, total))
            if highest > most_level:
                highest = max(highest, FULL)
                break
    _add(places, loss, half, u, row, -1)
    return highest


@jit
def _settle(room: Room, places: Places, loss: Loss, u: int, row: int, level: int) -> None:
    """Put unit u into the pool of `row` and note the machines needed there."""
    p = places.pool[row]
    _add(places, loss, room.order.shape[1], u, row, 1)
    loss.took[u] = row
    loss.touched[p] = True
    spare = FULL
    for t in range(room.own.shape[1]):
        loss.firm[p, t], loss.every[p, t] = slot_needs(room, p, t, loss.extra[p], level)
        spare = min(spare, room.cap[p, t] + level - loss.every[p, t])
    loss.spare[p] = max(0, spare)


@jit
def _may(places: Places, lost: Bools, loss: Loss, u: int, row: int) -> bool:
    """Whether the pool of `row` is outside the loss and apart from the stream's other copies as they are then."""
    if lost[places.cluster_of[row]]:
        return False
    d = places.domain_of[row]
    for v in range(places.copies_first[u], places.copies_end[u]):
        if v == u:
            continue
        if not lost[places.cluster[v]]:
            if places.domain[v] == d:
                return False
        elif loss.took[v] >= 0 and places.domain_of[loss.took[v]] == d:
            return False
    return True


@jit
def _choose(room: Room, places: Places, lost: Bools, loss: Loss, u: int, levels: Ints, most_level: Ints, usd: Floats,
            tries: int, noise: float) -> tuple[int, int]:
    """(row, level) of the fallback that costs least to hold machines for, of the roomiest that fit; (-1, 0): none."""
    first, end = places.first[u], places.first[u + 1]
    score = np.full(end - first, -1.0)
    for row in range(first, end):
        if _may(places, lost, loss, u, row):
            p = places.pool[row]
            room_for = loss.spare[p] * max(1, room.each[p, places.shape[u]]) + 1.0
            score[row - first] = room_for * (1.0 + noise * np.random.random())
    best, best_level, best_usd, fitted = -1, 0, np.inf, 0
    for _ in range(len(score)):
        at = int(score.argmax())
        if score[at] < 0:
            break
        score[at] = -1.0
        row = first + at
        p = places.pool[row]
        level = _try(room, places, loss, u, row, levels[p], most_level[p])
        if level > most_level[p]:
            continue
        fitted += 1
        last = usd.shape[1] - 1
        cost = usd[p, min(level, last)] - usd[p, min(levels[p], last)]
        if cost < best_usd - 1e-9:
            best, best_level, best_usd = row, level, cost
        if best_usd <= 0.0 or fitted >= tries:
            break
    return best, best_level


@jit
def place_lost(room: Room, places: Places, lost: Bools, units: Ints, levels: Ints, most_level: Ints, usd: Floats,
               tries: int, noise: float, seed: int, loss: Loss, base_spare: Ints) -> int:
    """Give each of `units` (in this order) a fallback, into `loss`; how many found none.

    `levels` [P] machines beyond today's are held already and rise, to `most_level` [P] at most, where that makes room:
    at `usd` [P, levels] of the pool's cost by level.
    """
    np.random.seed(seed)
    for p in range(len(levels)):
        if loss.touched[p]:
            loss.extra[p] = 0
            loss.touched[p] = False
        loss.spare[p] = base_spare[p] + levels[p]
    loss.took[:] = -1
    failed = 0
    for u in units:
        row, level = _choose(room, places, lost, loss, u, levels, most_level, usd, tries, noise)
        if row < 0:
            failed += 1
            continue
        levels[places.pool[row]] = level
        _settle(room, places, loss, u, row, level)
    return failed


@jit
def shortest(room: Room, places: Places, lost: Bools, loss: Loss, u: int, levels: Ints, short: Ints) -> int:
    """The row where unit u lacks the fewest machines and slots, of pools in use; what lacks by slot into `short` [T].

    -1 where no legal pool could be emptied for it.
    """
    best, least, half = -1, np.inf, room.order.shape[1]
    lacking = np.zeros(len(short), np.int64)
    for row in range(places.first[u], places.first[u + 1]):
        if not _may(places, lost, loss, u, row):
            continue
        p, total, full = places.pool[row], 0.0, False
        _add(places, loss, half, u, row, 1)
        for t in range(len(short)):
            lacking[t] = 0
            if places.needs[places.need[row], t] > 0:
                firm, every = slot_needs(room, p, t, loss.extra[p], levels[p])
                lacking[t] = max(every - room.most[p, t], 0,
                                 firm - room.firm_cap[p, t] - min(levels[p], room.firm_rise[p, t]),
                                 every - room.cap[p, t] - min(levels[p], room.rise[p, t]))
                total += lacking[t]
                full = full or (lacking[t] > 0 and room.own[p, t] == 0) or firm >= FULL
        _add(places, loss, half, u, row, -1)
        if not full and total < least:
            best, least = row, total
            short[:] = lacking
    return best
