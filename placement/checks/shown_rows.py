"""Packings that came with a plan, believed only after every row was added up here."""

from __future__ import annotations

import numpy as np

from placement.needs import has_spot
from placement.problem import TOLERANCE, Counts, Ints, Problem, Purchase
from placement.result import Units
from placement.shown import PackingRows


class Shown:
    """Packings that came with the solution, checked row by row: those for a `loss` (-1: for the plan itself).

    `units` and `needs` [U, T] say what runs where then, `kinds` [P, 4, T] the machines there are by purchase.
    """

    def __init__(self, problem: Problem, units: Units, needs: Counts, kinds: Ints, rows: PackingRows | None,
                 loss: int = -1) -> None:
        self._problem, self._units, self._needs, self._kinds = problem, units, needs, kinds
        self._rows = rows if rows is None else rows.of_loss(loss)
        if self._rows is not None:
            self._key = self._rows.pool * problem.slots + self._rows.slot
            self._order = np.argsort(self._key, kind="stable")
            self._key = self._key[self._order]
            self._pool = problem.candidates.pool[units.candidate]
            self._spot = has_spot(problem)

    def packs(self, pool: int, slot: int) -> bool:
        """True when the rows for this pool and slot show all replicas whole on the machines that run."""
        if self._rows is None:
            return False
        key = pool * self._problem.slots + slot
        here = self._order[np.searchsorted(self._key, key): np.searchsorted(self._key, key, side="right")]
        here = here[(self._rows.pool[here] == pool) & (self._rows.slot[here] == slot)]
        columns = (self._rows.machine, self._rows.purchase, self._rows.unit, self._rows.replicas)
        table = np.column_stack([column[here] for column in columns])
        if not len(table) or (table < 0).any() or (table[:, 2] >= len(self._units.stream)).any():
            return False
        return self._all_there(pool, slot, table) and self._fit(pool, slot, table)

    def _all_there(self, pool: int, slot: int, table: Ints) -> bool:
        placed = np.bincount(table[:, 2], table[:, 3], len(self._units.stream))  # exact: counts are far below 2**53
        return bool((placed == np.where(self._pool == pool, self._needs[:, slot], 0)).all())

    def _fit(self, pool: int, slot: int, table: Ints) -> bool:
        machines, place = np.unique(table[:, :2], axis=0, return_inverse=True)
        stream = self._units.stream[table[:, 2]]
        used = np.zeros((len(machines), self._problem.shapes.shape[1]))
        np.add.at(used, place.reshape(-1), self._problem.shapes[self._problem.streams.shape[stream]] * table[:, 3:])
        spot = table[:, 1] == Purchase.SPOT
        flexible = self._problem.streams.preemptible[stream] & self._spot[pool]
        bought = np.bincount(machines[:, 1], minlength=4)
        return bool(len(bought) == 4 and (bought <= self._kinds[pool, :, slot]).all()
                    and bought.sum() <= self._problem.pools.max_machines[pool, slot]
                    and len(np.unique(machines[:, 0])) == len(machines) and not (spot & ~flexible).any()
                    and (used <= self._problem.pools.room[pool] + TOLERANCE).all())
