"""Interference: what replicas need beside others that slow them down.

A pair says what is left of a workload's throughput when a replica of another is on the same machine. Which replicas
meet on a machine is decided by a cluster's own scheduler, so the plan counts on the worst: in every pool and slot in
which both have replicas, and a replica of each fits one machine there, all of the slowed workload's replicas are as
slow as beside its worst partner. A unit that needs n replicas alone then needs

    ceil(n / factor)

in that slot. Who is there does not depend on how many replicas run, so needs are settled at once; and they are never
less than without, so what holds for a problem without interference bounds the one with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from placement.problem import Bools, Counts, Floats, Ints, Problem
from placement.result import Units

LEFT_OUT = "workloads slow each other down (interference), which it does not count"


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """Row `pair` of the interference where both workloads are in `pool`, in the slots `when` [T]; the slowed one's
    `units`.
    """

    pair: int
    pool: int
    units: Ints
    when: Bools


def meetings(problem: Problem, units: Units, needs: Counts) -> Iterator[Meeting]:
    """Where pairs meet; `needs` [U, T] are the replicas that the units need alone. A workload that needs none is away.
    """
    table = problem.interference
    if table is None:
        return
    pool, workload = problem.candidates.pool[units.candidate], problem.streams.workload[units.stream]
    there: dict[tuple[int, int], list[int]] = {}
    for u in np.flatnonzero(np.isin(workload, np.concatenate([table.slowed, table.by]))).tolist():
        there.setdefault((int(workload[u]), int(pool[u])), []).append(u)
    busy = {key: needs[rows].any(axis=0) for key, rows in there.items()}
    where: dict[int, list[int]] = {}
    for w, p in there:
        where.setdefault(w, []).append(p)
    for i, (slowed, by) in enumerate(zip(table.slowed.tolist(), table.by.tolist(), strict=True)):
        for p in where.get(slowed, ()):
            if table.pools[i, p] and (by, p) in busy:
                when: Bools = np.logical_and(busy[slowed, p], busy[by, p])
                if when.any():
                    yield Meeting(i, p, np.array(there[slowed, p]), when)


def slowed_down(problem: Problem, units: Units, needs: Counts) -> Counts:
    """Replicas that the units need [U, T] where they are, of those that they need alone."""
    table = problem.interference
    if table is None:
        return needs
    factor: Floats = np.ones(needs.shape)
    for met in meetings(problem, units, needs):
        rows = np.ix_(met.units, np.flatnonzero(met.when))
        factor[rows] = np.minimum(factor[rows], table.factor[met.pair])
    return np.where(factor < 1, np.ceil(needs / factor - 1e-9), needs).astype(np.int32)
