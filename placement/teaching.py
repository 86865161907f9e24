"""Teaching a search what packing needs: heavier weights wherever packing comes to more machines than it counts.

A valid weight is taken if one proves what packing needs, else a slightly heavier one, which is a guess for the search
alone: the bound never sees it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from placement.complete import Packings
from placement.needs import Load, pool_loads
from placement.packing import Effort
from placement.problem import Floats, Ints, Problem
from placement.searcher import Searcher
from placement.weights import WeightFinder

_HEAVIER = 1.06
"""A weight is not made heavier by more than this factor to account for one machine that packing needs."""
_SLOTS, _LARGE_SLOTS = 4, 2
"""Slots of a pool that teach at once, and those of a large problem."""
_POOLS = 24
"""Pools of a large problem that teach at once, those that fall short by most money first."""
_BEYOND_USD = 30.0
"""What a machine beyond a pool's limit counts there."""


class Teacher:
    """Teaches one searcher, whose packing `weights` it keeps by pool. `legal`: the shapes that may be in each pool.

    In a `large` problem simple orders pack, and few pools teach at once.
    """

    def __init__(self, problem: Problem, searcher: Searcher, weights: list[list[Floats]], legal: list[Ints],
                 packings: Packings, *, large: bool) -> None:
        self._problem, self._searcher, self.weights, self._large = problem, searcher, weights, large
        self.packings = packings
        self._finders = [WeightFinder(problem.shapes, room, legal[p]) for p, room in enumerate(problem.pools.room)]

    def teach(self) -> None:
        """Pack the plan held; add weights wherever packing needs more machines than the search counts."""
        problem, searcher = self._problem, self._searcher
        firm, every = searcher.machines
        loads, taught = pool_loads(problem, searcher.plan()), 0
        lacking = {p: np.maximum(packed.machines.min(axis=0) - every[p], packed.firm.min(axis=0) - firm[p])
                   for p, load in enumerate(loads) if len(load.shapes)
                   for packed in (self.packings.needed(p, load),)}  # fmt: skip
        for p in self._dearest(lacking) if self._large else lacking:
            load, packed = loads[p], self.packings.needed(p, loads[p])
            slots = _worst(lacking[p], load)[: _LARGE_SLOTS if self._large else _SLOTS]
            if self._large:
                proven = np.maximum(packed.low - every[p], packed.low_firm - firm[p])
                if proven.max() > 0:  # where packing was looked at harder already
                    slots = _worst(proven, load)[:_LARGE_SLOTS]
                elif slots:  # simple orders so far: see what those slots really need
                    packed = self.packings.tighten(p, load, Effort.PATTERNS, np.array(slots))
            for t in slots:
                machines, firm_machines = int(packed.machines[:, t].min()), int(packed.firm[:, t].min())
                if machines > every[p, t]:
                    taught += self._add(p, load, t, machines, int(every[p, t]))
                elif firm_machines > firm[p, t]:
                    taught += self._add(p, load, t, firm_machines, int(firm[p, t]), firm_only=True)
        if taught:
            searcher.teach(self.weights)

    def _dearest(self, lacking: Mapping[int, Ints]) -> list[int]:
        """The pools whose packings need most money more than was counted, `lacking` [T] machines each."""
        offers, limit = self._problem.offers, self._searcher.limits
        price = np.zeros(len(self._problem.pools.cluster))
        np.maximum.at(price, offers.pool, offers.price_usd.mean(axis=1))
        counted = self._searcher.machines[1]
        usd = {p: float((price[p] * np.maximum(short, 0)
                         + _BEYOND_USD * np.maximum(counted[p] + short - np.maximum(limit[p], counted[p]), 0)).sum())
               for p, short in lacking.items()}  # fmt: skip
        return sorted((p for p in usd if usd[p] > 0), key=lambda p: (-usd[p], p))[:_POOLS]

    def _add(self, p: int, load: Load, slot: int, machines: int, counted: int, *, firm_only: bool = False) -> int:
        """A weight that counts `machines` for what pool p holds in `slot`; returns 1 when one was added.

        In a large problem any that proves more than is `counted` will do: room that lacks is squeezed where it lacks.
        """
        replicas = np.zeros(len(self.weights[p][0]))
        replicas[load.shapes] = load.firm[:, slot] + (0 if firm_only else load.flexible[:, slot])
        valid = self._finders[p].find(replicas)
        proven = int(np.ceil(valid @ replicas - 1e-5))
        if proven >= machines or (self._large and proven > counted):
            self.weights[p].append(valid)
            return 1
        if self._large:
            return 0
        known = np.array([*self.weights[p], valid]) @ replicas
        best = int(known.argmax())
        factor = (np.ceil(known[best] - 1e-5) + 0.02) / max(float(known[best]), 1e-9)
        if factor > _HEAVIER:
            return 0
        self.weights[p].append([*self.weights[p], valid][best] * factor)
        return 1


def _worst(short: Ints, load: Load) -> list[int]:
    """A few slots where packing needs most more than was counted (`short` [T]), no two with the same replicas."""
    slots = np.argsort(-short, kind="stable")
    slots = slots[: int((short > 0).sum())]
    _, first = np.unique(load.firm[:, slots], axis=1, return_index=True)
    return [int(t) for t in slots[np.sort(first)][:_SLOTS]]
