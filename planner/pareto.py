"""The price of nines: cost against SLA attainment, and against availability; every point a checked plan with a bound.

Three sweeps. *Floors*: least cost at an `sla_floor`, where only droppable workloads may go. *Budgets*: most attainment
within a budget, where any workload may go. *Availability*: least cost when every workload that states an availability
must have so much. Floors and budgets share one formulation.

A plan of one point that is allowed at another and better there takes its place, after `placement.verify` has checked it
under the other's objective, and the point says so. A bound of a point is also one of every stricter point.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from placement.problem import Purchase
from placement.verify import verify
from placement.worker import Progress
from planner.build import gap_of
from planner.errors import InputError
from planner.formulate import formulate
from planner.interpret import copies_of, cuts_of, to_solution
from planner.plan import OPTIMAL_GAP, Plan
from planner.planning import Job, NoPlanFound, Planned, PlanRequest, prepare
from planner.scenario.model import Objective
from planner.shrink import shrink
from planner.whatif import Amount, Change, exactly

if TYPE_CHECKING:
    from placement.problem import Problem
    from planner.catalog import Catalog
    from planner.planning import Prepared
    from planner.scenario import Scenario

Sweep = Literal["floor", "budget", "availability"]
TARGETS = (0.99, 0.999, 0.9995, 0.9999, 0.99999)
"""Availabilities that are swept."""
POINTS = 6
"""Floors and budgets swept where nothing is said."""
POINT_S = 15.0
"""Seconds for a point where no limit is given."""
FIRST = 3.0
"""Shares of the time for the plan that attains all, on which others build."""
SPARE, PLAIN = 0.2, "first-fit"
"""Share of a point's time that is kept for a plain solver, in case the other finds no plan; and which one."""
CENTS = 100


@dataclass(frozen=True, slots=True)
class Point:
    """One point: what was `asked` (a floor, USD, an availability), and the plan that answers it.

    `bound`: no plan costs less (floor, availability), or attains more (budget); None where nothing is proven. Without a
    plan, figures are None and `why` says why. `taken_from` names the point whose plan took this one's place.
    `left_out` are workloads that the plan does not place. In the sweep of availabilities `meet` of `stating` workloads
    have it, and `cannot` are those to which no clusters give it; they keep what they state.
    """

    sweep: Sweep
    asked: float
    plan_id: str = ""
    cost_usd: float | None = None
    attainment: float | None = None
    bound: float | None = None
    gap: float | None = None
    bound_method: str = ""
    why: str = ""
    taken_from: str = ""
    left_out: tuple[str, ...] = ()
    stating: int = 0
    cannot: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The point in words."""
        return f"{self.sweep} {self.asked:,.2f} USD" if self.sweep == "budget" else f"{self.sweep} {self.asked:.12g}"

    @property
    def meet(self) -> int:
        """Workloads that have the availability asked for, in its sweep."""
        return self.stating - len(self.cannot)


@dataclass(frozen=True, slots=True)
class Pareto:
    """The curves: points by sweep, from little asked to much, and what is to be known of them; plans by plan id."""

    name: str
    hours: float
    points: tuple[Point, ...]
    notes: tuple[str, ...]
    plans: Mapping[str, Planned] = field(default_factory=dict, repr=False, compare=False)

    def of(self, sweep: Sweep) -> tuple[Point, ...]:
        """The points of one sweep."""
        return tuple(point for point in self.points if point.sweep == sweep)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it, without the plans."""
        return {"name": self.name, "hours": self.hours, "points": [asdict(point) for point in self.points],
                "notes": list(self.notes)}


@dataclass(eq=False)
class _Solved:
    """A point in the making: its job, its own plan if there is one, and its bound in the objective's terms."""

    point: Point
    job: Job | None
    planned: Planned | None = None
    bound: float | None = None


Show = Callable[[Progress], None]


def _no_progress(_: Progress) -> None:
    pass


def _never() -> bool:
    return False


@dataclass(eq=False)
class _Clock:
    """Shares the time among points: each may take an even share of what is left. `total` points in all."""

    until: float
    total: int
    show: Show
    interrupted: Callable[[], bool]
    started: float = field(default_factory=time.monotonic)
    done: int = 0

    def solve(self, solved: _Solved, shares: float = 1.0) -> None:
        """Plan one point within its shares of the time that is left."""
        if solved.job is None:
            return
        self.done += 1
        left = (self.until - time.monotonic()) * shares / (shares + max(0, self.total - self.done))
        if self.interrupted() or left < 0.1:
            solved.point = replace(solved.point, why="the time was over before its turn came")
            return
        show = self._progress(solved.point)
        try:
            planned = solved.job.plan((1 - SPARE) * left, show, self.interrupted)
        except NoPlanFound as why:
            plain = _plainly(solved.job, SPARE * left, show, self.interrupted)
            if plain is None:
                solved.point = replace(solved.point, why=str(why))
                return
            planned = plain
        if planned.plan.status == "infeasible":
            solved.point = replace(solved.point, why=_why(planned.plan), bound_method=planned.plan.bound_method)
            return
        solved.planned, solved.bound = planned, planned.plan.bound

    def _progress(self, point: Point) -> Show:
        def show(now: Progress) -> None:
            phase = f"{self.done} of {self.total}, {point.name}: {now.phase}"
            self.show(replace(now, seconds=time.monotonic() - self.started, phase=phase))
        return show


def _plainly(job: Job, seconds: float, show: Show, interrupted: Callable[[], bool]) -> Planned | None:
    """The plan of the cheapest option first, if it finds one: better than none where the search had too little time."""
    if job.request.solver == PLAIN:
        return None
    plain = replace(job, request=replace(job.request, solver=PLAIN),
                    provenance=job.provenance.model_copy(update={"solver": PLAIN}))
    try:
        planned = plain.plan(seconds, show, interrupted)
    except (NoPlanFound, InputError):  # it does not know every rule
        return None
    return planned if planned.plan.status != "infeasible" else None


def _why(plan: Plan) -> str:
    shown = "; ".join(f"{row.workload}: {', '.join(row.reasons)}" for row in plan.unplaced[:3])
    more = f" and {len(plan.unplaced) - 3} more" if len(plan.unplaced) > 3 else ""
    return f"no plan is possible{': ' if shown else ''}{shown}{more}"


def pareto(source: Path | Scenario, request: PlanRequest, points: int = POINTS, time_limit_s: float | None = None,
           catalog: Catalog | None = None, on_progress: Show = _no_progress,
           interrupted: Callable[[], bool] = _never) -> Pareto:
    """The price of nines of a scenario. `request` gives seed and solver; `time_limit_s` is shared by all points.

    Raises InputError where the scenario is wrong.
    """
    started = time.monotonic()
    prepared = prepare(source, request, catalog)
    base = Job.on(_asking(prepared, Objective(mode="min_cost", sla_floor=1.0)), request)
    floors, available = _floors(base, points), _availabilities(prepared, base, request)
    count = len(floors) + points - 1 + sum(solved.job is not None for solved in available)
    if time_limit_s is not None and not time_limit_s > 0:
        raise InputError([f"time_limit_s: {time_limit_s:g}: seconds, more than 0"])
    limit = POINT_S * (count + FIRST - 1) if time_limit_s is None else time_limit_s
    clock = _Clock(started + limit, count, on_progress, interrupted, started)
    clock.solve(floors[-1], FIRST)  # this plan says which budgets there are to sweep
    for solved in reversed(floors[:-1]):
        clock.solve(solved)
    budgets = _budgets(base, floors[-1], points, clock)
    for solved in available:
        clock.solve(solved)
    _share(floors, budgets)
    _share_availability(available)
    notes = (*_notes(base, floors), *_availability_notes(available))
    every = (*floors, *budgets, *available)
    plans = {solved.planned.plan.plan_id: solved.planned for solved in every if solved.planned is not None}
    made = tuple(_point(solved) for solved in every)
    return Pareto(prepared.scenario.name, prepared.scenario.horizon.hours, made, notes, plans)


def _asking(prepared: Prepared, objective: Objective) -> Prepared:
    return replace(prepared, scenario=prepared.scenario.model_copy(update={"objective": objective}))


# ---------------------------------------------------------------- what is swept


def _floors(base: Job, points: int) -> list[_Solved]:
    """From the least attainment that dropping all that may go leaves, to all of it."""
    workloads = base.formulation.problem.workloads
    total = float(workloads.weight.sum())
    least = 1.0 - float(workloads.weight[workloads.droppable].sum()) / total if total > 0 else 1.0
    values = [1.0] if least >= 1.0 else [round(float(x), 9) for x in np.linspace(least, 1.0, max(2, points))]
    return [_Solved(Point("floor", value), base.asking(Objective(mode="min_cost", sla_floor=value)))
            for value in values]


def _budgets(base: Job, full: _Solved, points: int, clock: _Clock) -> list[_Solved]:
    """From what everything costs, whose plan is known already, down to what is paid in any case; ascending.

    Budgets are even steps apart, of what is not answered yet: a plan that is proven the best for its budget is so for
    every budget down to its own cost.
    """
    if full.planned is None:
        return []
    low, high = _paid_anyway(base.formulation.problem), full.planned.plan.cost_usd
    made = [_budget(base, high)]
    made[0].bound = 1.0
    _adopt(made[0], [(full.point, full.planned)], _allowed_here)
    for left in range(points - 1, 0, -1):
        asked = low + (high - low) * left / (left + 1)
        if high - asked < 1 / CENTS:
            break
        solved = _budget(base, asked)
        clock.solve(solved)
        _shrunk(solved, full)
        made.append(solved)
        best = solved.planned is not None and solved.planned.plan.gap <= OPTIMAL_GAP
        high = min(asked, solved.planned.plan.cost_usd) if best and solved.planned is not None else asked
    return made[::-1]


def _shrunk(solved: _Solved, full: _Solved) -> None:
    """Where a search found nothing, or nothing proven best: what remains when the dearest are left out, if better."""
    own = solved.planned
    if full.planned is None or solved.job is None or (own is not None and own.plan.gap <= OPTIMAL_GAP):
        return
    plain = shrink(solved.job, full.planned)
    if plain is not None and (own is None or _better(_rank(plain, by_cost=False), _rank(own, by_cost=False))):
        solved.planned, solved.point = plain, replace(solved.point, why="", bound_method=solved.point.bound_method)


def _budget(base: Job, usd: float) -> _Solved:
    cents = ceil(CENTS * usd - 1e-6) / CENTS
    return _Solved(Point("budget", cents), base.asking(Objective(mode="max_sla", budget_usd=cents)))


def _paid_anyway(problem: Problem) -> float:
    """USD for machines that are owned or committed already."""
    offers = problem.offers
    held = offers.purchase <= Purchase.COMMITTED
    return float((offers.price_usd * offers.owned.reshape(len(held), -1))[held].sum())


def _availabilities(prepared: Prepared, base: Job, request: PlanRequest) -> list[_Solved]:
    """Every target, for all workloads that state an availability and can have it."""
    stating = [workload for workload in prepared.profiles.workloads if workload.slo.availability is not None]
    if not stating:
        return []
    asked = _asking(prepared, Objective(mode="min_cost", sla_floor=1.0))
    anyway = set(base.formulation.rejections)
    made = []
    for target in TARGETS:
        change = Change("availability", "all", Amount(value=target))
        job = Job.on(asked, replace(request, what_if=(*request.what_if, change)))
        cannot = sorted(set(job.formulation.rejections) - anyway)
        point = Point("availability", target, stating=len(stating), cannot=tuple(cannot))
        if len(cannot) == len(stating):
            made.append(_Solved(replace(point, why="no clusters give any workload so much"), None))
            continue
        if cannot:
            own = {workload.name: workload.slo.availability for workload in stating}
            back = tuple(Change("availability", exactly(name), Amount(value=own[name])) for name in cannot)
            job = Job.on(asked, replace(request, what_if=(*request.what_if, change, *back)))
        made.append(_Solved(point, job))
    return made


# ---------------------------------------------------------------- what points give each other


def _share(floors: list[_Solved], budgets: list[_Solved]) -> None:
    """Plans and bounds of floors and budgets, which share a formulation."""
    for looser, stricter in pairwise(floors):
        stricter.bound = _most(stricter.bound, looser.bound)
    for looser, stricter in pairwise(reversed(budgets)):
        known = [bound for bound in (looser.bound, stricter.bound) if bound is not None]
        stricter.bound = min(known, default=None)
    own = [(solved.point, solved.planned) for solved in (*floors, *budgets) if solved.planned is not None]
    for solved in (*floors, *budgets):
        _adopt(solved, own, _allowed_here)


def _share_availability(available: list[_Solved]) -> None:
    """Plans for more are tried for less; bounds for less hold for more where as many workloads can have it."""
    for looser, stricter in pairwise(available):
        if looser.point.cannot == stricter.point.cannot:
            stricter.bound = _most(stricter.bound, looser.bound)
    own = [(solved.point, solved.planned) for solved in available if solved.planned is not None]
    for solved in available:
        _adopt(solved, own, _allowed_elsewhere)


def _most(*bounds: float | None) -> float | None:
    return max((bound for bound in bounds if bound is not None), default=None)


def _adopt(solved: _Solved, others: Sequence[tuple[Point, Planned]],
           allowed: Callable[[Job, Planned], bool]) -> None:
    """Take the best plan of another point that is better here, and allowed."""
    if solved.job is None:
        return
    by_cost = solved.job.scenario.objective.mode == "min_cost"
    mine = _rank(solved.planned, by_cost) if solved.planned is not None else None
    for point, planned in sorted(others, key=lambda other: _rank(other[1], by_cost)):
        if mine is not None and not _better(_rank(planned, by_cost), mine):
            return
        if planned is not solved.planned and allowed(solved.job, planned):
            solved.planned = planned
            solved.point = replace(solved.point, taken_from=point.name, why="")
            return


def _rank(planned: Planned, by_cost: bool) -> tuple[float, float]:
    plan = planned.plan
    return (plan.cost_usd, -plan.sla_attainment) if by_cost else (-plan.sla_attainment, plan.cost_usd)


def _better(rank: tuple[float, float], mine: tuple[float, float]) -> bool:
    """Whether one is better by more than rounding."""
    return rank[0] < mine[0] - 1e-6 or (rank[0] <= mine[0] + 1e-6 and rank[1] < mine[1] - 1e-6)


def _allowed_here(job: Job, planned: Planned) -> bool:
    """Whether a plan of the same formulation holds under this job's objective."""
    assert planned.solution is not None
    problem = replace(planned.formulation.problem, objective=job.formulation.problem.objective)
    return verify(problem, planned.solution).holds


def _allowed_elsewhere(job: Job, planned: Planned) -> bool:
    """Whether a plan holds in another formulation, read by its names."""
    formulation = formulate(job.scenario, job.profiles, copies_of(planned.plan),
                            cuts=cuts_of(planned.plan))
    reading = to_solution(planned.plan, formulation)
    return not reading.violations and verify(formulation.problem, reading.solution).holds


# ---------------------------------------------------------------- what comes out


def _point(solved: _Solved) -> Point:
    point, planned = solved.point, solved.planned
    if planned is None or solved.job is None:
        return replace(point, bound=solved.bound)
    plan, mode = planned.plan, solved.job.scenario.objective.mode
    bound = plan.bound if solved.bound is None else solved.bound
    gap = gap_of(mode, plan.cost_usd, plan.sla_attainment, bound)
    return replace(point, plan_id=plan.plan_id, cost_usd=plan.cost_usd, attainment=plan.sla_attainment, bound=bound,
                   gap=gap, bound_method=point.bound_method or plan.bound_method,
                   left_out=tuple(row.workload for row in plan.unplaced))


def _notes(base: Job, floors: Sequence[_Solved]) -> Iterator[str]:
    """What floors and budgets cannot show."""
    droppable = int(base.formulation.problem.workloads.droppable.sum())
    if not droppable:
        yield ("no workload is droppable, so every sla_floor costs as much as 1: in min_cost only a workload marked "
               "droppable may go unattained; budgets show what less money attains")
    if floors[-1].planned is None:
        yield f"without a plan that attains all, budgets are not swept: {floors[-1].point.why}"
    elif floors[-1].planned.plan.gap > OPTIMAL_GAP:
        yield "plans are not proven optimal: the true curves lie between the points and their bounds"


def _availability_notes(available: Sequence[_Solved]) -> Iterator[str]:
    if not available:
        yield "no workload states slo.availability, so availability is not swept"
    for solved in available:
        if solved.point.cannot:
            names = ", ".join(solved.point.cannot[:5])
            more = f" and {len(solved.point.cannot) - 5} more" if len(solved.point.cannot) > 5 else ""
            rest = "; they keep what they state" if solved.point.meet else ""
            yield (f"availability {solved.point.asked:.12g}: no clusters that the rules allow give it to "
                   f"{names}{more}{rest}")
