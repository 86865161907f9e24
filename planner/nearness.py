"""Diagnostics where they belong, where that costs nothing more: who scores telemetry on the cluster that sends it, who
compares months and trains on own machines.

To a solver one place of several that are paid anyway is as good as another: the few bytes that rows take are less than
any gap that it closes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import NamedTuple

import numpy as np

from placement.complete import Packings, complete
from placement.formulation import cost_usd
from placement.packing import Effort
from placement.problem import Purchase
from placement.result import Solution, Units
from planner.formulate import Formulation
from planner.scenario.model import Scenario

TRIES = 24
MOST_CELLS = 200_000
"""Streams x slots of a problem that is packed as a whole for this."""
_ALIKE = 1e-9
"""Share of the cost by which sums of the same numbers differ."""


class _Place(NamedTuple):
    stream: int
    candidate: int
    variant: int


def moved_near(scenario: Scenario, formulation: Formulation, solution: Solution, stopped: Callable[[], bool]
               ) -> Solution:
    """Move streams of diagnostics to where they belong, one copy with a fallback where that is as available as asked:
    all of them, else halves and halves of these, as far as the plan costs no more. A plan that follows one in force
    stays as it is: every move is one too many.
    """
    problem = formulation.problem
    large = len(problem.streams.workload) * problem.slots > MOST_CELLS
    if large or problem.incumbent is not None or problem.paths is not None or len(solution.cuts):
        return solution
    best, usd = solution, cost_usd(problem, solution)
    waiting, packings = [_wanted(scenario, formulation, solution)], Packings(problem, Effort.SEARCH)
    for _ in range(TRIES):
        if not waiting or not waiting[0] or stopped():
            break
        some = waiting.pop(0)
        found = complete(problem, _moved(best.units, some), packings=packings)
        if isinstance(found, Solution) and cost_usd(problem, found) <= usd * (1 + _ALIKE):
            best, usd = found, cost_usd(problem, found)
        elif len(some) > 1:
            waiting += [some[: len(some) // 2], some[len(some) // 2 :]]
    return best


def _moved(units: Units, some: list[_Place]) -> Units:
    """Units of these streams replaced by one each, which starts when the first of them did."""
    kept = units.copy == 0
    kept |= ~np.isin(units.stream, [place.stream for place in some])
    found = Units(*(getattr(units, field.name)[kept] for field in fields(Units)))
    for place in some:
        at = np.searchsorted(found.stream, place.stream)
        found.candidate[at], found.variant[at] = place.candidate, place.variant
    return found


def _wanted(scenario: Scenario, formulation: Formulation, solution: Solution) -> list[_Place]:
    """Where streams of diagnostics belong that are elsewhere: pools in which machines are paid all the time."""
    problem, names, units = formulation.problem, formulation.names, solution.units
    watches = {work.name: work.watches for work in scenario.workloads if work.watches is not None}
    candidates, variants, offers = problem.candidates, problem.variants, problem.offers
    owned = np.zeros(len(problem.pools.cluster), bool)
    owned[offers.pool[offers.purchase == Purchase.OWNED]] = True
    held, fixed = np.zeros((len(owned), problem.slots)), (offers.purchase <= Purchase.COMMITTED)[:, None]
    np.add.at(held, offers.pool, np.maximum(solution.machines, np.where(fixed, offers.owned, 0)))
    paid = held.min(axis=1) > 0
    row, found = {name: at for at, name in enumerate(names.clusters)}, list[_Place]()
    for stream in np.unique(units.stream).tolist():
        watched = watches.get(names.streams[stream][0])
        if watched is None:
            continue
        legal = np.arange(*np.searchsorted(candidates.stream, [stream, stream + 1]))
        pool = candidates.pool[legal]
        right = owned[pool]
        if watched.purpose == "score":
            right = problem.pools.cluster[pool] == row.get(watched.clusters[0], -1)  # what-if may have taken it
        if np.isin(units.candidate[slice(*np.searchsorted(units.stream, [stream, stream + 1]))], legal[right]).any():
            continue
        for candidate in legal[right & paid[pool] & candidates.single[legal]][:1].tolist():
            needs = np.arange(*np.searchsorted(variants.stream, [stream, stream + 1]))
            needs = needs[(variants.copies[needs] == 1) & (variants.speed[needs] == candidates.speed[candidate])]
            found += [_Place(stream, candidate, variant) for variant in needs.tolist()]
    return found
