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
from dataclasses import replace

import numpy as np

from placement.apart import solve_with_interference
from placement.ascent import Ascent
from placement.assignment import read_assignment, solve_assignment
from placement.bound import Prices
from placement.bounding import Bounding
from placement.branching import Branching
from placement.cooling import polish, search, take_quick_plan
from placement.few_moves import FewMoves
from placement.formulation import too_many_sets
from placement.gap import OPTIMAL_GAP
from placement.moves import most_moves
from placement.options import too_large
from placement.problem import Objective, Problem, Purchase
from placement.result import Result, Settings, Status, Watch, unattained
from placement.run import Run, certificate_of, is_large, take_whole
from placement.scarcity import worth
from placement.searcher import placeable
from placement.shared import has_shared, owned_pass
from placement.solvers.highs import solve_exact
from placement.splitting import Method, solve_with_parts
from placement.turns import search_in_blocks

_LITTLE = 1e-3
"""A round that raises the bound by less than this share, and searches start."""
_PROOF_BRANCHES = 100
"""Branches of the bound where the best plan is known and only a proof by prices is wanted."""
_BRANCHES_TOLD = 16
"""Branches after which what they prove is handed out: all of it, each time."""
_SMALL, _EXACT_SHARE, _EXACT_S = 60_000, 0.4, 15.0
"""Options x slots up to which a problem is handed to the exact solver first, for which share of the time, how long."""
_SMALL_ASSIGNMENT = 5_000
"""As `_SMALL`, for placement in one slot on machines that are held anyway, which has a search of its own."""
_MANY_STREAMS = 36_000
"""Streams from which a plan without prices takes too long, and mostly finds no room for all."""
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
    run = Run(problem, settings, watch)
    if not _too_many(problem):
        _solve_exactly(run)
    if not run.closed and not run.proven_infeasible and len(problem.streams.shape):
        if run.plain and len(problem.streams.shape) < _MANY_STREAMS:
            take_quick_plan(run, None, "first plan")
        run.bounding = _bounding(run)
        _first_bound(run)
        if run.known_best:
            _raise_alone(run)
        else:
            _searching(run)(run)
            polish(run)
    if run.best.solution is None:
        return _without_plan(run), run.bounding.prices if run.bounded else None
    status: Status = "optimal" if run.gap <= OPTIMAL_GAP else "feasible"
    prices = _prices(run)
    shadow = None if prices is None else worth(run.problem, prices)
    return Result(status, run.best.solution, run.bound, run.method + run.note, shadow, certificate_of(run)), prices


def _searching(run: Run) -> Callable[[Run], None]:
    """How to search: near the plan in force, in blocks, or all at once."""
    if most_moves(run.problem) is not None:
        return _search_near
    blocks = run.blocks > 1 and run.problem.paths is None  # blocks know one row of replicas a unit
    return search_in_blocks if blocks else search


def _too_many(problem: Problem) -> bool:
    """Whether the problem is too large for the exact solver, or has sample paths, which that does not know."""
    return problem.paths is not None or (too_large(problem, _SMALL) or too_many_sets(problem)) is not None


def _search_near(run: Run) -> None:
    """Search near the plan in force, from which only so many moves may be made; what must survive losses is left to the
    exact solver.
    """
    problem = run.problem
    if problem.survival is not None:
        run.why_not = "a search near the plan in force does not find fallbacks"
        return
    usd = np.zeros(len(problem.workloads.weight))
    np.add.at(usd, problem.streams.workload, run.bounding.choices.best)
    FewMoves(problem, usd, run.settings.seed, run.settings.thorough, run.stopped,
             lambda solution: take_whole(run, solution, "moves")).search()


def _prices(run: Run) -> Prices | None:
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


def _bounding(run: Run) -> Bounding | Ascent:
    """What raises the bound of a run."""
    return _prover(run.below, run.settings, run.stopped, run.deadline)


def _prover(problem: Problem, settings: Settings, stopped: Callable[[], bool], deadline: float) -> Bounding | Ascent:
    """What raises the bound: a linear program; for large problems by cost that share nothing steps along the loads."""
    if is_large(problem) and problem.objective.mode == "min_cost" and not has_shared(problem):
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


def _first_bound(run: Run) -> None:
    """Raise the bound until rounds add little: a large problem's only until its prices can guide a search.

    An ascent has no prices before its first round, which is short where time is up.
    """
    little, needed = 0, isinstance(run.bounding, Ascent)
    until = time.monotonic() + run.bound_share * (run.deadline - time.monotonic())
    while needed or (not run.bounding.done and not run.stopped() and little < 1):
        if not needed and (time.monotonic() > until or (run.large and run.bounding.settled)):
            break
        needed = False
        before = run.bounding.bound
        run.bounding.advance()
        run.notarise()
        run.tell("bound")
        slow = run.bounding.settled and run.bounding.bound - before < _LITTLE * run.bounding.bound
        little = little + 1 if slow else 0


def _without_plan(run: Run) -> Result:
    """No plan was found: say whether that is a proof."""
    if run.proven_infeasible:
        return Result("infeasible", None, run.bound, "exact search found that not all that must be placed has room")
    if run.by_cost and not run.stopped() and _impossible(run):
        return Result("infeasible", None, run.bound, "Lagrangian bound: not all that must be placed has room")
    why = f" ({run.why_not})" if run.why_not else ""
    return Result("unknown", None, run.bound, f"no complete plan was found{why}; that none exists is not proven")


def _impossible(run: Run) -> bool:
    """True when the bound proves that room or the SLA floor does not allow any complete plan.

    As much as possible is placed at any price: first only what must be placed counts, then everything by its weight.
    """
    problem = run.below
    weight, droppable = problem.workloads.weight, problem.workloads.droppable
    for value, most in ((np.where(droppable, 0.0, 1.0), 0.0), (weight, problem.slack)):
        relaxed = replace(
            problem, objective=Objective("max_sla"), workloads=replace(problem.workloads, weight=value.copy())
        )
        bounding = Bounding(relaxed, run.settings.seed, run.stopped, run.deadline)
        while not bounding.done and not run.stopped():
            bounding.advance()
            if bounding.bound > most + 1e-6:
                return True
    return False


def _raise_alone(run: Run) -> None:
    """Raise the bound where no better plan is to be found: only its proof is wanted."""
    branches = 0
    while not run.bounding.done and not run.stopped():
        run.bounding.advance()
        run.notarise()
        run.tell("bound")
    if not run.by_cost or isinstance(run.bounding, Ascent) or run.stopped():
        return
    run.branching = Branching(run.below, run.bounding, run.stopped)
    while not run.branching.done and not run.stopped() and (run.settings.thorough or branches < _PROOF_BRANCHES):
        run.branching.advance(run.best.usd * (1 - run.settings.gap))
        branches += 1
        if branches % _BRANCHES_TOLD == 0:
            run.notarise()
        run.tell("bound")


def _solve_exactly(run: Run) -> None:
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
        out = unattained(problem, found.solution.units)
        run.take(found.solution, float(problem.workloads.weight[out].sum()), "exact")
