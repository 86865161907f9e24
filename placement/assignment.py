"""Placement in one slot on machines that are already paid for: every stream to one pool, no pool over its capacity.

Where machines cost the same whatever runs, what is left of a problem is the generalised assignment problem: place
stream s at pool p for `cost[s, p]`, taking `weight[s, p]` of `capacity[p]`. The planner's own method solves problems of
this structure here: prices of capacity from the linear program (`placement.assignment_prices`) prove the bound, and an
annealing guided by them (`placement.assignment_search`) finds the plan.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np

from placement.assignment_prices import find_prices
from placement.assignment_search import Cooling
from placement.evidence import of_capacity
from placement.gap import OPTIMAL_GAP, relative_gap
from placement.problem import TOLERANCE, Floats, Ints, Problem, Purchase
from placement.result import Result, Settings, Solution, Units, Watch

METHOD = "Lagrangian bound on the capacity of machines that are held anyway"
INFEASIBLE = "the capacity of the machines held, priced, proves that not all streams have room"
_MOST_ENTRIES = 30_000_000
"""Streams x pools up to which the tables are written out whole."""
_KNOWN = ("slots", "objective", "shapes", "clusters", "pools", "offers", "workloads", "streams", "candidates",
          "variants", "flows")
"""What this module understands of a problem; anything else must ask for nothing."""
_FIRST_STEPS, _LONGER = 300, 5
"""Moves a stream in the first cooling, and how many times as many in each later one."""
_COOLINGS = 3
_HEATS, _NEAR = (0.5, 0.25, 1.0, 0.125), (1.0, 0.5)
"""Shares of the usual heat tried by short coolings side by side, and of the best so far that longer ones take."""
_LAST = 2
"""Coolings, one after the other, that share what time is left, where it is to be filled."""
_HOTTER = 6.0
"""A cooling after which nothing fitted yet is followed by one so many times as hot."""
_RESERVE_S = 0.3
"""Kept for telling the answer."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """`cost` (infinite where not legal), `weight` [S, P] and `capacity` [P] in replicas; `fixed_usd` is paid anyway.

    `candidate` and `variant` [S, P] are rows of the problem's tables, -1 where not legal.
    """

    cost: Floats
    weight: Ints
    capacity: Ints
    fixed_usd: float
    candidate: Ints
    variant: Ints


def read_assignment(problem: Problem) -> Assignment | None:
    """The problem as an assignment; None where it has not that structure.

    It has when there is one slot, every stream must be placed as one steady copy, nothing flows between streams, all
    machines are held and paid for anyway, and in each pool all replicas that may come are of one size, so that whole
    replicas on whole machines are a number of replicas.
    """
    if not (_one_copy_each(problem) and _all_held(problem) and _nothing_else(problem)):
        return None
    per_machine = _per_machine(problem)
    if per_machine is None or len(problem.streams.shape) * len(per_machine) > _MOST_ENTRIES:
        return None
    held = np.zeros(len(per_machine), np.int64)
    np.add.at(held, problem.offers.pool, problem.offers.owned[:, 0])
    return _tables(problem, held * per_machine)


def _one_copy_each(problem: Problem) -> bool:
    v, s = problem.variants, problem.streams
    steady = bool((v.row >= 0).all() and (v.copies == 1).all() and problem.candidates.single.all())
    per_speed = len(np.unique(np.stack([v.stream, v.speed]), axis=1).T) == len(v.stream)
    return (problem.objective.mode == "min_cost" and problem.slots == 1 and steady and per_speed
            and len(s.shape) > 0 and not problem.workloads.droppable.any() and not len(problem.flows.gb))


def _all_held(problem: Problem) -> bool:
    """Whether every machine there can be is owned or committed already, and running it costs nothing more."""
    o = problem.offers
    fixed = (o.purchase <= Purchase.COMMITTED).all() and (o.max_machines <= o.owned).all()
    in_pool = np.zeros_like(problem.pools.max_machines, dtype=np.int64)
    np.add.at(in_pool, o.pool, o.owned)
    return bool(fixed and (in_pool <= problem.pools.max_machines).all() and not problem.pools.run_usd.any()
                and (o.max_machines == o.owned).all())


def _nothing_else(problem: Problem) -> bool:
    """Whether parts of the problem unknown here ask for nothing: absent, or tables without rows."""
    extra = [getattr(problem, part.name) for part in fields(problem) if part.name not in _KNOWN]
    return all(part is None or all(np.size(getattr(part, column.name)) == 0 for column in fields(part))
               for part in extra)


def _per_machine(problem: Problem) -> Ints | None:
    """[P] replicas that fit one machine; None where replicas of several sizes may come to one pool."""
    shape, pool = problem.streams.shape[problem.candidates.stream], problem.candidates.pool
    count = np.zeros(len(problem.pools.cluster), np.int64)
    size = np.zeros_like(problem.pools.room)
    size[pool] = problem.shapes[shape]
    if (problem.shapes[shape] != size[pool]).any():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        fits = np.where(size > 0, np.floor((problem.pools.room + TOLERANCE) / size), np.inf).min(axis=1)
    used = np.isfinite(fits)
    if not used[pool].all():
        return None  # replicas without any size
    count[used] = fits[used].astype(np.int64)
    return count


def _tables(problem: Problem, capacity: Ints) -> Assignment:
    c, v, streams = problem.candidates, problem.variants, len(problem.streams.shape)
    speeds = int(max(c.speed.max(initial=0), v.speed.max(initial=0))) + 1
    key, mine = v.stream * speeds + v.speed, c.stream * speeds + c.speed
    order = np.argsort(key, kind="stable")
    at = np.minimum(np.searchsorted(key, mine, sorter=order), max(0, len(key) - 1))
    found = order[at] if len(key) else np.zeros(len(mine), np.int64)
    legal = (key[found] == mine) if len(key) else np.zeros(len(mine), np.bool_)
    rows = np.flatnonzero(legal)
    s, p, variant = c.stream[rows], c.pool[rows], found[rows]
    shape = (streams, len(capacity))
    cost, weight = np.full(shape, np.inf), np.zeros(shape, np.int64)
    candidates, variants = np.full(shape, -1, np.int64), np.full(shape, -1, np.int64)
    cost[s, p] = c.cost_usd[rows] + c.user_usd[rows]
    weight[s, p] = v.rows[v.row[variant], 0]
    candidates[s, p], variants[s, p] = rows, variant
    cost[weight > capacity] = np.inf
    fixed = float((problem.offers.price_usd * problem.offers.owned).sum())
    return Assignment(cost, weight, capacity, fixed, candidates, variants)


def solve_assignment(problem: Problem, assignment: Assignment, settings: Settings, watch: Watch) -> Result:
    """Place every stream at the least cost: bound from prices, then coolings side by side, each longer than the last.

    Unless `settings.thorough`, work is counted in moves, so that the same seed gives the same plan; where it is, the
    last coolings fill the time. Never raises; without a plan the result is `infeasible` (proven) or `unknown`.
    """
    began = time.monotonic()
    end = began + settings.time_limit_s
    unit_prices, bound = find_prices(assignment.cost, assignment.weight, assignment.capacity)
    if bound == np.inf:
        return Result("infeasible", None, np.inf, INFEASIBLE)
    bound += assignment.fixed_usd
    watch.report("bound", None, float("nan"), bound)
    run = _Run(problem, assignment, settings, watch, unit_prices, bound, end)
    run.cool_all()
    if run.best is None:
        return Result("unknown", None, bound, "no assignment with room for all was found; none being is not proven")
    certificate = of_capacity(problem, unit_prices, assignment.capacity) if settings.certify else None
    return Result("optimal" if run.gap <= OPTIMAL_GAP else "feasible", run.solution(), bound, METHOD,
                  certificate=certificate)


class _Run:
    """Coolings of one problem, the best plan they met, and what the heat of the next should be."""

    def __init__(self, problem: Problem, assignment: Assignment, settings: Settings, watch: Watch,
                 unit_prices: Floats, bound: float, end: float) -> None:
        self.problem, self.assignment, self.settings, self.watch = problem, assignment, settings, watch
        self.prices, self.bound, self.end = unit_prices, bound, end
        self.best: Ints | None = None
        self.usd = np.inf
        self.heat = _HEATS[0]

    @property
    def gap(self) -> float:
        return relative_gap("min_cost", self.usd, self.bound)

    def stopped(self) -> bool:
        return self.watch.stopped() or time.monotonic() > self.end - _RESERVE_S or self.gap <= self.settings.gap

    def cool_all(self) -> None:
        """Short coolings at several heats, longer ones at the best heat, and, if thorough, some that fill the time."""
        threads = max(1, self.settings.threads)
        steps = _FIRST_STEPS * len(self.assignment.cost)
        with ThreadPoolExecutor(threads) as pool:
            for cooling in range(_COOLINGS):
                heats = _HEATS if cooling == 0 else tuple(self.heat * share for share in _NEAR)
                self._side_by_side(pool, [(heat, steps, None) for heat in heats], cooling)
                steps *= _LONGER
                self.heat *= 1.0 if self.best is not None else _HOTTER
            for last in range(_LAST if self.settings.thorough else 0):
                left_s = (self.end - _RESERVE_S - time.monotonic()) / (_LAST - last)
                plans = [(self.heat * _NEAR[thread % len(_NEAR)], steps, left_s) for thread in range(threads)]
                self._side_by_side(pool, plans, _COOLINGS + last)

    def _side_by_side(self, pool: ThreadPoolExecutor, plans: Sequence[tuple[float, int, float | None]],
                      cooling: int) -> None:
        """Run coolings of (heat, moves, seconds if the clock decides), and keep the best assignment and its heat."""
        if self.stopped():
            return
        jobs = []
        for place, (heat, steps, seconds) in enumerate(plans):
            seed = (self.settings.seed * 1000 + cooling * 100 + place) % (1 << 31)
            a = self.assignment
            search = Cooling(a.cost, a.weight, a.capacity, self.prices, heat, seed)
            jobs.append((heat, pool.submit(search.run, steps, seconds, self.stopped)))
        for heat, job in jobs:
            found = job.result()
            if found is not None:
                self._take(found, heat)

    def _take(self, places: Ints, heat: float) -> None:
        usd = float(self.assignment.cost[np.arange(len(places)), places].sum()) + self.assignment.fixed_usd
        if usd < self.usd:
            self.best, self.usd, self.heat = places, usd, heat
            self.watch.report("search", self.solution(), usd, self.bound)

    def solution(self) -> Solution:
        """The best assignment on all machines that are held."""
        assert self.best is not None, "asked only once there is one"
        streams = np.arange(len(self.best))
        candidate, variant = (table[streams, self.best] for table in
                              (self.assignment.candidate, self.assignment.variant))
        none = np.zeros(len(streams), np.int64)
        return Solution(Units(streams, none, candidate, variant, none.copy()),
                        self.problem.offers.owned.astype(np.int32))
