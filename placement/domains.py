"""Failure domains that nest: which there are, and the chance that at most one copy is down.

Of k copies at most one is down when for some copy all the others are up. Where several copies are that one, all are
up, so the chance is  sum over i of P(all but i are up) - (k - 1) x P(all are up). A set of copies is up when the parts
on its paths are, each counted once however many copies it carries: that is exact for any nesting.
"""

from __future__ import annotations

import numpy as np

from placement.jit import jit
from placement.problem import Domains, Floats, Ints, Problem

SLO_TOLERANCE = 1e-12
"""Slack of an availability, for rounding in products of chances."""


def failure_domains(problem: Problem) -> Domains:
    """The problem's failure domains: those stated, else its clusters."""
    if problem.domains is not None:
        return problem.domains
    up = problem.clusters.availability
    return Domains(problem.pools.cluster, np.arange(len(up))[:, None], up)


def share_parts(domains: Domains) -> bool:
    """Whether any two domains have a part in common, so that their copies may go down together."""
    parts = np.sort(domains.path, axis=None)
    return bool((np.diff(parts[parts >= 0]) == 0).any())


def lone_copy(domains: Domains) -> Floats:
    """Chance [D] that a copy in each domain is up: the product along its path."""
    up = np.append(domains.up, 1.0)  # what is not on the path, -1, is always up
    chance: Floats = up[domains.path].prod(axis=1)
    return chance


def cluster_of(problem: Problem) -> Ints:
    """Cluster of every failure domain [D]."""
    domains = failure_domains(problem)
    cluster = np.zeros(len(domains.path), np.int64)
    cluster[domains.pool] = problem.pools.cluster
    return cluster


@jit
def all_up(path: Ints, up: Floats, chosen: Ints, but: int) -> float:
    """Chance that all copies in the domains `chosen` [k] are up, leaving out number `but` (-1: none) and entries of -1.
    """
    chance = 1.0
    for i in range(len(chosen)):
        if i == but or chosen[i] < 0:
            continue
        for level in range(path.shape[1]):
            part = path[chosen[i], level]
            new = part >= 0
            for j in range(i):
                if j != but and chosen[j] >= 0 and path[chosen[j], level] == part:
                    new = False
            if new:
                chance *= up[part]
    return chance


@jit
def _own_and_shared(path: Ints, up: Floats, chosen: Ints, own: Floats) -> tuple[float, bool]:
    """Chance that all parts are up that carry several copies in the domains `chosen` [k], and whether there are any.

    `own` [k] receives for every copy the chance that the parts are up which carry it alone; 1 for an entry of -1.
    """
    shared, any_shared = 1.0, False
    for i in range(len(chosen)):
        own[i] = 1.0
        for level in range(path.shape[1] if chosen[i] >= 0 else 0):
            part, before, after = path[chosen[i], level], False, False
            for j in range(len(chosen) if part >= 0 else 0):
                if j != i and chosen[j] >= 0 and path[chosen[j], level] == part:
                    before, after = before or j < i, after or j > i
            if part < 0 or before:
                continue  # no part at all, or counted with the first copy it carries
            if after:
                shared, any_shared = shared * up[part], True
            else:
                own[i] *= up[part]
    return shared, any_shared


@jit
def at_most_one_down(path: Ints, up: Floats, chosen: Ints) -> float:
    """Chance that at most one copy in the domains `chosen` [k] is down; entries of -1 are no copies."""
    own = np.empty(len(chosen))
    shared, _ = _own_and_shared(path, up, chosen, own)
    every, but_one, copies = 1.0, 0.0, 0
    for i in range(len(chosen)):
        if chosen[i] >= 0:
            every, but_one = every * own[i], but_one * own[i] + every  # each copy in turn is the one that may be down
            copies += 1
    return shared * (but_one - (copies - 1) * every)


@jit
def together(path: Ints, up: Floats, chosen: Ints) -> Floats:
    """`at_most_one_down` of every row of `chosen` [n, k]."""
    chance = np.empty(len(chosen))
    for i in range(len(chosen)):
        chance[i] = at_most_one_down(path, up, chosen[i])
    return chance


@jit
def survives(path: Ints, up: Floats, chosen: Ints, target: float) -> bool:
    """Whether at most one of the copies in the domains `chosen` [k] is down with probability `target` or more."""
    return bool(target <= 0 or at_most_one_down(path, up, chosen) >= target - SLO_TOLERANCE)


@jit
def choose_domains(usd: Floats, path: Ints, up: Floats, k: int, target: float, chosen: Ints) -> float:
    """The k cheapest domains [D] that survive together, into `chosen` [k]; their USD, infinite where there are none.

    When the cheapest do not meet the availability `target`, the next cheapest takes the place of the one with which the
    copies survive best, if that is better than as they are; at last the cheapest are tried that share no part.
    """
    taken = np.zeros(len(usd), np.bool_)
    total = 0.0
    for i in range(len(usd)):
        at = -1
        for d in range(len(usd)):
            if not taken[d] and usd[d] < np.inf and (at < 0 or usd[d] < usd[at]):
                at = d
        if at < 0:
            break
        taken[at] = True
        if i < k:
            chosen[i] = at
            total += usd[at]
        else:
            total += _swap_in(usd, path, up, at, chosen[:k])
        if i >= k - 1 and (k == 1 or survives(path, up, chosen[:k], target)):
            return total
    total = _spread(usd, path, k, chosen)
    return total if total < np.inf and k > 1 and survives(path, up, chosen[:k], target) else np.inf


@jit
def _spread(usd: Floats, path: Ints, k: int, chosen: Ints) -> float:
    """The k cheapest domains that share no part, one after another, into `chosen` [k]; their USD, infinite for none."""
    total = 0.0
    for i in range(k):
        at = -1
        for d in range(len(usd)):
            apart = usd[d] < np.inf and (at < 0 or usd[d] < usd[at])
            for c in range(i):
                if chosen[c] == d:
                    apart = False
                for level in range(path.shape[1]):
                    if path[d, level] >= 0 and path[d, level] == path[chosen[c], level]:
                        apart = False
            if apart:
                at = d
        if at < 0:
            return np.inf
        chosen[i] = at
        total += usd[at]
    return total


@jit
def _swap_in(usd: Floats, path: Ints, up: Floats, domain: int, chosen: Ints) -> float:
    """Let a domain take the place of the chosen one [k] with which that helps survival most; what that costs more.

    Where no part carries two of them, that is the least available one.
    """
    every, own = np.append(chosen, domain), np.empty(len(chosen) + 1)
    _, shared = _own_and_shared(path, up, every, own)
    best, place = at_most_one_down(path, up, chosen), -1
    least = int(np.argmin(own[:-1]))
    for c in range(len(chosen)) if shared else range(least, least + 1):
        kept = chosen[c]
        chosen[c] = domain
        chance = at_most_one_down(path, up, chosen)
        chosen[c] = kept
        if chance > best:
            best, place = chance, c
    if place < 0:
        return 0.0
    more = usd[domain] - usd[chosen[place]]
    chosen[place] = domain
    return float(more)
