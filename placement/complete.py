"""From units to a whole solution: exact packing of every pool and slot, then the cheapest machines that hold it.

This is the one way in which a choice of units becomes machines, whichever solver made the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from placement.fallback import Homeless, find_fallbacks
from placement.joint import buy_jointly
from placement.needs import Load, machines_by_kind, pool_loads
from placement.packing import Effort, Needed, Pairs, needed
from placement.pooled import by_pool, pooled_need
from placement.problem import Counts, Ints, Problem
from placement.purchase import Terms, buy, terms
from placement.result import Solution, Units
from placement.shared import best_bought, has_shared, passed

_KEPT = 3
"""Packings kept a pool."""
_KEPT_POOLED = 30
"""Machines kept a pool where it is sized on sample paths."""
_NAMED = 5
"""Units without a fallback that are named."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Where the units find no room: `pool`, `slot` and how many machines are `lacking` there, [k] each.

    `homeless` are the units that find no fallback, where it is for a loss that room lacks. Where pools have room but
    share limits that do not, `passing` are the machines [O, T] that pass these limits.
    """

    pool: Ints
    slot: Ints
    lacking: Ints
    homeless: Homeless | None = None
    passing: Counts | None = None

    @property
    def why(self) -> str:
        """In a sentence, which loss leaves units without a fallback; empty where room lacks without any loss."""
        if self.homeless is None or not len(self.homeless.loss):
            return ""
        streams, loss = self.homeless.stream[self.homeless.loss == self.homeless.loss[0]], self.homeless.loss[0]
        named = ", ".join(f"stream {s}" for s in streams[:_NAMED].tolist())
        more = f" and {len(streams) - _NAMED} more" if len(streams) > _NAMED else ""
        return f"after loss {loss} no fallback with room was found for {named}{more}"


class Packings:
    """Packings of a problem's pools, kept while the same replicas come again: a search changes few pools at a time.

    `effort` as in `placement.packing.needed`; pools are packed side by side in so many `threads`.
    """

    def __init__(self, problem: Problem, effort: Effort, threads: int = 1) -> None:
        self._problem, self._effort, self._threads = problem, effort, threads
        self._lock = Lock()
        self._known: dict[tuple[int, bytes], Needed] = {}
        self._pooled: dict[tuple[int, bytes], Pairs] = {}

    def needed(self, pool: int, load: Load) -> Needed:
        """Machines that `load` needs in `pool`. Raises ValueError when a replica fits no machine there."""
        found = self._known.get(_key(pool, load))
        if found is not None:
            return found
        room = self._problem.pools.room[pool]
        return self._keep(pool, load, needed(load, self._problem.shapes, room, effort=self._effort))

    def tighten(self, pool: int, load: Load, effort: Effort, slots: Ints | None = None) -> Needed:
        """Pack `load` again, harder (only `slots` [k], if given); `needed` answers with that from now on."""
        packer = self.needed(pool, load).packer
        only = None
        if slots is not None:
            only = np.zeros(len(packer.counts), np.bool_)
            only[packer.which[slots]] = True
        packer.pack(effort, only)
        return self._keep(pool, load, packer.needed())

    def pooled(self, pool: int, units: Units, effort: Effort | None = None) -> Pairs:
        """Machines that `units`, all in `pool`, need to hold enough sample paths; packed anew where `effort` is given.
        """
        key = pool, units.variant.tobytes() + units.start.tobytes()
        found = self._pooled.pop(key, None)
        if effort is not None or found is None:
            found = pooled_need(self._problem, pool, units, self._effort if effort is None else effort)
        self._pooled[key] = found
        while len(self._pooled) > _KEPT_POOLED * len(self._problem.pools.cluster):
            del self._pooled[next(iter(self._pooled))]
        return found

    def tighten_all(self, loads: Sequence[Load], effort: Effort, pool: Ints, slot: Ints) -> None:
        """As `tighten`, for what is in each pool (`loads` [P]): in `pool` and `slot`, [k] each."""
        with ThreadPoolExecutor(self._threads) as executor:
            list(executor.map(lambda p: self.tighten(p, loads[p], effort, slot[pool == p]), np.unique(pool).tolist()))

    def of(self, units: Units) -> list[Pairs]:
        """Machines that the units need in every pool."""
        if self._problem.paths is None:
            loads = pool_loads(self._problem, units)
            with ThreadPoolExecutor(self._threads) as executor:
                return list(executor.map(self.needed, range(len(loads)), loads))
        return [self.pooled(pool, own) for pool, own in enumerate(by_pool(self._problem, units))]

    def _keep(self, pool: int, load: Load, found: Needed) -> Needed:
        with self._lock:
            self._known.pop(_key(pool, load), None)
            self._known[_key(pool, load)] = found
            while len(self._known) > _KEPT * len(self._problem.pools.cluster):
                del self._known[next(iter(self._known))]
        return found


def _key(pool: int, load: Load) -> tuple[int, bytes]:
    return pool, load.shapes.tobytes() + load.firm.tobytes() + load.flexible.tobytes()


def complete(
    problem: Problem, units: Units, *, effort: Effort = Effort.SEARCH, packings: Packings | None = None,
    jointly: bool = True,
) -> Solution | Shortfall:  # fmt: skip
    """The cheapest machines for these units, or the pools and slots that lack room.

    `packings` are those seen before (else new ones of `effort`). Where pools share limits or commitments, machines are
    bought `jointly`, which takes longer; else only where limits ask for it, and commitments for what each pool buys by
    itself. Raises ValueError when a unit's replica fits no
    machine of its pool.
    """
    packings = packings or Packings(problem, effort)
    offered, machines = terms(problem), np.zeros((len(problem.pools.cluster), 4, problem.slots), np.int64)
    lacking = np.zeros((len(problem.pools.cluster), problem.slots), np.int64)
    packed = packings.of(units)
    for pool, need in enumerate(packed):
        bought = buy(pool, offered, need.firm, need.machines)
        lacking[pool], machines[pool] = bought.lacking, bought.counts
    if lacking.any():
        return _short(lacking)
    fallbacks = None
    if problem.survival is not None:
        found = find_fallbacks(problem, units, pool_loads(problem, units), packed, offered, machines)
        if isinstance(found, Homeless):
            return Shortfall(found.pool, found.slot, found.lacking, found)
        for pool, counts in found.counts.items():
            machines[pool] = counts
        fallbacks = found.fallbacks
    alone = Solution(units, _by_offer(problem, offered, machines), fallbacks)
    return _sharing(problem, alone, packed, jointly) if has_shared(problem) else alone


def _by_offer(problem: Problem, offered: Terms, machines: Ints) -> Counts:
    """Machines of every offer [O, T] from those of every pool by purchase [P, 4, T]."""
    counts = np.zeros((len(problem.offers.pool), problem.slots), np.int32)
    there = offered.offer >= 0
    counts[offered.offer[there]] = machines[there]
    return counts


def _short(lacking: Ints, passing: Counts | None = None) -> Shortfall:
    pools, slots = np.nonzero(lacking)
    return Shortfall(pools, slots, lacking[pools, slots], passing=passing)


def _sharing(problem: Problem, alone: Solution, needs: list[Pairs], jointly: bool) -> Solution | Shortfall:
    """The same where pools share limits or commitments; `alone` is what is cheapest for each pool by itself.

    Where losses are to be survived, room for fallbacks was bought pool by pool, and these machines stay.
    """
    kept = not passed(problem, alone.machines).any()
    if kept and not len(problem.commitments.owned):
        return alone
    joint = buy_jointly(problem, needs) if problem.survival is None and (jointly or not kept) else None
    if joint is not None and not joint.lacking.any():
        together = replace(alone, machines=joint.machines, bought=joint.bought)
        if not passed(problem, together.machines).any():
            return together
    if kept:
        return replace(alone, bought=best_bought(problem, alone.machines))
    lacking = joint.lacking if joint is not None and joint.lacking.any() else _crowding(problem, alone.machines)
    return _short(lacking, alone.machines)


def _crowding(problem: Problem, machines: Counts) -> Ints:
    """One machine [P, T] of every pool that counts where a limit is passed."""
    pools = (problem.limits.amount > 0).astype(np.int64).T
    running = machines_by_kind(problem, machines).sum(axis=1)
    crowded: Ints = np.minimum(pools @ passed(problem, machines).astype(np.int64), np.minimum(running, 1))
    return crowded
