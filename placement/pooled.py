"""Sizing on joint demand: what a pool's units need on every sample path, and the machines that hold enough of them.

In every slot each path is packed by itself; the machines are the order statistic over paths, so that they hold the
share that is asked for. Only one pool's paths are written out at a time: N paths, T slots, c classes of replicas.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from placement.jit import jit
from placement.needs import Load, has_spot, run_slots, unit_needs
from placement.packing import Effort, Packer, Pairs
from placement.problem import Bools, Counts, Floats, Ints, Paths, Problem
from placement.result import Units

SMALL = 400
"""Paths x slots up to which all are packed as hard as can be; beyond, simple orders do, which anybody can repeat."""
FEW = 8
"""Pairs of machines (not spot, all) among which a slot may choose."""


def joint(problem: Problem) -> Paths:
    """The problem's sample paths. Raises ValueError where it is not sized on joint demand."""
    if problem.paths is None:
        raise ValueError("the problem has no sample paths: each unit needs what its variant says")
    return problem.paths


@jit
def _add(load: Counts, portion: float, parts: float, throughput: float, total: Counts) -> None:
    """Add to `total` [N, T] what a copy with that part of the `load` [N, T] needs."""
    for i in range(load.shape[0]):
        for t in range(load.shape[1]):
            total[i, t] += int(np.ceil(load[i, t] * portion / parts / throughput - 1e-9))


def levels(problem: Problem, variant: int) -> Ints:
    """Replicas [N] of a batch variant's gang on every path; its stream has a load."""
    paths, v = joint(problem), problem.variants
    stream = v.stream[variant]
    most = paths.loads[paths.load[stream]].max(axis=1).astype(np.float64)
    found: Ints = np.ceil(most * paths.portion[stream] / max(1, v.copies[variant] - 1) - 1e-9).astype(np.int64)
    return found


def add_needs(problem: Problem, variant: int, start: int, total: Counts) -> None:
    """Add to `total` [N, T] what one copy of a stream with a load needs on every path."""
    paths, v = joint(problem), problem.variants
    stream = v.stream[variant]
    if v.row[variant] >= 0:
        _add(paths.loads[paths.load[stream]], float(paths.portion[stream]), float(max(1, v.copies[variant] - 1)),
             float(paths.throughput[variant]), total)
    else:
        busy = run_slots(problem, np.array([variant]), np.array([start]))[0]
        total += (levels(problem, variant)[:, None] * busy).astype(np.int32)


def path_load(problem: Problem, pool: int, units: Units) -> Load:
    """What `units`, all in `pool`, need: a `Load` with a column for every path and slot, path by path."""
    paths, streams = joint(problem), problem.streams
    count = paths.loads.shape[1]
    flexible = streams.preemptible[units.stream] & has_spot(problem)[pool]
    shapes, place = np.unique(streams.shape[units.stream], return_inverse=True)
    total = np.zeros((2, len(shapes), count, problem.slots), np.int32)
    fixed = paths.load[units.stream] < 0
    steady = np.zeros((2, len(shapes), problem.slots), np.int32)
    np.add.at(steady, (flexible[fixed].astype(np.int64), place[fixed]), unit_needs(problem, some(units, fixed)))
    total += steady[:, :, None]
    for u in np.flatnonzero(~fixed).tolist():
        add_needs(problem, int(units.variant[u]), int(units.start[u]), total[int(flexible[u]), place[u]])
    firm, loose = total.reshape(2, len(shapes), count * problem.slots)
    return Load(shapes, firm, loose)


def some(units: Units, rows: Bools | Ints) -> Units:
    """Those rows of the units."""
    return Units(*(column[rows] for column in (units.stream, units.copy, units.candidate, units.variant, units.start)))


def by_pool(problem: Problem, units: Units) -> list[Units]:
    """The units in every pool, in the order of their streams."""
    pool = problem.candidates.pool[units.candidate]
    members = np.argsort(pool, kind="stable")
    ends = np.searchsorted(pool[members], np.arange(len(problem.pools.cluster) + 1))
    return [some(units, members[a:b]) for a, b in pairwise(ends)]


def pooled_need(problem: Problem, pool: int, units: Units, effort: Effort) -> Pairs:
    """Machines that `units`, all in `pool`, need in every slot to hold enough paths.

    `effort` as in `placement.packing.needed` where paths and slots are few, else 0. Raises ValueError when a replica
    fits no machine.
    """
    paths, (packer, firm, total) = joint(problem), machines_by_path(problem, pool, units, effort)
    low_firm, low = (order_statistic(bound[packer.which].reshape(total.shape[1:]), paths.needed)
                     for bound in (packer.low_firm, packer.low))
    return Pairs(*quota_pairs(firm, total, paths.needed), low_firm, low)


def machines_by_path(
    problem: Problem, pool: int, units: Units, effort: Effort = Effort.SEARCH
) -> tuple[Packer, Ints, Ints]:
    """Who packed, and the pairs (machines not spot, machines) [K, N, T] of which each path needs any in `pool`."""
    count = joint(problem).loads.shape[1]
    packer = Packer(path_load(problem, pool, units), problem.shapes, problem.pools.room[pool])
    if len(packer.which) <= SMALL:
        packer.pack(effort)
    firm, machines = (pairs[:, packer.which].reshape(len(pairs), count, -1) for pairs in packer.pairs())
    return packer, firm, machines


def order_statistic(values: Ints, needed: int) -> Ints:
    """The `needed`-th smallest of `values` [N, T] in every slot [T]."""
    found: Ints = np.partition(values, needed - 1, axis=0)[needed - 1]
    return found


def quota_pairs(firm: Ints, total: Ints, needed: int) -> tuple[Ints, Ints]:
    """Pairs (machines not spot, machines) [J, T] that hold `needed` paths, from each path's own pairs [K, N, T].

    A path is held where one of its pairs is within both. No pair given is within another; slots with fewer than the
    most pairs repeat their first, that with the fewest machines in all. At most `FEW`.
    """
    if len(total) == 1 and (firm == total).all():
        least = order_statistic(total[0], needed)[None]
        return least, least
    slots = [_slot_pairs(firm[:, :, t], total[:, :, t], needed) for t in range(total.shape[2])]
    most = max(map(len, slots))
    table = np.array([pairs + pairs[:1] * (most - len(pairs)) for pairs in slots], np.int64).transpose(2, 1, 0)
    return table[0], table[1]


def _slot_pairs(firm: Ints, total: Ints, needed: int) -> list[tuple[int, int]]:
    """The pairs of one slot, fewest machines in all first; `firm` and `total` are [K, N]."""
    never, found = np.iinfo(np.int64).max, list[tuple[int, int]]()
    for most in np.unique(firm).tolist():
        held = np.where(firm <= most, total, never).min(axis=0)
        machines = int(np.partition(held, needed - 1)[needed - 1])
        if machines < never and (not found or machines < found[-1][1]):
            found.append((most, machines))
    found.reverse()
    return found if len(found) <= FEW else [found[i] for i in np.linspace(0, len(found) - 1, FEW).astype(int)]


def weights_of(shapes: Floats, room: Floats) -> Floats:
    """The largest share of a machine [C] that a replica of each shape takes; 0 where it fits none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(shapes > 0, shapes / np.maximum(room, 1e-12), 0.0).max(axis=1, initial=0.0)
    return np.where(share <= 1.0 + 1e-9, share, 0.0)
