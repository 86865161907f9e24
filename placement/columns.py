"""Columns of the master: whole choices of streams, made of numbered units, and their coefficients in packing rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.bound import Choices
from placement.jit import jit
from placement.problem import Counts, Floats, Ints, Problem

Unit = tuple[int, int, int]
"""(candidate, variant, start) of one copy."""

_KEPT = 8
"""Columns of a stream that a purge keeps, besides those in use."""
_IN_USE = 1e-9


@dataclass(frozen=True, slots=True)
class Column:
    """A whole choice of one stream: its units (ids in the `UnitTable`) and what they cost beside machines, in USD."""

    stream: int
    units: tuple[int, ...]
    usd: float


def unit_needs(problem: Problem, variant: int, start: int) -> Counts:
    """Replicas per slot [T] of one copy of `variant` that starts at `start`."""
    v = problem.variants
    if v.row[variant] >= 0:
        steady: Counts = v.rows[v.row[variant]]
        return steady
    need = np.zeros(problem.slots, v.rows.dtype)  # whole replicas, or fractions that bound them from below
    for run in range(v.runs[variant]):
        begin = start + run * v.period[variant]
        need[begin : begin + v.length[variant]] = v.level[variant]
    return need


class UnitTable:
    """Units that columns use, numbered as they come, with their pool, shape, kind and need."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._ids: dict[Unit, int] = {}
        self.units: list[Unit] = []
        self._needs: list[Counts] = []
        self._pool: list[int] = []
        self._stream: list[int] = []

    def add(self, unit: Unit) -> int:
        """The id of `unit`, new or known."""
        known = self._ids.get(unit)
        if known is not None:
            return known
        candidate, variant, start = unit
        self._ids[unit] = number = len(self.units)
        self.units.append(unit)
        self._needs.append(unit_needs(self._problem, variant, start))
        self._pool.append(int(self._problem.candidates.pool[candidate]))
        self._stream.append(int(self._problem.candidates.stream[candidate]))
        return number

    def arrays(self) -> tuple[Ints, Ints, Ints, Counts]:
        """Pool [U], shape [U], kind [U] (1 preemptible) and need [U, T] of all units."""
        stream, streams = np.array(self._stream, np.int64), self._problem.streams
        needs = np.array(self._needs, self._problem.variants.rows.dtype).reshape(len(stream), self._problem.slots)
        kind = streams.preemptible[stream].astype(np.int64)
        return np.array(self._pool, np.int64), streams.shape[stream], kind, needs


class ColumnSet:
    """The columns of a restricted master: `columns` and the table of their units."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.units = UnitTable(problem)
        self.columns: list[Column] = []
        self._known: set[tuple[int, tuple[int, ...]]] = set()

    def add(self, choices: Choices, reduced_below: Floats, per_stream: int) -> int:
        """Take in choices that cost less than `reduced_below` [S] at their prices; returns how many were new.

        Beside each choice goes its neighbour, with the dearest copy in the next best cluster.
        """
        taken = np.zeros(len(reduced_below), np.int64)
        before = len(self.columns)
        for q in np.lexsort((choices.cost, choices.stream)):
            s, k, first = int(choices.stream[q]), int(choices.copies[q]), int(choices.first[q])
            limit = reduced_below[s]
            if not choices.cost[q] < limit or taken[s] >= per_stream:
                continue
            places = list(range(first, first + k))
            taken[s] += self._add_one(s, places, choices)
            other = choices.cost[q] - choices.unit_cost[first + k - 1] + choices.unit_cost[first + k]
            if other < limit:
                taken[s] += self._add_one(s, [*places[:-1], first + k], choices)
        return len(self.columns) - before

    def _add_one(self, stream: int, places: list[int], choices: Choices) -> int:
        """1 when the column is new."""
        units = [(int(choices.candidate[i]), int(choices.variant[i]), int(choices.start[i])) for i in places]
        ids = tuple(sorted(self.units.add(u) for u in units))
        if (stream, ids) in self._known:
            return 0
        self._known.add((stream, ids))
        c, k = self._problem.candidates, len(units)
        usd = sum(float(c.cost_usd[n] + c.user_usd[n] / k) for n, _, _ in units)
        self.columns.append(Column(stream, ids, usd))
        return 1

    def purge(self, reduced: Floats, fraction: Floats) -> list[int]:
        """Drop all but each stream's best by `reduced` cost and those in use; returns the positions kept."""
        kept: dict[int, int] = {}
        keep = []
        for i in np.argsort(reduced, kind="stable"):
            s = self.columns[i].stream
            kept[s] = kept.get(s, 0) + 1
            if kept[s] <= _KEPT or fraction[i] > _IN_USE:
                keep.append(int(i))
        keep.sort()
        self.columns = [self.columns[i] for i in keep]
        self._known = {(c.stream, c.units) for c in self.columns}
        return keep


@jit
def column_entries(
    col_first: Ints, col_unit: Ints, unit_pool: Ints, unit_shape: Ints, unit_kind: Ints, unit_need: Counts,
    slot_group: Ints, groups: int, row_first: Ints, row_number: Ints, row_group: Ints, row_firm: Ints,
    row_weight: Ints, weights: Floats, out_first: Ints, out_row: Ints, out_value: Floats,
) -> int:  # fmt: skip
    """Coefficients of columns in packing rows, column by column; returns how many were written.

    Column j has units `col_unit[col_first[j]:col_first[j + 1]]`. The packing rows of pool p are entries
    `row_first[p]:row_first[p + 1]` of the row_* arrays; `slot_group` [P, T] says which of the `groups` a slot is in.
    """
    load = np.zeros(groups)
    written = 0
    for j in range(len(col_first) - 1):
        out_first[j] = written
        for i in range(col_first[j], col_first[j + 1]):
            u = col_unit[i]
            p = unit_pool[u]
            for t in range(unit_need.shape[1]):
                load[slot_group[p, t]] += unit_need[u, t]
            for r in range(row_first[p], row_first[p + 1]):
                if row_firm[r] == 1 and unit_kind[u] == 1:
                    continue
                value = weights[row_weight[r], unit_shape[u]] * load[row_group[r]]
                if value > 1e-10:
                    out_row[written] = row_number[r]
                    out_value[written] = value
                    written += 1
            for t in range(unit_need.shape[1]):
                load[slot_group[p, t]] = 0.0
    out_first[len(col_first) - 1] = written
    return written
