"""What units need: replicas per slot, and per pool by shape and by whether spot machines may hold them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from placement.interference import slowed_down
from placement.problem import TOLERANCE, Bools, Counts, Ints, Problem, Purchase
from placement.result import Units


@dataclass(frozen=True, slots=True)
class Load:
    """Replicas in one pool: `shapes` [c] are rows of the problem's shapes, the others are replicas [c, T].

    `firm` ones must lie on machines that are not spot. A pool without a spot offer holds only firm ones.
    """

    shapes: Ints
    firm: Counts
    flexible: Counts


def unit_needs(problem: Problem, units: Units) -> Counts:
    """Replicas that each unit needs in each slot [U, T], beside the others: `units` are all that are in their pools."""
    alone = needs_alone(problem, units)
    return alone if problem.interference is None else slowed_down(problem, units, alone)


def needs_alone(problem: Problem, units: Units) -> Counts:
    """Replicas that each unit needs in each slot [U, T] where nobody slows it down."""
    variants, slots = problem.variants, problem.slots
    needs = np.zeros((len(units.variant), slots), np.int32)
    row = variants.row[units.variant]
    steady = row >= 0
    needs[steady] = variants.rows[row[steady]]
    batch = np.flatnonzero(~steady)
    needs[batch] = _runs(problem, units.variant[batch], units.start[batch])
    return needs


def _runs(problem: Problem, variant: Ints, start: Ints) -> Counts:
    """Replicas of batch variants [n] from their starts, in each slot [n, T]."""
    level = problem.variants.level[variant].astype(np.int32)
    return level[:, None] * run_slots(problem, variant, start)


def run_slots(problem: Problem, variant: Ints, start: Ints) -> Counts:
    """How many runs of batch variants [n] from their starts are on in each slot [n, T]: 1 or 0 for legal starts."""
    v, count = problem.variants, problem.variants.runs[variant]
    unit = np.repeat(np.arange(len(variant)), count)
    turn = np.arange(len(unit)) - np.repeat(np.cumsum(count) - count, count)
    begin = start[unit] + turn * v.period[variant[unit]]
    end = begin + v.length[variant[unit]]
    change = np.zeros((len(variant), problem.slots + 1), np.int32)
    for slot, sign in ((begin, 1), (end, -1)):  # a start that is not legal may lie outside: `verify` counts it too
        np.add.at(change, (unit, np.clip(slot, 0, problem.slots)), sign)
    return np.cumsum(change[:, :-1], axis=1, dtype=np.int32)


def variants_at(problem: Problem, stream: Ints, copies: Ints, speed: Ints) -> Ints:
    """The variant [n] of each `stream` [n] for so many `copies` [n] (or one number) at each hardware `speed` [n].

    Batch work may have several at a speed, which differ in nothing but the range of their starts: the first is given.
    """
    v = problem.variants
    most_copies, most_speed = int(v.copies.max(initial=0)) + 1, int(v.speed.max(initial=0)) + 1
    keys = (v.stream * most_copies + v.copies) * most_speed + v.speed  # the table is sorted by these
    return np.asarray(np.searchsorted(keys, (stream * most_copies + copies) * most_speed + speed), np.int64)


def has_spot(problem: Problem) -> Bools:
    """[P] whether the pool has a spot offer: only there it matters which replicas are preemptible."""
    spot = np.zeros(len(problem.pools.cluster), np.bool_)
    spot[problem.offers.pool[problem.offers.purchase == Purchase.SPOT]] = True
    return spot


def pool_loads(problem: Problem, units: Units, needs: Counts | None = None) -> tuple[Load, ...]:
    """One `Load` a pool; `needs` [U, T] are the units' if already known."""
    needs = unit_needs(problem, units) if needs is None else needs
    pool = problem.candidates.pool[units.candidate]
    shape = problem.streams.shape[units.stream]
    flexible = problem.streams.preemptible[units.stream] & has_spot(problem)[pool]
    members = np.argsort(pool, kind="stable")
    ends = np.searchsorted(pool[members], np.arange(len(problem.pools.cluster) + 1))
    return tuple(_load(shape[own], flexible[own], needs[own])
                 for own in (members[a:b] for a, b in pairwise(ends)))


def _load(shape: Ints, flexible: Bools, needs: Counts) -> Load:
    shapes, place = np.unique(shape, return_inverse=True)
    total = np.zeros((2, len(shapes), needs.shape[1]), np.int32)
    np.add.at(total, (flexible.astype(np.int64), place), needs)
    return Load(shapes, total[0], total[1])


def replicas_per_machine(problem: Problem) -> Ints:
    """Replicas of a shape alone that one machine holds [P, C]."""
    sizes = problem.shapes[None]
    with np.errstate(divide="ignore", invalid="ignore"):
        holds = np.where(sizes > 0, (problem.pools.room[:, None] + TOLERANCE) / sizes, 2.0**30)
    per: Ints = np.floor(holds.min(axis=2, initial=2.0**30)).astype(np.int64)
    return per


def firm_without_spot(load: Load, spot: Ints) -> Load:
    """The same load, with all replicas firm in slots in which no machine is `spot` [T]: there it makes no difference.
    """
    firm = np.where(spot == 0, load.firm + load.flexible, load.firm)
    return Load(load.shapes, firm, np.where(spot == 0, 0, load.flexible))


def machines_by_kind(problem: Problem, machines: Counts) -> Ints:
    """Machines that run, by pool, purchase and slot [P, 4, T], from counts by offer [O, T]."""
    counts = np.zeros((len(problem.pools.cluster), 4, problem.slots), np.int64)
    np.add.at(counts, (problem.offers.pool, problem.offers.purchase), machines)
    return counts
