"""One row of replicas in place of sample paths: from below for the bound, about right for the search.

**Bound.** Of N paths at most d are left out, so in every pool and slot the machines are at least the (c - d)-th
smallest of what any c paths need, and that is at least the mean of the c - d smallest. A packing weight makes what a
path needs a sum over units, and the mean of the smallest values of a sum is at least the sum of its parts' means of
their smallest values. So rows made of these means, with the same c paths for all units of a slot, bound what joint
sizing needs.

**Search.** What a unit adds to an order statistic of a sum is its mean over the paths near that statistic (Tasche,
"Capital allocation to business units and sub-portfolios: the Euler principle", 2008). Rows made so add up to what their
pool needs, as long as units stay; they are fitted again as the plan changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from placement.jit import jit
from placement.pooled import add_needs, by_pool, joint, levels, weights_of
from placement.problem import Bools, Counts, Floats, Ints, Problem
from placement.result import Units

_KEPT_PATHS = (0.0, 0.1, 0.3, 1.0)
"""How many of the paths beyond those that may be left out are looked at, in slots where that proves most."""
_SAMPLE = 300
"""Streams by which it is judged what proves most."""
_NEAR = 0.04
"""Share of the paths to either side of the order statistic over which units' parts are averaged."""
_LEAST_FACTOR, _MOST_FACTOR = 0.7, 1.6
_GOLDEN, _PLASTIC = 0.6180339887498949, 0.7548776662466927
"""Steps of the sequences by which rows are rounded, so that sums over units and over slots keep their size."""


# ---------------------------------------------------------------- from below


def relaxed(problem: Problem) -> Problem:
    """The problem without paths, each unit with rows (fractions of replicas) that bound joint sizing from below.

    What is proven of its cost, or that it has no plan, holds for joint sizing too.
    """
    if problem.paths is None:
        return problem
    chosen, take = _chosen_paths(problem)
    v, rows, level = problem.variants, problem.variants.rows.astype(np.float64), problem.variants.level.copy()
    paths, last, ordered = joint(problem), -1, np.zeros((0, 0), np.int32)
    for variant in np.flatnonzero(paths.load[v.stream] >= 0).tolist():
        stream = int(v.stream[variant])
        if v.row[variant] < 0:
            level[variant] = _least_level(levels(problem, variant), chosen, take)
            continue
        if paths.load[stream] != last:
            last = int(paths.load[stream])
            ordered = _ascending(paths.loads[last], chosen)
        _mean_lowest(ordered, take, float(paths.portion[stream]), float(max(1, v.copies[variant] - 1)),
                     float(paths.throughput[variant]), rows[v.row[variant]])
    variants = replace(v, rows=rows, level=level)  # type: ignore[arg-type]  # fractions: only bounds read them
    return replace(problem, paths=None, variants=variants)


def _chosen_paths(problem: Problem) -> tuple[Bools, Ints]:
    """Which paths are looked at in each slot [N, T], and of how many of them the mean is taken [T]."""
    paths = joint(problem)
    count, needed = paths.loads.shape[1], paths.needed
    streams, size = _sizes(problem)
    rank = np.argsort(np.argsort(-_sum(problem, streams, size), axis=0, kind="stable"), axis=0, kind="stable")
    sample = np.linspace(0, len(streams) - 1, min(_SAMPLE, len(streams))).astype(np.int64)
    best, take, chosen = np.full(problem.slots, -1.0), np.full(problem.slots, needed), np.ones(rank.shape, np.bool_)
    for share in _KEPT_PATHS:
        some = 1 + int(share * (needed - 1))
        mask = rank < some + count - needed
        proven, row = np.zeros(problem.slots), np.zeros(problem.slots)
        for s, each in zip(streams[sample].tolist(), size[sample].tolist(), strict=True):
            ordered = _ascending(paths.loads[paths.load[s]], mask)
            _mean_lowest(ordered, np.full(problem.slots, some), float(paths.portion[s]), 1.0, 1.0, row)
            proven += each * row
        better = proven > best + 1e-9
        best[better], take[better], chosen[:, better] = proven[better], some, mask[:, better]
    return chosen, take.astype(np.int64)


def _sizes(problem: Problem) -> tuple[Ints, Floats]:
    """Streams with a load that have a place, and the share of a machine that a replica takes in the roomiest pool."""
    paths, s = joint(problem), problem.streams
    streams = np.flatnonzero((paths.load >= 0) & (np.diff(s.candidate_first) > 0))
    share = np.array([weights_of(problem.shapes, room) for room in problem.pools.room])
    least = np.where(share > 0, share, np.inf).min(axis=0, initial=np.inf)
    return streams, np.where(np.isfinite(least), least, 0.0)[s.shape[streams]]


def _sum(problem: Problem, streams: Ints, size: Floats) -> Floats:
    """What the streams take together on every path [N, T], in machines."""
    paths = joint(problem)
    total = np.zeros(paths.loads.shape[1:], np.float64)
    for s, each in zip(streams.tolist(), size.tolist(), strict=True):
        total += paths.loads[paths.load[s]] * (each * float(paths.portion[s]))
    return total


@jit
def _ascending(load: Counts, chosen: Bools) -> Counts:
    """The `chosen` values of every slot in ascending order, in the first rows of [N, T]; the others are 0."""
    out = np.zeros(load.shape, np.int32)
    for t in range(load.shape[1]):
        values = np.sort(load[chosen[:, t], t])
        for i in range(len(values)):
            out[i, t] = values[i]
    return out


@jit
def _mean_lowest(ordered: Counts, take: Ints, portion: float, parts: float, throughput: float, row: Floats) -> None:
    """`row` [T] becomes the mean need over the first `take` [T] of `ordered` [N, T]."""
    for t in range(len(row)):
        total = 0.0
        for i in range(take[t]):
            total += np.ceil(ordered[i, t] * portion / parts / throughput - 1e-9)
        row[t] = total / take[t]


def _least_level(level: Ints, chosen: Bools, take: Ints) -> int:
    """The level of a gang, whole, that bounds it from below in whatever slots it runs."""
    never = np.iinfo(np.int64).max
    ordered = np.sort(np.where(chosen, level[:, None], never), axis=0)
    counted = np.arange(len(level))[:, None] < take
    return int(np.floor((np.where(counted, ordered, 0).sum(axis=0) / take).min() + 1e-9))


# ---------------------------------------------------------------- about right


class Estimate:
    """Rows for a search, fitted to the plan that it holds: `problem` is the same one with these rows, without paths."""

    def __init__(self, problem: Problem) -> None:
        self._truth = problem
        self._factor = np.ones(len(problem.pools.cluster))
        self._place = np.zeros(len(problem.streams.shape), np.int64)
        self._dither = np.zeros(len(problem.streams.shape))
        pools, (count, slots) = len(problem.pools.cluster), joint(problem).loads.shape[1:]
        self._near = np.full((pools, count, slots), 1.0 / count, np.float32)
        self._rows, self._level = problem.variants.rows.copy(), problem.variants.level.copy()

    @property
    def problem(self) -> Problem:
        """The problem with the rows of now."""
        variants = replace(self._truth.variants, rows=self._rows.copy(), level=self._level.copy())
        return replace(self._truth, paths=None, variants=variants)

    def correct(self, pool: Ints, factor: Floats) -> None:
        """Machines of `pool` [n] turned out to be `factor` [n] times what was counted: rows there grow by that."""
        self._factor[pool] = np.clip(self._factor[pool] * factor, _LEAST_FACTOR, _MOST_FACTOR)

    def fit(self, units: Units, variants: Ints) -> None:
        """Fit the rows of `variants` to a plan's units: what each adds to what its pool needs."""
        problem, (low, high) = self._truth, self._window()
        for pool, own in enumerate(by_pool(problem, units)):
            random = joint(problem).load[own.stream] >= 0
            if not random.any():
                continue
            total = np.zeros(self._near.shape[1:])
            for part, each in self._parts(pool, own):
                total += each * part
            rank = np.argsort(np.argsort(total, axis=0, kind="stable"), axis=0, kind="stable")
            near = (rank >= low) & (rank <= high)
            self._near[pool] = near * (self._factor[pool] / (high - low + 1))
            self._place[own.stream] = pool
            self._dither[own.stream] = np.arange(1, len(own.stream) + 1) * _GOLDEN
        self._fill(variants)

    def _window(self) -> tuple[int, int]:
        """First and last rank of the paths near the order statistic."""
        paths = joint(self._truth)
        count, at = paths.loads.shape[1], paths.needed - 1
        wide = int(_NEAR * count)
        return max(0, at - wide), min(count - 1, at + wide)

    def _parts(self, pool: int, own: Units) -> Iterator[tuple[Counts, float]]:
        """Of units with a load: what they need on every path, and the share of a machine that a replica takes."""
        problem = self._truth
        size = weights_of(problem.shapes, problem.pools.room[pool])
        for u in np.flatnonzero(joint(problem).load[own.stream] >= 0).tolist():
            need = np.zeros(self._near.shape[1:], np.int32)
            add_needs(problem, int(own.variant[u]), int(own.start[u]), need)
            yield need, float(size[problem.streams.shape[own.stream[u]]])

    def _fill(self, variants: Ints) -> None:
        paths, v = joint(self._truth), self._truth.variants
        slots = np.arange(self._truth.slots) * _PLASTIC
        for variant in variants[paths.load[v.stream[variants]] >= 0].tolist():
            stream = int(v.stream[variant])
            near = self._near[self._place[stream]]
            if v.row[variant] < 0:
                mean = (levels(self._truth, variant)[:, None] * near).sum(axis=0).mean()
                self._level[variant] = int(mean + 0.5)
                continue
            mean = _weighted(paths.loads[paths.load[stream]], near, float(paths.portion[stream]),
                             float(max(1, v.copies[variant] - 1)), float(paths.throughput[variant]))
            self._rows[v.row[variant]] = np.floor(mean + (self._dither[stream] + slots) % 1.0)


@jit
def _weighted(load: Counts, near: NDArray[np.float32], portion: float, parts: float, throughput: float) -> Floats:
    """What a copy needs, [T], as a mean over the paths that have a weight in `near` [N, T]."""
    row = np.zeros(load.shape[1])
    for i in range(load.shape[0]):
        for t in range(load.shape[1]):
            if near[i, t] > 0:
                row[t] += near[i, t] * np.ceil(load[i, t] * portion / parts / throughput - 1e-9)
    return row
