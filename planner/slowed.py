"""What a plan says of interference: who slows whom down, and which measured pairs are kept apart."""

from __future__ import annotations

import numpy as np

from placement.interference import meetings
from placement.needs import needs_alone, unit_needs
from placement.result import Solution
from planner.formulate import Formulation
from planner.plan import Interfering, Slowed


def interfering(formulation: Formulation, solution: Solution) -> Interfering | None:
    """None where the problem has no interference."""
    problem, names = formulation.problem, formulation.names
    table = problem.interference
    if table is None:
        return None
    units = solution.units
    alone = needs_alone(problem, units)
    more = unit_needs(problem, units) - alone
    rows, met = [], np.zeros(len(table.slowed), bool)
    for meeting in meetings(problem, units, alone):
        met[meeting.pair] = True
        a, b = int(table.slowed[meeting.pair]), int(table.by[meeting.pair])
        cluster, pool = names.pools[meeting.pool]
        rows.append(Slowed(workload=names.workloads[a], by=names.workloads[b], cluster=cluster, pool=pool,
                           throughput=float(table.factor[meeting.pair]), slots=int(meeting.when.sum()),
                           replicas_more=int(more[np.ix_(meeting.units, np.flatnonzero(meeting.when))].sum())))
    pairs = {frozenset(pair) for pair in zip(table.slowed.tolist(), table.by.tolist(), strict=True)}
    together = {frozenset(pair) for pair in zip(table.slowed[met].tolist(), table.by[met].tolist(), strict=True)}
    return Interfering(pairs=len(pairs), kept_apart=len(pairs - together),
                       slowed=tuple(sorted(rows, key=lambda row: (row.cluster, row.pool, row.workload, row.by))))
