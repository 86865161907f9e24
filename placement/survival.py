"""What a loss does to a plan: which units need a fallback, what they need there, and what machines are left.

Definitions only, as arrays; the search for fallbacks is `placement.fallback`, the check `placement.checks.survival`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from placement.needs import unit_needs
from placement.problem import Counts, Ints, Problem, Purchase, Survival
from placement.result import Fallbacks, Units

NO_FALLBACKS = Fallbacks(*(np.zeros(0, np.int64) for _ in range(3)))


def asked_of(problem: Problem) -> Survival:
    """What the problem asks to survive. Raises ValueError where it asks for nothing."""
    if problem.survival is None:
        raise ValueError("the problem asks to survive nothing: give it a survival")
    return problem.survival


def unit_clusters(problem: Problem, units: Units) -> Ints:
    """Cluster of every unit [U]."""
    return problem.pools.cluster[problem.candidates.pool[units.candidate]]


def lost_units(problem: Problem, units: Units) -> tuple[Ints, Ints]:
    """(loss, unit) of every fallback that is needed, sorted: all lost units of streams that lose two copies, or all."""
    survival, cluster = asked_of(problem), unit_clusters(problem, units)
    copies = problem.variants.copies[units.variant]
    hit = survival.lost[:, cluster] & (survival.kind[:, None] == survival.asked[units.stream])
    loss, unit = np.nonzero(hit)
    streams = len(problem.streams.shape)
    many = np.bincount(loss * streams + units.stream[unit], minlength=len(survival.kind) * streams)
    alone = many[loss * streams + units.stream[unit]] == 1
    needed = ~(alone & (copies[unit] > 1))
    return loss[needed], unit[needed]


def variants_at(problem: Problem, variant: Ints, candidate: Ints, start: Ints) -> Ints:
    """Variants of as many copies of the same stream at the candidates' speeds that may start then [n]; -1: none."""
    v, c = problem.variants, problem.candidates
    copies, speeds = int(v.copies.max(initial=0)) + 1, int(max(v.speed.max(initial=0), c.speed.max(initial=0))) + 1
    key = (v.stream * copies + v.copies) * speeds + v.speed
    wanted = (v.stream[variant] * copies + v.copies[variant]) * speeds + c.speed[candidate]
    row, end = np.searchsorted(key, wanted), np.searchsorted(key, wanted, side="right")
    same = np.full(len(wanted), -1)
    while (left := row < end).any():  # a batch may have a variant for each window of starts
        here = row[left]
        fits = (v.row[here] >= 0) | ((v.earliest[here] <= start[left]) & (start[left] <= v.latest[here]))
        same[np.flatnonzero(left)[fits]] = here[fits]
        row = row + 1
    return same


@dataclass(frozen=True, slots=True)
class Aftermath:
    """A plan after a loss: `units` as before, those with a fallback there; `needs` [U, T] (0: gone), `pools` that take
    fallbacks.
    """

    units: Units
    needs: Counts
    pools: Ints


def after_loss(problem: Problem, units: Units, needs: Counts, fallbacks: Fallbacks, loss: int) -> Aftermath:
    """What runs where after a loss; `needs` [U, T] are the units' before. Each unit has one fallback at most."""
    mine = fallbacks.loss == loss
    unit, candidate = fallbacks.unit[mine], fallbacks.candidate[mine]
    to, variant = units.candidate.copy(), units.variant.copy()
    to[unit], variant[unit] = candidate, variants_at(problem, units.variant[unit], candidate,
                                                               units.start[unit])
    moved = replace(units, candidate=to, variant=variant)
    left = needs.copy()
    left[asked_of(problem).lost[loss, unit_clusters(problem, units)]] = 0
    some = Units(*(column[unit] for column in (moved.stream, moved.copy, moved.candidate, moved.variant, moved.start)))
    left[unit] = unit_needs(problem, some)
    return Aftermath(moved, left, np.unique(problem.candidates.pool[candidate]))


def room_after(problem: Problem, machines: Counts) -> Ints:
    """Machines that a pool has after any loss of others, by purchase [P, 4, T], when `machines` [O, T] run before.

    Held ones count where their limits let them run; the pool's maximum is not yet applied.
    """
    offers = problem.offers
    paid = np.maximum(offers.owned.T, machines.max(axis=1, initial=0)).T.reshape(len(offers.pool), -1)
    held = np.minimum(paid, offers.max_machines)
    kind = offers.purchase[:, None]
    there = np.where(kind <= Purchase.COMMITTED, held,
                     np.where(kind == Purchase.SPOT, machines, asked_of(problem).assured))
    room = np.zeros((len(problem.pools.cluster), 4, problem.slots), np.int64)
    np.add.at(room, (offers.pool, offers.purchase), there)
    return room
