"""Mending a plan where a budget rules (`max_sla`): what it does not pay for leaves, the lowest in order first.

A repair places whatever was lost where it costs least, and that may cost more than there is. Then as few workloads as
possible leave, found by bisection: those that leave first are named by the caller. What left before the last one and
fits beside what stays comes back, the last to leave first, by halves. Without any work only what is owned
is paid, as it was by the plan in force, so that something always fits the budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np

from placement.formulation import cost_usd
from placement.problem import Bools, Incumbent, Ints, Problem
from placement.repair import Asked, Mended, mend
from placement.result import Solution, Units
from placement.waves import room_for

_RELATIVE = 1e-9
_TRIES = 24
"""Plans tried to bring back what left before."""


def mend_within_budget(problem: Problem, in_force: Solution, asked: Asked, leave_first: Ints,
                       stopped: Callable[[], bool] = lambda: False,
                       on_plan: Callable[[Mended], None] = lambda _: None) -> Mended:
    """As `mend`; in `max_sla` workloads leave in the order of `leave_first` [W] until the budget pays for the rest.

    Raises ValueError when there is no incumbent.
    """
    most = problem.objective.budget_usd * (1 + _RELATIVE)

    def paid(found: Mended) -> bool:
        return problem.objective.mode == "min_cost" or cost_usd(problem, found.solution) <= most

    def tell(found: Mended) -> None:
        if paid(found):
            on_plan(found)

    found = mend(problem, in_force, asked, stopped, tell)
    if paid(found):
        return found
    order = leave_first[~asked.left_out[leave_first]]

    def try_without(some: Ints, passes: int, told: Callable[[Mended], None] = lambda _: None) -> Mended:
        out = asked.left_out.copy()
        out[some] = True
        return mend(*without(problem, in_force, out), replace(asked, left_out=out, passes=passes), stopped, told)

    low, high = 0, len(order)  # so many are known to be too few, and so many enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if paid(try_without(order[:middle], 0)) else (middle, high)
    out = set(order[:high].tolist())
    groups, tries = [order[: high - 1][::-1].tolist()] if high > 1 else [], 0
    while groups and tries < _TRIES and not stopped():
        back, tries = groups.pop(0), tries + 1
        if paid(try_without(np.array(sorted(out - {*back}), np.int64), 0)):
            out -= {*back}
        elif len(back) > 1:
            groups = [back[: len(back) // 2], back[len(back) // 2:], *groups]
    return try_without(np.array(sorted(out), np.int64), asked.passes, tell)


def without(problem: Problem, in_force: Solution, out: Bools) -> tuple[Problem, Solution]:
    """The problem and its plan in force without the units of workloads that are `out` [W]; the pools where these were
    are bought anew. Raises ValueError when there is no incumbent.
    """
    force = problem.incumbent
    if force is None:
        raise ValueError("there is no plan in force to mend: problem.incumbent is None")
    stays = ~out[problem.streams.workload[force.stream]]
    arrays = {column.name: getattr(force, column.name)[stays] for column in fields(Incumbent)
              if column.name != "most_moves"}
    held = Incumbent(**arrays, most_moves=force.most_moves)
    copy = np.arange(len(held.stream)) - np.searchsorted(held.stream, held.stream)
    machines, lacking = room_for(problem, Units(held.stream, copy, held.candidate, held.variant, held.start))
    emptier = np.zeros(len(problem.pools.cluster), bool)
    emptier[problem.candidates.pool[force.candidate[~stays]]] = True
    anew = (emptier & ~lacking)[problem.offers.pool]
    left = np.where(anew[:, None], machines, in_force.machines).astype(np.int32)
    return replace(problem, incumbent=held), replace(in_force, machines=left)
