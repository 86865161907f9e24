"""Prices for large problems without a linear program: accelerated ascent on the smoothed Lagrangian dual.

The master of `placement.master` solves linear programs that grow with the fleet. Here prices of the packing rows, slot
by slot, climb by steps along what streams would take too much (`placement.menu`: smoothed, so that the ascent is
steady), and pools pull them back to what machines cost (`placement.rents`: exact). Momentum per pool, taken back when a
pool's prices turn (Beck and Teboulle, "A fast iterative shrinkage-thresholding algorithm", SIAM Journal on Imaging
Sciences 2, 2009; O'Donoghue and Candes, "Adaptive restart for accelerated gradient schemes", Foundations of
Computational Mathematics 15, 2015). Warmth falls as prices settle. Whatever the prices, `placement.bound` turns them
into a proven bound in float64.

Where there are very many streams each block asks only a sample of them, large ones more often and each as many times as
it stands for (`placement.sample`). Bounds are proven over all streams, block by block, at the last and at the mean of a
block's prices; all are asked once more for what a search starts from.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from placement.bound import Choices, Pricer, Prices, may_drop
from placement.bounding import fluid_rent
from placement.certificate import Certificate
from placement.evidence import no_prices, of_pools
from placement.menu import NEVER, Answer, Bar, Menu, Singles
from placement.needs import has_spot
from placement.payment import make_purse
from placement.problem import Floats, Ints, Problem
from placement.rents import settle, supply
from placement.result import Units
from placement.sample import chances, sizes
from placement.searcher import Searcher
from placement.shortlist import Shortlist, shortlist
from placement.weights import WeightFinder, stack

_BLOCK, _SAMPLED_BLOCK = 40, 25
"""Iterations between two bounds, and where streams are sampled."""
_SAMPLE, _MANY = 12_000, 3
"""Streams of a sample, and how many times as many there must be at least."""
_TOGETHER = 8192
"""Streams of a sampled problem that are asked at once what they take at the end."""
_WARM, _COOL, _COLD = 0.08, 0.7, 0.004
"""Warmth of the first block, how it falls from block to block, and its least."""
_STEP = 0.25
"""Length of a step: 1 would be right if a load answered prices as evenly as warmth says."""
_ALWAYS, _NOW = (6.0, 1.5), (2.0, 1.3)
"""Units and rows on the menu: within these factors of the best at plain machine prices, or at the prices of now."""
_FADING, _TAKEN, _LISTED = 0.9, 2e-3, 20
_MOST_WEIGHTS = 24
_SETTLED = 0.02
"""Warmth from which prices can guide a search."""
_WEIGHTS_AFTER = 2
"""Blocks from new weights to new weights."""
_DONE, _STILL, _SAMPLED_STILL = 3e-4, 2, 5
"""Blocks one after another that raise the bound by less than this share are the last; more where samples waver."""

_Taken = tuple[Ints, Units, Floats]
"""Rows, units and shares of what streams take part of, [n] each."""


class Ascent:
    """The best bound of a `min_cost` problem and the prices that prove it; `advance` raises it, block by block.

    `weights` are the packing weights by pool, `threads` how many cores may work; `menu` and `shares` (a fraction of
    each of its units) what the streams take at `prices`, those of the `sample` of about so many that is drawn for every
    block of a problem with many times as many. `stopped` is asked between iterations.
    """

    def __init__(self, problem: Problem, seed: int, stopped: Callable[[], bool], threads: int = 1,
                 sample: int = _SAMPLE) -> None:
        self._problem, self._stopped, self.threads = problem, stopped, threads
        self._rng = np.random.default_rng(seed)
        self.pricer, self._bar = Pricer(problem), Bar(problem)
        self._has_spot = has_spot(problem)
        self._supply = supply(make_purse(problem), self._has_spot)
        self._usual = self._usual_usd()
        self._rooms = _Rooms(problem, self._bar.places.legal)
        self.weights = [list(self._rooms.finder(p).resource_weights()) for p in range(len(self._usual))]
        self._stack_weights()
        pools, slots = self._usual.shape
        width = self._weights.shape[1]
        self._y = np.where(np.arange(width)[None, :, None] < self._counts[:, None, None],
                           self._usual[:, None, :] / np.maximum(self._counts, 1)[:, None, None], 0.0)
        self._z = np.zeros_like(self._y)
        self._last = self._y.copy(), self._z.copy()
        self._momentum = np.ones(pools)
        self._level = self._supply.held.copy()
        self._running = np.zeros((2, pools, slots))
        self._mean: Singles | None = None
        self._still = 0
        self.bound, self.blocks, self.done = 0.0, 0, False
        self._proof: _Proof | None = None
        self.prices: Prices
        self.choices: Choices
        plain = fluid_rent(problem)
        many = len(problem.streams.shape) >= _MANY * sample
        self._chance = chances(sizes(problem, plain), sample) if many else None
        self._taken_by_all: tuple[int, _Taken] | None = None
        self._plain = self._bar.places.narrow(plain)
        with ThreadPoolExecutor(threads) as executor:
            self._always = self._usual_units(executor)
        self.menu = self._bar.menu(self._always)
        self.shares, self.starts = np.zeros(len(self.menu.variant)), np.zeros(len(self.menu.variant), np.int64)

    def _usual_units(self, executor: Executor) -> Ints:
        """What is always on the menu, by plain machine prices: of all streams, or of a new sample."""
        drawn = None
        if self._chance is not None:
            drawn = np.flatnonzero(self._rng.random(len(self._chance)) < self._chance)
            self._bar.times = np.zeros(len(self._chance))
            self._bar.times[drawn] = 1 / self._chance[drawn]
        return self._bar.units(self._plain, *_ALWAYS, executor, drawn)

    def _usual_usd(self) -> Floats:
        """[P, T]: what one more machine usually costs in a slot."""
        s, slots = self._supply, self._problem.slots
        fixed = np.where(s.step_max > 0, s.step_usd, np.inf).min(axis=1, initial=np.inf)[:, None] / slots
        usual = np.minimum(np.where(s.loose_usd < NEVER, s.loose_usd, np.inf), fixed + s.run_usd)
        usual = np.minimum(usual, np.where(s.spot_usd < NEVER, 1.5 * s.spot_usd, np.inf))
        found: Floats = np.maximum(np.where(np.isfinite(usual), usual, s.run_usd), 1e-3)
        return found

    @property
    def legal(self) -> list[Ints]:
        """Shapes that may be in each pool."""
        return self._bar.places.legal

    @property
    def settled(self) -> bool:
        """Prices are good enough to guide a search."""
        return self.blocks > 0 and self.warmth <= _SETTLED

    @property
    def warmth(self) -> float:
        """How evenly streams spread over their choices, as a share of what they cost."""
        return max(_COLD, _WARM * _COOL**self.blocks)

    def advance(self) -> None:
        """One block of iterations, then its bound, new weights and a new menu."""
        with ThreadPoolExecutor(self.threads) as executor:
            iterations = _BLOCK if self._chance is None else _SAMPLED_BLOCK
            recent: list[tuple[Floats, Floats]] = []
            for i in range(iterations):
                if self._stopped():
                    break
                self._iterate(executor)
                if self._chance is not None and i >= iterations // 2:
                    recent.append((self._y, self._z))
            before = self.bound
            self._prove([(self._y, self._z), *([_mean(recent)] if recent else [])])
            self.blocks += 1
            rise = self.bound - before
            self._still = self._still + 1 if rise < _DONE * self.bound else 0
            still = _STILL if self._chance is None else _SAMPLED_STILL
            self.done = self._stopped() or (self.warmth <= _COLD and self._still >= still)
            if not self.done:
                if self.blocks % _WEIGHTS_AFTER == 1:  # prices settle before rows come in again
                    self._new_weights()
                self._new_menu(self._bar.places.narrow(self.prices.replica_usd), executor)

    def certificate(self) -> Certificate:
        """What proves the bound: the weights and prices of the block that proved it."""
        best = self._proof
        return no_prices(self._problem) if best is None else of_pools(
            self._problem, best.weights, best.every, best.firm, best.rate)

    def shortlist(self) -> Shortlist:
        """The units worth trying at the prices of now, and those that streams take part of."""
        row, units, _ = self._taken_in_all()
        used = np.column_stack([row, units.candidate, units.variant, units.start])
        return shortlist(self._problem, self.prices, self.choices, used, _LISTED)

    def start(self) -> Callable[[Searcher, np.random.Generator], None]:
        """A way to start a search from the fractions of now; its units are on the `shortlist` of now."""
        _, units, share = self._taken_in_all()
        return lambda searcher, rng: searcher.draw(units, share, rng)

    def _taken(self, menu: Menu, shares: Floats, starts: Ints) -> _Taken:
        """Rows, units and shares [n] of what streams take part of."""
        taken = np.flatnonzero(shares > _TAKEN)
        row = np.repeat(np.arange(len(menu.copies)), np.diff(menu.unit_first))[taken]
        stream, variant = self.choices.stream[row], menu.variant[taken]
        units = Units(stream, np.zeros(len(taken), np.int64), menu.candidate[taken], variant, starts[taken])
        return row, units, shares[taken]

    def _taken_in_all(self) -> _Taken:
        """The same of all streams, also of those that are not in the sample; they are asked some at a time."""
        if self._chance is None:
            return self._taken(self.menu, self.shares, self.starts)
        if self._taken_by_all is None or self._taken_by_all[0] != self.blocks:
            price, found, streams = self._bar.places.narrow(self.prices.replica_usd), [], len(self._chance)
            with ThreadPoolExecutor(self.threads) as executor:
                for first in range(0, streams, _TOGETHER):
                    some = np.arange(first, min(first + _TOGETHER, streams))
                    menu = self._bar.menu(self._bar.units(price, *_NOW, executor, some))
                    answer = self._bar.answer(menu, price, self.warmth, executor, self.threads)
                    found.append(self._taken(menu, answer.share, answer.start))
            self._taken_by_all = self.blocks, _joined(found)
        return self._taken_by_all[1]

    # ---------------------------------------------------------------- iterations

    def _iterate(self, executor: ThreadPoolExecutor) -> None:
        (y, z), (last_y, last_z) = (self._y, self._z), self._last
        momentum = (1 + np.sqrt(1 + 4 * self._momentum**2)) / 2
        push = ((self._momentum - 1) / momentum)[:, None, None]
        ahead_y, ahead_z = np.maximum(y + push * (y - last_y), 0.0), np.maximum(z + push * (z - last_z), 0.0)
        answer = self._bar.answer(self.menu, self._rent(ahead_y, ahead_z), self.warmth, executor, self.threads)
        firm = np.matmul(self._weights, answer.load[0]).astype(float)
        every = firm + np.matmul(self._weights, answer.load[1])
        eta = self._step_size(ahead_y, ahead_z, every)
        new_y = ahead_y + eta[:, None] * every
        new_z = np.where(self._has_spot[:, None, None], ahead_z + eta[:, None] * firm, 0.0)
        self._settle(new_y, new_z, eta, executor)
        turned = ((ahead_y - new_y) * (new_y - y) + (ahead_z - new_z) * (new_z - z)).sum(axis=(1, 2)) > 0
        self._momentum = np.where(turned, 1.0, momentum)
        self._last, self._y, self._z = (y, z), new_y, new_z
        self._answered(answer)

    def _answered(self, answer: Answer) -> None:
        self.shares, self.starts = answer.share, answer.start
        load = answer.load
        self._mean = load if self._mean is None else np.float32(_FADING) * self._mean + np.float32(1 - _FADING) * load

    def _rent(self, y: Floats, z: Floats) -> Singles:
        """Rent of a replica by kind, pool, place of its shape and slot [2, P, L, T]."""
        spread = np.ascontiguousarray(self._weights.transpose(0, 2, 1))
        flexible = np.matmul(spread, y.astype(np.float32))
        return np.stack([flexible + np.matmul(spread, z.astype(np.float32)), flexible])

    def _step_size(self, y: Floats, z: Floats, every: Floats) -> Floats:
        """[P, T]: a load that is off by a share moves its price by warmth times that share.

        Rents above what machines cost do not lengthen steps upwards, or they would run away.
        """
        price, need = y.sum(axis=1) + z.sum(axis=1), every.max(axis=1)
        size = np.clip(price, 0.2 * self._usual, 1.5 * self._usual)
        size = np.where(need < self._supply.most, np.maximum(size, price), size)
        step: Floats = _STEP * self.warmth * size / np.maximum(need, 0.5)
        return step

    def _settle(self, y: Floats, z: Floats, eta: Floats, executor: ThreadPoolExecutor) -> None:
        pools = len(eta)
        ends = np.linspace(0, pools, self.threads + 1).astype(int).tolist()
        work = [executor.submit(settle, self._supply, a, b, y, z, eta, self._counts, self._level, *self._running)
                for a, b in pairwise(ends)]
        for one in work:
            one.result()

    # ---------------------------------------------------------------- between blocks

    def _prove(self, reached: list[tuple[Floats, Floats]]) -> None:
        """The bound at the best of some prices reached, in float64, and these prices."""
        best = -np.inf
        for y, z in reached:
            prices, choices, rate = self._priced(y, z)
            bound = self.pricer.bound(prices, choices)
            if bound > best:
                best, self.prices, self.choices = bound, prices, choices
            if bound > self.bound or self._proof is None:
                self.bound = max(bound, 0.0)
                self._proof = _Proof([list(known) for known in self.weights], y.copy(), z.copy(), rate)

    def _priced(self, y: Floats, z: Floats) -> tuple[Prices, Choices, float]:
        """Prices from those of the rows, the cheapest choices, and the best price for leaving workloads out."""
        replica, firm, spot = self._replica_usd(y, z)
        workloads = self._problem.workloads
        prices = Prices(replica, firm, spot, 1.0, np.full(len(workloads.weight), np.inf), 0.0)
        choices = self.pricer.cheapest(prices, threads=self.threads)
        rate = _drop_rate(self._problem, choices.best)
        drop = np.where(may_drop(self._problem), rate * workloads.weight, np.inf)
        return Prices(replica, firm, spot, 1.0, drop, -rate * self._problem.slack), choices, rate

    def _replica_usd(self, y: Floats, z: Floats) -> tuple[Floats, Floats, Floats]:
        problem = self._problem
        pools, slots = self._usual.shape
        replica = np.zeros((2, len(problem.shapes), pools, slots))
        for p, weights in enumerate(self.weights):
            matrix, count = stack(weights, len(problem.shapes)).T, len(weights)
            replica[1, :, p] = matrix @ y[p, :count]
            replica[0, :, p] = replica[1, :, p] + matrix @ z[p, :count]
        spot = y.sum(axis=1)
        return replica, spot + z.sum(axis=1), spot

    def _new_menu(self, price: Singles, executor: ThreadPoolExecutor) -> None:
        row, units, share = self._taken(self.menu, self.shares, self.starts)
        drawn = None
        if self._chance is not None:
            self._always = self._usual_units(executor)
            drawn = np.flatnonzero(self._bar.times)
        kept = self._bar.times[units.stream] > 0
        used = np.stack([row[kept], units.candidate[kept], units.variant[kept]])
        now = self._bar.units(price, *_NOW, executor, drawn)
        self.menu = self._bar.menu(np.concatenate([self._always, used, now], axis=1))
        self._carry_shares(used, units.start[kept], share[kept])

    def _carry_shares(self, used: Ints, start: Ints, share: Floats) -> None:
        """What streams take, on the new menu."""
        menu, wide = self.menu, max(1, len(self._problem.candidates.pool))
        key = np.repeat(np.arange(len(menu.copies)), np.diff(menu.unit_first)) * wide + menu.candidate
        at = np.searchsorted(key, used[0] * wide + used[1])
        self.shares, self.starts = np.zeros(len(key)), np.zeros(len(key), np.int64)
        self.shares[at], self.starts[at] = share, start

    def _new_weights(self) -> None:
        """Search every kind of machine for weights that prove more of what streams have taken of late."""
        assert self._mean is not None, "an iteration was made"
        every = (self._mean[0] + self._mean[1]).astype(float)
        cost = self._usual * self._running.sum(axis=0)
        found = 0
        for pools in self._rooms.pools:
            dearest = pools[int(cost[pools].sum(axis=1).argmax())]
            other = int(self._rng.choice(pools))
            slot = int(self._rng.integers(every.shape[2]))
            for p, load in ((dearest, every[dearest].mean(axis=1)), (other, every[other, :, slot])):
                found += self._try_weight(pools, p, self._bar.places.wide(p, load, len(self._problem.shapes)))
            if self._stopped():
                break
        if found:
            self._keep_used()

    def _try_weight(self, pools: Ints, p: int, replicas: Floats) -> int:
        known = float((stack(self.weights[p], len(replicas)) @ replicas).max(initial=0.0))
        if known < 1e-3:
            return 0
        weight = self._rooms.finder(p).find(replicas)
        if float(weight @ replicas) <= known * 1.002 + 1e-3:
            return 0
        for other in pools.tolist():
            self.weights[other].append(weight)
        return 1

    def _keep_used(self) -> None:
        """Take new weights in; of more than `_MOST_WEIGHTS` of a pool, those without a price go."""
        old = self._counts.copy()
        kept = [self._kept(p, int(old[p])) for p in range(len(old))]
        self.weights = [[self.weights[p][w] for w in chosen] for p, chosen in enumerate(kept)]
        self._stack_weights()
        self._y, self._z, last_y, last_z = (
            self._carried(values, kept, old) for values in (self._y, self._z, *self._last))
        self._last = last_y, last_z
        self._momentum[self._counts != old] = 1.0  # or what the old rows gathered would carry prices too far

    def _kept(self, p: int, old: int) -> list[int]:
        count = len(self.weights[p])
        if count <= _MOST_WEIGHTS:
            return list(range(count))
        priced = np.append(self._y[p, :old].sum(axis=1) + self._z[p, :old].sum(axis=1), np.full(count - old, np.inf))
        return sorted(np.argsort(-priced, kind="stable")[:_MOST_WEIGHTS].tolist())

    def _carried(self, values: Floats, kept: list[list[int]], old: Ints) -> Floats:
        new = np.zeros((len(kept), self._weights.shape[1], values.shape[2]))
        for p, chosen in enumerate(kept):
            for at, w in enumerate(chosen):
                if w < old[p]:
                    new[p, at] = values[p, w]
        return new

    def _stack_weights(self) -> None:
        """`_weights` [P, W, L] by place of the shape, `_counts` [P]."""
        shapes = len(self._problem.shapes)
        self._counts = np.array([len(vectors) for vectors in self.weights], np.int64)
        size = len(self.weights), max(1, int(self._counts.max())), self._bar.places.count
        self._weights = np.zeros(size, np.float32)
        for p, vectors in enumerate(self.weights):
            legal = self._bar.places.legal[p]
            self._weights[p, : len(vectors), : len(legal)] = stack(vectors, shapes)[:, legal]


def _mean(prices: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """The middle of several prices, which prove more than the last of them where a sample makes them waver.

    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal on Control and
    Optimization 30, 1992.
    """
    every, firm = zip(*prices, strict=True)
    return sum(every[1:], every[0].copy()) / len(prices), sum(firm[1:], firm[0].copy()) / len(prices)


def _joined(parts: list[_Taken]) -> _Taken:
    """Rows, units and shares of several groups of streams."""
    rows, units, shares = zip(*parts, strict=True)
    columns = (np.concatenate([getattr(one, column.name) for one in units]) for column in fields(Units))
    return np.concatenate(rows), Units(*columns), np.concatenate(shares)


@dataclass(frozen=True, slots=True)
class _Proof:
    """Weights by pool, their prices [P, W, T] for all work and for firm work, and the price of the floor."""

    weights: list[list[Floats]]
    every: Floats
    firm: Floats
    rate: float


class _Rooms:
    """Pools whose machines have the same room, with one finder of weights: what is valid for one is for all."""

    def __init__(self, problem: Problem, legal: list[Ints]) -> None:
        _, self._room = np.unique(problem.pools.room, axis=0, return_inverse=True)
        self._room = self._room.reshape(-1)
        self.pools = [np.flatnonzero(self._room == r) for r in range(int(self._room.max()) + 1)]
        every = [np.unique(np.concatenate([legal[p] for p in pools])) for pools in self.pools]
        self._finders = [WeightFinder(problem.shapes, problem.pools.room[pools[0]], shapes)
                         for pools, shapes in zip(self.pools, every, strict=True)]

    def finder(self, p: int) -> WeightFinder:
        """The finder for the machines of pool p."""
        return self._finders[int(self._room[p])]


def _drop_rate(problem: Problem, best: Floats) -> float:
    """The USD for a unit of weight left out at which the bound is highest; `best` [S] is what streams cost placed."""
    workloads, may = problem.workloads, may_drop(problem)
    if not may.any() or problem.slack <= 1e-9:
        return 0.0
    placed = np.zeros(len(workloads.weight))
    np.add.at(placed, problem.streams.workload, best)
    nowhere = may & ~np.isfinite(placed)  # left out at any rate
    may, slack = may & ~nowhere, problem.slack - float(workloads.weight[nowhere].sum())
    usd, weight = placed[may], np.maximum(workloads.weight[may], 1e-12)
    order = np.argsort(-usd / weight, kind="stable")
    over = np.cumsum(weight[order]) > slack
    return float((usd / weight)[order[int(over.argmax())]]) if over.any() else 0.0
