"""Packings shown row by row: which unit's replicas lie on which machine, for the table of packings and its check."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from placement.needs import Load, firm_without_spot, has_spot, machines_by_kind, pool_loads, unit_needs
from placement.packing import Effort, Packer, Packing
from placement.problem import TOLERANCE, Bools, Counts, Ints, Problem, Purchase
from placement.result import Fallbacks, Solution, Units
from placement.survival import after_loss, room_after

_NODES = 50_000
"""Branches of the last search for a packing."""
_THREADS = 2
"""Pools that are packed side by side."""


@dataclass(frozen=True, slots=True)
class PackingRows:
    """`replicas` of `unit` on `machine` (numbered from 0) of a pool in a slot; `purchase` of the machine. [k] each.

    `loss` is the loss after which they lie there, -1 for the plan itself; None: all rows are of the plan itself.
    """

    pool: Ints
    slot: Ints
    machine: Ints
    purchase: Ints
    unit: Ints
    replicas: Ints
    loss: Ints | None = None

    def of_loss(self, loss: int) -> PackingRows:
        """The rows for one loss, or with -1 for the plan itself."""
        if self.loss is None and loss < 0:
            return self
        here = self.loss == loss if self.loss is not None else np.zeros(len(self.pool), np.bool_)
        columns = (self.pool, self.slot, self.machine, self.purchase, self.unit, self.replicas)
        return PackingRows(*(column[here] for column in columns))


def packing_rows(problem: Problem, solution: Solution, *, hard_only: bool = False) -> PackingRows:
    """A packing of every pool and slot, or with `hard_only` of those that not every simple order packs.

    Whoever checks a plan may try a single order only, and may fill spot machines and others in any turn: slots with
    both are never simple. After a loss only such slots are shown, of pools that take fallbacks. Raises ValueError when
    a pool's machines do not hold its replicas by any packing found.
    """
    units, needs = solution.units, unit_needs(problem, solution.units)
    machines, loads = machines_by_kind(problem, solution.machines), pool_loads(problem, units, needs)

    def of_pool(pool: int, load: Load) -> list[Ints]:
        if not len(load.shapes):
            return []  # its machines, if any, run empty
        shower, busy = _Shower(problem, units, pool, load, machines[pool]), (load.firm + load.flexible).any(axis=0)
        slots = np.flatnonzero(busy & ~shower.simple if hard_only else busy).tolist()
        rows = [(slot, shower.rows(slot, needs[:, slot].astype(np.int64))) for slot in slots]
        return [np.column_stack((np.full((len(some), 2), (pool, slot)), some, np.full(len(some), -1)))
                for slot, some in rows]

    with ThreadPoolExecutor(_THREADS) as executor:
        found = [table for tables in executor.map(of_pool, range(len(loads)), loads) for table in tables]
    if solution.fallbacks is not None:
        found += _after_losses(problem, solution, solution.fallbacks, needs)
    table = np.concatenate(found) if found else np.zeros((0, 7), np.int64)
    return PackingRows(*table.T)


def _after_losses(problem: Problem, solution: Solution, fallbacks: Fallbacks, needs: Counts) -> Iterator[Ints]:
    """Rows (pool, slot, machine, purchase, unit, replicas, loss) [k, 7] of every loss, pool and slot to be shown."""
    machines = _within(room_after(problem, solution.machines), problem.pools.max_machines)
    for loss in np.unique(fallbacks.loss).tolist():
        after = after_loss(problem, solution.units, needs, fallbacks, loss)
        loads = pool_loads(problem, after.units, after.needs)
        for pool in after.pools.tolist():
            spot, total = machines[pool, Purchase.SPOT], machines[pool].sum(axis=0)
            tight = np.flatnonzero(~roomy(problem, pool, loads[pool], total - spot, total))
            if not len(tight):
                continue
            load = Load(loads[pool].shapes, loads[pool].firm[:, tight], loads[pool].flexible[:, tight])
            shower = _Shower(problem, after.units, pool, load, machines[pool][:, tight])
            for i in np.flatnonzero(~shower.simple).tolist():  # slots that are not roomy hold something
                rows = shower.rows(i, after.needs[:, tight[i]].astype(np.int64))
                yield np.column_stack((np.full((len(rows), 2), (pool, tight[i])), rows, np.full(len(rows), loss)))


def _within(machines: Ints, most: Counts) -> Ints:
    """Machines by purchase [P, 4, T], as many of them as a pool may have [P, T]: spot is given up first."""
    before = np.cumsum(machines, axis=1) - machines
    within: Ints = np.clip(most[:, None] - before, 0, machines)
    return within


def roomy(problem: Problem, pool: int, load: Load, firm: Ints, total: Ints) -> Bools:
    """[T] slots in which even machines that each hold replicas of one shape are enough: `total`, `firm` not spot [T].

    No order of classes needs more: a class opens only machines that it fills.
    """
    settled, sizes = firm_without_spot(load, total - firm), problem.shapes[load.shapes]
    with np.errstate(divide="ignore"):
        holds = np.min((problem.pools.room[pool] + TOLERANCE) / sizes, axis=1, where=sizes > 0, initial=2.0**30)
    firm_alone, flexible_alone = (np.ceil(part / np.maximum(np.floor(holds), 1.0)[:, None]).sum(axis=0)
                                  for part in (settled.firm, settled.flexible))
    enough: Bools = (firm_alone <= firm) & (firm_alone + flexible_alone <= total)
    return enough


class _Shower:
    """Shows one pool's packings. `machines` [4, T] run; `simple` [T] slots need no showing."""

    def __init__(self, problem: Problem, units: Units, pool: int, load: Load, machines: Ints) -> None:
        self._problem, self._units, self._pool, self._load, self._machines = problem, units, pool, load, machines
        spot, self.total = machines[Purchase.SPOT], machines.sum(axis=0)
        self._firm = self.total - spot
        self._settled = self._packer(firm_without_spot(load, spot))
        self.simple: Bools = self._settled.simply(self._firm, self.total) & ((spot == 0) | (self._firm == 0))

    def rows(self, slot: int, needs: Ints) -> Ints:
        """Rows (machine, purchase, unit, replicas) [k, 4] of a slot in which the units need `needs` [U] replicas."""
        apart, packing = bool(self._machines[Purchase.SPOT, slot]), self._within(self._settled, slot, slot)
        if packing is None:  # whoever made the plan may have kept the kinds apart
            apart, packing = True, self._within(self._other, slot, slot)
        if packing is None:  # packers learn from slot to slot, which may lead astray
            packing = self._within(self._packer(_slot(self._load, slot)), 0, slot)
        if packing is None:  # or find it only by way of the slots before
            packing = self._whole.packing(slot, int(self._firm[slot]), int(self.total[slot]))
        if packing is None:
            raise ValueError(f"pool {self._pool}, slot {slot}: no packing found into {self._firm[slot]} machines that "
                             f"are not spot and {self.total[slot]} in all; complete the units again to buy enough")
        return _slot_rows(packing, self._members[apart], needs, self._machines[:, slot])

    def _within(self, packer: Packer, place: int, slot: int) -> Packing | None:
        """A packing of the packer's slot `place` into the machines of `slot`, sought no harder than is needed."""
        firm, total = int(self._firm[slot]), int(self.total[slot])
        only = np.arange(len(packer.counts)) == packer.which[place]
        for effort in Effort:
            packer.pack(effort, only)
            packing = packer.packing(place, firm, total, nodes=_NODES if effort == Effort.SEARCH else 0)
            if packing is not None or packer.impossible(place, firm, total):
                return packing
        return None

    def _packer(self, load: Load) -> Packer:
        return Packer(load, self._problem.shapes, self._problem.pools.room[self._pool])

    @cached_property
    def _other(self) -> Packer:
        return self._packer(self._load)

    @cached_property
    def _whole(self) -> Packer:
        packer = self._packer(self._load)
        packer.pack(Effort.PATTERNS)
        return packer

    @cached_property
    def _members(self) -> tuple[list[Ints], list[Ints]]:
        of = self._problem, self._units, self._pool, self._load.shapes
        return _members(*of, apart=False), _members(*of, apart=True)


def _slot(load: Load, slot: int) -> Load:
    return Load(load.shapes, load.firm[:, slot : slot + 1], load.flexible[:, slot : slot + 1])


def _members(problem: Problem, units: Units, pool: int, shapes: Ints, *, apart: bool) -> list[Ints]:
    """The units of each class of a pool, in order: firm classes, then flexible ones (none unless kept `apart`)."""
    here = problem.candidates.pool[units.candidate] == pool
    flexible: Bools = problem.streams.preemptible[units.stream] & has_spot(problem)[pool] & apart
    shape = problem.streams.shape[units.stream]
    return [np.flatnonzero(here & (flexible == kind) & (shape == s)) for kind in (False, True) for s in shapes]


def _slot_rows(packing: Packing, members: list[Ints], needs: Ints, counts: Ints) -> Ints:
    """Rows (machine, purchase, unit, replicas) [k, 4]: machines with firm replicas first, then owned before spot.

    Replicas stand in a line, class by class; machines take them from it in order, and so do units.
    """
    patterns = np.concatenate((packing.firm, packing.flexible), axis=1)
    order = np.argsort(~packing.firm.any(axis=1), kind="stable")
    machines = np.repeat(patterns[order], packing.times[order], axis=0)
    units = np.concatenate(members)
    machine_ends, unit_ends = np.cumsum(machines.T), np.cumsum(needs[units])
    ends = np.unique(np.concatenate(([0], machine_ends, unit_ends)))
    machine = np.searchsorted(machine_ends, ends[:-1], side="right") % max(1, len(machines))
    unit = units[np.searchsorted(unit_ends, ends[:-1], side="right")]
    rows = np.column_stack((machine, np.repeat(np.arange(4), counts)[machine], unit, np.diff(ends)))
    ordered: Ints = rows[np.lexsort((rows[:, 2], rows[:, 0]))]
    return ordered
