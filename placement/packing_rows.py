"""What it takes to pack a pool, as rows of a linear program: all maximal patterns where they are few, else weights.

A *class* of a pool is a shape; in a pool with spot offers it is a shape and whether the work is preemptible, because
only such work may be on a spot machine. Sizes: c classes of the pool, n options in it, j patterns or weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from placement.options import Options
from placement.patterns import simple_weights
from placement.problem import TOLERANCE, Bools, Counts, Floats, Ints, Problem, Purchase

MAX_PATTERNS = 80
"""Most maximal patterns of a pool that is packed exactly."""
_TRIES = 20_000


@dataclass(frozen=True, slots=True)
class PoolWork:
    """What may run in one pool: `option` [n] and the class of each, `needs` [n, T]; of each class its `size` [c, R],
    whether it is `firm` [c] (must not be on spot machines) and the `most` [c] replicas there can be at once.
    """

    pool: int
    room: Floats
    option: Ints
    of_class: Ints
    needs: Counts
    size: Floats
    firm: Bools
    most: Ints

    def active(self) -> Bools:
        """[c, T]: where a class may need anything."""
        active = np.zeros((len(self.size), self.needs.shape[1]), bool)
        np.logical_or.at(active, self.of_class, self.needs > 0)
        return active


def pool_work(problem: Problem, options: Options, pool: int) -> PoolWork:
    """Collect the options of a pool and sort their streams into classes."""
    here = np.flatnonzero(options.pool == pool)
    stream = options.stream[here]
    offers = problem.offers
    spot = bool((offers.max_machines[(offers.pool == pool) & (offers.purchase == Purchase.SPOT)] > 0).any())
    firm = ~problem.streams.preemptible[stream] & spot
    key, of_class = np.unique(problem.streams.shape[stream] * 2 + firm, return_inverse=True)
    needs = options.needs[options.need[here]]
    owner, first = np.unique(stream, return_index=True)
    peak = np.maximum.reduceat(needs.max(axis=1), first) if len(first) else np.zeros(0, np.int64)
    most = np.bincount(of_class[first], peak, len(key)).astype(np.int64)
    assert len(owner) == len(peak)  # options are sorted by stream
    return PoolWork(pool, problem.pools.room[pool], here, of_class, needs, problem.shapes[key // 2], key % 2 == 1, most)


def maximal_patterns(work: PoolWork, limit: int = MAX_PATTERNS) -> Ints | None:
    """All contents of a machine to which nothing can be added, [j, c]; where some classes are firm, also those of the
    others alone. None when they are more than `limit`.
    """
    patterns: set[tuple[int, ...]] = set()
    subsets = [np.ones(len(work.firm), bool)] + ([~work.firm] if work.firm.any() else [])
    for allowed in subsets:
        for tries, pattern in enumerate(_fillings(work, allowed)):
            if tries > _TRIES or len(patterns) > limit:
                return None
            if any(pattern):
                patterns.add(pattern)
    return np.array(sorted(patterns), np.int64).reshape(len(patterns), len(work.firm))


def _fillings(work: PoolWork, allowed: Bools) -> Iterator[tuple[int, ...]]:
    """Fill a machine class by class; what is not maximal is passed over, though it counts as a try."""
    room = work.room + TOLERANCE
    classes = [int(c) for c in np.flatnonzero(allowed & (work.most > 0))]

    def fits(counts: list[int]) -> bool:
        return bool((np.array(counts) @ work.size <= room).all())

    def fill(depth: int, counts: list[int]) -> Iterator[tuple[int, ...]]:
        if depth == len(classes):
            more = any(counts[c] < work.most[c] and fits([n + (i == c) for i, n in enumerate(counts)]) for c in classes)
            yield (0,) * len(counts) if more else tuple(counts)
            return
        counts = list(counts)
        while counts[classes[depth]] <= work.most[classes[depth]] and fits(counts):
            yield from fill(depth + 1, counts)
            counts[classes[depth]] += 1

    yield from fill(0, [0] * len(work.firm))


def packing_weights(work: PoolWork) -> Floats:
    """A few weight vectors [j, c] of which no machine holds more than 1: the best for each class and for all."""
    needed = np.flatnonzero(work.most > 0)
    weights = np.zeros((0, len(work.most)))
    if not len(needed):
        return weights
    size, most = np.ascontiguousarray(work.size[needed]), work.most[needed]
    simple = simple_weights(size, work.room)
    if not len(simple):
        return weights
    best = simple[np.unique([*simple.argmax(axis=0), int((simple @ most).argmax())])]
    weights = np.zeros((len(best), len(work.most)))
    weights[:, needed] = best
    return weights
