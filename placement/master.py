"""The master linear program: whole choices of streams against packing rows, by column generation.

A column is a complete choice of one stream (k copies in k clusters), a row is a packing weight vector of one pool over a
group of slots. Slots of a pool are kept together until the solution would treat them differently: one group at first,
split where held machines, limits or the binding weights change. Row prices give `placement.bound` its prices; the
fractional solution guides the search. Column generation: Desaulniers, Desrosiers, Solomon (eds), "Column Generation", 2005.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from placement.bound import Choices, Prices
from placement.jit import jit
from placement.problem import Bools, Counts, Floats, Ints, Problem, Purchase
from placement.weights import WeightFinder, stack

Unit = tuple[int, int, int]
"""(candidate, variant, start) of one copy."""

_ACTIVE = 1e-9
_COLUMNS_KEPT = 8


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
        return problem.variants.rows[v.row[variant]]
    need = np.zeros(problem.slots, np.int32)
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
        stream = np.array(self._stream, np.int64)
        streams = self._problem.streams
        needs = np.array(self._needs, np.int32).reshape(len(stream), self._problem.slots)
        return np.array(self._pool, np.int64), streams.shape[stream], streams.preemptible[stream].astype(np.int64), needs


@jit
def _column_entries(
    col_first: Ints,
    col_unit: Ints,
    unit_pool: Ints,
    unit_shape: Ints,
    unit_kind: Ints,
    unit_need: Counts,
    slot_group: Ints,
    groups: int,
    row_first: Ints,
    row_number: Ints,
    row_group: Ints,
    row_firm: Ints,
    row_weight: Ints,
    weights: Floats,
    out_first: Ints,
    out_row: Ints,
    out_value: Floats,
) -> int:
    """Coefficients of columns in packing rows, column by column; returns how many were written.

    The packing rows of pool p are entries `row_first[p]:row_first[p + 1]` of the row_* arrays; `slot_group` [P, T].
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


@dataclass(frozen=True, slots=True)
class Row:
    """A packing row: weight vector `weight` (row of the master's weights) over slot group `group`, all work or firm only."""

    group: int
    weight: int
    firm: bool


class _Lp:
    """Columns and rows under construction, each with a key by which a basis is carried over to the next build."""

    def __init__(self) -> None:
        self.col_keys: list[Hashable] = []
        self.cost: list[float] = []
        self.lower: list[float] = []
        self.upper: list[float] = []
        self.entries: list[tuple[int, int, float]] = []
        self.row_keys: list[Hashable] = []
        self.row_lower: list[float] = []
        self.row_upper: list[float] = []

    def row(self, key: Hashable, lower: float, upper: float) -> int:
        self.row_keys.append(key)
        self.row_lower.append(lower)
        self.row_upper.append(upper)
        return len(self.row_keys) - 1

    def col(self, key: Hashable, cost: float, lower: float, upper: float) -> int:
        self.col_keys.append(key)
        self.cost.append(cost)
        self.lower.append(lower)
        self.upper.append(upper)
        return len(self.col_keys) - 1


class Master:
    """The restricted master of one problem; `solve` it, price it, grow it, read prices and fractions from it."""

    def __init__(self, problem: Problem, threads: int = 1) -> None:
        import highspy  # in here: it must never meet OR-Tools in one process

        self._highspy: Any = highspy
        self.problem = problem
        self._threads = threads
        self.units = UnitTable(problem)
        self.columns: list[Column] = []
        self._known: set[tuple[int, tuple[int, ...]]] = set()
        self.forbidden: Callable[[Column], bool] = lambda _: False
        self.art_usd = np.full(len(problem.streams.shape), 1e7)
        pools = range(len(problem.pools.cluster))
        shape_of = problem.streams.shape[problem.candidates.stream]
        self.legal = [np.unique(shape_of[problem.candidates.pool == p]) for p in pools]
        self.finders = [WeightFinder(problem.shapes, problem.pools.room[p], self.legal[p]) for p in pools]
        self.weights: list[list[Floats]] = [list(self.finders[p].resource_weights()) for p in pools]
        self.has_spot = np.zeros(len(pools), bool)
        self.has_spot[problem.offers.pool[problem.offers.purchase == Purchase.SPOT]] = True
        self.groups: list[tuple[int, Ints]] = []
        self.slot_group = np.zeros((len(pools), problem.slots), np.int64)
        self.alive: list[list[int]] = [[] for _ in pools]
        for p in pools:
            for slots in _alike(problem, p):
                self._add_group(p, slots)
        self.active: dict[int, list[Row]] = {g: self._fluid_rows(g) for p in pools for g in self.alive[p]}
        self._status_col: dict[Hashable, Any] = {}
        self._status_row: dict[Hashable, Any] = {}
        self.objective = 0.0
        self.fraction = np.zeros(0)
        self._column_reduced = np.zeros(0)

    # ---------------------------------------------------------------- groups and rows

    def _add_group(self, pool: int, slots: Ints) -> int:
        number = len(self.groups)
        self.groups.append((pool, slots))
        self.alive[pool].append(number)
        self.slot_group[pool, slots] = number
        return number

    def _fluid_rows(self, group: int) -> list[Row]:
        """Rows every group starts with: the plain share of each resource."""
        pool = self.groups[group][0]
        used = len(self.finders[pool].resource_weights()) if len(self.legal[pool]) else 0
        kinds = (False, True) if self.has_spot[pool] else (False,)
        return [Row(group, w, firm) for w in range(used) for firm in kinds]

    # ---------------------------------------------------------------- building and solving

    def add_columns(self, choices: Choices, reduced_below: Floats, per_stream: int = 3) -> int:
        """Take in choices that cost less than `reduced_below` [S] at their prices; returns how many were new."""
        order = np.lexsort((choices.cost, choices.stream))
        taken = np.zeros(len(reduced_below), np.int64)
        before = len(self.columns)
        for q in order:
            s, k, first = int(choices.stream[q]), int(choices.copies[q]), int(choices.first[q])
            limit = reduced_below[s]
            if not choices.cost[q] < limit or taken[s] >= per_stream:
                continue
            places = list(range(first, first + k))
            taken[s] += self._add_column(s, places, choices)
            other = choices.cost[q] - choices.unit_cost[first + k - 1] + choices.unit_cost[first + k]
            if other < limit:
                taken[s] += self._add_column(s, [*places[:-1], first + k], choices)
        return len(self.columns) - before

    def _add_column(self, stream: int, places: list[int], choices: Choices) -> int:
        """1 when the column is new."""
        units = [(int(choices.candidate[i]), int(choices.variant[i]), int(choices.start[i])) for i in places]
        ids = tuple(sorted(self.units.add(u) for u in units))
        if (stream, ids) in self._known:
            return 0
        self._known.add((stream, ids))
        c, k = self.problem.candidates, len(units)
        usd = sum(float(c.cost_usd[n] + c.user_usd[n] / k) for n, _, _ in units)
        self.columns.append(Column(stream, ids, usd))
        return 1

    def _machine_columns(self, lp: _Lp, scale: float) -> None:
        """Columns of machines and the rows that limit them; packing rows are opened here too."""
        problem = self.problem
        offers, pools = problem.offers, problem.pools
        for p in range(len(pools.cluster)):
            mine = np.flatnonzero(offers.pool == p)
            fixed = mine[offers.purchase[mine] <= Purchase.COMMITTED]
            levels = {
                int(o): lp.col(("level", int(o)), scale * float(offers.price_usd[o].sum()), float(offers.owned[o]),
                               max(float(offers.owned[o]), float(offers.max_machines[o].max())))
                for o in fixed
            }  # fmt: skip
            for g in self.alive[p]:
                slots = self.groups[g][1]
                at = int(slots[0])
                limit = lp.row(("max", g), -np.inf, float(pools.max_machines[p, slots].sum()))
                firm, loose = [], []
                for o in mine:
                    most = float(offers.max_machines[o, slots].sum())
                    run = float(pools.run_usd[p, at])
                    if o in levels:
                        held = lp.col(("held", int(o), g), scale * run, 0.0, most)
                        tie = lp.row(("tie", int(o), g), -np.inf, 0.0)
                        lp.entries += [(tie, held, 1.0), (tie, levels[int(o)], -float(len(slots))), (limit, held, 1.0)]
                        firm.append(held)
                        continue
                    bought = lp.col(("run", int(o), g), scale * (float(offers.price_usd[o, at]) + run), 0.0, most)
                    lp.entries.append((limit, bought, 1.0))
                    (loose if offers.purchase[o] == Purchase.SPOT else firm).append(bought)
                for row in self.active[g]:
                    r = lp.row(row, -np.inf, 0.0)
                    lp.entries += [(r, c, -1.0) for c in (firm if row.firm else firm + loose)]

    def _build(self) -> _Lp:
        problem, lp = self.problem, _Lp()
        objective = problem.objective
        by_cost = objective.mode == "min_cost"
        scale = 1.0 if by_cost else 0.0
        self._machine_columns(lp, scale)
        weight = problem.workloads.weight
        may_drop = problem.workloads.droppable & (weight <= problem.slack) if by_cost else np.ones(len(weight), bool)
        drops = {int(w): lp.col(("drop", int(w)), 0.0 if by_cost else float(weight[w]), 0.0, 1.0)
                 for w in np.flatnonzero(may_drop)}  # fmt: skip
        if by_cost and drops:
            row = lp.row("floor", -np.inf, problem.slack)
            lp.entries += [(row, c, float(weight[w])) for w, c in drops.items()]
        streams = [lp.row(("stream", s), 1.0, np.inf) for s in range(len(problem.streams.shape))]
        for s, w in enumerate(problem.streams.workload):
            if int(w) in drops:
                lp.entries.append((streams[s], drops[int(w)], 1.0))
            elif by_cost:
                lp.entries.append((streams[s], lp.col(("missing", s), float(self.art_usd[s]), 0.0, np.inf), 1.0))
        for column in self.columns:
            lp.col((column.stream, column.units), scale * column.usd, 0.0, 0.0 if self.forbidden(column) else np.inf)
        if not by_cost:
            self._budget_row(lp)
        return lp

    def _budget_row(self, lp: _Lp) -> None:
        """In `max_sla` money is a row, not the objective."""
        problem = self.problem
        row = lp.row("budget", -np.inf, problem.objective.budget_usd)
        offers, pools = problem.offers, problem.pools
        for c, key in enumerate(lp.col_keys):
            if not isinstance(key, tuple):
                continue
            if key[0] == "level":
                usd = float(offers.price_usd[key[1]].sum())
            elif key[0] in ("run", "held"):
                o, g = key[1], key[2]
                at = int(self.groups[g][1][0])
                run = float(pools.run_usd[offers.pool[o], at])
                usd = run + (float(offers.price_usd[o, at]) if key[0] == "run" else 0.0)
            else:
                continue
            if usd:
                lp.entries.append((row, c, usd))
        first = len(lp.col_keys) - len(self.columns)
        lp.entries += [(row, first + j, column.usd) for j, column in enumerate(self.columns) if column.usd]

    def _matrix(self, lp: _Lp) -> tuple[list[Row], Ints, Ints, Ints, Floats]:
        """The packing rows and their numbers; all coefficients column by column: starts, rows, values."""
        row_at = {key: r for r, key in enumerate(lp.row_keys)}
        packing = [row for p in range(len(self.alive)) for g in self.alive[p] for row in self.active[g]]
        pool_of = np.array([self.groups[row.group][0] for row in packing], np.int64)
        row_first = np.searchsorted(pool_of, np.arange(len(self.alive) + 1)).astype(np.int64)
        row_number = np.array([row_at[row] for row in packing], np.int64)
        offsets = np.append(0, np.cumsum([len(w) for w in self.weights])).astype(np.int64)
        flat = np.concatenate([stack(w, len(self.problem.shapes)) for w in self.weights])
        weight_at = np.array([offsets[p] + row.weight for p, row in zip(pool_of, packing, strict=True)], np.int64)
        pool, shape, kind, need = self.units.arrays()
        col_unit = np.array([u for c in self.columns for u in c.units], np.int64)
        col_first = np.append(0, np.cumsum([len(c.units) for c in self.columns])).astype(np.int64)
        most = int((np.diff(row_first)[pool[col_unit]]).sum()) if len(col_unit) else 0
        first, rows, values = np.zeros(len(col_first), np.int64), np.zeros(most, np.int64), np.zeros(most)
        n = _column_entries(
            col_first, col_unit, pool, shape, kind, need, self.slot_group, len(self.groups), row_first,
            row_number, np.array([r.group for r in packing], np.int64),
            np.array([r.firm for r in packing], np.int64), weight_at, flat, first, rows, values,
        )  # fmt: skip
        stream_row = np.array([row_at["stream", c.stream] for c in self.columns], np.int64)
        count = len(self.columns)
        own = len(lp.col_keys) - count
        col = np.repeat(np.arange(count), np.diff(first)) + own
        more = np.array([(c, r, v) for r, c, v in lp.entries], float).reshape(-1, 3)
        cols = np.concatenate([more[:, 0].astype(np.int64), col, np.arange(count) + own])
        all_rows = np.concatenate([more[:, 1].astype(np.int64), rows[:n], stream_row])
        data = np.concatenate([more[:, 2], values[:n], np.ones(count)])
        order = np.argsort(cols, kind="stable")
        starts = np.searchsorted(cols[order], np.arange(len(lp.col_keys) + 1))
        return packing, row_number, starts, all_rows[order], data[order]

    def solve(self, seconds: float = 1e9) -> bool:
        """Build, warm-start from the last basis, solve; False (and the last solution kept) when `seconds` run out."""
        lp = self._build()
        packing, row_number, starts, rows, values = self._matrix(lp)
        hs = self._highspy
        model = hs.HighsLp()
        model.num_col_, model.num_row_ = len(lp.col_keys), len(lp.row_keys)
        model.col_cost_, model.col_lower_, model.col_upper_ = map(np.array, (lp.cost, lp.lower, lp.upper))
        model.row_lower_, model.row_upper_ = np.array(lp.row_lower), np.array(lp.row_upper)
        model.a_matrix_.format_ = hs.MatrixFormat.kColwise
        model.a_matrix_.start_, model.a_matrix_.index_ = starts.astype(np.int32), rows.astype(np.int32)
        model.a_matrix_.value_ = values
        solver = hs.Highs()
        solver.silent()
        solver.setOptionValue("threads", self._threads)
        solver.setOptionValue("time_limit", seconds)
        solver.passModel(model)
        if self._status_row:
            solver.setBasis(self._carried(lp))
        solver.run()
        if solver.getModelStatus() != hs.HighsModelStatus.kOptimal:
            return False
        self._lp, self._solver, self._rows, self._row_number = lp, solver, packing, row_number
        self._read()
        return True

    def _carried(self, lp: _Lp) -> Any:
        """The last basis on the new columns and rows; HiGHS mends it where counts no longer agree."""
        status = self._highspy.HighsBasisStatus
        basis = self._highspy.HighsBasis()
        lower, basic = status.kLower, status.kBasic
        basis.col_status = [self._status_col.get(key, lower) for key in lp.col_keys]
        basis.row_status = [self._status_row.get(key, basic) for key in lp.row_keys]
        basis.valid = True
        basis.alien = True
        return basis

    def _read(self) -> None:
        solution = self._solver.getSolution()
        self._value = np.asarray(solution.col_value)
        self._dual = np.asarray(solution.row_dual)
        self._reduced = np.asarray(solution.col_dual)
        basis = self._solver.getBasis()
        self._status_col = dict(zip(self._lp.col_keys, basis.col_status, strict=True))
        self._status_row = dict(zip(self._lp.row_keys, basis.row_status, strict=True))
        self.objective = float(self._solver.getInfo().objective_function_value)
        self.fraction = self._value[len(self._value) - len(self.columns) :]
        self._column_reduced = self._reduced[len(self._reduced) - len(self.columns) :]

    # ---------------------------------------------------------------- what the solution says

    def stream_duals(self) -> Floats:
        """What one more placed stream costs at the margin, [S]."""
        first = next(i for i, k in enumerate(self._lp.row_keys) if k == ("stream", 0))
        return self._dual[first : first + len(self.problem.streams.shape)]

    def missing(self) -> float:
        """How many streams are left without a choice in the fractional solution (`min_cost` only)."""
        return float(sum(v for v, k in zip(self._value, self._lp.col_keys, strict=True)
                         if isinstance(k, tuple) and k[0] == "missing"))  # fmt: skip

    def prices(self) -> Prices:
        """Row prices spread over pools, shapes and slots (see `placement.bound`)."""
        problem = self.problem
        pools, slots, shapes = len(problem.pools.cluster), problem.slots, len(problem.shapes)
        replica = np.zeros((2, shapes, pools, slots))
        firm, spot = np.zeros((pools, slots)), np.zeros((pools, slots))
        price = np.maximum(-self._dual[self._row_number], 0.0)
        for i in np.flatnonzero(price > 1e-12):
            row = self._rows[i]
            p, at = self.groups[row.group]
            rent = (price[i] * self.weights[p][row.weight])[:, None]
            replica[0, :, p, at] += rent[:, 0]
            firm[p, at] += price[i]
            if not row.firm:
                replica[1, :, p, at] += rent[:, 0]
                spot[p, at] += price[i]
        by_cost = problem.objective.mode == "min_cost"
        weight = problem.workloads.weight
        keys = {k: i for i, k in enumerate(self._lp.row_keys) if isinstance(k, str)}
        if by_cost:
            rate = max(0.0, -self._dual[keys["floor"]]) if "floor" in keys else 0.0
            may = problem.workloads.droppable & (weight <= problem.slack)
            return Prices(replica, firm, spot, 1.0, np.where(may, rate * weight, np.inf), -rate * problem.slack)
        rate = max(0.0, -self._dual[keys["budget"]])
        constant = -rate * problem.objective.budget_usd if rate > 0 else 0.0
        return Prices(replica, firm, spot, rate, weight.copy(), constant)

    def loads(self) -> Floats:
        """Fractional replicas by kind, shape, pool and slot [2, C, P, T]."""
        problem = self.problem
        total = np.zeros((2, len(problem.shapes), len(problem.pools.cluster), problem.slots))
        pool, shape, kind, need = self.units.arrays()
        for column, value in zip(self.columns, self.fraction, strict=False):  # columns added since have no value yet
            if value > 1e-7:
                for u in column.units:
                    total[kind[u], shape[u], pool[u]] += value * need[u]
        return total

    # ---------------------------------------------------------------- growing

    def add_violated(self, loads: Floats, most: int = 10**9, tolerance: float = 1e-3) -> int:
        """Open rows of known weights that the fractional solution breaks; returns how many."""
        found: list[tuple[float, Row]] = []
        values = dict(zip(self._lp.col_keys, self._value, strict=True))
        for p in range(len(self.alive)):
            every = loads[0, :, p] + loads[1, :, p]
            if not every.any():
                continue
            matrix = stack(self.weights[p], len(self.problem.shapes))
            for firm in (False, True) if self.has_spot[p] else (False,):
                used = matrix @ (loads[0, :, p] if firm else every)
                for g in self.alive[p]:
                    slots = self.groups[g][1]
                    need = used[:, slots].sum(axis=1)
                    have = self._machines(values, p, g, firm)
                    known = {(r.weight, r.firm) for r in self.active[g]}
                    for w in np.flatnonzero(need > have + tolerance * (1 + have)):
                        if (int(w), firm) not in known:
                            found.append((float(need[w] - have), Row(g, int(w), firm)))
        found.sort(key=lambda x: -x[0])
        for _, row in found[:most]:
            self.active[row.group].append(row)
        return min(len(found), most)

    def _machines(self, values: dict[Hashable, float], pool: int, group: int, firm: bool) -> float:
        offers = self.problem.offers
        total = 0.0
        for o in np.flatnonzero(offers.pool == pool):
            if firm and offers.purchase[o] == Purchase.SPOT:
                continue
            total += values.get(("run", int(o), group), 0.0) + values.get(("held", int(o), group), 0.0)
        return total

    def new_weights(self, loads: Floats, rng: np.random.Generator, slots_tried: int, tolerance: float = 1e-3) -> int:
        """Search each pool for weights that prove more machines than those known; returns how many were found."""
        found = 0
        for p in range(len(self.alive)):
            every = loads[0, :, p] + loads[1, :, p]
            if not every.any():
                continue
            tries = [every.mean(axis=1)] + [every[:, rng.integers(self.problem.slots)] for _ in range(slots_tried - 1)]
            for replicas in tries:
                if replicas.sum() < 1e-6:
                    continue
                known = float((stack(self.weights[p], len(replicas)) @ replicas).max())
                legal = self.legal[p]
                order = np.argsort(-every[legal].sum(axis=1), kind="stable")
                weights = self.finders[p].find(replicas, order)
                if float(weights @ replicas) > known * (1 + tolerance) + tolerance:
                    self.weights[p].append(weights)
                    found += 1
        return found

    def split(self, loads: Floats, worth_usd: float, most: int = 10**9) -> tuple[int, float]:
        """Split groups whose slots should be told apart; returns how many were split and what all splits are worth."""
        values = dict(zip(self._lp.col_keys, self._value, strict=True))
        cuts = [cut for p in range(len(self.alive)) if loads[:, :, p].any() for cut in self._cuts(p, loads, values)]
        total = sum(worth for worth, _, _ in cuts)
        cuts = sorted((c for c in cuts if c[0] > worth_usd), key=lambda c: -c[0])[:most]
        for _, g, above in cuts:
            self._split_group(g, above)
        return len(cuts), total

    def _cuts(self, p: int, loads: Floats, values: dict[Hashable, float]) -> list[tuple[float, int, Bools]]:
        """For each group of pool p the cut that matters most: (worth in USD, group, slots on one side)."""
        offers, pools = self.problem.offers, self.problem.pools
        matrix = stack(self.weights[p], len(self.problem.shapes))
        used = matrix @ (loads[0, :, p] + loads[1, :, p])
        need, firm = used.max(axis=0), (matrix @ loads[0, :, p]).max(axis=0)
        mine = np.flatnonzero(offers.pool == p)
        loose = mine[offers.purchase[mine] > Purchase.COMMITTED]
        fixed = mine[offers.purchase[mine] <= Purchase.COMMITTED]
        price = float(offers.price_usd[loose].min()) if len(loose) else 8 * float(offers.price_usd[mine].mean())
        held = sum(values.get(("level", int(o)), 0.0) for o in fixed)
        levels = [(held, need), (held, firm)] if len(fixed) else []
        levels.append((float(pools.max_machines[p].max()), need))
        levels += [(float(offers.max_machines[o].max()), need - firm) for o in mine if offers.purchase[o] == Purchase.SPOT]
        cuts = []
        for g in self.alive[p]:
            slots = self.groups[g][1]
            if len(slots) < 2:
                continue
            best, side = 0.0, np.zeros(0, bool)
            for level, amount in levels:
                above = amount[slots] > level + 1e-6
                if above.all() or not above.any():
                    continue
                worth = min((amount[slots][above] - level).sum(), (level - amount[slots][~above]).sum()) * price
                if worth > best:
                    best, side = float(worth), above
            sums = used[:, slots].sum(axis=1)
            worth = float(need[slots].sum() - sums.max()) * price
            if worth > best:
                above = used[int(sums.argmax()), slots] < need[slots] - 1e-6
                if above.any() and not above.all():
                    best, side = worth, above
            if best > 0:
                cuts.append((best, g, side))
        return cuts

    def _split_group(self, group: int, above: Bools) -> None:
        pool, slots = self.groups[group]
        self.alive[pool].remove(group)
        rows = self.active.pop(group)
        for part in (slots[above], slots[~above]):
            child = self._add_group(pool, part)
            self.active[child] = [Row(child, r.weight, r.firm) for r in rows]

    def purge(self) -> None:
        """Keep each stream's best columns and drop rows that have been slack."""
        fresh = len(self.columns) - len(self.fraction)
        reduced = np.concatenate([self._column_reduced, np.zeros(fresh)])
        fraction = np.concatenate([self.fraction, np.zeros(fresh)])
        kept: dict[int, int] = {}
        keep = []
        for i in np.argsort(reduced, kind="stable"):
            s = self.columns[i].stream
            kept[s] = kept.get(s, 0) + 1
            if kept[s] <= _COLUMNS_KEPT or fraction[i] > _ACTIVE:
                keep.append(int(i))
        keep.sort()
        self.columns = [self.columns[i] for i in keep]
        self.fraction, self._column_reduced = fraction[keep], reduced[keep]
        self._known = {(c.stream, c.units) for c in self.columns}


def _alike(problem: Problem, pool: int) -> list[Ints]:
    """Slots of a pool whose limits and prices are the same, kept together."""
    mine = problem.offers.pool == pool
    table = np.vstack([
        problem.pools.max_machines[pool], problem.pools.run_usd[pool],
        problem.offers.max_machines[mine], problem.offers.price_usd[mine],
    ]).T  # fmt: skip
    _, group = np.unique(table, axis=0, return_inverse=True)
    return [np.flatnonzero(group == g) for g in range(int(group.max()) + 1)]
