"""Whether machines hold a pool's replicas, by packings of our own that are added up before they are believed.

Cheap means come first: simple orders in every slot, then the packings that came with the plan, and a search only where
both fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from placement.jit import jit
from placement.needs import Load, firm_without_spot
from placement.packing import Effort, Packer
from placement.problem import TOLERANCE, Bools, Counts, Floats, Ints, Problem


@dataclass(frozen=True, slots=True)
class Open:
    """A slot in which no packing was found: at least `low` machines are needed, `low_firm` of them not spot.

    `impossible`: that is more than there are.
    """

    slot: int
    low_firm: int
    low: int
    impossible: bool


def unpacked(problem: Problem, pool: int, load: Load, firm: Ints, total: Ints,
             shown: Callable[[int], bool]) -> list[Open]:
    """Slots in which `total` machines [T], `firm` of them not spot, are not known to hold the pool's load.

    `shown` tells whether a packing that came with the plan holds in a slot.
    """
    settled = firm_without_spot(load, total - firm)
    left = np.flatnonzero(~_simply(problem, pool, settled, firm, total))
    left = np.array([t for t in left.tolist() if not shown(t)], np.int64)
    if not len(left):
        return []
    packer, proven = _harder(problem, pool, settled, firm, total, left)
    if not proven[left].all() and load.flexible[:, left].any():  # whoever made the plan may have kept the kinds apart
        proven |= _harder(problem, pool, load, firm, total, left[~proven[left]])[1]
    return [Open(t, int(packer.low_firm[packer.which[t]]), int(packer.low[packer.which[t]]),
                 packer.impossible(t, int(firm[t]), int(total[t]))) for t in left[~proven[left]].tolist()]


def _harder(problem: Problem, pool: int, load: Load, firm: Ints, total: Ints, slots: Ints) -> tuple[Packer, Bools]:
    """Who packed, and in which slots [T] a packing was found, of these `slots` [k]: no harder than each slot asks for.

    Where all efforts fail all slots are packed in turn, for patterns found in one serve the next.
    """
    room, proven = problem.pools.room[pool], np.zeros(load.firm.shape[1], np.bool_)
    packer = Packer(load, problem.shapes, room)
    for effort in Effort:
        only = np.zeros(len(packer.counts), np.bool_)
        only[packer.which[slots[~proven[slots]]]] = True
        packer.pack(effort, only)
        proven |= _proven(problem, pool, load, packer, firm, total, only)
    if not proven[slots].all():
        in_turn = Packer(load, problem.shapes, room)
        in_turn.pack(Effort.PATTERNS)
        proven |= _proven(problem, pool, load, in_turn, firm, total, only)
    return packer, proven


def _simply(problem: Problem, pool: int, load: Load, firm: Ints, total: Ints) -> Bools:
    """[T] slots that some order of the shapes packs, the largest share of a machine first, or of all resources."""
    sizes, limit = problem.shapes[load.shapes], problem.pools.room[pool] + TOLERANCE
    share = sizes / limit
    keys = [share.max(axis=1, initial=0.0), share.sum(axis=1), *share.T[:2]]
    orders = np.array([np.argsort(-key, kind="stable") for key in keys], np.int64).reshape(len(keys), len(sizes))
    packed = np.zeros(load.firm.shape[1], np.bool_)
    _fill(load.firm, load.flexible, np.ascontiguousarray(sizes), limit, orders, np.maximum(firm, 0),
          np.maximum(total, 0), packed)
    packed &= (firm >= 0) & (total >= 0)  # nothing is held by less than no machine
    return packed


@jit
def _fill(firm_load: Counts, flexible_load: Counts, sizes: Floats, limit: Floats, orders: Ints, firm: Ints,
          total: Ints, packed: Bools) -> None:
    """First fit of every slot by every order, firm replicas first; flexible ones fill machines beyond `firm` first.

    `packed` [T] becomes true where all replicas lie within the `limit` [R] of their machines by what was added up.
    """
    classes, slots = firm_load.shape
    most = 1
    for t in range(slots):
        most = max(most, total[t])
    used = np.empty((most, len(limit)))
    for t in range(slots):
        for k in range(len(orders)):
            used[: total[t]] = 0.0
            whole = True
            for i in range(2 * classes):
                c = orders[k, i % classes]
                left = firm_load[c, t] if i < classes else flexible_load[c, t]
                if i >= classes and left > 0:
                    left = _place(used, firm[t], total[t], sizes[c], limit, left)
                if left > 0:
                    left = _place(used, 0, min(firm[t], total[t]), sizes[c], limit, left)
                if left > 0:
                    whole = False
                    break
            if whole:
                packed[t] = True
                break


@jit
def _place(used: Floats, first: int, end: int, size: Floats, limit: Floats, left: int) -> int:
    """Put `left` replicas onto machines `first` to `end`, as many on each as it holds; returns how many remain."""
    for m in range(first, end):
        count = left
        for r in range(len(limit)):
            if size[r] > 0:
                count = min(count, int((limit[r] - used[m, r]) / size[r] + 1e-9))
        fits = False
        while count > 0 and not fits:
            fits = True
            for r in range(len(limit)):
                fits = fits and used[m, r] + count * size[r] <= limit[r]
            count -= not fits
        if count > 0:
            for r in range(len(limit)):
                used[m, r] += count * size[r]
            left -= count
        if left == 0:
            break
    return left


def _proven(
    problem: Problem, pool: int, load: Load, packer: Packer, firm: Ints, total: Ints, only: Bools
) -> Bools:  # fmt: skip
    """[T] slots of the columns `only` [U] for which a packing known to the packer holds when added up here."""
    sizes, room = problem.shapes[load.shapes], problem.pools.room[pool] + TOLERANCE
    proven = np.zeros(load.firm.shape[1], np.bool_)
    for u in np.flatnonzero(only).tolist():
        slots = np.flatnonzero(packer.which == u)
        for patterns, times in packer.points(u):
            parts = patterns[:, : len(sizes)], patterns[:, len(sizes):]
            whole = all((part.T @ times == want[:, slots[0]]).all()
                        for part, want in zip(parts, (load.firm, load.flexible), strict=True))
            if whole and (patterns >= 0).all() and (sum(parts) @ sizes <= room).all():
                needs_firm = times[parts[0].any(axis=1)].sum()
                proven[slots] |= (needs_firm <= firm[slots]) & (times.sum() <= total[slots])
    return proven
