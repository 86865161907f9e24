"""Whole replicas onto whole machines of one kind, in one slot: simple orders, diving, and exact search.

A packing is a list of patterns with the number of machines filled alike: `patterns` [k, c], `times` [k]. Classes are
equal replicas; those with `firm` [c] must lie on machines that are not spot, and stand before the others. Kernels
only: the face is `placement.packing`.
"""

from __future__ import annotations

import numpy as np

from placement.jit import jit
from placement.patterns import GLANCE, SLACK, best_pattern, configuration_lp, descending, fitting
from placement.problem import TOLERANCE, Bools, Floats, Ints


@jit
def first_fit(counts: Ints, sizes: Floats, room: Floats, order: Ints) -> tuple[Ints, Ints]:
    """First fit, class after class in `order`; equal machines are handled together, so thousands cost as one.

    Returns (patterns [k, c], times [k]), machines in the order they were opened.
    """
    most, classes = 2 * len(order) + 2, len(counts)
    patterns, times = np.zeros((most, classes), np.int64), np.zeros(most, np.int64)
    left = np.zeros((most, len(room)))
    groups = 0
    for j in order:
        rest, g = counts[j], 0
        while rest > 0:
            if g == groups:
                left[g] = room + TOLERANCE
                times[g] = 1 << 40
                groups += 1
            fit = min(fitting(sizes[j], left[g]), rest)
            if fit == 0:
                g += 1
                continue
            same = min(times[g], rest // fit)
            if same < times[g]:  # split: only the first `same` machines take that many
                for h in range(groups, g, -1):
                    patterns[h], times[h], left[h] = patterns[h - 1], times[h - 1], left[h - 1]
                groups += 1
                times[g], times[g + 1] = same, times[g + 1] - same
            patterns[g, j] += fit
            left[g] -= fit * sizes[j]
            rest -= same * fit
            g += 1
        if groups > 0 and times[groups - 1] > 1 << 39:
            groups -= 1  # machines never opened
            patterns[groups] = 0
    return patterns[:groups].copy(), times[:groups].copy()


@jit
def machines_used(patterns: Ints, times: Ints, firm: Bools) -> tuple[int, int]:
    """(machines that hold a firm replica, machines) of a packing."""
    firm_machines = 0
    for k in range(len(times)):
        if (patterns[k] * firm).sum() > 0:
            firm_machines += times[k]
    return int(firm_machines), int(times.sum())


@jit
def joined(patterns: Ints, times: Ints, more: Ints, more_times: Ints) -> tuple[Ints, Ints]:
    """Two packings as one, without patterns that fill no machine."""
    many = len(times) + len(more_times)
    out, out_times = np.zeros((many, patterns.shape[1]), np.int64), np.zeros(many, np.int64)
    used = 0
    for k in range(len(out_times)):
        row = patterns[k] if k < len(times) else more[k - len(times)]
        often = times[k] if k < len(times) else more_times[k - len(times)]
        if often > 0:
            out[used] = row
            out_times[used] = often
            used += 1
    return out[:used].copy(), out_times[:used].copy()


@jit
def bound_by(weights: Floats, counts: Ints) -> int:
    """Machines that weight vectors [k, c] prove necessary for `counts` [c]."""
    most = 0.0
    for row in weights:
        total = 0.0
        for j in range(len(counts)):
            total += row[j] * counts[j]
        most = max(most, total)
    return int(np.ceil(most - 1e-6))


@jit
def by_orders(counts: Ints, sizes: Floats, room: Floats, firm: Bools, weights: Floats,
              orders: Ints) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Every column of `counts` [U, c] by every order [k, c], until one meets the bounds that `weights` [n, c] prove.

    Returns (firm machines, machines, order that reached them, least firm machines proven, least machines proven), [U]
    each.
    """
    many = len(counts)
    firm_machines, machines = np.zeros(many, np.int64), np.full(many, 1 << 40)
    reached, low_firm, low = np.zeros(many, np.int64), np.zeros(many, np.int64), np.zeros(many, np.int64)
    for u in range(many):
        low_firm[u], low[u] = bound_by(weights, counts[u] * firm), bound_by(weights, counts[u])
        for k in range(len(orders)):
            patterns, times = first_fit(counts[u], sizes, room, orders[k])
            needs_firm, needs = machines_used(patterns, times, firm)
            if (needs, needs_firm) < (machines[u], firm_machines[u]):
                firm_machines[u], machines[u], reached[u] = needs_firm, needs, k
            if firm_machines[u] == low_firm[u] and machines[u] == low[u]:
                break
    return firm_machines, machines, reached, low_firm, low


@jit
def _first_left(left: Ints) -> int:
    """The first class with replicas left, or the number of classes."""
    for j in range(len(left)):
        if left[j] > 0:
            return j
    return len(left)


@jit
def _may_stand(left: Ints, space: Floats, sizes: Floats) -> bool:
    """True when the machine is full: no replica that is left fits into `space` [R]."""
    for j in range(len(left)):  # noqa: SIM110 -- no generators in compiled code
        if left[j] > 0 and fitting(sizes[j], space) > 0:
            return False
    return True


@jit
def search(  # noqa: C901 -- one loop: compiled code has no stack of its own to recurse on
    counts: Ints, sizes: Floats, room: Floats, firm: Bools, weights: Floats, firm_machines: int, machines: int,
           nodes: int) -> tuple[int, Ints]:
    """Pack into `machines` machines, firm classes onto at most `firm_machines` of them: depth-first bin completion.

    Machine by machine: each takes at least one of the first class left, is filled until nothing fits (Martello and
    Toth's dominance), and is no later in lexical order than the next one with the same first class. Returns (1,
    patterns [machines, c]), (0, ...) when proven impossible, (-1, ...) when `nodes` were not enough.
    """
    classes = len(counts)
    take, left = np.zeros((machines + 1, classes), np.int64), counts.copy()
    space, head = np.zeros((machines + 1, len(room))), np.full(machines + 1, classes)
    if classes == 0 or _first_left(left) == classes:
        return 1, take[:machines]
    if machines == 0 or bound_by(weights, left) > machines or bound_by(weights, left * firm) > firm_machines:
        return 0, take[:machines]
    m, j, back = 0, 0, False
    space[0], head[0], visited = room + TOLERANCE, _first_left(left), 0
    while True:
        if back:
            j -= 1
            if j < 0:
                m -= 1
                if m < 0:
                    return 0, take[:machines]
                j = classes
                continue
            if take[m, j] <= (1 if j == head[m] else 0):
                left[j] += take[m, j]
                space[m] += take[m, j] * sizes[j]
                take[m, j] = 0
                continue
            take[m, j] -= 1
            left[j] += 1
            space[m] += sizes[j]
            visited += 1
            if visited > nodes:
                return -1, take[:machines]
            back = False
            j += 1
            continue
        if j < classes:
            most = min(left[j], fitting(sizes[j], space[m]))
            if m > 0 and head[m] == head[m - 1] and (take[m, :j] == take[m - 1, :j]).all():
                most = min(most, take[m - 1, j])
            if j == head[m] and most == 0:
                back = True
                continue
            take[m, j] = most
            left[j] -= most
            space[m] -= most * sizes[j]
            j += 1
            continue
        if not _may_stand(left, space[m], sizes):
            back = True
            continue
        first = _first_left(left)
        if first == classes:
            return 1, take[:machines]
        opened = m + 1
        if (opened + bound_by(weights, left) > machines
                or (firm[first] and opened + bound_by(weights, left * firm) > firm_machines)):
            back = True
            continue
        m, j = m + 1, 0
        take[m] = 0
        space[m], head[m] = room + TOLERANCE, first


@jit
def _apply(pattern: Ints, times: int, left: Ints) -> int:
    """How often, up to `times`, the whole pattern is still wanted; takes it off `left` [c]."""
    for j in range(len(left)):
        if pattern[j] > 0:
            times = min(times, left[j] // pattern[j])
    left -= times * pattern
    return times


@jit
def _complete_pattern(pattern: Ints, left: Ints, sizes: Floats, room: Floats) -> Ints:
    """The pattern cut to what is left, then filled up with the classes in their order."""
    filled = np.minimum(pattern, left)
    space = room + TOLERANCE
    for j in range(len(left)):
        space -= filled[j] * sizes[j]
    for j in range(len(left)):
        more = min(left[j] - filled[j], fitting(sizes[j], space))
        filled[j] += more
        space -= more * sizes[j]
    return filled


@jit
def dive(counts: Ints, sizes: Floats, room: Floats, firm: Bools, cheap: float, weights: Floats, order: Ints,
         rounds: int, nodes: int) -> tuple[Ints, Ints]:
    """A good packing by the configuration LP: take whole uses, solve again for the rest, force one use when stuck.

    A machine costs 1, or `cheap` when it holds no `firm` class. Where all cost the same, small rests are searched
    exactly with `nodes`. Returns (patterns [k, c], times [k]); never more machines than an order
    alone would need for the last rest.
    """
    classes = len(counts)
    patterns, times = np.zeros((4 * classes + 64, classes), np.int64), np.zeros(4 * classes + 64, np.int64)
    left, used = counts.copy(), 0
    for _ in range(2 * classes + 20):
        here = np.flatnonzero(left > 0)
        if len(here) == 0 or used + len(here) + 1 > len(times):
            break
        bound, _weights, columns, uses = configuration_lp(left[here], sizes[here], room, firm[here], cheap, rounds)
        whole = False
        by_use = np.arange(len(uses))
        descending(by_use, uses)
        for i in by_use:
            if columns[i].sum() > 0 and uses[i] >= 1.0 - 1e-7:
                patterns[used, here] = columns[i]
                times[used] = _apply(patterns[used], int(np.floor(uses[i] + 1e-7)), left)
                whole = whole or times[used] > 0
                used += 1 if times[used] > 0 else 0
                patterns[used] = 0
        if whole:
            continue
        target = int(np.ceil(bound - 1e-6))
        if cheap == 1.0 and target <= 24 and used + target <= len(times):
            done, found = search(left, sizes, room, firm, weights, target, target, nodes)
            if done == 1:
                patterns[used: used + target] = found
                times[used: used + target] = 1
                left[:] = 0
                used += target
                break
        chosen, widest = np.zeros(classes, np.int64), -1.0
        for k in range(len(uses)):
            if columns[k].sum() > 0 and uses[k] > widest + 1e-9:
                widest = uses[k]
                chosen[here] = columns[k]
        patterns[used] = _complete_pattern(chosen, left, sizes, room)
        times[used] = 1
        left -= patterns[used]
        used += 1
    rest, rest_times = first_fit(left, sizes, room, order)
    return joined(patterns[:used], times[:used], rest, rest_times)


@jit
def fill_machines(counts: Ints, sizes: Floats, room: Floats, worth: Floats, shy: Floats, firm: Bools, order: Ints,
                  nodes: int) -> tuple[Ints, Ints]:
    """Machine after machine: the first class left in `order` opens it, the rest is filled to the greatest `worth` [c].

    As many machines are filled alike as counts allow. A machine that a `firm` class opens goes by the worths `shy` [c].
    Minimum bin slack with the first item fixed, for several resources: Gupta and Ho, "A new heuristic algorithm for
    the one-dimensional bin-packing problem", Production Planning & Control 10, 1999; Fleszar and Hindi, Computers &
    Operations Research 29, 2002. Returns (patterns [k, c], times [k]).
    """
    classes, left, used = len(counts), counts.copy(), 0
    most = 8 * classes + 64
    patterns, times, here = np.zeros((most, classes), np.int64), np.zeros(most, np.int64), np.zeros(classes)
    for j in order:
        while left[j] > 0 and used < most:
            left[j] -= 1
            for i in range(classes):
                here[i] = 0.0 if left[i] == 0 else (shy[i] if firm[j] else worth[i])
            pattern = best_pattern(here, left, sizes, room - sizes[j], SLACK, nodes)[2]
            left[j] += 1
            pattern[j] += 1
            patterns[used] = pattern
            times[used] = _apply(pattern, 1 << 40, left)
            used += 1
    rest, rest_times = first_fit(left, sizes, room, order)
    return joined(patterns[:used], times[:used], rest, rest_times)


@jit
def reuse(counts: Ints, sizes: Floats, room: Floats, firm: Bools, orders: Ints, patterns: Ints,
          times: Ints) -> tuple[Ints, Ints]:
    """A packing made of another one's patterns, as often as `counts` [c] want them, and the rest by the best order.

    Demand changes little from slot to slot, so what was found for one slot serves the next.
    """
    left, kept = counts.copy(), times.copy()
    for k in range(len(times)):
        kept[k] = _apply(patterns[k], times[k], left)
    best, best_times = first_fit(left, sizes, room, orders[0])
    for k in range(1, len(orders)):
        rest, rest_times = first_fit(left, sizes, room, orders[k])
        if machines_used(rest, rest_times, firm)[::-1] < machines_used(best, best_times, firm)[::-1]:
            best, best_times = rest, rest_times
    return joined(patterns, kept, best, best_times)


@jit
def fill_gaps(patterns: Ints, times: Ints, counts: Ints, sizes: Floats, room: Floats, worth: Floats,
              most: int) -> tuple[Ints, Ints, Ints]:
    """Put replicas of `counts` [c] into the gaps of machines already packed, each gap filled to the greatest worth [c].

    Returns (patterns, times, counts still to be packed); at most `most` groups.
    """
    classes = len(counts)
    out, out_times = np.zeros((most, classes), np.int64), np.zeros(most, np.int64)
    left, used = counts.copy(), 0
    for k in range(len(times)):
        rest, space = times[k], room.copy()
        for j in range(classes):
            space -= patterns[k, j] * sizes[j]
        while rest > 0 and used < most:
            gift = best_pattern(worth, left, sizes, space, SLACK, GLANCE)[2]
            alike = rest if gift.sum() == 0 or used == most - 1 else _apply(gift, rest, left)
            if used == most - 1:
                gift[:] = 0
            out[used], out_times[used] = patterns[k] + gift, alike
            rest -= alike
            used += 1
    return out[:used].copy(), out_times[:used].copy(), left
