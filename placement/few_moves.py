"""Plans with a limit on moves, where a problem is too large to be solved exactly: the plan in force, mended and moved.

`placement.repair` keeps the plan in force but for the moves that save most. What may be left out (`min_cost`) stays out
where the plan in force leaves it out. Where a budget rules (`max_sla`), workloads are taken in by their weight for what
they cost, as many as the budget pays for, found by bisection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from placement.formulation import cost_usd
from placement.problem import Bools, Floats, Incumbent, Ints, Problem
from placement.repair import Asked, Mended, mend
from placement.result import Solution, Units
from placement.waves import machines_for

_PASSES, _MANY_PASSES = 6, 40
"""How often better moves are looked for, and how often where the search is to be thorough."""


@dataclass(frozen=True, slots=True)
class FewMoves:
    """How to look: `workload_usd` [W] is about what each workload costs; `take` is told every plan that is whole.

    `stopped` is asked between passes.
    """

    problem: Problem
    workload_usd: Floats
    seed: int
    thorough: bool
    stopped: Callable[[], bool]
    take: Callable[[Solution], object]

    def search(self) -> None:
        """Find plans. Raises ValueError where no plan is in force."""
        if self.problem.objective.mode == "min_cost":
            self._mended(self._left_out(), self._passes)
        else:
            self._within_budget()

    @property
    def _passes(self) -> int:
        return _MANY_PASSES if self.thorough else _PASSES

    def _left_out(self) -> Bools:
        """[W] workloads that the plan in force leaves out and may; none where that are too many."""
        problem, streams = self.problem, self.problem.streams.workload
        out = np.zeros(len(problem.workloads.weight), bool)
        out[streams[~np.isin(np.arange(len(streams)), self._force.stream)]] = True
        out &= problem.workloads.droppable
        return np.zeros_like(out) if problem.workloads.weight[out].sum() > problem.slack else out

    @property
    def _force(self) -> Incumbent:
        if self.problem.incumbent is None:
            raise ValueError("there is no plan in force: problem.incumbent is None")
        return self.problem.incumbent

    def _within_budget(self) -> None:
        """Take in as many workloads as the budget pays for, those first that weigh most for what they cost."""
        weight = self.problem.workloads.weight
        usd = np.where(np.isfinite(self.workload_usd), np.maximum(self.workload_usd, 1e-9), np.inf)
        order = np.argsort(-weight / usd, kind="stable")
        low, high = 0, int(np.isfinite(usd).sum()) + 1  # so many are known to be paid for, and so many not
        while high - low > 1 and not self.stopped():
            many = (low + high) // 2
            paid = self._mended(_beyond(order, many), 0)
            low, high = (many, high) if paid else (low, many)
        self._mended(_beyond(order, low), self._passes)

    def _mended(self, left_out: Bools, passes: int) -> bool:
        """Whether the plan in force, mended so that all but `left_out` [W] is placed, is whole and paid for."""
        problem, force = self.problem, self._force
        stays = ~left_out[problem.streams.workload[force.stream]]
        some = {column.name: getattr(force, column.name)[stays] for column in fields(Incumbent)
                if column.name != "most_moves"}
        held = Incumbent(**some, most_moves=force.most_moves)
        now = Solution(_units(held), machines_for(problem, _units(held)))
        asked = Asked(_rank(problem.workloads.weight), left_out, np.zeros(len(problem.streams.shape)),
                      held.most_moves or 0, passes, self.seed)

        def take(found: Mended) -> None:
            if not self._lacks(found.shed):
                self.take(found.solution)

        best = mend(replace(problem, incumbent=held), now, asked, self.stopped, take)
        over = cost_usd(problem, best.solution) > problem.objective.budget_usd
        return not over and not self._lacks(best.shed)

    def _lacks(self, shed: Ints) -> bool:
        """Whether streams without a place belong to more, or other, workloads than may be left out."""
        problem = self.problem
        if problem.objective.mode == "max_sla":
            return False
        gone = np.unique(problem.streams.workload[shed])
        weight, droppable = problem.workloads.weight[gone].sum(), problem.workloads.droppable[gone]
        return bool(len(gone)) and (not droppable.all() or weight > problem.slack)


def _beyond(order: Ints, many: int) -> Bools:
    """[W] all workloads but the first so `many` in an order."""
    out = np.ones(len(order), bool)
    out[order[:many]] = False
    return out


def _rank(weight: Floats) -> Ints:
    """[W] who keeps the room there is: the heavier the higher."""
    return np.unique(weight, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _units(force: Incumbent) -> Units:
    copy = np.arange(len(force.stream)) - np.searchsorted(force.stream, force.stream)
    return Units(force.stream, copy, force.candidate, force.variant, force.start)
