"""The planner's own method: prices from packing rows, then ruin and recreate guided by them, then exact packing.

First the bound is raised by column generation until packing weights and time groups settle. Its prices say which units
are worth trying, its fractions where to start. Searches then run side by side, each in a thread (kernels hold no lock);
after every stretch the plan is packed exactly, and where packing needs more machines than the weights say the search is
taught a heavier weight. In one of the threads the bound goes on rising, by branching. Work is counted in rounds and in
branches, not in seconds: the same input and seed give the same plan unless the time limit cuts in. Small problems go to
the exact solver first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from placement.apart import solve_with_interference
from placement.ascent import Ascent
from placement.assignment import read_assignment, solve_assignment
from placement.block_search import BlockSearch, Guide
from placement.blocks import block_count
from placement.bound import Prices, may_drop
from placement.bounding import Bounding
from placement.branching import Branching
from placement.certificate import Certificate
from placement.complete import Packings, Shortfall, complete
from placement.descent import descend
from placement.engines import ENGINES, Engine
from placement.evidence import no_prices
from placement.few_moves import FewMoves
from placement.formulation import cost_usd, too_many_sets
from placement.gap import OPTIMAL_GAP, relative_gap
from placement.making_room import complete_harder, complete_most
from placement.moves import most_moves
from placement.needs import machines_by_kind, pool_loads
from placement.options import too_large
from placement.pooled_rows import relaxed
from placement.pooled_teaching import PooledTeacher
from placement.problem import Floats, Objective, Problem, Purchase
from placement.quick import quick_plan
from placement.result import Notary, Result, Settings, Solution, Status, Units, Watch
from placement.scarcity import worth
from placement.searcher import Searcher, placeable
from placement.shared import has_shared, owned_pass
from placement.solvers.highs import solve_exact
from placement.splitting import Method, solve_with_parts
from placement.steering import Steering
from placement.teaching import Teacher

METHOD = "Lagrangian bound on packing rows (column generation, branching)"
ASCENT = "Lagrangian bound on packing rows (accelerated ascent)"
_BOUND_SHARE, _LARGE_BOUND_SHARE = 0.4, 0.2
"""Share of the time the bound may take alone before searches start beside it, and that of a large problem."""
_LITTLE = 1e-3
"""A round that raises the bound by less than this share, and searches start."""
_STRETCHES = 16
"""Stretches of rounds in one cooling of the search; twice as many where it is to be thorough."""
_COOLINGS = 4
_WORTH = 2e-3
"""A cooling that improves the plan by less than this share is the last one, unless the search is to be thorough."""
_GOOD_GAP = 0.03
"""A gap at which a search that need not be thorough ends."""
_ROUNDS, _ROUNDS_SIZE = 2000, 3072
"""Rounds of one stretch at a size (streams x slots) of `_ROUNDS_SIZE`; fewer, with the root, for larger problems."""
_LARGE = 50_000
"""Streams x slots from which plans are packed by simple orders while searching, and stretches cool with the clock."""
_BOUND_ROUNDS = 3
"""Rounds of the bound beside one cooling of a problem that is not large."""
_BRANCHES = 16
"""Branches of the bound beside one cooling of the search, at least where it is to be thorough."""
_PROOF_BRANCHES = 100
"""Branches of the bound where the best plan is known and only a proof by prices is wanted."""
_SMALL, _EXACT_SHARE, _EXACT_S = 60_000, 0.4, 15.0
"""Options x slots up to which a problem is handed to the exact solver first, for which share of the time, how long."""
_SMALL_ASSIGNMENT = 5_000
"""As `_SMALL`, for placement in one slot on machines that are held anyway, which has a search of its own."""
_POLISH_SHARE = 0.1
"""Share of the time kept for packing a large plan harder at the end."""
_POLISHED = 24
"""Slots of a pool that are packed harder between two looks at the clock."""
_COLD = 1e-3
"""USD: a temperature at which nothing worse is kept."""
_MENDS = 3
"""Cold stretches that may follow a plan that does not pack, before the search goes on."""
_FIRST_TRIES = 40
_QUICK_PASSES, _NEAR_PASSES = 2, 2
"""Passes over the first plan of a large problem, and over one that a search has made."""
_FEW = 8
"""Machines beyond a limit that pools share, up to which the pools that had them must do with less."""
_COOL_SHARE = 0.88
"""Share of the time left in which a large problem's search cools, with the clock."""
_LARGE_COOLINGS, _VAST_COOLINGS = ((0.3, 0.4), (1.0, 0.12)), ((0.8, 0.4),)
"""Coolings of a large problem's search, and of a vast one's: share of the time left, and how hot they begin."""
_VAST = 1_000_000
"""Streams x slots from which packing a plan takes so long that it is done but once."""
_SETTLES, _MEND_SHARE, _SLOW_SHARE = 4, 0.01, 0.04
"""Times that a large problem's plan is mended until it packs, the share of the time mending takes, and what is slow."""
_TURNS, _TURN_HEAT, _TURN_WORTH, _IDLE = 12, 0.2, 5e-4, 4
"""Turns over blocks until they are cold, the heat of the first; where one improves the plan by less than this share the
whole is searched next, and after so many in a row that do not pay both end."""
_TRIES_SIZE, _TRIES = 1e6, (20, 5000)
"""Moves tried on sample paths: this many over paths x slots, within these limits."""
_WORTH_ROUNDS = 6
"""Rounds of the bound for shadow prices alone."""


def supports(problem: Problem) -> str | None:
    """None, or why this problem is refused: a pool with two offers of one purchase, or what moves cannot keep to."""
    if most_moves(problem) is not None and (problem.survival is not None or has_shared(problem)) and _too_many(problem):
        return ("it limits moves from a plan in force while losses must be survived or pools share limits or "
                "commitments, and is too large to be solved exactly")
    if problem.paths is not None and most_moves(problem) is not None:
        return "it limits moves from a plan in force, and pools are sized on sample paths"
    pairs = np.stack([problem.offers.pool, problem.offers.purchase], axis=1)
    if len(np.unique(pairs, axis=0)) < len(pairs):
        return "a pool has two offers of one purchase; one of each is supported"
    return None


@dataclass(slots=True)
class _Best:
    """The best packed plan so far: what it costs, what it leaves out, and the objective it is judged by."""

    solution: Solution | None = None
    usd: float = np.inf
    left_out: float = np.inf

    def better(self, usd: float, left_out: float, by_cost: bool) -> bool:
        mine, other = (usd, left_out), (self.usd, self.left_out)
        return mine < other if by_cost else mine[::-1] < other[::-1]


class _Run:
    """One solve: the bound, the best plan, and the way both are told."""

    def __init__(self, problem: Problem, settings: Settings, watch: Watch) -> None:
        self.problem, self.settings, self.watch = problem, settings, watch
        self.below = relaxed(problem)  # what bounds are proven on: the problem itself, unless it has sample paths
        self.by_cost = problem.objective.mode == "min_cost"
        self.total = float(problem.workloads.weight.sum())
        began = time.monotonic()
        self.deadline = began + settings.time_limit_s
        self.best = _Best()
        self.exact_method = METHOD
        self.branching: Branching | None = None
        self.cooled = False
        self.known_best = False
        self.proven_infeasible = False
        self.packing_s = 0.0
        self.why_not = self.note = ""
        self.blocks = 1 if settings.blocks == 1 else block_count(problem, settings.blocks)
        self.lacking = False
        self.large = len(problem.streams.shape) * problem.slots >= _LARGE
        self.bound_until = began + (_LARGE_BOUND_SHARE if self.large else _BOUND_SHARE) * settings.time_limit_s
        self.exact_bound = 0.0 if self.by_cost else 1.0
        self._bounding: Bounding | Ascent | None = None

    @property
    def quick(self) -> bool:
        """Whether a plan can be had within seconds: of a large problem by cost that needs no more than packing."""
        plain = self.problem.survival is None and not has_shared(self.problem) and self.problem.paths is None
        return self.large and self.by_cost and plain and most_moves(self.problem) is None

    @property
    def bounding(self) -> Bounding | Ascent:
        """The bound in the making; only asked for once there is one."""
        assert self._bounding is not None, "the bound is made before the search"
        return self._bounding

    @bounding.setter
    def bounding(self, bounding: Bounding | Ascent) -> None:
        self._bounding = bounding

    @property
    def bounded(self) -> bool:
        """Whether there is a bound in the making."""
        return self._bounding is not None

    def stopped(self) -> bool:
        """True once only packing what is there still fits into the time."""
        polish = _POLISH_SHARE * self.settings.time_limit_s if self.large and self.best.solution else 0.0
        reserve = max(1.5 * self.packing_s, polish)
        return self.watch.stopped() or time.monotonic() > self.deadline - reserve

    @property
    def bound(self) -> float:
        """As the objective reads: a least cost, or a most attainment."""
        if self._bounding is None:
            return self.exact_bound
        if self.by_cost:
            return max(self.exact_bound, self.bounding.bound)
        return min(self.exact_bound, 1.0 if self.total <= 0 else 1.0 - self.bounding.bound / self.total)

    @property
    def method(self) -> str:
        """What proved `bound`."""
        if self._bounding is None or self.bound == self.exact_bound:
            return self.exact_method
        return ASCENT if isinstance(self._bounding, Ascent) else METHOD

    @property
    def bound_done(self) -> bool:
        """Neither rounds nor branches can raise the bound any more."""
        if not self.bounding.done:
            return False
        branches = self.by_cost and isinstance(self.bounding, Bounding)
        return not branches or (self.branching is not None and self.branching.done)

    @property
    def objective(self) -> float:
        if self.best.solution is None:
            return float("nan")
        return self.best.usd if self.by_cost else 1.0 - self.best.left_out / max(self.total, 1e-12)

    @property
    def gap(self) -> float:
        if self.best.solution is None:
            return np.inf
        return relative_gap(self.problem.objective.mode, self.objective, self.bound)

    @property
    def closed(self) -> bool:
        return self.gap <= self.settings.gap and (self.by_cost or self.best.usd < np.inf)

    @property
    def good_enough(self) -> bool:
        """The plan is so near to the bound that a search that need not be thorough ends."""
        return not self.settings.thorough and self.gap <= _GOOD_GAP

    def tell(self, phase: str, solution: Solution | None = None) -> None:
        self.watch.report(phase, solution, self.objective, self.bound)

    def notarise(self) -> None:
        """Hand out what proves the bound so far; only whoever raises the bound may call this."""
        certificate = _certificate(self)
        if certificate is not None and isinstance(self.watch, Notary):
            self.watch.prove(certificate)

    def offer(self, thread: _Thread, packings: Packings, phase: str) -> bool:
        """Pack the plan of the thread's search; keep and report it when it is complete and the best so far.

        Where room or money lacks the searcher is told to do with less, and the answer is False.
        """
        searcher = thread.searcher
        if searcher.missing:
            return True
        left_out = float(self.problem.workloads.weight[searcher.dropped].sum())
        known = not has_shared(self.problem) and thread.pooled is None
        if known and not self.best.better(searcher.book(), left_out, self.by_cost):
            return True  # else the search does not know what machines cost in the end
        began, units = time.monotonic(), searcher.plan()
        if self.large and thread.pooled is None:
            solution = complete_harder(self.problem, units, packings)
        else:
            solution = complete(self.problem, units, packings=packings, jointly=not self.large)
        self.packing_s = max(self.packing_s, time.monotonic() - began)
        self.lacking = isinstance(solution, Shortfall)
        if isinstance(solution, Shortfall):
            self.why_not = solution.why
            if solution.passing is not None and thread.steering is not None:
                thread.steering.press(solution.passing)
                searcher.price(thread.steering.priced)
            if solution.passing is None or solution.lacking.sum() <= _FEW:
                searcher.squeeze(solution.pool, solution.slot, solution.lacking)
            return False
        return self.take(solution, left_out, phase) or searcher.save(cost_usd(self.problem, solution))

    def take(self, solution: Solution, left_out: float, phase: str) -> bool:
        """Keep and report a packed plan when it is the best so far; False when it costs more than the budget."""
        usd = cost_usd(self.problem, solution)
        over = not self.by_cost and usd > self.problem.objective.budget_usd * (1 + 1e-9) + 1e-9
        if not over and self.best.better(usd, left_out, self.by_cost):
            self.best = _Best(solution, usd, left_out)
            self.tell(phase, solution)
        return not over


def solve(problem: Problem, settings: Settings, watch: Watch) -> Result:
    """Plan `problem`; see the module for how, `placement.result.Result` for what comes back."""
    if (impossible := _plainly_impossible(problem)) is not None:
        return Result("infeasible", None, np.inf if problem.objective.mode == "min_cost" else 0.0, impossible)
    if problem.interference is not None:
        return solve_with_interference(problem, settings, watch, lambda *given: _solve_whole(*given)[0])
    if problem.parts is not None:
        return solve_with_parts(problem, settings, watch, Method(_solve_whole, _prover))
    return _solve_whole(problem, settings, watch)[0]


def _solve_whole(problem: Problem, settings: Settings, watch: Watch) -> tuple[Result, Prices | None]:
    """Place every stream whole; the prices too that guided the search, where there were any."""
    pooled = problem.paths is not None
    if not pooled and too_large(problem, _SMALL_ASSIGNMENT) and (held := read_assignment(problem)) is not None:
        return solve_assignment(problem, held, settings, watch), None
    run = _Run(problem, settings, watch)
    if not _too_many(problem):
        _solve_exactly(run)
    if not run.closed and not run.proven_infeasible and len(problem.streams.shape):
        if run.quick:
            _quick_plan(run, None, "first plan")
        run.bounding = _bounding(run)
        _first_bound(run)
        if run.known_best:
            _raise_alone(run)
        else:
            _searching(run)(run)
            _polish(run)
    if run.best.solution is None:
        return _without_plan(run), run.bounding.prices if run.bounded else None
    status: Status = "optimal" if run.gap <= OPTIMAL_GAP else "feasible"
    prices = _prices(run)
    shadow = None if prices is None else worth(run.problem, prices)
    return Result(status, run.best.solution, run.bound, run.method + run.note, shadow, _certificate(run)), prices


def _certificate(run: _Run) -> Certificate | None:
    """What proves the bound by prices; None where nobody asks."""
    if not run.settings.certify:
        return None
    if not run.bounded:
        return no_prices(run.below)
    return run.bounding.certificate() if run.branching is None else run.branching.certificate()


def _searching(run: _Run) -> Callable[[_Run], None]:
    """How to search: near the plan in force, in blocks, or all at once."""
    if most_moves(run.problem) is not None:
        return _search_near
    blocks = run.blocks > 1 and run.problem.paths is None  # blocks know one row of replicas a unit
    return _search_in_blocks if blocks else _search


def _search_in_blocks(run: _Run) -> None:
    """From a first plan search block by block, side by side; the bound rises beside them."""
    thread = _new_thread(run, run.settings.seed * 1000)
    thread.start(thread.searcher, thread.rng)
    _first_plan(run, thread)
    if run.best.solution is None or run.stopped():
        _search(run)  # there is nothing to divide, or no time left
        return
    engine = ENGINES[run.settings.engine](max(1, run.settings.threads))
    try:
        with ThreadPoolExecutor(1) as pool:
            _take_turns(run, thread, engine, pool)
    finally:
        engine.close()
    if engine.lost:
        run.note = f"; {engine.lost} tasks of blocks were lost"


def _take_turns(run: _Run, thread: _Thread, engine: Engine, pool: ThreadPoolExecutor) -> None:
    """Turn after turn over blocks of ever other divisions, cooling, until they cease to pay or time is up."""
    guide = Guide(run.problem, run.bounding.prices, _drop_usd(run), run.bounding.legal, run.large)
    search = BlockSearch(guide, thread.teacher.weights, engine, run.blocks, run.settings.seed)
    turn = idle = 0
    bounding: Future[None] | None = None

    def better(units: Units) -> bool:
        return _offer_units(run, thread, units)

    while not run.stopped() and not run.closed and not run.good_enough and (idle < _IDLE or run.settings.thorough):
        before, held = (run.best.left_out, run.best.usd), run.best.solution
        assert held is not None, "there is a first plan"
        if bounding is None and not run.bound_done:
            bounding = pool.submit(_raise_bound, run, run.best.usd)
        if thread.steering is not None:
            kinds = machines_by_kind(run.problem, held.machines)
            thread.steering.learn(kinds[:, : Purchase.SPOT].sum(axis=1), kinds.sum(axis=1))
        heat, left_s = _TURN_HEAT * max(0.0, 1 - turn / _TURNS) ** 2, run.deadline - time.monotonic()
        priced = None if thread.steering is None else thread.steering.priced
        if idle % 2:
            search.coordinate(held, run.best.usd, heat, left_s, better, priced)
        else:
            search.turn(held, run.best.usd, heat, left_s, run.stopped, better, priced)
        if bounding is not None and (bounding.done() or not run.settings.thorough):
            run.cooled = True  # a large problem's bound is not counted in rounds but stops here
            bounding.result()
            run.cooled, bounding = False, None
        run.tell("search in blocks")
        paid = before[0] > run.best.left_out or before[1] - run.best.usd > _TURN_WORTH * run.best.usd
        turn, idle = turn + 1, 0 if paid else idle + 1
    if bounding is not None:
        run.cooled = True
        bounding.result()


def _offer_units(run: _Run, thread: _Thread, units: Units) -> bool:
    """Pack a plan; whether it is the best so far, and kept."""
    before = run.best.solution
    solution = complete(run.problem, units, packings=thread.packings, jointly=not run.large)
    if isinstance(solution, Solution):
        _take_whole(run, solution, "search in blocks")
    return run.best.solution is not before


def _take_whole(run: _Run, solution: Solution, phase: str) -> None:
    """Keep a packed plan if it is the best so far; what has no unit is left out."""
    problem = run.problem
    out = np.ones(len(problem.workloads.weight), bool)
    out[problem.streams.workload[solution.units.stream]] = False
    run.take(solution, float(problem.workloads.weight[out].sum()), phase)


def _too_many(problem: Problem) -> bool:
    """Whether the problem is too large for the exact solver, or has sample paths, which that does not know."""
    return problem.paths is not None or (too_large(problem, _SMALL) or too_many_sets(problem)) is not None


def _quick_plan(run: _Run, start: Units | None, phase: str) -> None:
    """A plan that packs and lies near `start`, if all finds room; without a start, one to have at any time."""
    problem, weight, packings = run.problem, run.problem.workloads.weight, Packings(run.problem, 0)
    passes = _QUICK_PASSES if start is None else _NEAR_PASSES
    if start is not None:
        near = complete_most(problem, start, packings)
        if near is None:
            return
        start = near.units
    found = quick_plan(problem, passes=passes, seed=run.settings.seed, start=start, stopped=run.watch.stopped)
    gone = np.bincount(found.units.stream, minlength=len(problem.streams.shape)) == 0
    out = np.zeros(len(weight), bool)
    out[problem.streams.workload[gone]] = True
    left_out = float(weight[out].sum())
    if (out & ~may_drop(problem)).any() or left_out > problem.slack + 1e-9:
        return
    solution = complete_harder(problem, found.units, packings)
    if isinstance(solution, Solution):
        run.take(solution, left_out, phase)


def _search_near(run: _Run) -> None:
    """Search near the plan in force, from which only so many moves may be made."""
    problem = run.problem
    usd = np.zeros(len(problem.workloads.weight))
    np.add.at(usd, problem.streams.workload, run.bounding.choices.best)

    FewMoves(problem, usd, run.settings.seed, run.settings.thorough, run.stopped,
             lambda solution: _take_whole(run, solution, "moves")).search()


def _prices(run: _Run) -> Prices | None:
    """The bound's prices, which are found now where the exact solver made the plan."""
    if run.bounded:
        return run.bounding.prices
    if run.watch.stopped() or not len(run.problem.streams.shape):
        return None
    bounding = Bounding(run.below, run.settings.seed, run.watch.stopped, run.deadline)
    for _ in range(_WORTH_ROUNDS):
        if not bounding.done:
            bounding.advance()
    return bounding.prices


def _bounding(run: _Run) -> Bounding | Ascent:
    """What raises the bound of a run."""
    return _prover(run.below, run.settings, run.stopped, run.deadline)


def _prover(problem: Problem, settings: Settings, stopped: Callable[[], bool], deadline: float) -> Bounding | Ascent:
    """What raises the bound: a linear program; for large problems by cost that share nothing steps along the loads."""
    large = len(problem.streams.shape) * problem.slots >= _LARGE
    if large and problem.objective.mode == "min_cost" and not has_shared(problem):
        return Ascent(problem, settings.seed, stopped, settings.threads)
    return Bounding(problem, settings.seed, stopped, deadline)


def _plainly_impossible(problem: Problem) -> str | None:
    """Why no plan can exist, where that shows without solving; None else."""
    offers = problem.offers
    if owned_pass(problem):
        return "machines already owned cost more than a limit of USD per hour"
    if problem.objective.mode == "max_sla":
        owned = float((offers.price_usd * offers.owned)[offers.purchase <= Purchase.COMMITTED].sum())
        owned += float((problem.commitments.price_usd * problem.commitments.owned[:, None]).sum())
        if owned > problem.objective.budget_usd * (1 + 1e-9):
            return f"machines already owned cost {owned:.2f} USD, more than the budget"
        return None
    if bool((~problem.workloads.droppable & ~placeable(problem)).any()):
        return "a workload that must be placed has no legal place"
    return None


def _first_bound(run: _Run) -> None:
    """Raise the bound until rounds add little: a large problem's only until its prices can guide a search."""
    little = 0
    while not run.bounding.done and not run.stopped() and little < 1:
        if time.monotonic() > run.bound_until or (run.large and run.bounding.settled):
            break
        before = run.bounding.bound
        run.bounding.advance()
        run.notarise()
        run.tell("bound")
        slow = run.bounding.settled and run.bounding.bound - before < _LITTLE * run.bounding.bound
        little = little + 1 if slow else 0


def _without_plan(run: _Run) -> Result:
    """No plan was found: say whether that is a proof."""
    if run.proven_infeasible:
        return Result("infeasible", None, run.bound, "exact search found that not all that must be placed has room")
    if run.by_cost and not run.stopped() and _impossible(run.below, run.settings):
        return Result("infeasible", None, run.bound, "Lagrangian bound: not all that must be placed has room")
    why = f" ({run.why_not})" if run.why_not else ""
    return Result("unknown", None, run.bound, f"no complete plan was found{why}; that none exists is not proven")


def _impossible(problem: Problem, settings: Settings) -> bool:
    """True when the bound proves that room or the SLA floor does not allow any complete plan.

    As much as possible is placed at any price: first only what must be placed counts, then everything by its weight.
    """
    weight, droppable = problem.workloads.weight, problem.workloads.droppable
    for value, most in ((np.where(droppable, 0.0, 1.0), 0.0), (weight, problem.slack)):
        relaxed = replace(
            problem, objective=Objective("max_sla"), workloads=replace(problem.workloads, weight=value.copy())
        )
        deadline = time.monotonic() + settings.time_limit_s
        bounding = Bounding(relaxed, settings.seed, lambda until=deadline: time.monotonic() > until, deadline)  # type: ignore[misc]
        while not bounding.done:
            bounding.advance()
            if bounding.bound > most + 1e-6:
                return True
    return False


# ---------------------------------------------------------------- searching


@dataclass(slots=True)
class _Thread:
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


def _search(run: _Run) -> None:
    """Coolings side by side until they cease to pay, the gap is closed or time is up; the bound rises beside them."""
    settings = run.settings
    count = max(1, settings.threads)
    if isinstance(run.bounding, Ascent):
        run.bounding.threads = 1  # from here on beside searches
    threads = [_new_thread(run, settings.seed * 1000 + i) for i in range(count)]
    cooling = 0
    with ThreadPoolExecutor(count) as pool:
        while not run.stopped() and not run.closed and not run.proven_infeasible:
            before = run.best.usd, run.best.left_out
            bounding = pool.submit(_raise_bound, run, run.best.usd) if not run.bound_done and count > 1 else None
            searching = threads[: count - (bounding is not None)]
            work = [pool.submit(_cool, run, thread, cooling, i) for i, thread in enumerate(searching)]
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


def _raise_bound(run: _Run, best_usd: float) -> None:
    """Raise the bound while a cooling runs: by rounds until they are done, then by branches, a fixed number of them.

    `best_usd` is the best plan's cost when the cooling began, not now, so that the work does not depend on the clock.
    """
    rounds = 0
    while not run.bounding.done and not run.stopped() and not (run.large and run.cooled):
        run.bounding.advance()
        run.notarise()
        run.tell("search and bound")
        rounds += 1
        if not run.large and not run.settings.thorough and rounds >= _BOUND_ROUNDS:
            return
    if not run.bounding.done or not run.by_cost or isinstance(run.bounding, Ascent):
        return
    run.branching = run.branching or Branching(run.below, run.bounding, run.stopped)
    branches = 0
    while branches < _BRANCHES or (run.settings.thorough and not run.cooled):
        if run.branching.done or run.stopped():
            return
        run.branching.advance(best_usd * (1 - run.settings.gap))
        branches += 1
    run.notarise()
    run.tell("search and bound")


def _raise_alone(run: _Run) -> None:
    """Raise the bound where no better plan is to be found: only its proof is wanted."""
    branches = 0
    while not run.bounding.done and not run.stopped():
        run.bounding.advance()
        run.tell("bound")
    if not run.by_cost or isinstance(run.bounding, Ascent):
        return
    run.branching = Branching(run.below, run.bounding, run.stopped)
    while not run.branching.done and not run.stopped() and (run.settings.thorough or branches < _PROOF_BRANCHES):
        run.branching.advance(run.best.usd * (1 - run.settings.gap))
        run.tell("bound")
        branches += 1


def _solve_exactly(run: _Run) -> None:
    """Hand a small problem to the exact solver: mostly it proves the optimum at once, else its bound and plan stay."""
    problem, settings = run.problem, run.settings
    seconds = min(_EXACT_SHARE * settings.time_limit_s, _EXACT_S)
    found = solve_exact(problem, replace(settings, time_limit_s=seconds), run.watch)
    if found.status == "infeasible":
        run.proven_infeasible = True
        return
    if settings.certify:
        run.known_best = found.status == "optimal"  # that it is so is not what a certificate can show
    else:
        run.exact_bound, run.exact_method = found.bound, found.method
    if found.solution is not None:
        out = np.ones(len(problem.workloads.weight), bool)
        out[problem.streams.workload[found.solution.units.stream]] = False
        run.take(found.solution, float(problem.workloads.weight[out].sum()), "exact")


def _new_thread(run: _Run, seed: int) -> _Thread:
    """A search over the units that the bound's prices find worth trying."""
    bounding, problem = run.bounding, run.problem
    weights = [list(vectors) for vectors in bounding.weights]
    packings = Packings(problem, 0 if run.large else 2)
    searcher = Searcher(problem, bounding.shortlist(), weights, _drop_usd(run))
    teacher = Teacher(problem, searcher, weights, bounding.legal, packings, large=run.large)
    rng = np.random.default_rng(seed)
    prices = bounding.prices
    steering = Steering(problem, prices.shared, prices.cost_scale) if has_shared(problem) else None
    if steering is not None:
        searcher.price(steering.priced)
    pooled = PooledTeacher(problem, searcher, packings) if problem.paths is not None else None
    size = max(1, len(problem.streams.shape)) * problem.slots
    rounds = int(np.clip(_ROUNDS * np.sqrt(_ROUNDS_SIZE / size), 50, _ROUNDS))
    return _Thread(searcher, rng, packings, teacher, bounding.start(), steering, rounds, pooled)


def _drop_usd(run: _Run) -> Floats:
    """What the search pays for leaving a workload out: nothing where slack rules (`min_cost`).

    In `max_sla` more than anything costs, so that nothing is left out that the budget allows, and most by weight.
    """
    weight, budget = run.problem.workloads.weight, run.problem.objective.budget_usd
    if run.by_cost:
        return np.zeros(len(weight))
    best = run.bounding.choices.best
    most = budget if np.isfinite(budget) else 10 * float(best[np.isfinite(best)].sum())
    return max(most, 1.0) * (1 + 10 * len(weight) * weight / max(run.total, 1e-12))


def _cool(run: _Run, thread: _Thread, cooling: int, place: int) -> None:
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
                if run.offer(thread, thread.packings, "search") or run.stopped():
                    break


def _cool_large(run: _Run, thread: _Thread) -> None:
    """Cool with the clock, twice: packing the first plan teaches the search, and the second begins less hot."""
    if run.best.solution is None:
        _first_plan(run, thread)
    stretch, settling_s = 0, 0.0
    vast = len(run.problem.streams.shape) * run.problem.slots >= _VAST
    for cooling, (share, hot) in enumerate(_VAST_COOLINGS if vast else _LARGE_COOLINGS):
        if cooling > 0:
            thread.teach()
            thread.fit()
        began = time.monotonic()
        seconds = max(1e-3, share * (_COOL_SHARE * (run.deadline - began) - settling_s))
        while not run.stopped() and not run.good_enough:
            cooled = (time.monotonic() - began) / seconds
            if cooled >= 1:
                break
            thread.stretch(stretch, hot * (1 - cooled) ** 2)
            stretch += 1
        began = time.monotonic()
        _settle(run, thread)
        settling_s = max(settling_s, time.monotonic() - began)


def _settle(run: _Run, thread: _Thread) -> None:
    """Have the search do with less until its plan packs; at last what finds no room leaves and goes elsewhere."""
    for _ in range(_SETTLES):
        began = time.monotonic()
        thread.mend()
        while time.monotonic() < began + _MEND_SHARE * run.settings.time_limit_s and not run.stopped():
            thread.mend()
        if run.offer(thread, thread.packings, "search") or run.stopped():
            break
        if run.quick and time.monotonic() - began > _SLOW_SHARE * run.settings.time_limit_s:
            break
    if run.quick and not thread.searcher.missing and run.lacking:
        _quick_plan(run, thread.searcher.plan(), "search")


def _first_plan(run: _Run, thread: _Thread) -> None:
    """A plan to have at any time: cold improvement of the rounded start until simple orders pack it."""
    streams = len(run.problem.streams.shape)
    simple = Packings(run.problem, 0)
    for trial in range(_FIRST_TRIES):
        if run.stopped() or run.best.solution is not None:
            break
        thread.searcher.improve(max(100, streams // 2), int(thread.rng.integers(1 << 31)), _COLD, _COLD, 8, 0.1)
        if trial % 3 == 2:
            thread.teach()
        run.offer(thread, simple, "first plan")
    thread.searcher.relax()


def _polish(run: _Run) -> None:
    """Pack a large plan's pools harder, those first where most may be saved, while there is time."""
    problem, best = run.problem, run.best.solution
    if problem.paths is not None:
        _descend(run)
        return
    if best is None or not run.large:
        return
    packings, began = Packings(problem, 0), time.monotonic()
    loads = pool_loads(problem, best.units)
    usd = np.array([problem.offers.price_usd[problem.offers.pool == p].max(initial=0.0) for p in range(len(loads))])
    loose = [packings.needed(p, load).machines.min(axis=0) - packings.needed(p, load).low
             for p, load in enumerate(loads)]  # fmt: skip
    until = run.deadline - 4 * (time.monotonic() - began)
    for p in np.argsort(-usd * [float(slots.sum()) for slots in loose], kind="stable").tolist():
        slots = np.flatnonzero(loose[p] > 0)
        for first in range(0, len(slots), _POLISHED):
            if time.monotonic() > until or run.watch.stopped():
                break
            packings.tighten(p, loads[p], 1, slots[first : first + _POLISHED])
    solution = complete_harder(problem, best.units, packings, jointly=True)
    if isinstance(solution, Solution) and cost_usd(problem, solution) < run.best.usd:
        run.best = _Best(solution, cost_usd(problem, solution), run.best.left_out)
        run.tell("packing", solution)


def _descend(run: _Run) -> None:
    """Move streams where that makes the plan cheaper once its pools are sized on the sample paths."""
    problem, best = run.problem, run.best.solution
    if best is None or problem.paths is None:
        return
    tries = int(np.clip(_TRIES_SIZE / problem.paths.loads[0].size, *_TRIES)) if len(problem.paths.loads) else 0
    rng = np.random.default_rng(run.settings.seed)
    found = descend(problem, best, run.bounding.shortlist(), lambda solution: cost_usd(problem, solution), tries,
                    Packings(problem, 0 if run.large else 2), rng, run.watch.stopped)
    run.take(found, run.best.left_out, "packing")


__all__ = ["METHOD", "solve", "supports"]
