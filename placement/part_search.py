"""Better caps and places for what may be split, tried one stream at a time against what the pools really cost.

A try changes a few pools only: their replicas are packed again and the cheapest machines bought. Tries are counted, not
seconds, so the same plan comes out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from placement.complete import Packings
from placement.needs import Load, has_spot, pool_loads
from placement.packing import Effort
from placement.part_prices import cap_levels
from placement.parts import Placed, cut, lower, parts_of, taken_of
from placement.problem import Bools, Counts, Ints, Problem, Purchase
from placement.purchase import buy, terms

_TRIES = 400_000
"""Pools packed again x slots; streams with the largest loads first."""
_SITES = 6
"""Pools beside those with held machines that a stream is tried in."""
_PASSES = 3
_JUDGED, _SMALL = 400, 2_000
"""Plans bought whole, of problems of so many streams x slots at most."""
_LARGE = 50_000
"""Streams x slots from which simple orders pack."""

Split = tuple[tuple[int, int], ...]
"""Where the parts of one stream are: (candidate, cap) in order; the last cap is 0."""


Judge = Callable[[Ints, Placed], float]
"""What a plan with these cuts and units costs in all; infinite where it does not hold."""


def mend(problem: Problem, cuts: Ints, placed: Placed, keep: Bools, stopped: Callable[[], bool],
         judge: Judge) -> tuple[Ints, Placed]:
    """The same plan with other caps and places where that costs less.

    Where pools cannot be bought one by one (losses to be survived, what pools share) or data flows between streams,
    every try is bought whole and given to the `judge`: a few tries, of small problems only.
    """
    search = _Search(problem, cuts, placed, keep, judge)
    for _ in range(_PASSES):
        improved = [search.improve(x) for x in search.order if search.tries > 0 and not stopped()]
        if not any(improved):
            break
    return search.result()


@dataclass(slots=True, eq=False)
class _Pool:
    """Replicas in one pool by shape [C, T], firm and flexible, and what its machines cost."""

    firm: Counts
    flexible: Counts
    usd: float


class _Search:
    def __init__(self, problem: Problem, cuts: Ints, placed: Placed, keep: Bools, judge: Judge) -> None:
        self.problem, self.parts, self.placed, self.cuts = problem, parts_of(problem), placed, cuts
        self.keep, self.spot, self.offered = keep, has_spot(problem), terms(problem)
        large = len(problem.streams.shape) * problem.slots >= _LARGE
        self.packings = Packings(problem, Effort.ORDERS if large else Effort.SEARCH)
        self.tries = _TRIES // problem.slots
        self.shape = problem.streams.shape
        self.pools: list[_Pool] = []
        self._load(cuts, placed)
        self.split = self._splits(cuts)
        flowing = np.concatenate([problem.flows.sender, problem.flows.receiver])
        together = problem.survival is not None or len(problem.limits.paid) or len(problem.commitments.owned)
        self.judged = {x for x in self.split if together or self.parts.stream[x] in flowing}
        self.judge, self.judgements = judge, _JUDGED if len(self.shape) * problem.slots <= _SMALL else 0
        free = [x for x in self.split if x not in self.judged or self.judgements]
        self.order = sorted(free, key=lambda x: (-float(self.parts.load[x].max()), x))
        fixed = problem.offers.purchase <= Purchase.COMMITTED
        self.held = np.isin(np.arange(len(self.pools)), problem.offers.pool[fixed])

    def _load(self, cuts: Ints, placed: Placed) -> None:
        """Fill the pools with what a plan puts there."""
        problem, made = self.problem, cut(self.problem, cuts)
        self.pools = []
        for p, load in enumerate(pool_loads(made.problem, lower(made, placed))):
            firm, flexible = np.zeros((2, len(problem.shapes), problem.slots), np.int32)
            firm[load.shapes], flexible[load.shapes] = load.firm, load.flexible
            self.pools.append(_Pool(firm, flexible, self._usd(p, firm, flexible)))

    def _splits(self, cuts: Ints) -> dict[int, Split]:
        """Where each stream of one placed copy that may be split is."""
        found: dict[int, Split] = {}
        v, placed = self.problem.variants, self.placed
        for x, s in enumerate(self.parts.stream.tolist()):
            rows = np.flatnonzero(placed.stream == s)
            caps = [*cuts[cuts[:, 0] == s, 1].tolist(), 0]
            if len(rows) == len(caps) and (v.copies[placed.variant[rows]] == 1).all():
                found[x] = tuple(zip(placed.candidate[rows].tolist(), caps, strict=True))
        return found

    def result(self) -> tuple[Ints, Placed]:
        """Cuts and units as they are now."""
        p = self.placed
        mine = {int(self.parts.stream[x]): split for x, split in self.split.items()}
        others = ~np.isin(p.stream, list(mine))
        rows = np.stack([p.stream, p.part, p.copy, p.candidate, p.variant, p.start], axis=1)[others].tolist()
        rows += [(s, part, 0, n, self._variant(s, n), 0) for s, split in mine.items()
                 for part, (n, _) in enumerate(split)]
        cuts = self.cuts[~np.isin(self.cuts[:, 0], list(mine))].tolist()
        cuts += [(s, cap) for s, split in mine.items() for _, cap in split[:-1]]
        table = np.array(sorted(map(tuple, rows)), np.int64).reshape(-1, 6).T
        in_order = sorted(cuts, key=lambda row: row[0])  # stable: caps stay in the order of their parts
        return (np.array(in_order, np.int64).reshape(-1, 2),
                Placed(*(np.ascontiguousarray(column) for column in table)))

    def _variant(self, stream: int, candidate: int) -> int:
        v, speed = self.problem.variants, self.problem.candidates.speed[candidate]
        own = range(*self.problem.streams.variant_first[stream:stream + 2])
        return next(row for row in own if v.copies[row] == 1 and v.speed[row] == speed)

    def improve(self, x: int) -> bool:
        """Try other splits of one stream; whether one that costs less was found."""
        if x in self.judged:
            return self._improve_whole(x)
        found, best = False, self.split[x]
        now = self._needs(x, best)
        for other in self._others(x, best):
            if self.tries <= 0:
                break
            then = self._needs(x, other)
            change = self._place_usd(x, other) - self._place_usd(x, best)
            after = {p: self._with(x, p, then.get(p, 0) - now.get(p, np.zeros(1, np.int64))) for p in {*now, *then}}
            change += sum(pool.usd - self.pools[p].usd for p, pool in after.items())
            if change < -1e-7:
                found, best, now = True, other, then
                for p, pool in after.items():
                    self.pools[p] = pool
        self.split[x] = best
        return found

    def _improve_whole(self, x: int) -> bool:
        """The same with every plan bought whole."""
        found, best = False, self.split[x]
        usd = self.judge(*self.result())
        for other in self._others(x, best):
            if self.judgements <= 0:
                break
            self.judgements -= 1
            self.split[x] = other
            if (cost := self.judge(*self.result())) < usd - 1e-7:
                found, best, usd = True, other, cost
        self.split[x] = best
        if found:
            self._load(*self.result())
        return found

    def _others(self, x: int, split: Split) -> Iterator[Split]:
        """Other caps where it is, one part more in front or behind, and the whole in one of its places."""
        s, load = int(self.parts.stream[x]), self.parts.load[x]
        levels = [level for level in cap_levels(load).tolist() if level >= 1]
        for at in range(len(split) - 1):
            below = sum(cap for _, cap in split[:at])
            room = load.max() - below
            near = {split[at][1] + step for step in (-8, -4, -2, -1, 1, 2, 4, 8)}
            for cap in sorted({level - below for level in levels} | near):
                if 1 <= cap < room and cap != split[at][1]:
                    yield (*split[:at], (split[at][0], int(cap)), *split[at + 1:])
        if len(split) > 1:
            yield from (((n, 0),) for n, _ in split)
        if self.parts.most[x] > 1:
            here = split[-1][0]
            if len(split) > 1:
                yield from (((here, int(cap)), (split[0][0], 0)) for cap in levels)
            for n in self._sites(s, here):
                for cap in levels:
                    yield (n, int(cap)), (here, 0)
                    yield (here, int(cap)), (n, 0)

    def _sites(self, s: int, here: int) -> list[int]:
        """Other candidates of a stream: in pools with held machines, and the cheapest of the others."""
        c = self.problem.candidates
        rows = np.arange(*self.problem.streams.candidate_first[s:s + 2])
        rows = rows[self.keep[rows] & c.single[rows] & (c.pool[rows] != c.pool[here])]
        if not self.keep[here]:
            return []
        price = np.array([self.offered.price_usd[p][self.offered.offer[p] >= 0].min() for p in c.pool[rows]])
        room = self.problem.pools.room[c.pool[rows]] / np.maximum(self.problem.shapes[self.shape[s]], 1e-9)
        order = np.argsort(price / np.maximum(room.min(axis=1), 1e-9) + c.cost_usd[rows] / self.problem.slots,
                           kind="stable")
        held = rows[self.held[c.pool[rows]]].tolist()
        return list(dict.fromkeys([*held, *rows[order][:_SITES].tolist()]))

    def _needs(self, x: int, split: Split) -> dict[int, Ints]:
        """Replicas [T] by pool."""
        s, below, needs = int(self.parts.stream[x]), 0, dict[int, Ints]()
        for n, cap in split:
            taken = taken_of(self.parts.load[x], below, cap)
            own = np.ceil(taken / self.parts.throughput[self._variant(s, n)] - 1e-9).astype(np.int64)
            p = int(self.problem.candidates.pool[n])
            needs[p] = needs.get(p, np.zeros(len(own), np.int64)) + own
            below += cap
        return needs

    def _place_usd(self, x: int, split: Split) -> float:
        c, load, below, usd = self.problem.candidates, self.parts.load[x], 0, 0.0
        for n, cap in split:
            share = taken_of(load, below, cap).sum() / load.sum() if load.any() else float(below == 0)
            whole = self.parts.whole_usd[n]
            usd += share * (c.cost_usd[n] - whole + c.user_usd[n]) + whole
            below += cap
        return float(usd)

    def _with(self, x: int, p: int, more: Ints) -> _Pool:
        """The pool with so many replicas [T] more of a stream."""
        s, pool = int(self.parts.stream[x]), self.pools[p]
        if not more.any():
            return pool
        self.tries -= 1
        firm, flexible = pool.firm.copy(), pool.flexible.copy()
        rows = flexible if self.problem.streams.preemptible[s] and self.spot[p] else firm
        rows[self.shape[s]] += more.astype(np.int32)
        return _Pool(firm, flexible, self._usd(p, firm, flexible))

    def _usd(self, p: int, firm: Counts, flexible: Counts) -> float:
        """What the machines of a pool cost; infinite where they lack room."""
        shapes = np.flatnonzero((firm | flexible).any(axis=1))
        size, room = self.problem.shapes[shapes], self.problem.pools.room[p]
        if (size > room + 1e-6).any():
            return float("inf")
        needed = self.packings.needed(p, Load(shapes, firm[shapes], flexible[shapes]))
        bought = buy(p, self.offered, needed.firm, needed.machines)
        return float("inf") if bought.lacking.any() else bought.cost_usd
