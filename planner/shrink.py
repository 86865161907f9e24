"""From a plan of everything to a plan within a budget: leave out what is dearest for its weight.

A plain way to a plan, quick and without a bound; it serves where a search found nothing better in its time.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np

from placement.complete import Packings, complete
from placement.packing import Effort
from placement.problem import Ints, Problem
from placement.result import Solution, Units
from placement.verify import costs, verify
from planner.bill import bill
from planner.build import Proof
from planner.planning import Job, Planned

METHOD = "an attainment is at most 1"


def shrink(job: Job, full: Planned) -> Planned | None:
    """The plan of `job` (max_sla) that leaves out as few workloads of `full` as it must, dearest per weight first.

    Both are of the same formulation. None where even the empty plan costs more than the budget, or what is left does
    not hold.
    """
    assert full.solution is not None
    job, cuts = replace(job, formulation=job.formulation.cut(full.solution.cuts)), full.solution.cuts
    problem, units = job.formulation.problem, full.solution.units
    usd, weight = bill(full.formulation, full.solution).workload_usd(problem, units), problem.workloads.weight
    rate = np.divide(usd, weight, out=np.full(len(usd), inf), where=weight > 0)
    order, packings = np.argsort(-rate, kind="stable"), Packings(problem, Effort.PATTERNS)

    def left(dropped: int) -> Solution | None:
        return _left(problem, units, order[:dropped], packings)

    def within(dropped: int) -> bool:
        solution = left(dropped)
        return solution is not None and costs(problem, solution).total_usd <= problem.objective.budget_usd

    if not within(len(order)):
        return None
    low, high = -1, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if within(middle) else (middle, high)
    found = left(high)
    if found is None or not verify(problem, found).holds:
        return None
    return job.finish(replace(found, cuts=cuts), Proof(1.0, METHOD))


def _left(problem: Problem, units: Units, dropped: Ints, packings: Packings) -> Solution | None:
    """What is left, with machines bought anew."""
    keep = ~np.isin(problem.streams.workload[units.stream], dropped)
    rest = Units(*(getattr(units, name)[keep] for name in ("stream", "copy", "candidate", "variant", "start")))
    found = complete(problem, rest, packings=packings)
    return found if isinstance(found, Solution) else None
