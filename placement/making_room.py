"""Which streams must leave a plan so that the rest packs: little ones, where packing needs more than a pool may run."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from placement.complete import Packings, Shortfall, complete
from placement.needs import pool_loads, unit_needs
from placement.packing import Effort
from placement.problem import Bools, Floats, Ints, Problem
from placement.result import Solution, Units

_TRIES, _PATIENT = 24, 6
"""Times that streams leave before the plan is given up, and times that no more leave than free what lacks."""
_HARDER = {Effort.FILLING: 1 << 30, Effort.PATTERNS: 60, Effort.SEARCH: 6}
"""Slots that lack room, up to which an effort is worth its time."""


def complete_harder(
    problem: Problem, units: Units, packings: Packings, *, jointly: bool = False
) -> Solution | Shortfall:
    """As `complete`, after packing harder where room lacks by the packings known so far; hardest in few slots only."""
    found = complete(problem, units, packings=packings, jointly=jointly)
    if not isinstance(found, Shortfall):
        return found
    loads = pool_loads(problem, units)
    for effort, most in _HARDER.items():
        if len(found.slot) > most:
            break
        packings.tighten_all(loads, effort, found.pool, found.slot)
        found = complete(problem, units, packings=packings, jointly=jointly)
        if not isinstance(found, Shortfall):
            break
    return found


def complete_most(problem: Problem, units: Units, packings: Packings) -> Solution | None:
    """A plan that packs of as many of `units` as find room; None when room still lacks after some tries.

    Pools that lack room by simple orders are packed harder there first; nothing is made ready for a loss.
    """
    plain = replace(problem, survival=None)
    for trial in range(_TRIES):
        found = complete_harder(plain, units, packings, jointly=True)
        if isinstance(found, Solution):
            return found
        more = 1 + max(0, trial - _PATIENT)  # what is packed by simple orders may need more room when less is there
        units = _without(units, _leaving(plain, units, replace(found, lacking=more * found.lacking)))
    return None


def _leaving(problem: Problem, units: Units, short: Shortfall) -> Bools:
    """The streams [S] that leave: in every pool the fewest that free what lacks in its worst slots."""
    leave = np.zeros(len(problem.streams.shape), bool)
    needs, pool = unit_needs(problem, units), problem.candidates.pool[units.candidate]
    for p in np.unique(short.pool).tolist():
        here = short.pool == p
        lacking = np.zeros(problem.slots)
        lacking[short.slot[here]] = short.lacking[here]
        mine = np.flatnonzero((pool == p) & ~leave[units.stream])
        share = (problem.shapes[problem.streams.shape[units.stream[mine]]] / np.maximum(problem.pools.room[p], 1e-12))
        frees = needs[mine] * share.max(axis=1)[:, None]
        for at in _enough(frees, lacking).tolist():
            leave[units.stream[mine[at]]] = True
    return leave


def _enough(frees: Floats, lacking: Floats) -> Ints:
    """Rows of `frees` [n, T] that sum up to `lacking` [T] machines; for a slot the smallest that does alone."""
    chosen: list[int] = []
    left, free = lacking.copy(), np.ones(len(frees), bool)
    while left.max(initial=0.0) > 0 and free.any():
        slot = int(left.argmax())
        enough = free & (frees[:, slot] >= left[slot])
        size = frees.sum(axis=1)
        if enough.any():
            at = int(np.where(enough, size, np.inf).argmin())
        elif (free & (frees[:, slot] > 0)).any():
            at = int(np.where(free, frees[:, slot], -1.0).argmax())
        else:
            break
        chosen.append(at)
        free[at] = False
        left = left - frees[at]
    return np.array(chosen, np.int64)


def _without(units: Units, leave: Bools) -> Units:
    kept = ~leave[units.stream]
    return Units(*(getattr(units, one.name)[kept] for one in fields(units)))
