"""Patterns: what one machine can hold. The best pattern for given worths, and the configuration LP built on it.

Sizes: c classes of equal replicas, R resources. A pattern [c] says how many replicas of each class share a machine. All
kernels take float64 `sizes` [c, R] and `room` [R], and treat a machine as `TOLERANCE` roomier than it is, as DESIGN 3 does.
"""

from __future__ import annotations

import numpy as np

from placement.jit import jit
from placement.problem import TOLERANCE, Floats, Ints

NODES = 5_000
"""Branches after which `best_pattern` stops and answers with a bound that is valid, though not reached."""
SLACK = 1e-3
"""Relative slack of patterns that only serve a bound: finding the very best takes many times longer."""


@jit
def fitting(size: Floats, left: Floats) -> int:
    """How many replicas of `size` [R] fit into `left` [R] (which includes the tolerance); 2^30 when it takes nothing."""
    most = 1 << 30
    for r in range(len(left)):
        if size[r] > 0.0:
            most = min(most, int(np.floor(max(left[r], 0.0) / size[r])))
    return most


@jit
def _fraction(j: int, order: Ints, worth: Floats, limits: Ints, share: Floats, share_left: float) -> float:
    """Most worth that fractions of classes order[j:] add within `share_left` (Dantzig's bound on one surrogate row)."""
    worth_added = 0.0
    for k in range(j, len(order)):
        i = order[k]
        if limits[i] * share[i] >= share_left:
            return worth_added + worth[i] * share_left / share[i] if share_left > 0.0 else worth_added
        worth_added += worth[i] * limits[i]
        share_left -= limits[i] * share[i]
    return worth_added


@jit
def _surrogate(worth: Floats, limits: Ints, sizes: Floats, room: Floats) -> tuple[Ints, Floats, float]:
    """One row that stands for all resources: (classes by worth per share, share [c] each takes, share there is).

    Among single resources and mixtures of two, the one with the least fractional worth of a machine.
    """
    classes, resources = sizes.shape
    wanted = int((worth > 1e-12).sum())
    order, share, there, least = np.argsort(-worth, kind="mergesort")[:wanted], np.ones(classes), 1e18, np.inf
    for r in range(resources):
        for other in range(r + 1):
            for mix in (0.25, 0.5, 0.75):
                row = mix * sizes[:, r] / max(room[r], TOLERANCE)
                row = np.maximum(row + (1 - mix) * sizes[:, other] / max(room[other], TOLERANCE), 1e-12)
                total = mix * (1 + TOLERANCE / max(room[r], TOLERANCE))
                total += (1 - mix) * (1 + TOLERANCE / max(room[other], TOLERANCE))
                by_density = np.argsort(-worth / row, kind="mergesort")[:wanted]
                bound = _fraction(0, by_density, worth, limits, row, total)
                if bound < least:
                    order, share, there, least = by_density, row, total, bound
    return order, share, there


@jit
def _best_rates(order: Ints, worth: Floats, sizes: Floats) -> Floats:
    """Best worth per unit of each resource among order[j:], row j of [classes + 1, R]."""
    rates = np.zeros((len(order) + 1, sizes.shape[1]))
    for j in range(len(order) - 1, -1, -1):
        i = order[j]
        for r in range(sizes.shape[1]):
            rates[j, r] = max(rates[j + 1, r], worth[i] / sizes[i, r] if sizes[i, r] > 0.0 else np.inf)
    return rates


@jit
def _by_resource(rates: Floats, left: Floats) -> float:
    """Upper bound on the worth that classes with these best rates [R] can add in the room `left` [R]."""
    bound = np.inf
    for r in range(len(left)):
        if rates[r] < np.inf:
            bound = min(bound, rates[r] * max(left[r], 0.0))
    return bound


@jit
def best_pattern(worth: Floats, limits: Ints, sizes: Floats, room: Floats,
                 slack: float = 1e-9, nodes: int = NODES) -> tuple[float, float, Ints]:
    """The dearest content of one machine: a bounded knapsack in R resources, by depth-first branch and bound.

    `limits` [c] are the most replicas of each class; branches that promise less than 1 + `slack` times the best are cut.
    Returns (worth, upper bound, pattern [c]); the bound is valid whether or not `nodes` branches were enough.
    """
    order, share, share_left = _surrogate(worth, limits, sizes, room)
    rates = _best_rates(order, worth, sizes)
    taken, best = np.zeros(len(worth), np.int64), np.zeros(len(worth), np.int64)
    left, value, best_value, bound, visited, j = room + TOLERANCE, 0.0, 0.0, 0.0, 0, 0
    while True:
        while j < len(order):
            i = order[j]
            take = min(limits[i], fitting(sizes[i], left))
            taken[i] = take
            value += take * worth[i]
            left -= take * sizes[i]
            share_left -= take * share[i]
            j += 1
        if value > best_value:
            best_value = value
            best[:] = taken
        j = len(order) - 1
        while j >= 0:
            i = order[j]
            if taken[i] == 0:
                j -= 1
                continue
            taken[i] -= 1
            value -= worth[i]
            left += sizes[i]
            share_left += share[i]
            visited += 1
            enough = best_value * (1 + slack)
            promise = value + _fraction(j + 1, order, worth, limits, share, share_left)
            if promise <= enough:  # then taking still fewer of this class cannot help either
                value -= taken[i] * worth[i]
                left += taken[i] * sizes[i]
                share_left += taken[i] * share[i]
                taken[i] = 0
            elif value + _by_resource(rates[j + 1], left) > enough:
                if visited <= nodes:
                    break
                bound = max(bound, promise)
        if j < 0:
            return best_value, max(bound, best_value * (1 + slack)), best
        j += 1


@jit
def _first_basis(counts: Ints, sizes: Floats, room: Floats) -> tuple[Ints, Floats]:
    """One pattern a class, of that class alone (columns [c, c]), and the inverse of that diagonal."""
    many = len(counts)
    columns, inverse = np.zeros((many, many), np.int64), np.zeros((many, many))
    for j in range(many):
        alone = max(1, min(counts[j], fitting(sizes[j], room + TOLERANCE)))
        columns[j, j] = alone
        inverse[j, j] = 1.0 / alone
    return columns, inverse


@jit
def _pivot(inverse: Floats, use: Floats, direction: Floats) -> int:
    """Bring a column in: the row that leaves by the ratio test (lowest on ties), -1 if none; updates in place."""
    leaving, ratio = -1, np.inf
    for i in range(len(use)):
        if direction[i] > 1e-9 and use[i] / direction[i] < ratio - 1e-12:
            leaving, ratio = i, use[i] / direction[i]
    if leaving < 0:
        return -1
    inverse[leaving] /= direction[leaving]
    use[leaving] = ratio
    for i in range(len(use)):
        if i != leaving and direction[i] != 0.0:
            inverse[i] -= direction[i] * inverse[leaving]
            use[i] = max(0.0, use[i] - direction[i] * ratio)
    return leaving


@jit
def configuration_lp(counts: Ints, limits: Ints, sizes: Floats, room: Floats,
                     rounds: int) -> tuple[float, Floats, Ints, Floats]:
    """Least fractional machines for `counts` [c] (all positive), by column generation (Gilmore and Gomory 1961).

    A revised simplex on patterns of at most `limits` replicas a class. Returns (bound, weights [c], patterns [c, c], uses
    [c]): no pattern within the limits weighs more than 1, so `bound` = weights . counts (Farley 1990) is proven whether or
    not `rounds` were enough; row i of the patterns is used `uses[i]` times (a row of zeros is surplus).
    """
    many = len(counts)
    columns, inverse = _first_basis(limits, sizes, room)
    price, use = np.ones(many), inverse @ counts.astype(np.float64)
    bound, weights = 0.0, np.zeros(many)
    for _ in range(rounds):
        dual = price @ inverse
        entering, cost = np.zeros(many, np.int64), 0.0
        lowest = int(np.argmin(dual))
        if dual[lowest] < -1e-9:
            entering[lowest] = -1
        else:
            dual = np.maximum(dual, 0.0)
            value, above, entering = best_pattern(dual, limits, sizes, room, SLACK)
            proven = 0.0
            for j in range(many):
                proven += dual[j] * counts[j]
            if proven / above > bound + 1e-12:
                bound, weights = proven / above, dual / above
            if value <= 1.0 + 1e-7:
                break
            cost = 1.0
        row = _pivot(inverse, use, inverse @ entering.astype(np.float64))
        if row < 0:
            break
        columns[row] = entering
        price[row] = cost
    for i in range(many):
        if price[i] == 0.0:
            columns[i] = 0
    return bound, weights, columns, use


@jit
def _raw_weights(sizes: Floats, room: Floats) -> Floats:
    """Worths [k, c] worth trying as bounds: shares of each resource, of pairs, and dual feasible functions of shares."""
    classes, resources = sizes.shape
    share = np.zeros((resources + resources * (resources - 1) // 2, classes))
    k = 0
    for r in range(resources):
        share[k] = sizes[:, r] / max(room[r], 1e-12)
        k += 1
    for r in range(resources):
        for other in range(r):
            share[k] = (share[r] + share[other]) / 2
            k += 1
    raw = np.zeros((len(share) * 6, classes))
    raw[: len(share)] = share
    k = len(share)
    for row in share:
        for parts in range(1, 6):  # floor((p + 1) x) / p is dual feasible (Fekete and Schepers 2001)
            for j in range(classes):
                scaled = (parts + 1) * row[j]
                raw[k, j] = row[j] if abs(scaled - round(scaled)) < 1e-9 else np.floor(scaled) / parts
            k += 1
    return raw


@jit
def simple_weights(sizes: Floats, room: Floats) -> Floats:
    """Weight vectors [k, c] such that no pattern weighs more than 1: each is a bound on the machines any counts need."""
    raw = _raw_weights(sizes, room)
    limits = np.full(sizes.shape[0], 1 << 20)
    kept = 0
    for row in raw:
        if row.max() <= 0.0:
            continue
        above = best_pattern(row, limits, sizes, room, SLACK)[1]
        raw[kept] = row / above
        fresh = True
        for other in range(kept):
            fresh = fresh and (raw[other] < raw[kept] - 1e-12).any()
        kept += 1 if fresh else 0
    return raw[:kept].copy()
