"""From units to a whole solution: exact packing of every pool and slot, then the cheapest machines that hold it.

This is the one way in which a choice of units becomes machines, whichever solver made the choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.needs import pool_loads
from placement.packing import needed
from placement.problem import Ints, Problem
from placement.purchase import buy, terms
from placement.result import Solution, Units


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Where the units find no room: `pool`, `slot` and how many machines are `lacking` there, [k] each."""

    pool: Ints
    slot: Ints
    lacking: Ints


def complete(problem: Problem, units: Units, *, effort: int = 2) -> Solution | Shortfall:
    """The cheapest machines for these units, or the pools and slots that lack room.

    `effort` as in `placement.packing.needed`. Raises ValueError when a unit's replica fits no machine of its pool.
    """
    offered, machines = terms(problem), np.zeros((len(problem.offers.pool), problem.slots), np.int32)
    lacking = np.zeros((len(problem.pools.cluster), problem.slots), np.int64)
    for pool, load in enumerate(pool_loads(problem, units)):
        need = needed(load, problem.shapes, problem.pools.room[pool], effort=effort)
        bought = buy(pool, offered, need.firm, need.machines)
        lacking[pool] = bought.lacking
        here = offered.offer[pool] >= 0
        machines[offered.offer[pool][here]] = bought.counts[here]
    if lacking.any():
        pools, slots = np.nonzero(lacking)
        return Shortfall(pools, slots, lacking[pools, slots])
    return Solution(units, machines)
