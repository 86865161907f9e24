"""Streams that are split: are the cuts allowed, does every part need what it takes, is the copy up often enough.

Everything is counted again from the loads, slot by slot and part by part.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import numpy as np

from placement.checks.violation import Violation
from placement.domains import failure_domains
from placement.problem import Bools, Layers, Parts, Problem
from placement.result import Units


def broken_parts(problem: Problem, cut: Problem) -> Iterator[Violation]:
    """Whether `cut` is `problem` with streams split as its layers say: caps, numbers of parts, needs, prices."""
    layers, parts = cut.layers, problem.parts
    if layers is None:
        return
    for group in np.unique(layers.group[layers.part > 0]).tolist():
        members = np.flatnonzero(layers.group == group).tolist()
        if parts is None or group not in parts.stream:
            yield Violation("parts", {"stream": group}, float(len(members)), 1.0,
                            f"stream {group} is split into {len(members)} parts; it may not be split")
            continue
        x = int(np.flatnonzero(parts.stream == group)[0])
        if len(members) > parts.most[x]:
            yield Violation("parts", {"stream": group}, float(len(members)), float(parts.most[x]),
                            f"stream {group} is split into {len(members)} parts; {parts.most[x]} are allowed")
        yield from _caps(layers, group, members)
        yield from _needs(problem, cut, parts, x, members)


def _caps(layers: Layers, group: int, members: list[int]) -> Iterator[Violation]:
    """Every part but the last has a cap of 1 or more, the last one none; they are numbered from 0."""
    for number, member in enumerate(members):
        cap, last = int(layers.cap[member]), number == len(members) - 1
        if (cap != 0) if last else (cap < 1):
            yield Violation("parts", {"stream": group, "part": number}, float(cap), 0.0 if last else 1.0,
                            f"part {number} of stream {group} has cap {cap}; "
                            f"{'the last part takes the rest' if last else 'a cap is 1 or more'}")
        if layers.part[member] != number:
            yield Violation("parts", {"stream": group, "part": number}, float(layers.part[member]), float(number),
                            f"part {layers.part[member]} of stream {group} stands where part {number} is meant")


def _needs(problem: Problem, cut: Problem, parts: Parts, x: int, members: list[int]) -> Iterator[Violation]:
    """Each part needs what it takes on every hardware, and pays its share of what a copy pays."""
    group, left = int(parts.stream[x]), parts.load[x].astype(np.float64).copy()
    own = {int(problem.variants.speed[v]): float(parts.throughput[v])
           for v in range(*problem.streams.variant_first[group:group + 2]) if problem.variants.copies[v] == 1}
    c, total = problem.candidates, float(left.sum())
    rows = slice(*problem.streams.candidate_first[group:group + 2])
    for number, member in enumerate(members):
        assert cut.layers is not None
        cap = float(cut.layers.cap[member]) or float("inf")
        take = np.minimum(left, cap)
        left = left - take
        share = float(take.sum()) / total if total > 0 else float(number == 0)
        for v in range(*cut.streams.variant_first[member:member + 2]):
            wanted = [ceil(amount / own[int(cut.variants.speed[v])] - 1e-9) for amount in take.tolist()]
            needs = cut.variants.rows[cut.variants.row[v]].tolist()
            if needs != wanted:
                t = next(t for t, (a, b) in enumerate(zip(needs, wanted, strict=True)) if a != b)
                yield Violation("parts", {"stream": group, "part": number, "slot": t}, float(needs[t]),
                                float(wanted[t]), f"part {number} of stream {group} is counted as {needs[t]} replicas "
                                f"in slot {t}; it takes {wanted[t]}")
        here = slice(*cut.streams.candidate_first[member:member + 2])
        whole = parts.whole_usd[rows]
        wanted_usd = (c.cost_usd[rows] - whole + c.user_usd[rows]) * share + whole
        paid = cut.candidates.cost_usd[here] + cut.candidates.user_usd[here]
        if not np.allclose(paid, wanted_usd, rtol=1e-9, atol=1e-9):
            yield Violation("parts", {"stream": group, "part": number}, float(paid.sum()), float(wanted_usd.sum()),
                            f"part {number} of stream {group} does not pay its share of the copy's costs")


def whole_copies_up(problem: Problem, units: Units) -> Bools:
    """[S] whether the copy that a stream is a part of is up often enough: it is up while all its parts are."""
    enough: Bools = np.ones(len(problem.streams.shape), np.bool_)
    if problem.layers is None:
        return enough
    domains, group = failure_domains(problem), problem.layers.group[units.stream]
    domain = domains.pool[problem.candidates.pool[units.candidate]]
    for split in np.unique(problem.layers.group[problem.layers.part > 0]).tolist():
        path = np.unique(domains.path[domain[group == split]])
        members = problem.layers.group == split
        slo = float(problem.streams.availability[members].max())
        enough[members] = float(np.prod(domains.up[path[path >= 0]])) >= slo - 1e-12
    return enough
