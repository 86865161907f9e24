"""Limits that pools share, under a demand: which do not allow the machines it needs, when, and how many lack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from placement.joint import buy_jointly
from placement.needs import Load
from placement.packing import Effort, Needed, needed
from placement.problem import Bools, Counts, Ints, Problem
from placement.purchase import buy, terms
from placement.shared import passed
from planner.formulate import Formulation


@dataclass(frozen=True, slots=True)
class Passed:
    """A shared limit that `slots` slots would pass. In its first bad slot its pools run `lacking` machines too few
    within all limits, at worst `worst_lacking` in `worst_slot`, by the best purchase and packing found.
    """

    limit: str
    slot: int
    lacking: int
    slots: int
    worst_slot: int
    worst_lacking: int


def passed_limits(formulation: Formulation, loads: Sequence[Load]) -> tuple[Passed, ...]:
    """Limits that the replicas in each pool (`loads` [P]) pass however machines are bought, by the first slot.

    Pools are packed by simple orders first, and as hard as possible only where that passes a limit. Room that a pool by
    itself lacks is not told here.
    """
    problem = formulation.problem
    if not len(problem.limits.paid):
        return ()
    for effort in (Effort.ORDERS, Effort.SEARCH):
        needs = [needed(load, problem.shapes, room, effort=effort)
                 for load, room in zip(loads, problem.pools.room, strict=True)]
        machines, alone = _each_alone(problem, needs)
        over = passed(problem, machines)
        if not over.any():
            return ()
        joint = buy_jointly(problem, needs)
        if joint is not None and not (joint.lacking > alone).any():
            return ()
    lacking = None if joint is None else np.maximum(joint.lacking - alone, 0)
    rows = (_passed(formulation.names.limits[row], over[row], problem.limits.amount[row] > 0, lacking)
            for row in np.flatnonzero(over.any(axis=1)).tolist())
    return tuple(sorted((row for row in rows if row is not None), key=lambda row: (row.slot, row.limit)))


def _each_alone(problem: Problem, needs: Sequence[Needed]) -> tuple[Counts, Ints]:
    """Machines [O, T] that are cheapest for each pool by itself, and how many each lacks so [P, T]."""
    offered, machines = terms(problem), np.zeros(problem.offers.price_usd.shape, np.int32)
    lacking = np.zeros(problem.pools.max_machines.shape, np.int64)
    for pool, need in enumerate(needs):
        there, bought = offered.offer[pool] >= 0, buy(pool, offered, need.firm, need.machines)
        machines[offered.offer[pool][there]], lacking[pool] = bought.counts[there], bought.lacking
    return machines, lacking


def _passed(limit: str, over: Bools, pools: Bools, lacking: Ints | None) -> Passed | None:
    """One limit's row; None where no machine lacks for it. Without a purchase at all, one lacks wherever it is passed.
    """
    short = over.astype(np.int64) if lacking is None else np.where(over, lacking[pools].sum(axis=0), 0)
    if not short.any():
        return None
    slot, worst = int(np.flatnonzero(short)[0]), int(short.argmax())
    return Passed(limit, slot, int(short[slot]), int((short > 0).sum()), worst, int(short[worst]))
