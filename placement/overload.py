"""A quick proof that not all that must be placed has room: one slot, with replicas and machines cut as one likes.

A linear program spreads the steady streams that must be placed over their pools, by every resource, and leaves as
little as possible without room. If some is left although replicas may be cut, no plan exists. Its prices say which
streams compete for which pools: those with a price cannot all be placed, whatever the others do. Copies, batch windows
and spot are looked at in the kindest way, so the proof holds for the whole problem.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack, vstack

from placement.problem import Bools, Floats, Ints, Parts, Problem

SLOTS = 4
"""Slots that are looked at, those with most replicas first."""
MOST_CANDIDATES = 100_000
"""Candidates above which there is no quick proof."""
SURE = 1e-6


@dataclass(frozen=True, slots=True)
class Overload:
    """In `slot` the `streams` need more room than their pools have: work of so many streams stays out (a share)."""

    slot: int
    streams: Ints
    left_out: float


def overload(problem: Problem) -> Overload | None:
    """A slot in which streams that must be placed have no room together; None where this proves nothing."""
    must = _must(problem)
    rows = np.flatnonzero(must[problem.candidates.stream])
    if problem.objective.mode == "max_sla" or not len(rows) or len(rows) > MOST_CANDIDATES:
        return None
    replicas = _least_replicas(problem, rows)
    total = np.zeros((len(must), problem.slots))
    np.maximum.at(total, problem.candidates.stream[rows], replicas)
    for slot in np.argsort(-total.sum(axis=0), kind="stable")[:SLOTS].tolist():
        found = _spread(problem, rows, replicas[:, slot], slot)
        if found is not None:
            return found
    return None


def _must(problem: Problem) -> Bools:
    """[S] steady streams of workloads that may not be left out."""
    s, steady = problem.streams, np.ones(len(problem.streams.workload), bool)
    np.logical_and.at(steady, problem.variants.stream, problem.variants.row >= 0)
    has = np.diff(s.candidate_first) > 0
    must: Bools = steady & has & (np.diff(s.variant_first) > 0) & ~problem.workloads.droppable[s.workload]
    return must


def _least_replicas(problem: Problem, rows: Ints) -> Floats:
    """[n, T]: the fewest replicas of all copies together, were they all at the speed of a candidate."""
    v, c = problem.variants, problem.candidates
    first = problem.streams.variant_first
    least = np.full((len(rows), problem.slots), np.inf)
    for at in range(int(np.diff(first).max(initial=0))):
        variant = np.minimum(first[c.stream[rows]] + at, first[c.stream[rows] + 1] - 1)
        here = np.flatnonzero(v.speed[variant] == c.speed[rows])
        needs = v.copies[variant[here], None] * v.rows[v.row[variant[here]]].astype(float)
        least[here] = np.minimum(least[here], needs)
    found = np.where(np.isfinite(least), least, 0.0)
    return found if problem.parts is None else np.minimum(found, _in_parts(problem, problem.parts, rows))


def _in_parts(problem: Problem, parts: Parts, rows: Ints) -> Floats:
    """[n, T]: replicas of what may be split, which are not rounded up: a part elsewhere may take what is over."""
    v, c = problem.variants, problem.candidates
    whole = np.full((len(rows), problem.slots), np.inf)
    for x, s in enumerate(parts.stream.tolist()):
        for at in np.flatnonzero(c.stream[rows] == s).tolist():
            own = np.arange(*problem.streams.variant_first[s:s + 2])
            here = own[(v.copies[own] == 1) & (v.speed[own] == c.speed[rows[at]])]
            if len(here):
                whole[at] = parts.load[x] / parts.throughput[here[0]]
    return whole


def _spread(problem: Problem, rows: Ints, replicas: Floats, slot: int) -> Overload | None:
    """Spread the streams over pools in one slot; what stays out, and whose room it is."""
    c, resources = problem.candidates, problem.shapes.shape[1]
    streams, stream = np.unique(c.stream[rows], return_inverse=True)
    room = problem.pools.room * _machines(problem, slot)[:, None]
    each = problem.shapes[problem.streams.shape[c.stream[rows]]] * replicas[:, None]
    at = np.arange(len(rows))
    use = csr_array((each.T.reshape(-1), ((np.arange(resources)[:, None] * len(room) + c.pool[rows]).reshape(-1),
                                          np.tile(at, resources))), shape=(resources * len(room), len(rows)))
    share = csr_array((np.full(len(rows), -1.0), (stream, at)), shape=(len(streams), len(rows)))
    out = csr_array((np.full(len(streams), -1.0), (np.arange(len(streams)),) * 2), shape=(len(streams),) * 2)
    nothing = csr_array((use.shape[0], len(streams)))
    matrix = csr_array(vstack([hstack([use, nothing]), hstack([share, out])]))
    limit = np.concatenate((room.T.reshape(-1), np.full(len(streams), -1.0)))
    cost = np.append(np.zeros(len(rows)), np.ones(len(streams)))
    found = linprog(cost, A_ub=matrix, b_ub=limit, bounds=(0, None), method="highs")  # type: ignore[call-overload]
    if found.status != 0:
        return None
    price = np.maximum(0.0, -np.asarray(found.ineqlin.marginals))
    return _proven(slot, streams, price, matrix, limit, cost)


def _proven(slot: int, streams: Ints, price: Floats, matrix: csr_array, limit: Floats, cost: Floats) -> Overload | None:
    """The overload, if its prices prove it in float64 whatever the solver says."""
    reduced = cost + matrix.T @ price  # not below 0 at the optimum; shares are at most 1, so what is below counts once
    bound = float(-(price @ limit)) + float(np.minimum(reduced, 0.0).sum())
    if bound <= SURE * len(streams):
        return None
    return Overload(slot, streams[price[-len(streams):] > SURE], bound)


def _machines(problem: Problem, slot: int) -> Floats:
    """[P] machines that may run in a slot."""
    offered = np.zeros(len(problem.pools.cluster))
    np.add.at(offered, problem.offers.pool, problem.offers.max_machines[:, slot].astype(float))
    return np.minimum(offered, problem.pools.max_machines[:, slot])
