"""Rows that know machines to be whole: what stands in a pool needs the next whole number of machines.

Let streams C stand in pool p in slot t with weights a[s] (a packing weight times replicas), A = sum of a over C, N = A
rounded up, h = A - (N - 1). A plan in which stream s weighs z[s] there instead needs n machines with

    n  >=  N - sum over C of G(a[s] - z[s]),      G(d) = floor(d) + min(1, (d - floor(d)) / h)  for d > 0, else 0

because n is whole and n >= sum of z: what is missing from C saves a machine only once h of it is gone, and G says that
of each stream's part alone (residual capacity inequalities: Magnanti, Mirchandani and Vachani, "The convex hull of two
core capacitated network design problems", Mathematical Programming 60, 1993; for demand that goes one way as a whole:
Atamturk and Rajan, "On splittable and unsplittable flow capacitated network design arc-set polyhedra", Mathematical
Programming 92, 2002). At a price the row is a rent G(a) - G(a - z) for every stream of C and a constant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from placement.bound import Choices, Fixed, Pricer, Prices, free, tables
from placement.columns import Column, UnitTable
from placement.groups import Groups
from placement.master_lp import Lp
from placement.problem import Bools, Counts, Floats, Ints, Problem, Purchase
from placement.shared import has_shared

_ROUNDING = 1e-9
"""Taken off h, which makes a row weaker, so that sums of weights may be wrong by as much."""
_LEAST_H = 1e-2
"""Rows of which the last machine holds less than this are rounded down instead: they would promise next to nothing."""
_MEBIBYTES = 64
"""Most that rents by stream, copies, pool and slot may take."""


@dataclass(frozen=True, slots=True)
class WholeRow:
    """A row over the slots [n] of a group: `load` [S, n] is what each stream of C weighs (0: it is not in C).

    `machines` [n] is N, `last` [n] is h; `full` [S, n] is G of the load, `most` what its left side may be at most
    beside the machines. `number` names it.
    """

    number: int
    group: int
    weight: int
    firm: bool
    load: Floats
    machines: Floats
    last: Floats
    full: Floats
    most: float

    def rents(self, stream: Ints, weighs: Floats) -> Floats:
        """What units of these streams [k] count in each slot [k, n], when they weigh `weighs` [k, n] there."""
        missing: Floats = gauge(np.maximum(self.load[stream] - weighs, 0.0), self.last)
        return self.full[stream] - missing


def gauge(missing: Floats, last: Floats) -> Floats:
    """G: the machines that may be saved where `missing` is gone and the last machine holds `last`."""
    whole = np.floor(missing)
    saved: Floats = whole + np.minimum(1.0, (missing - whole) / last)
    return saved


def round_up(weight: Floats) -> tuple[Floats, Floats]:
    """(machines, what the last one holds) for weights in sum, entry by entry."""
    machines = np.maximum(np.ceil(weight - _LEAST_H), 0.0)
    return machines, np.clip(weight - machines + 1 - _ROUNDING, _LEAST_H / 2, 1.0)


def whole_row(number: int, group: int, weight: int, load: Floats, *, firm: bool) -> WholeRow:
    """The row of `load` [S, n]."""
    machines, last = round_up(load.sum(axis=0))
    full = gauge(load, last)
    return WholeRow(number, group, weight, firm, load, machines, last, full, float((full.sum(axis=0) - machines).sum()))


def may_use(problem: Problem) -> bool:
    """Whether whole rows serve a problem: one by cost that shares nothing, of streams that are whole, and not large."""
    v, count = problem.variants, len(tables(problem).q_stream)
    size = 16 * count * problem.pools.run_usd.size / 2**20
    one_need = len(np.unique(np.stack([v.stream, v.copies, v.speed]), axis=1).T) == len(v.stream)
    plain = problem.parts is None and problem.layers is None and problem.paths is None and not has_shared(problem)
    return problem.objective.mode == "min_cost" and plain and one_need and size <= _MEBIBYTES


class ApartPricer(Pricer):
    """Prices streams with each number of copies apart, for rents that differ between them: [2, Q, P, T].

    Within a row of `Choices` and a pool replicas per slot are known, so rents that are not in proportion to them can be
    told per replica. Takes plain prices too.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        table = self._tables
        self.stream, self._streams = np.array(table.q_stream), problem.streams
        rows, s, c = len(self.stream), problem.streams, problem.candidates
        count = np.diff(s.candidate_first)[self.stream]
        first = np.append(0, np.cumsum(count))
        self._candidate = np.repeat(s.candidate_first[self.stream] - first[:-1], count) + np.arange(first[-1])
        at = self._candidate
        self._apart = Pricer(replace(
            problem, shapes=problem.shapes[s.shape[self.stream]], incumbent=None, survival=None,
            streams=replace(s, workload=s.workload[self.stream], shape=np.arange(rows),
                            availability=s.availability[self.stream], preemptible=s.preemptible[self.stream],
                            candidate_first=first, variant_first=np.array(table.q_variant)),
            candidates=replace(c, stream=np.repeat(np.arange(rows), count), pool=c.pool[at], speed=c.speed[at],
                               cost_usd=c.cost_usd[at], user_usd=c.user_usd[at], single=c.single[at]),
            variants=replace(problem.variants, stream=np.repeat(np.arange(rows), np.diff(table.q_variant))),
        ))  # fmt: skip
        self.replicas = self._replicas(problem, np.repeat(np.arange(rows), count))

    def _replicas(self, problem: Problem, row: Ints) -> Floats:
        """Replicas of one copy [P, Q, T] where it runs: a batch unit's in every slot."""
        v, c = problem.variants, problem.candidates
        found = np.zeros((len(problem.pools.cluster), len(self.stream), problem.slots))
        first = np.array(self._tables.q_variant)
        for q, n in zip(row.tolist(), self._candidate.tolist(), strict=True):
            for u in range(first[q], first[q + 1]):
                if v.speed[u] == c.speed[n]:
                    found[c.pool[n], q] = v.rows[v.row[u]] if v.row[u] >= 0 else v.level[u]
        return found

    def cheapest(self, prices: Prices, fixed: Fixed | None = None, threads: int = 1) -> Choices:
        """As `Pricer.cheapest`, at prices by shape or by row of `Choices`."""
        if prices.replica_usd.shape[1] != len(self.stream):
            return super().cheapest(prices, fixed, threads)
        fixed = fixed or free(self._problem)
        never = None if fixed.never is None else fixed.never[self._candidate]
        apart = Fixed(fixed.copies[self.stream], fixed.domains[self.stream], never)
        found = self._apart.cheapest(prices, apart, threads)
        best = np.full(len(self._streams.shape), np.inf)
        np.minimum.at(best, self.stream, found.cost)
        candidate = np.where(found.candidate >= 0, self._candidate[found.candidate], -1)
        return replace(found, stream=self.stream, candidate=candidate, best=best)

    def raised(self, prices: Prices, rows: list[WholeRow], usd: Floats, groups: Groups,
               weights: list[list[Floats]]) -> Prices:
        """`prices` with those of whole rows, `usd` each, on top."""
        shape = self._streams.shape[self.stream]
        replica = np.ascontiguousarray(prices.replica_usd[:, shape])
        firm, spot, constant = prices.firm_usd.copy(), prices.spot_usd.copy(), prices.constant
        for row, price in zip(rows, usd.tolist(), strict=True):
            if price <= 0:
                continue
            p, slots = groups.pool[row.group], groups.slots[row.group]
            firm[p, slots] += price
            spot[p, slots] += 0.0 if row.firm else price
            constant -= price * row.most
            in_row: Bools = np.any(row.load > 0, axis=1)
            there = np.flatnonzero(in_row[self.stream])
            run = self.replicas[p, there][:, slots]
            rent = row.rents(self.stream[there], weights[p][row.weight][shape[there], None] * run)
            each = np.divide(price * rent, run, out=np.zeros_like(run), where=run > 0)
            replica[:, there[:, None], p, slots[None]] += each
        return replace(prices, replica_usd=replica, firm_usd=firm, spot_usd=spot, constant=constant)


def add_rows(lp: Lp, rows: list[WholeRow], problem: Problem, groups: Groups, weights: list[list[Floats]],
             columns: list[Column], units: UnitTable) -> Ints:
    """Write whole rows into a master's program, after all its columns; returns their numbers in it."""
    pool, shape, _, need = units.arrays()
    stream = problem.candidates.stream[[unit[0] for unit in units.units]]
    first = len(lp.col_keys) - len(columns)
    users: list[list[int]] = [[] for _ in units.units]
    for j, column in enumerate(columns):
        for u in column.units:
            users[u].append(first + j)
    runs: dict[int, list[tuple[int, bool]]] = {}
    for j, key in enumerate(lp.col_keys[:first]):
        if isinstance(key, tuple) and key[0] == "run":
            runs.setdefault(key[2], []).append((j, problem.offers.purchase[key[1]] == Purchase.SPOT))
    here = [np.flatnonzero(pool == p) for p in range(len(weights))]
    at = [lp.row(("whole", row.number), -np.inf, row.most) for row in rows]
    for number, row in zip(at, rows, strict=True):
        p = groups.pool[row.group]
        in_row: Bools = np.any(row.load > 0, axis=1)
        mine = here[p][in_row[stream[here[p]]]]
        counts = rows_of_units(row, mine, stream, shape, need, groups, weights)
        lp.entries += [(number, j, -1.0) for j, spot in runs[row.group] if not (spot and row.firm)]
        lp.entries += [(number, j, x) for u, x in zip(mine.tolist(), counts.tolist(), strict=True) if x > _ROUNDING
                       for j in users[u]]  # fmt: skip
    return np.array(at, np.int64)


def rows_of_units(row: WholeRow, mine: Ints, stream: Ints, shape: Ints, need: Counts, groups: Groups,
                  weights: list[list[Floats]]) -> Floats:
    """What each of the units `mine` [k] counts in a row, over all its slots."""
    vector = weights[groups.pool[row.group]][row.weight]
    weighs = vector[shape[mine], None] * need[mine][:, groups.slots[row.group]]
    counts: Floats = row.rents(stream[mine], weighs).sum(axis=1)
    return counts
