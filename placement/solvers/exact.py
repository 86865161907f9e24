"""What every solver that takes the whole formulation shares: goals in turn, incumbents made plans, honest answers.

A back end only runs a model: it tells a `Follower` of incumbents and bounds, asks it whether to stop, and returns an
`Outcome`. Whatever the back end claims, a plan is only taken after it was rounded and held against the model's rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from placement.complete import complete
from placement.formulation import Formulation, Goal, cost_usd, formulate
from placement.gap import OPTIMAL_GAP, relative_gap
from placement.mip import Model
from placement.options import Options, expand
from placement.problem import Floats, Ints, Problem
from placement.result import Result, Settings, Solution, Status, Watch
from placement.shared import overlapping

ROOM = (1.0, 0.93, 0.85)
"""Shares of the pools' machines tried in turn while a relaxed model's units do not pack."""
FIRST_SHARE = 0.6
"""Share of the time after which a search is cut whose incumbents do not pack, so that less room can be tried."""
_BUDGET_TOLERANCE = 1e-6

Start = tuple[Ints, Floats]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a back end ended: `values` of the best incumbent (None: none), `bound` on the model's objective.

    `optimal` means within the gap asked for, `infeasible` is a proof; without values it is never anything else than
    `infeasible` or `unknown`.
    """

    status: Status
    values: Floats | None
    bound: float


Backend = Callable[[Model, Settings, "Follower", Start | None], Outcome]


class Plans:
    """The best plan so far and the best bound proven, reported as they come."""

    def __init__(self, problem: Problem, watch: Watch, name: str) -> None:
        self.problem, self.watch, self.name = problem, watch, name
        self.total = float(problem.workloads.weight.sum())
        self.cheapest = problem.objective.mode == "min_cost"
        self.solution: Solution | None = None
        self.rank = (float("inf"), float("inf"))
        self.bound = 0.0 if self.cheapest else 1.0

    @property
    def objective(self) -> float:
        """Cost or attainment of the best plan."""
        return self.rank[1] if self.cheapest else -self.rank[0]

    def take(self, solution: Solution) -> None:
        """Keep a plan if it is within the budget and better than the best."""
        usd = cost_usd(self.problem, solution)
        budget = self.problem.objective.budget_usd
        if not self.cheapest and usd > budget + _BUDGET_TOLERANCE * max(1.0, budget):
            return
        rank = (0.0 if self.cheapest else -self.attainment(solution), usd)
        if rank < self.rank and not np.allclose(rank, self.rank, rtol=1e-12, atol=0):  # equal but for rounding
            self.solution, self.rank = solution, rank
            self.watch.report(self.name, solution, self.objective, self.bound)

    def attainment(self, solution: Solution) -> float:
        """Weight of the workloads all of whose streams are placed, over all weight (1 if there is none)."""
        streams = self.problem.streams.workload
        missing = np.setdiff1d(np.arange(len(streams)), solution.units.stream)
        lost = float(self.problem.workloads.weight[np.unique(streams[missing])].sum())
        return 1 - lost / self.total if self.total > 0 else 1.0

    def prove(self, bound: float) -> None:
        """Take a proven bound on cost, or on attainment."""
        better = bound > self.bound if self.cheapest else bound < self.bound
        if better:
            self.bound = bound
            self.watch.report(self.name, None, self.objective, self.bound)


class Follower:
    """What a running back end talks to. Errors are kept for afterwards: they must not cross a solver's native code."""

    def __init__(self, formulation: Formulation, plans: Plans, stop_at: float, *, bounds: bool) -> None:
        self.formulation, self.plans, self.stop_at, self.bounds = formulation, plans, stop_at, bounds
        self.unpacked = False
        self.error: Exception | None = None

    def found(self, values: Floats) -> None:
        """Make an incumbent a plan, if it is one."""
        try:
            problem, solution = self.formulation.problem, self.formulation.solution(values)
            if solution is None or len(problem.commitments.owned):  # what is paid for might run without need
                plan = complete(problem, self.formulation.units(values))
                if isinstance(plan, Solution):
                    self.plans.take(plan)
            if solution is not None:
                self.plans.take(solution)
            self.unpacked = self.plans.solution is None
        except Exception as error:  # noqa: BLE001 (raised again by `_search`)
            self.error = error

    def bounded(self, bound: float) -> None:
        """Take a bound on the model's objective."""
        if not self.bounds or not np.isfinite(bound):
            return
        plans = self.plans
        plans.prove(bound if plans.cheapest else (-bound / plans.total if plans.total > 0 else 1.0))

    def stopped(self) -> bool:
        """Whether the back end should return the best it has."""
        late = self.unpacked and time.monotonic() > self.stop_at
        return late or self.error is not None or self.plans.watch.stopped()


def solve_with(backend: Backend, name: str, problem: Problem, settings: Settings, watch: Watch,
               start: Solution | None = None) -> Result:
    """Solve by a back end: least cost, or most attainment within the budget and then least cost at that attainment.

    A `start` (a legal plan) is an answer to improve on.
    """
    plans = Plans(problem, watch, name)
    if start is not None:
        plans.take(start)
    watch.report(f"{name}: writing the model out", None, plans.objective, plans.bound)
    options = expand(problem, None)  # whoever asks for a solver checks the size, or limits the memory
    end = time.monotonic() + settings.time_limit_s
    objective = problem.objective
    if plans.cheapest:
        status, exact = _search(backend, plans, options, settings, end,
                                Goal("cost", least_weight=plans.total - problem.slack))
    else:
        status, exact = _search(backend, plans, options, settings, end,
                                Goal("unattained", budget_usd=objective.budget_usd))
        if plans.solution is not None and not watch.stopped():
            least = plans.objective * plans.total - 1e-9 * max(1.0, plans.total)
            _search(backend, plans, options, settings, end, Goal("cost", least_weight=least), bounds=False)
    return _result(plans, status, exact)


def _search(backend: Backend, plans: Plans, options: Options, settings: Settings, end: float, goal: Goal, *,
            bounds: bool = True) -> tuple[Status, bool]:
    """Run the back end for one goal, again with less room while its units do not pack: (what was proven, exact)."""
    proven: Status = "unknown"
    for room in ROOM:
        left = max(0.0, end - time.monotonic())
        tried = Goal(goal.minimise, goal.least_weight, goal.budget_usd * room, room)
        formulation = formulate(plans.problem, options, tried)
        stop_at = time.monotonic() + (FIRST_SHARE if not formulation.exact else 1.0) * left
        follower = Follower(formulation, plans, stop_at, bounds=bounds and room == 1)
        limited = replace(settings, time_limit_s=max(0.0, end - time.monotonic()))
        known = formulation.start(plans.solution) if plans.solution is not None else None
        outcome = backend(formulation.model, limited, follower, known)
        if outcome.values is not None:
            follower.found(outcome.values)
        follower.bounded(outcome.bound)
        if follower.error is not None:
            raise follower.error
        if room == 1:
            proven = outcome.status
        if plans.solution is not None or formulation.exact or proven == "infeasible" or plans.watch.stopped():
            break
    return proven, formulation.exact


def _result(plans: Plans, status: Status, exact: bool) -> Result:
    turns = " and turns of commitments" if overlapping(plans.problem) else ""
    model = "the whole model" if exact else f"the model with relaxed packing{turns}"
    if plans.solution is None:
        if status == "infeasible":
            return Result("infeasible", None, plans.bound, f"{plans.name} proved that {model} has no solution")
        return Result("unknown", None, plans.bound, f"{plans.name} found no plan that packs; bound of {model}")
    objective = plans.objective
    bound = min(plans.bound, objective) if plans.cheapest else max(plans.bound, objective)
    close = relative_gap(plans.problem.objective.mode, objective, bound) <= OPTIMAL_GAP
    return Result("optimal" if close else "feasible", plans.solution, bound,
                  f"{plans.name}: branch and bound on {model}")
