"""Stream after stream to where the whole plan, packed and bought for good, costs least: for what no search can count.

Every try packs the pools that change, so tries are few and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from placement.complete import Packings, complete
from placement.domains import failure_domains, survives
from placement.jit import read_only
from placement.problem import Ints, Problem
from placement.result import Solution, Units
from placement.shortlist import Shortlist

_PLACES = 12
"""Units of a block that are tried, the cheapest at the bound's prices first."""

Place = tuple[int, int, int]
"""Candidate, variant and start of a copy."""


def descend(problem: Problem, best: Solution, listed: Shortlist, cost: Callable[[Solution], float], tries: int,
            packings: Packings, rng: np.random.Generator, stopped: Callable[[], bool]) -> Solution:
    """A plan no dearer than `best`: passes over its streams until none helps, `tries` are made or it is `stopped`."""
    least, improved = cost(best), True
    while improved:
        improved = False
        for stream in rng.permutation(np.unique(best.units.stream)).tolist():
            for places in _others(problem, best.units, listed, stream):
                if tries <= 0 or stopped():
                    return best
                tries -= 1
                found = complete(problem, _moved(best.units, stream, places), packings=packings)
                if isinstance(found, Solution) and (usd := cost(found)) < least - 1e-6:
                    best, least, improved = found, usd, True
    return best


def _others(problem: Problem, units: Units, listed: Shortlist, stream: int) -> Iterator[tuple[Place, ...]]:
    """Legal choices of a stream, other than the one it has: its first copies exchanged one by one, or all anew."""
    own = np.flatnonzero(units.stream == stream)
    now = tuple(zip(units.candidate[own].tolist(), units.variant[own].tolist(), units.start[own].tolist(), strict=True))
    seen = {now}
    for block in range(int(listed.stream_first[stream]), int(listed.stream_first[stream + 1])):
        first, copies = int(listed.block_first[block]), int(listed.block_copies[block])
        end = min(first + _PLACES, int(listed.block_first[block + 1]))
        rows = (listed.candidate[first:end], listed.variant[first:end], listed.start[first:end])
        places: list[Place] = list(zip(*(row.tolist() for row in rows), strict=True))
        for choice in _choices(places, now, copies):
            if choice not in seen and _legal(problem, stream, choice):
                seen.add(choice)
                yield choice


def _choices(places: list[Place], now: tuple[Place, ...], copies: int) -> Iterator[tuple[Place, ...]]:
    if copies == 1:
        yield from ((place,) for place in places)
    elif copies == len(now):
        yield from ((*now[:c], place, *now[c + 1:]) for c in range(copies) for place in places)
    else:
        yield from (tuple(places[at:at + copies]) for at in range(len(places) - copies + 1))


def _legal(problem: Problem, stream: int, places: tuple[Place, ...]) -> bool:
    """Copies lie in distinct failure domains and keep the availability together; variants are of that many copies."""
    candidates = np.array([place[0] for place in places], np.int64)
    if len(places) == 1:
        return bool(problem.candidates.single[candidates[0]])
    if (problem.variants.copies[[place[1] for place in places]] != len(places)).any():
        return False
    domains = failure_domains(problem)
    chosen: Ints = domains.pool[problem.candidates.pool[candidates]]
    if len(np.unique(chosen)) < len(chosen):
        return False
    return survives(read_only(domains.path), read_only(domains.up), chosen,
                    float(problem.streams.availability[stream]))


def _moved(units: Units, stream: int, places: tuple[Place, ...]) -> Units:
    """The units with other places for one stream."""
    kept = units.stream != stream
    at = int(np.searchsorted(units.stream, stream))
    candidate, variant, start = (np.array(column, np.int64) for column in zip(*places, strict=True))
    new = (np.full(len(places), stream), np.arange(len(places)), candidate, variant, start)
    old = (units.stream, units.copy, units.candidate, units.variant, units.start)
    return Units(*(np.insert(column[kept], at, values).astype(np.int64)
                   for column, values in zip(old, new, strict=True)))
