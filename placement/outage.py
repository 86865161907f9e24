"""A problem after clusters are lost: nothing may run there any more; what was bought there is still paid for."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from placement.problem import Bools, Counts, Incumbent, Ints, Problem
from placement.result import Units


def without_clusters(problem: Problem, lost: Bools, *, first_slot: int = 0) -> tuple[Problem, Ints]:
    """The problem without the candidates in `lost` [G] clusters, and the new row of every candidate [N], -1 for none.

    Their pools and offers stay, with no machine from `first_slot` on. Where none of them has to run any, every plan of
    the new problem is one of the old at the same cost, so a bound of the old holds for the new. A plan after a loss is
    not asked to survive another.
    """
    gone = lost[problem.pools.cluster]
    keep = ~gone[problem.candidates.pool]
    row = np.where(keep, np.cumsum(keep) - 1, -1)
    table = problem.candidates
    candidates = replace(table, **{field.name: getattr(table, field.name)[keep] for field in fields(table)})
    first = np.searchsorted(candidates.stream, np.arange(len(problem.streams.shape) + 1))
    pools = replace(problem.pools, max_machines=_closed(problem.pools.max_machines, gone, first_slot),
                    min_machines=_closed(problem.pools.min_machines, gone, first_slot))
    offers = replace(problem.offers, max_machines=_closed(
        problem.offers.max_machines, gone[problem.offers.pool], first_slot))
    after = replace(problem, pools=pools, offers=offers, candidates=candidates, incumbent=None, survival=None,
                    parts=None, streams=replace(problem.streams, candidate_first=first))
    return after, row


def _closed(most: Counts, gone: Bools, first_slot: int) -> Counts:
    """Limits [n, T] with none left in the rows that are `gone` [n]."""
    closed = most.copy()
    closed[gone, first_slot:] = 0
    return closed


def in_force(units: Units, row: Ints, most_moves: int | None = None) -> Incumbent:
    """The units of a plan in force whose candidates still have a `row` [N], as the incumbent of the new problem."""
    left = row[units.candidate] >= 0
    return Incumbent(units.stream[left], row[units.candidate[left]], units.variant[left], units.start[left], most_moves)
