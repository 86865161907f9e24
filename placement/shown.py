"""Packings shown row by row: which unit's replicas lie on which machine, for the table of packings and its check."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from placement.needs import Load, firm_without_spot, has_spot, machines_by_kind, pool_loads, unit_needs
from placement.packing import Packer, Packing
from placement.problem import Bools, Ints, Problem, Purchase
from placement.result import Solution, Units


@dataclass(frozen=True, slots=True)
class PackingRows:
    """`replicas` of `unit` on `machine` (numbered from 0) of a pool in a slot; `purchase` of the machine. [k] each."""

    pool: Ints
    slot: Ints
    machine: Ints
    purchase: Ints
    unit: Ints
    replicas: Ints


def packing_rows(problem: Problem, solution: Solution, *, hard_only: bool = False) -> PackingRows:
    """A packing of every pool and slot, or with `hard_only` of those that not every simple order packs.

    Whoever checks a plan may try a single order only, and may fill spot machines and others in any turn: slots with
    both are never simple. Raises ValueError when a pool's machines do not hold its replicas by any packing found.
    """
    units, needs = solution.units, unit_needs(problem, solution.units)
    machines, found = machines_by_kind(problem, solution.machines), []
    for pool, load in enumerate(pool_loads(problem, units, needs)):
        if not len(load.shapes):
            continue  # its machines, if any, run empty
        shower = _Shower(problem, units, pool, load, machines[pool])
        for slot in np.flatnonzero(~shower.simple if hard_only else shower.total > 0):
            rows = shower.rows(int(slot), needs[:, slot].astype(np.int64))
            found.append(np.column_stack((np.full((len(rows), 2), (pool, slot)), rows)))
    table = np.concatenate(found) if found else np.zeros((0, 6), np.int64)
    return PackingRows(*table.T)


class _Shower:
    """Shows one pool's packings. `machines` [4, T] run; `simple` [T] slots need no showing."""

    def __init__(self, problem: Problem, units: Units, pool: int, load: Load, machines: Ints) -> None:
        self._problem, self._units, self._pool, self._load, self._machines = problem, units, pool, load, machines
        spot, self.total = machines[Purchase.SPOT], machines.sum(axis=0)
        self._firm = self.total - spot
        self._settled = self._packer(firm_without_spot(load, spot))
        self.simple: Bools = self._settled.simply(self._firm, self.total) & ((spot == 0) | (self._firm == 0))
        if not self.simple.all():
            self._settled.pack(2)

    def rows(self, slot: int, needs: Ints) -> Ints:
        """Rows (machine, purchase, unit, replicas) [k, 4] of a slot in which the units need `needs` [U] replicas."""
        apart = bool(self._machines[Purchase.SPOT, slot])
        packing = self._settled.packing(slot, int(self._firm[slot]), int(self.total[slot]))
        if packing is None and not apart:  # whoever made the plan may have kept the kinds apart
            apart, packing = True, self._other.packing(slot, int(self._firm[slot]), int(self.total[slot]))
        if packing is None:
            raise ValueError(f"pool {self._pool}, slot {slot}: no packing found into {self._firm[slot]} machines that "
                             f"are not spot and {self.total[slot]} in all; complete the units again to buy enough")
        return _slot_rows(packing, self._members[apart], needs, self._machines[:, slot])

    def _packer(self, load: Load) -> Packer:
        return Packer(load, self._problem.shapes, self._problem.pools.room[self._pool])

    @cached_property
    def _other(self) -> Packer:
        packer = self._packer(self._load)
        packer.pack(2)
        return packer

    @cached_property
    def _members(self) -> tuple[list[Ints], list[Ints]]:
        of = self._problem, self._units, self._pool, self._load.shapes
        return _members(*of, apart=False), _members(*of, apart=True)


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
