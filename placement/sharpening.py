"""Raising a settled bound by rows that know machines to be whole, found where the master's fractions break them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from placement.bounding import Bounding
from placement.master import Master
from placement.problem import Bools, Counts, Floats, Ints, Problem
from placement.weights import stack
from placement.whole_rows import ApartPricer, WholeRow, gauge, round_up, rows_of_units, whole_row

_ROUNDS, _PRICINGS = 12, 6
_NEW = 300
"""Rows taken in by one round at most, those broken most first."""
_BROKEN = 0.03
"""Machines in a slot by which a row must be broken to be taken in."""
_IDLE = 3
"""Rounds without a price after which a row goes."""
_WORTH, _CLOSE = 1e-4, 3e-4
"""A round that raises the program's value by less than this share is the last; how near to it the bound must come."""
_VECTORS, _STREAMS = 3, 40
"""Weight vectors tried for a pool and slot, and streams, those first that count most there."""


class Sharpening:
    """Whole rows for a `Bounding` that is done, a round at a time by `advance`; its prices for searches stay."""

    def __init__(self, problem: Problem, bounding: Bounding, stopped: Callable[[], bool]) -> None:
        self._problem, self._bounding, self._stopped = problem, bounding, stopped
        self._idle: dict[int, int] = {}
        self._rounds = self._numbers = 0
        self.done = False

    def advance(self) -> None:
        """One round: rows that the fractions break come in, rows that have had no price for long go."""
        bounding, master = self._bounding, self._bounding.master
        if master.apart is None:
            bounding.pricer = master.apart = ApartPricer(self._problem)
        found = sorted(self._broken(master), key=lambda entry: -entry[0])[:_NEW]
        before, self._rounds = master.objective, self._rounds + 1
        self.done = not found or self._rounds >= _ROUNDS
        if not found:
            return
        master.whole = self._in_use(master) + [row for _, row in found]
        if not bounding.solve() or not self._price():
            self.done = True
            return
        self.done |= master.objective - before < _WORTH * abs(master.objective)
        master.add_violated(master.loads())
        master.purge()

    def _in_use(self, master: Master) -> list[WholeRow]:
        """Rows in the master that have had a price lately."""
        for row, usd in zip(master.priced_whole, master.whole_usd.tolist(), strict=True):
            self._idle[row.number] = 0 if usd > 0 else self._idle.get(row.number, 0) + 1
        return [row for row in master.whole if self._idle[row.number] < _IDLE]

    def _price(self) -> bool:
        """Columns until the program's value and the bound meet; False when time ran out."""
        bounding, master = self._bounding, self._bounding.master
        for _ in range(_PRICINGS):
            prices = master.prices()
            choices = bounding.pricer.cheapest(prices)
            bound = bounding.pricer.bound(prices, choices)
            bounding.bound = max(bounding.bound, bound)
            duals = master.stream_duals()
            reduced_below = duals - 1e-7 * max(1.0, float(np.abs(duals).max(initial=0.0)))
            near = master.objective - bound < _CLOSE * abs(master.objective)
            if near or not master.add_columns(choices, reduced_below, 2):
                break
            if not bounding.solve():
                return False
        return True

    def _broken(self, master: Master) -> Iterator[tuple[float, WholeRow]]:
        """Rows that the fractions break, and by how many machines."""
        pool, shape, _, need = master.units.arrays()
        stream = self._problem.candidates.stream[[unit[0] for unit in master.units.units]]
        share = np.zeros(len(pool))
        for column, value in zip(master.columns, master.fraction, strict=False):
            share[list(column.units)] += value
        have = master.machines()
        for p in range(len(master.weights)):
            mine = np.flatnonzero((pool == p) & (share > 1e-6))
            if self._stopped() or not len(mine):
                continue
            for row in self._open(master, p, _Content(stream[mine], share[mine], need[mine]), have):
                counts = rows_of_units(row, mine, stream, shape, need, master.groups, master.weights)
                broken = float(share[mine] @ counts) - have[row.group, row.firm] - row.most
                if broken > _BROKEN * len(master.groups.slots[row.group]):
                    yield broken, row

    def _open(self, master: Master, p: int, content: _Content,
              have: dict[tuple[int, bool], float]) -> Iterator[WholeRow]:
        """A row for each group of pool p, kind of work and promising vector."""
        problem, streams = self._problem, content.streams
        vectors = stack(master.weights[p], len(problem.shapes))[:, problem.streams.shape[streams]]
        firm_work = ~problem.streams.preemptible[streams]
        for group in master.groups.alive[p]:
            slots = master.groups.slots[group]
            there, usual = content.at(slots)
            for firm in master.kinds(p):
                counted: Bools = firm_work if firm else np.ones(len(streams), np.bool_)
                heavy = np.argsort(-(vectors @ (there * usual)).sum(axis=1), kind="stable")[:_VECTORS]
                for w in heavy.tolist():
                    load = vectors[w][:, None] * usual * counted[:, None]
                    t = int(load.max(axis=0).argmax())
                    chosen = choose(load[:, t], np.minimum(there[:, t], 1.0), have[group, firm] / len(slots))
                    if len(chosen):
                        whole = np.zeros((len(problem.streams.shape), len(slots)))
                        whole[streams[chosen]] = load[chosen]
                        self._numbers += 1
                        yield whole_row(self._numbers, group, w, whole, firm=firm)


class _Content:
    """What the fractions put into one pool: units of `stream` [k] by `share` [k], which need `need` [k, T]."""

    def __init__(self, stream: Ints, share: Floats, need: Counts) -> None:
        self.streams, self._at = np.unique(stream, return_inverse=True)
        self._share, self._need = share, need

    def at(self, slots: Ints) -> tuple[Floats, Floats]:
        """How much of each stream runs there in each of the slots, and the replicas of what runs most of it."""
        shape = len(self.streams), len(slots)
        there, usual, most = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for i, need, share in zip(self._at.tolist(), self._need[:, slots], self._share.tolist(), strict=True):
            runs = need > 0
            there[i] += share * runs
            more = runs & (share > most[i])
            usual[i, more], most[i, more] = need[more], share
        return there, usual


def choose(load: Floats, there: Floats, machines: float) -> Ints:
    """The streams, of those that weigh `load` [k] and are `there` in part [k], whose row is broken most; none if none.

    `machines` run. Those that are there most come in one after another, or one alone; then each goes in or out if that
    breaks the row more.
    """
    order = np.argsort(-there, kind="stable")
    order = order[(load[order] > 1e-9) & (there[order] > 1e-3)][:_STREAMS]
    gone, best, chosen = 1.0 - there, 0.0, np.zeros(len(load), np.bool_)

    def broken(some: Bools) -> float:
        needed, last = round_up(load[some].sum())
        return float(needed - machines - (gauge(load[some], last) * gone[some]).sum())

    starts = [np.isin(np.arange(len(load)), order[: k + 1]) for k in range(len(order))]
    starts += [np.arange(len(load)) == k for k in order]
    for some in starts:
        if (value := broken(some)) > best + 1e-9:
            best, chosen = value, some
    for _ in range(2):
        for k in order.tolist():
            some = chosen.copy()
            some[k] = not some[k]
            if (value := broken(some)) > best + 1e-6:
                best, chosen = value, some
    return np.flatnonzero(chosen) if best > 0 else np.zeros(0, np.int64)

