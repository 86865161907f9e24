"""Patterns: what one machine can hold. The best pattern for given worths, and the configuration LP built on it.

Sizes: c classes of equal replicas, R resources. A pattern [c] says how many replicas of each class share a machine. All
kernels take float64 `sizes` [c, R] and `room` [R], and treat a machine as `TOLERANCE` roomier than it is, as DESIGN 3
does.
"""

from __future__ import annotations

import numpy as np

from placement.jit import jit
from placement.problem import TOLERANCE, Bools, Floats, Ints

NODES = 5_000
"""Branches after which `best_pattern` stops and answers with a bound that is valid, though not reached."""
GLANCE = 200
"""Branches that usually find a pattern good enough to go on with."""
SLACK = 1e-3
"""Relative slack of patterns that only serve a bound: finding the very best takes many times longer."""


@jit
def fitting(size: Floats, left: Floats) -> int:
    """How many replicas of `size` [R] fit into `left` [R] (which includes the tolerance); 2^30 when it takes
    nothing.
    """
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
def descending(order: Ints, keys: Floats) -> None:
    """Sort `order` in place by falling keys[order], ties as they were (insertion: it is nearly sorted when reused)."""
    for a in range(1, len(order)):
        i, b = int(order[a]), a
        while b > 0 and keys[order[b - 1]] < keys[i]:
            order[b] = order[b - 1]
            b -= 1
        order[b] = i


@jit
def _surrogate(worth: Floats, limits: Ints, sizes: Floats, room: Floats) -> tuple[Ints, Floats, float]:
    """One row that stands for all resources: (classes by worth per share, share [c] each takes, share there is).

    Among single resources and mixtures of two, the one with the least fractional worth of a machine.
    """
    classes, resources = sizes.shape
    order, wanted = np.zeros(classes, np.int64), 0
    for j in range(classes):
        if worth[j] > 1e-12:
            order[wanted] = j
            wanted += 1
    order = order[:wanted]
    best_order, best_share, there, least = order.copy(), np.ones(classes), 1e18, np.inf
    share, density = np.zeros(classes), np.zeros(classes)
    for r in range(resources):
        for other in range(r + 1):
            for quarter in range(1, 4 if other < r else 2):
                mix = quarter / 4
                here, there_too = mix / max(room[r], TOLERANCE), (1 - mix) / max(room[other], TOLERANCE)
                for i in order:
                    share[i] = max(here * sizes[i, r] + there_too * sizes[i, other], 1e-12)
                    density[i] = worth[i] / share[i]
                total = 1.0 + TOLERANCE * (here + there_too)
                descending(order, density)
                bound = _fraction(0, order, worth, limits, share, total)
                if bound < least:
                    best_order[:], best_share[:] = order, share
                    there, least = total, bound
    return best_order, best_share, there


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
                 slack: float, nodes: int) -> tuple[float, float, Ints]:
    """The dearest content of one machine: a bounded knapsack in R resources, by depth-first branch and bound.

    `limits` [c] are the most replicas of each class; branches that promise less than 1 + `slack` times the best are
    cut. Returns (worth, upper bound, pattern [c]); the bound is valid whether or not `nodes` branches were enough.
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
def _price(dual: Floats, limits: Ints, sizes: Floats, room: Floats, firm: Bools,
           cheap: float) -> tuple[float, Ints, float]:
    """(how far the duals must shrink to be legal, the pattern that breaks them most, its cost).

    The first is negative when no pattern breaks them. A quick look comes first: most rounds need no more.
    """
    worth, over, gain, cost, entering = dual.copy(), 0.0, 0.0, 1.0, np.zeros(len(dual), np.int64)
    for kind in range(1 if cheap >= 1.0 else 2):
        price = 1.0 if kind == 0 else cheap
        if kind == 1:
            for j in range(len(dual)):
                worth[j] = 0.0 if firm[j] else dual[j]
        value, above, pattern = 0.0, np.inf, entering
        for nodes in (GLANCE, NODES):
            if value <= price + 1e-7 and above > price * (1 + 2 * SLACK):
                value, above, pattern = best_pattern(worth, limits, sizes, room, SLACK, nodes)
        over = max(over, above / price)
        if value / price > gain:
            gain, entering, cost = value / price, pattern, price
    return (over if gain > 1.0 + 1e-7 else -over), entering, cost


@jit
def configuration_lp(counts: Ints, sizes: Floats, room: Floats, firm: Bools, cheap: float,
                     rounds: int) -> tuple[float, Floats, Ints, Floats]:
    """Least fractional machines for `counts` [c] (all positive), by column generation (Gilmore and Gomory 1961).

    A machine costs 1, or `cheap` when it holds no `firm` class. A revised simplex on patterns within the counts.
    Returns (bound, weights [c], patterns [c, c], uses [c]): no such pattern weighs more than it costs, so `bound` =
    weights . counts (Farley 1990) is proven whether or not `rounds` were enough; row i of the patterns is used
    `uses[i]` times (a row of zeros is surplus).
    """
    many = len(counts)
    columns, inverse = _first_basis(counts, sizes, room)
    price, use = np.full(many, cheap), inverse @ counts.astype(np.float64)
    for j in range(many):
        price[j] = 1.0 if firm[j] else cheap
    bound, weights = 0.0, np.zeros(many)
    for _ in range(rounds):
        dual = price @ inverse
        entering, cost = np.zeros(many, np.int64), 0.0
        lowest = 0
        for j in range(many):
            lowest = j if dual[j] < dual[lowest] else lowest
        if dual[lowest] < -1e-9:
            entering[lowest] = -1
        else:
            for j in range(many):
                dual[j] = max(dual[j], 0.0)
            over, entering, cost = _price(dual, counts, sizes, room, firm, cheap)
            proven = 0.0
            for j in range(many):
                proven += dual[j] * counts[j]
            if proven / abs(over) > bound + 1e-12:
                bound, weights = proven / abs(over), dual / abs(over)
            if over < 0.0:
                break
        row = _pivot(inverse, use, inverse @ entering.astype(np.float64))
        if row < 0:
            break
        columns[row] = entering
        price[row] = cost
    for i in range(many):
        if price[i] == 0.0:
            columns[i] = 0
    return bound, weights, columns, use


def simple_weights(sizes: Floats, room: Floats) -> Floats:
    """Weight vectors [k, c] such that no pattern weighs more than 1: each is a bound on the machines any counts need.

    Shares of each resource, means of two, and floor((p + 1) share) / p of both (dual feasible functions: Fekete and
    Schepers 2001), each divided by what the heaviest pattern weighs.
    """
    share = sizes.T / np.maximum(room, 1e-12)[:, None]
    pairs = [(share[r] + share[other]) / 2 for r in range(len(share)) for other in range(r)]
    rows = [row for row in (*share, *pairs) if row.max(initial=0.0) > 0.0]
    raw = [*rows, *(np.floor((parts + 1) * row + 1e-9) / parts for row in rows for parts in range(1, 6))]
    limits, kept = np.full(len(sizes), 1 << 20), np.zeros((0, len(sizes)))
    for row in raw:
        row = np.ascontiguousarray(row)
        weights = row / max(best_pattern(row, limits, sizes, room, SLACK, NODES)[1], 1e-12)
        if (weights > kept + 1e-12).any(axis=1).all():
            kept = np.vstack((kept, weights))
    return kept
