"""How many machines a pool's replicas need by simple orders, counted fast: no packing is written down.

The counts are those of first fit by the orders of `placement.packing`, so a checker that packs by these finds as few.
"""

from __future__ import annotations

import numpy as np

from placement.jit import jit
from placement.needs import Load
from placement.packing import decreasing
from placement.problem import TOLERANCE, Counts, Floats, Ints, Problem


@jit
def _least(counts: Ints, sizes: Floats, room: Floats) -> int:
    """Machines that sums, and replicas larger than half a machine, prove necessary."""
    most = 0.0
    for r in range(len(room)):
        total, large = 0.0, 0
        for j in range(len(counts)):
            total += counts[j] * sizes[j, r]
            if sizes[j, r] > (room[r] + TOLERANCE) / 2:
                large += counts[j]
        most = max(most, float(large))
        if room[r] > 0:
            most = max(most, total / (room[r] + TOLERANCE))
    return int(np.ceil(most - 1e-6))


@jit
def _first_fit(  # noqa: C901 -- the inner loop of all counting: calls would cost more than it does
        counts: Ints, firm: int, sizes: Floats, room: Floats, order: Ints, left: Floats, times: Ints,
        holds_firm: Ints) -> tuple[int, int]:
    """(machines with one of the first `firm` classes, machines) by first fit, class after class in `order`.

    Equal machines are handled together: group g is `times[g]` machines with `left[g]` [R] room; working memory.
    """
    groups = 0
    for j in order:
        rest, g = counts[j], 0
        while rest > 0:
            if g == groups:
                for r in range(len(room)):
                    left[g, r] = room[r] + TOLERANCE
                times[g], holds_firm[g] = 1 << 40, 0
                groups += 1
            fit = rest
            for r in range(len(room)):
                if sizes[j, r] > 0 and left[g, r] < fit * sizes[j, r]:
                    fit = int(left[g, r] / sizes[j, r])
            if fit == 0:
                g += 1
                continue
            same = min(times[g], rest // fit)
            if same < times[g]:
                for h in range(groups, g, -1):
                    times[h], holds_firm[h] = times[h - 1], holds_firm[h - 1]
                    for r in range(len(room)):
                        left[h, r] = left[h - 1, r]
                groups += 1
                times[g], times[g + 1] = same, times[g + 1] - same
            for r in range(len(room)):
                left[g, r] -= fit * sizes[j, r]
            if j < firm:
                holds_firm[g] = 1
            rest -= same * fit
            g += 1
        if groups > 0 and times[groups - 1] > 1 << 39:
            groups -= 1
    every = firm_machines = 0
    for g in range(groups):
        every += times[g]
        firm_machines += times[g] * holds_firm[g]
    return int(firm_machines), int(every)


@jit
def _count(firm: Counts, flexible: Counts, sizes: Floats, room: Floats, orders: Ints, firm_machines: Ints,
           machines: Ints) -> None:
    """Fewest machines by any of `orders` [k, 2c] for replicas `firm`, `flexible` [c, T]; into both last [T]."""
    classes, slots = firm.shape
    counts, firm_counts = np.zeros(2 * classes, np.int64), np.zeros(2 * classes, np.int64)
    most = 4 * classes + 4
    left, times, holds_firm = np.empty((most, len(room))), np.empty(most, np.int64), np.empty(most, np.int64)
    favourite = 0
    for t in range(slots):
        same = t > 0
        for j in range(classes):
            same = same and firm[j, t] == counts[j] and flexible[j, t] == counts[classes + j]
            counts[j], counts[classes + j] = firm[j, t], flexible[j, t]
            firm_counts[j] = firm[j, t]
        if same:
            firm_machines[t], machines[t] = firm_machines[t - 1], machines[t - 1]
            continue
        low, low_firm = _least(counts, sizes, room), _least(firm_counts, sizes, room)
        firm_machines[t], machines[t] = 1 << 40, 1 << 40
        first = favourite
        for turn in range(len(orders)):
            k = (first + turn) % len(orders)
            found_firm, found = _first_fit(counts, classes, sizes, room, orders[k], left, times, holds_firm)
            if found < machines[t] or (found == machines[t] and found_firm < firm_machines[t]):
                firm_machines[t], machines[t] = found_firm, found
                favourite = k
            if machines[t] == low and firm_machines[t] == low_firm:
                break


def count_machines(problem: Problem, pool: int, load: Load) -> tuple[Ints, Ints]:
    """Machines that hold a pool's load in every slot: (those that must not be spot, all), [T] each.

    Raises ValueError when a replica that is wanted fits no machine there.
    """
    room = np.array(problem.pools.room[pool], np.float64)
    sizes = np.ascontiguousarray(problem.shapes[load.shapes], np.float64)
    misfit = (sizes > room + TOLERANCE).any(axis=1) & (load.firm.any(axis=1) | load.flexible.any(axis=1))
    if misfit.any():
        raise ValueError(f"a replica of shape {int(load.shapes[misfit][0])} does not fit a machine of pool {pool}")
    slots, classes = problem.slots, len(load.shapes)
    firm_machines, machines = np.zeros(slots, np.int64), np.zeros(slots, np.int64)
    both = np.concatenate((sizes, sizes))
    orders = decreasing(both, room, np.arange(2 * classes) < classes)
    if not load.flexible.any():
        orders = orders[orders < classes].reshape(len(orders), classes)
    _count(load.firm, load.flexible, both, room, np.unique(orders, axis=0) if len(orders) else orders, firm_machines,
           machines)
    return firm_machines, machines
