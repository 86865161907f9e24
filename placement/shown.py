"""Packings shown row by row: which unit's replicas lie on which machine, for the table of packings and its check."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.needs import has_spot, machines_by_kind, pool_loads, unit_needs
from placement.packing import ORDERS, Packer, Packing
from placement.problem import Bools, Ints, Problem
from placement.result import Solution, Units

FIRST_FIT_DECREASING = ORDERS.index("sum of shares") + 1
"""Slots that one of the first so many orders packs are simple: whoever checks the plan will pack them alike."""


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
    """A packing of every pool and slot, or with `hard_only` of those that simple orders do not pack.

    Raises ValueError when a pool's machines do not hold its replicas by any packing found.
    """
    units, needs = solution.units, unit_needs(problem, solution.units)
    machines, found = machines_by_kind(problem, solution.machines), []
    for pool, load in enumerate(pool_loads(problem, units, needs)):
        packer = Packer(load, problem.shapes, problem.pools.room[pool])
        firm, total = machines[pool, :3].sum(axis=0), machines[pool].sum(axis=0)
        simple = packer.simply(firm, total, FIRST_FIT_DECREASING)
        if not simple.all():
            packer.pack(2)
        members = _members(problem, units, pool, load.shapes)
        for slot in np.flatnonzero(~simple if hard_only else total > 0):
            packing = packer.packing(int(slot), int(firm[slot]), int(total[slot]))
            if packing is None:
                raise ValueError(f"pool {pool}, slot {slot}: no packing found into {firm[slot]} machines that are not "
                                 f"spot and {total[slot]} in all; complete the units again to buy enough")
            rows = _slot_rows(packing, members, needs[:, slot].astype(np.int64), machines[pool, :, slot])
            found.append(np.column_stack((np.full((len(rows), 2), (pool, slot)), rows)))
    table = np.concatenate(found) if found else np.zeros((0, 6), np.int64)
    return PackingRows(*table.T)


def _members(problem: Problem, units: Units, pool: int, shapes: Ints) -> list[Ints]:
    """The units of each class of a pool, in order: firm classes, then flexible ones."""
    here = problem.candidates.pool[units.candidate] == pool
    flexible: Bools = problem.streams.preemptible[units.stream] & has_spot(problem)[pool]
    shape = problem.streams.shape[units.stream]
    return [np.flatnonzero(here & (flexible == kind) & (shape == s)) for kind in (False, True) for s in shapes]


def _slot_rows(packing: Packing, members: list[Ints], needs: Ints, counts: Ints) -> Ints:
    """Rows (machine, purchase, unit, replicas) [k, 4]: machines with firm replicas first, then owned before spot."""
    patterns = np.concatenate((packing.firm, packing.flexible), axis=1)
    order = np.argsort(~packing.firm.any(axis=1), kind="stable")
    machines = np.repeat(patterns[order], packing.times[order], axis=0)
    purchase = np.repeat(np.arange(4), counts)
    rows = [np.column_stack((at, purchase[at], unit, replicas))
            for place, own in enumerate(members)
            for at, unit, replicas in [_dealt(machines[:, place], own, needs[own])]]
    table = np.concatenate(rows)
    ordered: Ints = table[np.lexsort((table[:, 2], table[:, 0]))]
    return ordered


def _dealt(held: Ints, units: Ints, needs: Ints) -> tuple[Ints, Ints, Ints]:
    """(machine, unit, replicas): a class's replicas `held` by each machine, dealt to its units in order."""
    machine, unit = np.repeat(np.arange(len(held)), held), np.repeat(units, needs)
    pairs, replicas = np.unique(np.column_stack((machine, unit)), axis=0, return_counts=True)
    return pairs[:, 0], pairs[:, 1], replicas
