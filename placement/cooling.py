"""A search beside the bound: hot to cold, packing on the way and learning from it, until its plan packs.

Plans of small problems are packed exactly every few stretches. Large ones cool with the clock and are packed by simple
orders, harder only where room lacks; at the end they are packed as hard as time allows, where that saves most.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from placement.ascent import Ascent
from placement.bound import may_drop
from placement.complete import Packings, Shortfall, complete
from placement.descent import descend
from placement.formulation import cost_usd
from placement.making_room import complete_harder, complete_most
from placement.needs import pool_loads
from placement.packing import Effort, Packer
from placement.payment import OVER_USD
from placement.pooled_teaching import PooledTeacher
from placement.problem import Floats
from placement.quick import quick_plan
from placement.result import Solution, Units
from placement.run import Run, raise_bound
from placement.searcher import Searcher
from placement.shared import has_shared
from placement.shortlist import Shortlist
from placement.steering import Steering
from placement.teaching import Teacher

_STRETCHES = 16
"""Stretches of rounds in one cooling of the search; twice as many where it is to be thorough."""
_COOLINGS = 4
_WORTH = 2e-3
"""A cooling that improves the plan by less than this share is the last one, unless the search is to be thorough."""
_ROUNDS, _ROUNDS_SIZE = 2000, 3072
"""Rounds of one stretch at a size (streams x slots) of `_ROUNDS_SIZE`; fewer, with the root, for larger problems."""
_LEAST_ROUNDS, _STREAMS_A_ROUND = 50, 60
"""The least rounds of one stretch, and streams for each of which there is a round more."""
_POLISHED = 24
"""Slots of a pool that are packed harder between two looks at the clock."""
_COLD = 1e-3
"""USD: a temperature at which nothing worse is kept."""
_MENDS = 3
"""Cold stretches that may follow a plan that does not pack, before the search goes on."""
_FIRST_TRIES, _FIRST_ROUNDS, _FIRST_SHARE = 40, 2000, 0.1
"""Tries for a first plan, rounds between two looks at the clock, and the share of the time that one try takes."""
_QUICK_PASSES, _NEAR_PASSES = 2, 2
"""Passes over the first plan, and over one that a search has made."""
_QUICK_TRIES = 3
"""Times that a quick plan is mended which does not pack: each time less is amiss."""
_FEW = 8
"""Machines beyond a limit that pools share, up to which the pools that had them must do with less."""
_LARGE_COOLINGS, _VAST_COOLINGS = ((0.3, 0.4), (1.0, 0.12)), ((1.0, 0.4),)
"""Coolings of a large problem's search, and of a vast one's: share of the time left, and how hot they begin."""
_LESSONS = (0.4, 0.55, 0.7, 0.8, 0.9, 0.96)
"""Parts of a large problem's second cooling after which its plan is packed to learn from it: what is learned only once
the search is cold drives much work out of pools that turn out too full, and late."""
_LESSON_SHARE = 0.1
"""A lesson is left out where those before it took more than this share of the cooling."""
_VAST = 1_000_000
"""Streams x slots from which packing a plan takes so long that it is done but once."""
_OVER_USD, _SHARPER = 300.0, 2.0
"""What a machine and slot over a limit costs in the first try to settle, and by how much more in each that follows: a
high price at once drives out large work where it is enough that little work moves."""
_SETTLES, _LUKEWARM = 24, 0.01
"""Times that a large problem's plan is mended until it packs, and how hot that is done."""
_MEND_SHARE, _AGAIN_SHARE, _SETTLE_SHARE, _LAST_SHARE, _VAST_LAST_SHARE = 0.015, 0.006, 0.14, 0.1, 0.14
"""Shares of the time that mending takes the first time and again, and all tries; what is kept for the last ones."""
_MENDED_AGAIN = 1.5
"""Time kept for settling at least: so many times what mending the first plan took."""
_TRIES_SIZE, _TRIES = 1e6, (20, 5000)
"""Moves tried on sample paths: this many over paths x slots, within these limits."""


@dataclass(slots=True)
class Thread:
    """One search with its own random numbers, weights and packings seen; `rounds` make one stretch."""

    searcher: Searcher
    rng: np.random.Generator
    packings: Packings
    teacher: Teacher
    start: Callable[[Searcher, np.random.Generator], None]
    steering: Steering | None
    rounds: int
    pooled: PooledTeacher | None = None

    def fit(self) -> None:
        """Where pools are sized on sample paths: have the search need what the plan it holds does."""
        if self.pooled is not None:
            self.pooled.fit()

    def teach(self) -> None:
        """Have the search count what packing needs."""
        (self.pooled or self.teacher).teach()

    def stretch(self, number: int, heat: float) -> None:
        """Rounds at one temperature: `heat` and a little more, as a share of what a stream costs."""
        usual = min(self.searcher.book() / max(1, len(self.searcher.copies)), 300.0)
        usd, most, noise = max(1e-6, (heat + 0.002) * usual), (5, 10, 14)[number % 3], (0.02, 0.1, 0.3)[number % 3]
        self.searcher.improve(self.rounds, int(self.rng.integers(1 << 31)), usd, usd, most, noise)
        self.steer()

    def mend(self) -> None:
        """A few rounds in which nothing worse is kept."""
        self.searcher.improve(self.rounds // 2, int(self.rng.integers(1 << 31)), _COLD, _COLD, 8, 0.1)

    def steer(self) -> None:
        """Have the search pay for what pools share by the plan it holds."""
        if self.steering is not None:
            self.steering.learn(*self.searcher.machines)
            self.searcher.price(self.steering.priced)


def offer(run: Run, thread: Thread, packings: Packings, phase: str, *, squeeze: bool = True) -> bool:
    """Pack the plan of the thread's search; keep and report it when it is complete and the best so far.

    Where room or money lacks the searcher is told to do with less (`squeeze`), and the answer is False.
    """
    searcher = thread.searcher
    if searcher.missing:
        return True
    left_out = float(run.problem.workloads.weight[searcher.dropped].sum())
    known = not has_shared(run.problem) and thread.pooled is None
    if known and not run.best.better(searcher.book(), left_out, run.by_cost):
        return True  # else the search does not know what machines cost in the end
    began, units = time.monotonic(), searcher.plan()
    if run.large and thread.pooled is None:
        solution = complete_harder(run.problem, units, packings)
    else:
        solution = complete(run.problem, units, packings=packings, jointly=not run.large)
    run.packing_s = max(run.packing_s, time.monotonic() - began)
    if isinstance(solution, Shortfall):
        run.why_not = solution.why
        if solution.passing is not None and thread.steering is not None:
            thread.steering.press(solution.passing)
            searcher.price(thread.steering.priced)
        if squeeze and (solution.passing is None or solution.lacking.sum() <= _FEW):
            more = solution.lacking // 2 + 1 if run.large else 0  # room lacks elsewhere as soon as it is found here
            searcher.squeeze(solution.pool, solution.slot, solution.lacking + more)
        return False
    return run.take(solution, left_out, phase) or searcher.save(cost_usd(run.problem, solution))


def new_thread(run: Run, seed: int, units: Shortlist | None = None) -> Thread:
    """A search over the units that the bound's prices find worth trying, which are `units` if listed already."""
    bounding, problem = run.bounding, run.problem
    weights = [list(vectors) for vectors in bounding.weights]
    packings = Packings(problem, Effort.ORDERS if run.large else Effort.SEARCH, packing_threads(run))
    searcher = Searcher(problem, bounding.shortlist() if units is None else units, weights, drop_usd(run))
    teacher = Teacher(problem, searcher, weights, bounding.legal, packings, large=run.large)
    rng = np.random.default_rng(seed)
    prices = bounding.prices
    steering = Steering(problem, prices.shared, prices.cost_scale) if has_shared(problem) else None
    if steering is not None:
        searcher.price(steering.priced)
    pooled = PooledTeacher(problem, searcher, packings) if problem.paths is not None else None
    size = max(1, len(problem.streams.shape)) * problem.slots
    least = max(_LEAST_ROUNDS, len(problem.streams.shape) // _STREAMS_A_ROUND)  # all is counted anew after a stretch
    rounds = int(np.clip(_ROUNDS * np.sqrt(_ROUNDS_SIZE / size), least, max(least, _ROUNDS)))
    return Thread(searcher, rng, packings, teacher, bounding.start(), steering, rounds, pooled)


def drop_usd(run: Run) -> Floats:
    """What the search pays for leaving a workload out: nothing where slack rules (`min_cost`).

    In `max_sla` more than anything costs, so that nothing is left out that the budget allows, and most by weight.
    """
    weight, budget = run.problem.workloads.weight, run.problem.objective.budget_usd
    if run.by_cost:
        return np.zeros(len(weight))
    best = run.bounding.choices.best
    most = budget if np.isfinite(budget) else 10 * float(best[np.isfinite(best)].sum())
    return max(most, 1.0) * (1 + 10 * len(weight) * weight / max(run.total, 1e-12))


def search(run: Run) -> None:
    """Coolings side by side until they cease to pay, the gap is closed or time is up; the bound rises beside them."""
    settings = run.settings
    count = max(1, settings.threads)
    units = run.bounding.shortlist()  # long where a problem is large: all threads read the same
    if isinstance(run.bounding, Ascent):
        run.bounding.threads = 1  # from here on beside searches
    threads = [new_thread(run, settings.seed * 1000 + i, units) for i in range(count)]
    cooling = 0
    with ThreadPoolExecutor(count) as pool:
        while not run.stopped() and not run.closed and not run.proven_infeasible:
            before = run.best.usd, run.best.left_out
            bounding = pool.submit(raise_bound, run, run.best.usd) if not run.bound_done and count > 1 else None
            searching = threads[: count - (bounding is not None)]
            work = [pool.submit(cool, run, thread, cooling, i) for i, thread in enumerate(searching)]
            for job in work:
                job.result()
            run.cooled = True  # a large problem's bound is not counted in branches but stops here
            if bounding is not None:
                bounding.result()
            run.cooled = False
            run.tell("search")
            cooling += 1
            paid = before[0] - run.best.usd > _WORTH * run.best.usd or before[1] > run.best.left_out
            enough = cooling >= _COOLINGS or (run.best.solution is not None and not paid) or run.good_enough
            if (enough and not settings.thorough) or run.large:  # a large problem's cooling lasts until time is up
                break


def cool(run: Run, thread: Thread, cooling: int, place: int) -> None:
    """One cooling: from the master's fractions or from the plan held, hot to cold, packing on the way."""
    if run.problem.survival is not None:
        thread.searcher.relax()  # room that lacked after a loss of another plan
    if cooling == 0 or (cooling + place) % 2:
        thread.start(thread.searcher, thread.rng)
        thread.fit()
    if run.large:
        _cool_large(run, thread)
        return
    stretch, stretches = 0, _STRETCHES * (2 if run.settings.thorough else 1)
    learn_from = stretches // 2 if run.settings.thorough else stretches // 4
    while not run.stopped() and not run.good_enough and stretch < stretches:
        thread.stretch(stretch, 0.4 * (1 - stretch / stretches) ** 2)
        stretch += 1
        thread.fit()
        if stretch >= learn_from or run.stopped():
            thread.teach()
            for _ in range(_MENDS):
                thread.mend()
                if offer(run, thread, thread.packings, "search") or run.stopped():
                    break


def is_vast(run: Run) -> bool:
    """Whether packing a plan takes so long that it is done but once, and on all threads."""
    return len(run.problem.streams.shape) * run.problem.slots >= _VAST


def packing_threads(run: Run) -> int:
    """Threads that pack a plan on the way: all where it takes long."""
    return run.settings.threads if is_vast(run) else 1


def _cool_large(run: Run, thread: Thread) -> None:
    """Cool with the clock, twice: packing the first plan teaches the search, and the second begins less hot."""
    if run.best.solution is None:
        first_plan(run, thread)
    vast = is_vast(run)
    settling_s = (_VAST_LAST_SHARE if vast else _LAST_SHARE) * run.settings.time_limit_s
    settling_s = max(settling_s, _MENDED_AGAIN * run.mending_s)
    for cooling, (share, hot) in enumerate(_VAST_COOLINGS if vast else _LARGE_COOLINGS):
        if cooling > 0:
            thread.searcher.relax()  # weights learned since say better where room lacks
            thread.teach()
            thread.fit()
        began = time.monotonic()
        _cool_by_clock(run, thread, share * (run.search_until - began - settling_s), hot, cooling > 0)
        began = time.monotonic()
        _settle(run, thread)
        settling_s = max(settling_s, time.monotonic() - began)


def _cool_by_clock(run: Run, thread: Thread, seconds: float, hot: float, learning: bool) -> None:
    """Stretches from `hot` to cold for so many seconds, with lessons on the way where the search is `learning`."""
    began, stretch, taught_s, lessons = time.monotonic(), 0, 0.0, list(_LESSONS) if learning else []
    while not run.stopped() and not run.good_enough:
        spent = time.monotonic() - began
        if spent >= seconds:
            break
        if lessons and spent >= lessons[0] * seconds:
            lessons.pop(0)
            if taught_s <= _LESSON_SHARE * spent:
                thread.teach()
                taught_s += time.monotonic() - began - spent
        thread.stretch(stretch, hot * (1 - spent / seconds) ** 2)
        stretch += 1


def _settle(run: Run, thread: Thread) -> None:
    """Have the search do with less until its plan packs; at last what finds no room leaves and goes elsewhere.

    The first try may move much; those after it less, for whatever moves must pack anew.
    """
    began, limit_s = time.monotonic(), run.settings.time_limit_s
    for trial in range(_SETTLES):
        thread.searcher.mind(min(OVER_USD, _OVER_USD * _SHARPER**trial))
        until, turn = time.monotonic() + (_MEND_SHARE if trial == 0 else _AGAIN_SHARE) * limit_s, 0
        while turn == 0 or (time.monotonic() < until and not run.stopped()):
            thread.stretch(turn, _LUKEWARM)
            turn += 1
        thread.mend()
        if not thread.searcher.crowded and offer(run, thread, thread.packings, "search", squeeze=trial > 0):
            thread.searcher.mind(OVER_USD)
            return
        if trial == 0:
            if run.quick:  # what lacks room leaves: a plan to have should no other pack
                take_quick_plan(run, thread.searcher.plan(), "search")
            thread.teach()
        if run.stopped() or (run.quick and time.monotonic() - began > _SETTLE_SHARE * limit_s):
            break
    thread.searcher.mind(OVER_USD)
    if run.quick:
        take_quick_plan(run, thread.searcher.plan(), "search")


def first_plan(run: Run, thread: Thread) -> None:
    """A plan to have at any time, better than any so far: cold improvement of the rounded start until it packs."""
    streams, before = len(run.problem.streams.shape), run.best.solution
    simple = Packings(run.problem, Effort.ORDERS)
    for trial in range(_FIRST_TRIES):
        if run.stopped() or run.best.solution is not before:
            break
        rounds, until = max(100, streams // 2), time.monotonic() + _FIRST_SHARE * run.settings.time_limit_s
        for done in range(0, rounds, _FIRST_ROUNDS):
            some = min(_FIRST_ROUNDS, rounds - done)
            thread.searcher.improve(some, int(thread.rng.integers(1 << 31)), _COLD, _COLD, 8, 0.1)
            if time.monotonic() > until:
                break
        if run.quick:
            take_quick_plan(run, thread.searcher.plan(), "first plan")
            if run.best.solution is None:  # some find no room near this start, but all may from nothing
                take_quick_plan(run, None, "first plan")
            break
        if trial % 3 == 2:
            thread.teach()
        offer(run, thread, simple, "first plan")
    thread.searcher.relax()


def take_quick_plan(run: Run, start: Units | None, phase: str) -> None:
    """A plan that packs and lies near `start`, if all finds room; without a start, one to have at any time."""
    problem, weight = run.problem, run.problem.workloads.weight
    packings = Packings(problem, Effort.ORDERS, packing_threads(run))
    passes, units = _QUICK_PASSES if start is None else _NEAR_PASSES, start
    for _ in range(_QUICK_TRIES):
        began = time.monotonic()
        near = None if units is None else complete_most(problem, units, packings)
        if units is not None and near is None:
            return
        found = quick_plan(problem, passes=passes, seed=run.settings.seed, start=near, stopped=run.watch.stopped)
        run.mending_s = max(run.mending_s, time.monotonic() - began)
        gone = np.bincount(found.units.stream, minlength=len(problem.streams.shape)) == 0
        out = np.zeros(len(weight), bool)
        out[problem.streams.workload[gone]] = True
        left_out = float(weight[out].sum())
        if (out & ~may_drop(problem)).any() or left_out > problem.slack + 1e-9:
            return
        solution = complete_harder(problem, found.units, packings)
        if isinstance(solution, Solution):
            run.take(solution, left_out, phase)
            return
        units = found.units  # slots that hold less than in the start ran its machines, and are packed anew now


def polish(run: Run) -> None:
    """Pack a large plan's pools harder, those first where most may be saved, while there is time."""
    problem, best = run.problem, run.best.solution
    if problem.paths is not None:
        _descend(run)
        return
    if best is None or not run.large:
        return
    packings, began = Packings(problem, Effort.ORDERS, run.settings.threads), time.monotonic()
    loads = pool_loads(problem, best.units)
    packings.of(best.units)
    packed = [packings.needed(p, load) for p, load in enumerate(loads)]
    usd = [problem.offers.price_usd[problem.offers.pool == p].max(initial=0.0) for p in range(len(loads))]
    loose = [usd[p] * float((one.machines.min(axis=0) - one.low).sum()) for p, one in enumerate(packed)]
    until = run.deadline - 4 * (time.monotonic() - began)
    with ThreadPoolExecutor(max(1, run.settings.threads)) as pool:
        for effort in (Effort.FILLING, Effort.PATTERNS):
            list(pool.map(lambda p, hard=effort: _pack_until(run, packed[p].packer, hard, until),
                          np.argsort(-np.array(loose), kind="stable").tolist()))
    for p, load in enumerate(loads):
        packings.tighten(p, load, Effort.ORDERS)  # what was found counts from now on
    solution = complete_harder(problem, best.units, packings, jointly=True)
    if isinstance(solution, Solution):
        run.take(solution, run.best.left_out, "packing")


def _pack_until(run: Run, packer: Packer, effort: Effort, until: float) -> None:
    """Pack a pool's columns that are open, some at a time, while there is time."""
    open_columns = np.flatnonzero(~packer.least)
    for first in range(0, len(open_columns), _POLISHED):
        if time.monotonic() > until or run.watch.stopped():
            break
        only = np.zeros(len(packer.counts), np.bool_)
        only[open_columns[first : first + _POLISHED]] = True
        packer.pack(effort, only)


def _descend(run: Run) -> None:
    """Move streams where that makes the plan cheaper once its pools are sized on the sample paths."""
    problem, best = run.problem, run.best.solution
    if best is None or problem.paths is None:
        return
    tries = int(np.clip(_TRIES_SIZE / problem.paths.loads[0].size, *_TRIES)) if len(problem.paths.loads) else 0
    rng = np.random.default_rng(run.settings.seed)
    found = descend(problem, best, run.bounding.shortlist(), lambda solution: cost_usd(problem, solution), tries,
                    Packings(problem, Effort.ORDERS if run.large else Effort.SEARCH), rng, run.watch.stopped)
    run.take(found, run.best.left_out, "packing")
