"""Whether machines hold a pool's replicas, by packings of our own that are added up before they are believed."""

from __future__ import annotations

import numpy as np

from placement.needs import Load, firm_without_spot
from placement.packing import Packer
from placement.problem import TOLERANCE, Bools, Ints, Problem


def proven_slots(problem: Problem, pool: int, load: Load, firm: Ints, total: Ints) -> tuple[Bools, Packer]:
    """Slots [T] in which `total` machines, `firm` of them not spot, hold the pool's load [T each]; and who packed.

    The packer says of the other slots whether it is proven that there is no such packing.
    """
    settled = firm_without_spot(load, total - firm)
    packer = Packer(settled, problem.shapes, problem.pools.room[pool])
    proven = _proven(problem, pool, settled, packer, firm, total)
    if not proven.all():
        packer.pack(2)
        proven |= _proven(problem, pool, settled, packer, firm, total)
    if not proven.all() and load.flexible.any():  # whoever made the plan may have kept the kinds apart
        other = Packer(load, problem.shapes, problem.pools.room[pool])
        other.pack(2)
        proven |= _proven(problem, pool, load, other, firm, total)
    return proven, packer


def _proven(problem: Problem, pool: int, load: Load, packer: Packer, firm: Ints, total: Ints) -> Bools:
    """[T] slots for which a packing known to the packer holds when added up here."""
    sizes, room = problem.shapes[load.shapes], problem.pools.room[pool] + TOLERANCE
    proven = np.zeros(load.firm.shape[1], np.bool_)
    for u in range(len(packer.counts)):
        slots = np.flatnonzero(packer.which == u)
        for patterns, times in packer.points(u):
            parts = patterns[:, : len(sizes)], patterns[:, len(sizes):]
            whole = all((part.T @ times == want[:, slots[0]]).all()
                        for part, want in zip(parts, (load.firm, load.flexible), strict=True))
            if whole and (patterns >= 0).all() and (sum(parts) @ sizes <= room).all():
                needs_firm = times[parts[0].any(axis=1)].sum()
                proven[slots] |= (needs_firm <= firm[slots]) & (times.sum() <= total[slots])
    return proven
