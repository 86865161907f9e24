"""Every legal placement of one copy, written out: for solvers that look at all of them at once.

Sizes as in `placement.problem`, and N options, J need rows. An option is a (candidate, variant, start) triple.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from placement.domains import failure_domains
from placement.problem import Counts, Floats, Ints, Problem

MAX_ENTRIES = 60_000_000
"""Largest table of needs (rows x slots) that is written out."""


@dataclass(frozen=True, slots=True)
class Options:
    """Each array [N], sorted by stream, variant, candidate, start; `needs` [J, T] are replicas, `need` an option's row.

    `cost_usd` is what the copy costs beside machines and flows: a share of what goes to users included.
    """

    stream: Ints
    copies: Ints
    pool: Ints
    domain: Ints
    candidate: Ints
    variant: Ints
    start: Ints
    cost_usd: Floats
    need: Ints
    needs: Counts


def too_large(problem: Problem, most: int = MAX_ENTRIES) -> str | None:
    """Why the options of this problem cannot be written out, or None."""
    v = problem.variants
    rows = int(np.where(v.row >= 0, 1, v.latest - v.earliest + 1).sum())
    per_variant = np.diff(problem.streams.candidate_first)[v.stream]
    options = int((np.where(v.row >= 0, 1, v.latest - v.earliest + 1) * per_variant).sum())
    entries = max(rows, options) * problem.slots
    if entries <= most:
        return None
    return (f"{options} placements of {rows} needs over {problem.slots} slots are {entries} entries, "
            f"more than the {most} it can write out")


def no_paths(problem: Problem) -> str | None:
    """Why a problem whose pools are sized on sample paths is refused by a model of one row a unit, or None."""
    return "pools are sized on sample paths; it knows one row of replicas a unit" if problem.paths is not None else None


def needs_of(problem: Problem, variant: int) -> Counts:
    """Replicas per slot for every start of a variant, [starts, T]; a steady variant has one row."""
    v = problem.variants
    if v.row[variant] >= 0:
        return np.asarray(v.rows[v.row[variant]], np.int32)[None, :]
    starts = np.arange(v.earliest[variant], v.latest[variant] + 1)
    begins = starts[:, None] + np.arange(v.runs[variant]) * v.period[variant]
    slots = (begins[:, :, None] + np.arange(v.length[variant])).reshape(len(starts), -1)
    needs = np.zeros((len(starts), problem.slots), np.int32)
    np.put_along_axis(needs, slots, np.int32(v.level[variant]), axis=1)
    return needs


def expand(problem: Problem, most: int | None = MAX_ENTRIES) -> Options:
    """Write out all options. Raises ValueError where `too_large` says why (`most` of None: whatever it takes)."""
    if most is not None and (reason := too_large(problem, most)) is not None:
        raise ValueError(reason)
    parts = list(_parts(problem))
    candidate, variant, start, need = (
        np.concatenate([part[i] for part in parts]) if parts else np.zeros(0, np.int64) for i in range(4))
    counts = [needs_of(problem, v) for v in range(len(problem.variants.stream))]
    needs = np.concatenate(counts) if counts else np.zeros((0, problem.slots), np.int32)
    c = problem.candidates
    copies = problem.variants.copies[variant]
    pool = c.pool[candidate]
    domain = failure_domains(problem).pool[pool]
    return Options(c.stream[candidate], copies, pool, domain, candidate, variant, start,
                   c.cost_usd[candidate] + c.user_usd[candidate] / copies, need, needs)


def _parts(problem: Problem) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
    """(candidate, variant, start, need row) of each variant's options."""
    c, v = problem.candidates, problem.variants
    row = 0
    for variant in range(len(v.stream)):
        first, end = problem.streams.candidate_first[v.stream[variant]:v.stream[variant] + 2]
        legal = c.speed[first:end] == v.speed[variant]
        if v.copies[variant] == 1:
            legal = legal & c.single[first:end]
        here = first + np.flatnonzero(legal)
        starts = np.zeros(1, np.int64)
        if v.row[variant] < 0:
            starts = np.arange(v.earliest[variant], v.latest[variant] + 1)
        many = len(here) * len(starts)
        yield (np.repeat(here, len(starts)), np.full(many, variant), np.tile(starts, len(here)),
               np.tile(row + np.arange(len(starts)), len(here)))
        row += len(starts)
