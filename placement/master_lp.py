"""The master's linear program written out: machines, limits, streams, packing rows, and the budget in `max_sla`.

Every column and row has a key, by which a basis is carried over from one build to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np

from placement.bound import may_drop
from placement.columns import Column, UnitTable, column_entries
from placement.groups import Groups, Row
from placement.problem import Floats, Ints, Problem, Purchase
from placement.weights import stack

Key = Hashable


class Lp:
    """Columns, rows and coefficients under construction. Columns of streams come last, in their order.

    `shared` are the rows of what pools share (`placement.master_shared`): kind, row of the problem's table, slots, row.
    """

    def __init__(self) -> None:
        self.col_keys: list[Key] = []
        self.cost: list[float] = []
        self.lower: list[float] = []
        self.upper: list[float] = []
        self.budget: list[float] = []
        self.entries: list[tuple[int, int, float]] = []
        self.row_keys: list[Key] = []
        self.row_lower: list[float] = []
        self.row_upper: list[float] = []
        self.packing: list[Row] = []
        self.packing_at: list[int] = []
        self.first_stream = 0
        self.shared: list[tuple[str, int, Ints, int]] = []

    def row(self, key: Key, lower: float, upper: float) -> int:
        """A new row; returns its number."""
        self.row_keys.append(key)
        self.row_lower.append(lower)
        self.row_upper.append(upper)
        return len(self.row_keys) - 1

    def col(self, key: Key, cost: float, lower: float, upper: float, usd: float = 0.0) -> int:
        """A new column that counts `cost` in the objective and `usd` in the budget; returns its number."""
        self.col_keys.append(key)
        self.cost.append(cost)
        self.lower.append(lower)
        self.upper.append(upper)
        self.budget.append(usd)
        return len(self.col_keys) - 1


def build(
    problem: Problem, groups: Groups, active: dict[int, list[Row]], columns: list[Column], art_usd: Floats,
    forbidden: Callable[[Column], bool], share: Callable[[Lp, Problem, Groups, float], None],
) -> Lp:  # fmt: skip
    """All but the coefficients of the columns of streams, which `coefficients` adds.

    `active` are the open packing rows by group; `art_usd` [S] is what a stream without any choice costs; `forbidden`
    columns stay at zero; `share` adds what pools share.
    """
    lp = Lp()
    by_cost = problem.objective.mode == "min_cost"
    scale = 1.0 if by_cost else 0.0
    for p in range(len(problem.pools.cluster)):
        _machines(lp, problem, groups, active, p, scale)
    share(lp, problem, groups, scale)
    drops = _drops(lp, problem)
    lp.first_stream = len(lp.row_keys)
    for s, w in enumerate(problem.streams.workload):
        row = lp.row(("stream", s), 1.0, np.inf)
        if int(w) in drops:
            lp.entries.append((row, drops[int(w)], 1.0))
        elif by_cost:
            lp.entries.append((row, lp.col(("missing", s), float(art_usd[s]), 0.0, np.inf), 1.0))
    for column in columns:
        most = 0.0 if forbidden(column) else np.inf
        lp.col((column.stream, column.units), scale * column.usd, 0.0, most, column.usd)
    if not by_cost:  # money is a row, not the objective
        row = lp.row("budget", -np.inf, problem.objective.budget_usd)
        lp.entries += [(row, c, usd) for c, usd in enumerate(lp.budget) if usd]
    return lp


def _machines(lp: Lp, problem: Problem, groups: Groups, active: dict[int, list[Row]], p: int, scale: float) -> None:
    """Columns of a pool's machines and the rows that limit them; packing rows are opened here too.

    A fixed offer has a level for the horizon, paid for, and what is held of it in each group of slots.
    """
    offers, pools = problem.offers, problem.pools
    mine = np.flatnonzero(offers.pool == p)
    levels: dict[int, int] = {}
    for o in mine[offers.purchase[mine] <= Purchase.COMMITTED].tolist():
        usd, owned = float(offers.price_usd[o].sum()), float(offers.owned[o].min())
        levels[o] = lp.col(("level", o), scale * usd, owned, max(owned, float(offers.max_machines[o].max())), usd)
        for more in np.unique(offers.owned[o])[1:].tolist():  # owned in some slots beyond the level: paid too
            usd = float(offers.price_usd[o, offers.owned[o] == more].sum())
            beyond = lp.col(("beyond", o, more), scale * usd, 0.0, np.inf, usd)
            paid = lp.row(("owned", o, more), float(more), np.inf)
            lp.entries += [(paid, levels[o], 1.0), (paid, beyond, 1.0)]
    for g in groups.alive[p]:
        slots = groups.slots[g]
        at = int(slots[0])
        run_usd = float(pools.run_usd[p, at])
        least = float(pools.min_machines[p, slots].sum())
        limit = lp.row(("max", g), least or -np.inf, float(pools.max_machines[p, slots].sum()))
        firm: list[int] = []
        spot: list[int] = []
        for o in mine.tolist():
            most = float(offers.max_machines[o, slots].sum())
            usd = run_usd if o in levels else run_usd + float(offers.price_usd[o, at])
            run = lp.col(("run", o, g), scale * usd, 0.0, most, usd)
            lp.entries.append((limit, run, 1.0))
            (spot if offers.purchase[o] == Purchase.SPOT else firm).append(run)
            if o in levels:
                tie = lp.row(("tie", o, g), -np.inf, 0.0)
                lp.entries += [(tie, run, 1.0), (tie, levels[o], -float(len(slots)))]
        for row in active[g]:
            r = lp.row(row, -np.inf, 0.0)
            lp.packing.append(row)
            lp.packing_at.append(r)
            lp.entries += [(r, c, -1.0) for c in (firm if row.firm else firm + spot)]


def _drops(lp: Lp, problem: Problem) -> dict[int, int]:
    """Columns that leave a workload out, by workload, and in `min_cost` the row that says how much may be."""
    by_cost = problem.objective.mode == "min_cost"
    weight = problem.workloads.weight
    drops = {w: lp.col(("drop", w), 0.0 if by_cost else float(weight[w]), 0.0, 1.0)
             for w in np.flatnonzero(may_drop(problem)).tolist()}  # fmt: skip
    if by_cost and drops:
        row = lp.row("floor", -np.inf, problem.slack)
        lp.entries += [(row, c, float(weight[w])) for w, c in drops.items()]
    return drops


def coefficients(
    lp: Lp, groups: Groups, weights: list[list[Floats]], columns: list[Column], units: UnitTable
) -> tuple[Ints, Ints, Floats]:
    """All coefficients column by column: starts [columns + 1], rows, values. `weights` are vectors by pool."""
    counts, rows, values = _in_packing_rows(lp, groups, weights, columns, units)
    own = len(lp.col_keys) - len(columns)
    more = np.array([(c, r, v) for r, c, v in lp.entries], float).reshape(-1, 3)
    numbers = np.arange(len(columns))
    streams = np.array([lp.first_stream + c.stream for c in columns], np.int64)
    cols = np.concatenate([more[:, 0].astype(np.int64), np.repeat(numbers, counts) + own, numbers + own])
    all_rows = np.concatenate([more[:, 1].astype(np.int64), rows, streams])
    data = np.concatenate([more[:, 2], values, np.ones(len(columns))])
    order = np.argsort(cols, kind="stable")
    starts = np.searchsorted(cols[order], np.arange(len(lp.col_keys) + 1))
    return starts, all_rows[order], data[order]


def _in_packing_rows(
    lp: Lp, groups: Groups, weights: list[list[Floats]], columns: list[Column], units: UnitTable
) -> tuple[Ints, Ints, Floats]:
    """Coefficients of the streams' columns in packing rows: how many a column has, their rows and values."""
    pools = len(weights)
    pool_of = np.array([groups.pool[row.group] for row in lp.packing], np.int64)
    row_first = np.searchsorted(pool_of, np.arange(pools + 1)).astype(np.int64)
    offsets = np.append(0, np.cumsum([len(w) for w in weights])).astype(np.int64)
    shapes = max((len(v) for vectors in weights for v in vectors), default=0)
    flat = np.concatenate([stack(vectors, shapes) for vectors in weights])
    at = offsets[pool_of] + np.array([row.weight for row in lp.packing], np.int64)
    pool, shape, kind, need = units.arrays()
    col_unit = np.array([u for c in columns for u in c.units], np.int64)
    col_first = np.append(0, np.cumsum([len(c.units) for c in columns])).astype(np.int64)
    most = int(np.diff(row_first)[pool[col_unit]].sum())
    first, rows, values = np.zeros(len(col_first), np.int64), np.zeros(most, np.int64), np.zeros(most)
    n = column_entries(
        col_first, col_unit, pool, shape, kind, need, groups.slot_group, len(groups.slots), row_first,
        np.array(lp.packing_at, np.int64), np.array([r.group for r in lp.packing], np.int64),
        np.array([r.firm for r in lp.packing], np.int64), at, flat, first, rows, values,
    )  # fmt: skip
    return np.diff(first), rows[:n], values[:n]
