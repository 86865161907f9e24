"""The master linear program: whole choices of streams against packing rows, by column generation.

A column is a complete choice of one stream (k copies in k clusters), a row is a packing weight vector of one pool over
a group of slots. Slots of a pool are kept together until the solution would treat them differently: one group at first,
split where held machines, limits or the binding weights change. Row prices give `placement.bound` its prices; the
fractional solution guides the search. Column generation: Desaulniers, Desrosiers, Solomon (eds), "Column Generation",
Springer 2005.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np

from placement.bound import Choices, Prices, may_drop
from placement.columns import Column, ColumnSet, UnitTable
from placement.evidence import RowProof
from placement.groups import Cut, Groups, Row, best_cut
from placement.master_lp import Key, Lp, build, coefficients
from placement.master_shared import share, shared_levels, shared_prices, spread, unit_cuts
from placement.problem import Bools, Floats, Ints, Problem, Purchase
from placement.shared import has_shared
from placement.shared_bound import FREE
from placement.simplex import open_highs
from placement.weights import WeightFinder, stack
from placement.whole_rows import ApartPricer, WholeRow, add_rows

_NO_PRICE = 8.0
"""A machine that is only owned or committed is taken to be worth this many slots of it where groups are compared."""
_FREE = 1e-12
"""A row with a price up to this is taken to have none."""


class Master:
    """The restricted master of one problem; `solve` it, price it, grow it, read prices and fractions from it.

    `weights` are the packing weights known, by pool; `legal` the shapes that may be in a pool; `fraction` is how much
    of each of `columns` the last solution takes (columns added since have none yet). `art_usd` [S] is what a stream
    without a choice costs the linear program; columns that are `forbidden` stay at zero. `whole` are rows that know
    machines to be whole (`placement.whole_rows`): the last solution priced `priced_whole` at `whole_usd`, which the
    pricer `apart` can tell.
    """

    def __init__(self, problem: Problem, threads: int = 1) -> None:
        self.problem = problem
        self._threads = threads
        self._columns = ColumnSet(problem)
        self.art_usd = np.full(len(problem.streams.shape), 1e7)
        pools = range(len(problem.pools.cluster))
        shape_of = problem.streams.shape[problem.candidates.stream]
        real: Bools = np.any(problem.shapes > 0, axis=1)  # what takes nothing needs no machine
        self.legal = [np.unique(shape_of[(problem.candidates.pool == p) & real[shape_of]]) for p in pools]
        self._finders = [WeightFinder(problem.shapes, problem.pools.room[p], self.legal[p]) for p in pools]
        self.weights: list[list[Floats]] = [list(self._finders[p].resource_weights()) for p in pools]
        self._has_spot = np.zeros(len(pools), bool)
        self._has_spot[problem.offers.pool[problem.offers.purchase == Purchase.SPOT]] = True
        self.forbidden: Callable[[Column], bool] = lambda _: False
        self.groups = Groups(problem)
        self._active = {g: self._fluid_rows(p, g) for p in pools for g in self.groups.alive[p]}
        self._lp = Lp()
        self._value, self._dual = np.zeros(0), np.zeros(0)
        self._status_col: dict[Key, Any] = {}
        self._status_row: dict[Key, Any] = {}
        self.whole: list[WholeRow] = []
        self.priced_whole: list[WholeRow] = []
        self.apart: ApartPricer | None = None
        self._whole_at, self.whole_usd = np.zeros(0, np.int64), np.zeros(0)
        self.objective = 0.0
        self.fraction, self._reduced = np.zeros(0), np.zeros(0)

    @property
    def columns(self) -> list[Column]:
        """The choices the linear program knows."""
        return self._columns.columns

    @property
    def units(self) -> UnitTable:
        """The units that columns refer to."""
        return self._columns.units

    def _fluid_rows(self, pool: int, group: int) -> list[Row]:
        """Rows every group starts with: the plain share of each resource."""
        return [Row(group, w, firm) for w in range(len(self.weights[pool])) for firm in self.kinds(pool)]

    def kinds(self, pool: int) -> tuple[bool, ...]:
        """Kinds of rows that a pool has: of all work, and where it has spot machines of firm work (True)."""
        return (False, True) if self._has_spot[pool] else (False,)

    def add_columns(self, choices: Choices, reduced_below: Floats, per_stream: int = 3) -> int:
        """Take in choices that cost less than `reduced_below` [S] at their prices; returns how many were new."""
        return self._columns.add(choices, reduced_below, per_stream)

    # ---------------------------------------------------------------- solving

    def solve(self, seconds: float = 1e9) -> bool:
        """Build, warm-start from the last basis, solve; False (and the last solution kept) when `seconds` run out."""
        lp = build(self.problem, self.groups, self._active, self.columns, self.art_usd, self.forbidden, share)
        self._whole_at = add_rows(lp, self.whole, self.problem, self.groups, self.weights, self.columns, self.units)
        solver = open_highs(self._threads)
        solver.setOptionValue("time_limit", seconds)
        solver.passModel(_model(lp, *coefficients(lp, self.groups, self.weights, self.columns, self.units)))
        if self._status_row:
            solver.setBasis(self._carried(lp))
        solver.run()
        if solver.modelStatusToString(solver.getModelStatus()) != "Optimal":
            return False
        self._read(lp, solver)
        return True

    def _carried(self, lp: Lp) -> Any:  # noqa: ANN401 (highspy.HighsBasis, imported lazily)
        """The last basis on the new columns and rows; HiGHS mends it where counts no longer agree."""
        import highspy  # loaded already, by `open_highs`

        status, basis = highspy.HighsBasisStatus, highspy.HighsBasis()
        basis.col_status = [self._status_col.get(key, status.kLower) for key in lp.col_keys]
        basis.row_status = [self._status_row.get(key, status.kBasic) for key in lp.row_keys]
        basis.valid = True
        basis.alien = True
        return basis

    def _read(self, lp: Lp, solver: Any) -> None:  # noqa: ANN401 (highspy.Highs, imported lazily)
        solution, basis = solver.getSolution(), solver.getBasis()
        self._lp = lp
        self._value, self._dual = np.asarray(solution.col_value), np.asarray(solution.row_dual)
        self._status_col = dict(zip(lp.col_keys, basis.col_status, strict=True))
        self._status_row = dict(zip(lp.row_keys, basis.row_status, strict=True))
        self.priced_whole = self.whole
        self.whole_usd = np.maximum(0.0, -self._dual[self._whole_at])
        self.objective = float(solver.getInfo().objective_function_value)
        first = len(lp.col_keys) - len(self.columns)
        self.fraction, self._reduced = self._value[first:], np.asarray(solution.col_dual)[first:]

    # ---------------------------------------------------------------- what the solution says

    def stream_duals(self) -> Floats:
        """What one more placed stream costs at the margin, [S]."""
        first = self._lp.first_stream
        return self._dual[first : first + len(self.problem.streams.shape)]

    def missing(self) -> float:
        """How many streams are left without a choice in the fractional solution (`min_cost` only)."""
        return sum(float(v) for v, k in zip(self._value, self._lp.col_keys, strict=True)
                   if isinstance(k, tuple) and k[0] == "missing")  # fmt: skip

    def prices(self) -> Prices:
        """Row prices spread (see `placement.bound`): by shape, or by row of `Choices` where whole rows have any."""
        plain = self._plain_prices()
        if self.apart is None or not self.whole_usd.any():
            return plain
        return self.apart.raised(plain, self.priced_whole, self.whole_usd, self.groups, self.weights)

    def _plain_prices(self) -> Prices:
        """Row prices spread over pools, shapes and slots (see `placement.bound`)."""
        problem = self.problem
        pools, slots, shapes = len(problem.pools.cluster), problem.slots, len(problem.shapes)
        replica = np.zeros((2, shapes, pools, slots))
        firm, spot = np.zeros((pools, slots)), np.zeros((pools, slots))
        shared = shared_prices(self._lp, problem, self._dual) if self._lp.shared else FREE
        factor = spread(problem, self.groups, shared)
        for row, number in zip(self._lp.packing, self._lp.packing_at, strict=True):
            price = -self._dual[number]
            if price <= _FREE:
                continue
            p, at = self.groups.pool[row.group], self.groups.slots[row.group]
            each = price * factor[p, at]
            rent = self.weights[p][row.weight][:, None] * each
            replica[0, :, p, at] += rent.T
            firm[p, at] += each
            if not row.firm:
                replica[1, :, p, at] += rent.T
                spot[p, at] += each
        weight, slack = problem.workloads.weight, problem.slack
        if problem.objective.mode == "min_cost":
            rate = self._price_of("floor")
            drop = np.where(may_drop(problem), rate * weight, np.inf)
            return Prices(replica, firm, spot, 1.0, drop, -rate * slack, shared)
        rate = self._price_of("budget")
        constant = -rate * problem.objective.budget_usd if rate > 0 else 0.0
        return Prices(replica, firm, spot, rate, weight.copy(), constant, shared)

    def proof(self) -> RowProof:
        """The row prices themselves, for a certificate of what `prices` prove."""
        at = np.array(self._lp.packing_at, np.int64)
        price = -self._dual[at] if len(at) else np.zeros(0)
        kept = np.flatnonzero(price > _FREE)
        rows = [self._lp.packing[i] for i in kept.tolist()]
        group, weight = (np.array([getattr(row, name) for row in rows], np.int64) for name in ("group", "weight"))
        rate = self._price_of("floor" if self.problem.objective.mode == "min_cost" else "budget")
        shared = shared_prices(self._lp, self.problem, self._dual) if self._lp.shared else FREE
        factor = spread(self.problem, self.groups, shared) if self._lp.shared else None
        firm = np.array([row.firm for row in rows], np.bool_)
        return RowProof(group, weight, firm, price[kept], rate, shared, factor)

    def _price_of(self, key: str) -> float:
        """The price of the row of that name, 0 when there is none."""
        row = next((i for i, k in enumerate(self._lp.row_keys) if k == key), None)
        return 0.0 if row is None else max(0.0, -float(self._dual[row]))

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

    def machines(self) -> dict[tuple[int, bool], float]:
        """Machine-slots in the fractional solution by group: all of them, and those that are not spot (True)."""
        purchase, total = self.problem.offers.purchase, dict.fromkeys(
            ((g, firm) for g in chain(*self.groups.alive) for firm in (False, True)), 0.0)  # fmt: skip
        for key, value in zip(self._lp.col_keys, self._value, strict=True):
            if isinstance(key, tuple) and key[0] == "run":
                total[key[2], False] += value
                if purchase[key[1]] != Purchase.SPOT:
                    total[key[2], True] += value
        return total

    def add_violated(self, loads: Floats, tolerance: float = 1e-3) -> int:
        """Open rows of known weights that the fractional solution breaks; returns how many."""
        opened, have = 0, self.machines()
        for p, alive in enumerate(self.groups.alive):
            every = loads[0, :, p] + loads[1, :, p]
            if not every.any():
                continue
            matrix = stack(self.weights[p], len(self.problem.shapes))
            for firm in self.kinds(p):
                used = matrix @ (loads[0, :, p] if firm else every)
                for g in alive:
                    known = {r.weight for r in self._active[g] if r.firm == firm}
                    limit = have[g, firm] + tolerance * (1 + have[g, firm])
                    need = used[:, self.groups.slots[g]].sum(axis=1)
                    new = [Row(g, w, firm) for w in np.flatnonzero(need > limit).tolist() if w not in known]
                    self._active[g] += new
                    opened += len(new)
        return opened

    def new_weights(
        self, loads: Floats, rng: np.random.Generator, slots_tried: int, stopped: Callable[[], bool],
        tolerance: float = 1e-3,
    ) -> int:  # fmt: skip
        """Search each pool for weights that prove more machines than those known; returns how many were found."""
        found = 0
        for p, legal in enumerate(self.legal):
            every = loads[0, :, p] + loads[1, :, p]
            if not every.any() or stopped():
                continue
            tries = [every.mean(axis=1)] + [every[:, rng.integers(self.problem.slots)] for _ in range(slots_tried - 1)]
            order = np.argsort(-every[legal].sum(axis=1), kind="stable")
            for replicas in tries:
                if replicas.sum() < 1e-6:
                    continue
                known = float((stack(self.weights[p], len(replicas)) @ replicas).max(initial=0.0))
                weights = self._finders[p].find(replicas, order)
                if float(weights @ replicas) > known * (1 + tolerance) + tolerance:
                    self.weights[p].append(weights)
                    found += 1
        return found

    def split(self, loads: Floats, worth: float) -> tuple[int, float]:
        """Split groups where that is worth more than `worth`; returns how many were and what all splits are worth."""
        shared, cuts = self._shared_levels(loads) if has_shared(self.problem) else ({}, [])
        cuts += [cut for p in range(len(self.weights)) if loads[:, :, p].any()
                 for cut in self._cuts(p, loads, shared.get(p, []))]
        cuts = list({cut.group: cut for cut in sorted(cuts, key=lambda cut: cut.worth)}.values())  # one a group
        chosen = sorted((cut for cut in cuts if cut.worth > worth), key=lambda cut: -cut.worth)
        for cut in chosen:
            rows = self._active.pop(cut.group)
            for child in self.groups.split(cut):
                self._active[child] = [Row(child, r.weight, r.firm) for r in rows]
        return len(chosen), sum(cut.worth for cut in cuts)

    def _shared_levels(self, loads: Floats) -> tuple[dict[int, list[tuple[float, Floats]]], list[Cut]]:
        """Where slots should be told apart for what pools share: levels by pool, and cuts."""
        problem, values = self.problem, dict(zip(self._lp.col_keys, self._value, strict=True))
        every = loads[0] + loads[1]
        need = np.array([(stack(self.weights[p], len(problem.shapes)) @ every[:, p]).max(axis=0, initial=0.0)
                         for p in range(len(self.weights))])  # fmt: skip
        held = np.zeros(len(need))
        for o in np.flatnonzero(problem.offers.purchase <= Purchase.COMMITTED).tolist():
            held[problem.offers.pool[o]] += float(values.get(("level", o), 0.0))
        units = [float(values.get(("held", k), 0.0)) for k in range(len(problem.commitments.owned))]
        prices = shared_prices(self._lp, problem, self._dual)
        return shared_levels(problem, need, held, units), unit_cuts(problem, self.groups, need, held, prices)

    def _cuts(self, p: int, loads: Floats, shared: list[tuple[float, Floats]]) -> list[Cut]:
        """For each group of pool p the cut that matters most: around what is held, around limits, what is shared."""
        offers, most = self.problem.offers, float(self.problem.pools.max_machines[p].max())
        matrix = stack(self.weights[p], len(self.problem.shapes))
        used = matrix @ (loads[0, :, p] + loads[1, :, p])
        need, firm = used.max(axis=0), (matrix @ loads[0, :, p]).max(axis=0)
        mine = np.flatnonzero(offers.pool == p)
        loose, fixed, spot = _by_payment(mine, offers.purchase[mine])
        price = offers.price_usd[loose].min() if len(loose) else _NO_PRICE * offers.price_usd[mine].mean()
        values = dict(zip(self._lp.col_keys, self._value, strict=True))
        held = sum(float(values.get(("level", o), 0.0)) for o in fixed.tolist())
        levels = [(held, need), (held, firm)] if len(fixed) else []
        levels.append((most, need))
        levels += [(float(offers.max_machines[o].max()), need - firm) for o in spot] + shared
        groups = ((g, self.groups.slots[g]) for g in self.groups.alive[p])
        cuts = (best_cut(g, slots, used, levels, float(price)) for g, slots in groups if len(slots) > 1)
        return [cut for cut in cuts if cut is not None]

    def purge(self) -> None:
        """Keep each stream's best columns and those in use."""
        fresh = np.zeros(len(self.columns) - len(self.fraction))
        reduced, fraction = np.concatenate([self._reduced, fresh]), np.concatenate([self.fraction, fresh])
        keep = self._columns.purge(reduced, fraction)
        self.fraction, self._reduced = fraction[keep], reduced[keep]


def _by_payment(offers: Ints, purchase: Ints) -> tuple[Ints, Ints, Ints]:
    """Offers paid by the slot, paid for the horizon, and spot."""
    fixed = purchase <= Purchase.COMMITTED
    return offers[~fixed], offers[fixed], offers[purchase == Purchase.SPOT]


def _model(lp: Lp, starts: Ints, rows: Ints, values: Floats) -> Any:  # noqa: ANN401 (highspy.HighsLp, imported lazily)
    import highspy  # loaded already, by `open_highs`

    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(lp.col_keys), len(lp.row_keys)
    model.col_cost_, model.col_lower_, model.col_upper_ = map(np.array, (lp.cost, lp.lower, lp.upper))
    model.row_lower_, model.row_upper_ = np.array(lp.row_lower), np.array(lp.row_upper)
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_, model.a_matrix_.index_ = starts.astype(np.int32), rows.astype(np.int32)
    model.a_matrix_.value_ = values
    return model
