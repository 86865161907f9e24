"""A whole plan within seconds, however large the problem: where a search may start, or time is short.

Streams go in one by one, the largest first, each where it costs least given what is there by then; where the few pools
that a stream may go to are full, those that may go to more make room. After that passes move what saves most. The
steps are those of a repair (`placement.repair`) of a plan in force that has nothing. Very many workloads come in
turns, so that only those of one turn have their places listed, at the prices of then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from placement.bound import may_drop
from placement.bounding import fluid_rent
from placement.complete import Packings
from placement.formulation import cost_usd
from placement.making_room import complete_harder
from placement.outage import in_force
from placement.packing import Effort
from placement.problem import Bools, Ints, Problem
from placement.repair import Asked, Mended, mend
from placement.result import Solution, Units
from placement.sample import sizes
from placement.waves import machines_for

_TURN, _TURNS, _MANY = 2_000, 25, 36_000
"""Streams that come in one turn at least, and turns at most; how many are so many that no pass looks for better moves.
"""
_FEW = 1000
"""Streams without room, up to which others make room for them, one after the other."""
_ROUNDS = 6
"""Times that claims rise."""
_VICTIMS = 2000
"""Streams that make room for one at most."""


def quick_plan(problem: Problem, *, passes: int = 4, seed: int = 0, start: Solution | None = None,
               stopped: Callable[[], bool] = lambda: False,
               on_plan: Callable[[Solution], None] = lambda _: None) -> Solution:
    """A plan that packs, whose machines keep to all limits, from `start`, which packs too (none: from nothing).

    Streams that find no room stay out, and `placement.verify` says where they may not. In `max_sla` the budget is not
    kept, and nothing is made ready for a loss: `placement.complete` finds fallbacks for its units. `stopped` is asked
    between turns and passes, of which the latter are left out where there are more than 36,000 streams; passes are
    counted, so that the same seed gives the same plan. `on_plan` is told the first plan and each that is cheaper.
    """
    plain = replace(problem, survival=None)
    if start is None:
        nothing = Units(*np.zeros((5, 0), np.int64))
        start = Solution(nothing, machines_for(plain, nothing))
    asked = Asked(np.zeros(len(problem.workloads.weight), np.int64), np.zeros(len(problem.workloads.weight), np.bool_),
                  np.zeros(len(problem.streams.shape)), seed=seed)
    before, turns = Solution(start.units, start.machines), _turns(problem, start.units)
    for later in turns[:-1]:
        if stopped():
            return before
        before = mend(_with(plain, before.units), before, replace(asked, left_out=later)).solution
    first = mend(_with(plain, before.units), before, asked)
    if 0 < len(first.shed) <= _FEW and not stopped():
        first = _with_room_made(plain, first, asked)
    on_plan(first.solution)
    if len(problem.streams.shape) > _MANY or not passes or stopped() or not len(first.solution.units.stream):
        return first.solution
    told = [cost_usd(plain, first.solution)]

    def tell_better(found: Mended) -> None:
        if len(found.shed) <= len(first.shed) and (usd := cost_usd(plain, found.solution)) < told[-1] - 1e-6:
            told.append(usd)
            on_plan(found.solution)

    units = first.solution.units
    asked = replace(asked, most_moves=len(units.stream), passes=passes)
    return mend(_with(plain, units), first.solution, asked, stopped, tell_better).solution


def _with_room_made(problem: Problem, first: Mended, asked: Asked) -> Mended:
    """The same after streams that may go elsewhere have left places that others may only go to.

    Those with few pools go before those with many, and who finds no room has a higher claim in the next round (squeaky
    wheel optimization; Joslin and Clements 1999). The round counts that leaves out least of what must be placed.
    """
    may_miss, workload = may_drop(problem), problem.streams.workload
    fewest = np.full(len(may_miss), max(1, len(problem.pools.cluster)))
    np.minimum.at(fewest, workload, np.maximum(np.diff(problem.streams.candidate_first), 1))
    claim = -np.round(np.log2(fewest)).astype(np.int64)

    def lacks(found: Mended) -> tuple[int, int]:
        return int((~may_miss[workload[found.shed]]).sum()), len(found.shed)

    best = now = first
    for _ in range(_ROUNDS):
        units = now.solution.units
        now = mend(_with(problem, units), now.solution,
                   replace(asked, priority=claim, most_moves=len(units.stream), most_victims=_VICTIMS))
        best = min(best, now, key=lacks)
        if not len(now.shed):
            break
        claim = claim.copy()
        claim[np.unique(workload[now.shed])] += 1 + (~may_miss[np.unique(workload[now.shed])])
    # slots that hold less than before kept their machines, which whoever packs them anew may not find to be enough
    packed = complete_harder(problem, best.solution.units, Packings(problem, Effort.ORDERS))
    return replace(best, solution=packed) if isinstance(packed, Solution) else best


def _turns(problem: Problem, units: Units) -> list[Bools]:
    """Which workloads [W] still wait in each turn, the smallest last; those that have all their units never wait."""
    s, waiting = problem.streams, np.zeros(len(problem.workloads.weight), np.bool_)
    lacking = np.bincount(units.stream, minlength=len(s.shape)) == 0
    waiting[s.workload[lacking]] = True
    size = np.bincount(s.workload, sizes(problem, fluid_rent(problem)), len(waiting))
    count = np.bincount(s.workload, minlength=len(waiting))
    order = np.flatnonzero(waiting)
    order = order[np.argsort(-size[order], kind="stable")]
    turn = (np.cumsum(count[order]) - 1) // max(_TURN, len(s.shape) // _TURNS)
    return [_marked(order[turn > i], len(waiting)) for i in range(int(turn.max(initial=0)) + 1)]


def _marked(chosen: Ints, count: int) -> Bools:
    marked = np.zeros(count, np.bool_)
    marked[chosen] = True
    return marked


def _with(problem: Problem, units: Units) -> Problem:
    """The problem with these units in force."""
    return replace(problem, incumbent=in_force(units, np.arange(len(problem.candidates.pool))))
