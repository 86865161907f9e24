"""One solve in progress: the time, the bound so far, the best packed plan, and the way both are told."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from placement.ascent import Ascent
from placement.blocks import block_count
from placement.bounding import Bounding
from placement.branching import Branching
from placement.certificate import Certificate
from placement.evidence import no_prices
from placement.formulation import cost_usd
from placement.gap import relative_gap
from placement.moves import most_moves
from placement.pooled_rows import relaxed
from placement.problem import Problem
from placement.result import Notary, Settings, Solution, Watch, unattained
from placement.shared import has_shared
from placement.sharpening import Sharpening
from placement.whole_rows import may_use

METHOD = "Lagrangian bound on packing rows (column generation, branching)"
ASCENT = "Lagrangian bound on packing rows (accelerated ascent)"
_BOUND_SHARE, _LARGE_BOUND_SHARE = 0.4, 0.2
"""Share of the time the bound may take alone before searches start beside it, and that of a large problem."""
_GOOD_GAP = 0.03
"""A gap at which a search that need not be thorough ends."""
_LARGE = 50_000
"""Streams x slots of a large problem."""
_BOUND_ROUNDS = 3
"""Rounds of the bound beside one cooling of a problem that is not large."""
_BRANCHES = 16
"""Branches of the bound beside one cooling of the search, at least where it is to be thorough."""
_POLISH_SHARE = 0.1
"""Share of the time kept for packing a large plan harder at the end."""


def is_large(problem: Problem) -> bool:
    """Whether plans are packed by simple orders while searching, and stretches cool with the clock."""
    return len(problem.streams.shape) * problem.slots >= _LARGE


@dataclass(slots=True)
class Best:
    """The best packed plan so far: what it costs, what it leaves out, and the objective it is judged by."""

    solution: Solution | None = None
    usd: float = np.inf
    left_out: float = np.inf

    def better(self, usd: float, left_out: float, by_cost: bool) -> bool:
        """Whether a plan is better than this one."""
        mine, other = (usd, left_out), (self.usd, self.left_out)
        return mine < other if by_cost else mine[::-1] < other[::-1]


class Run:
    """One solve: the bound, the best plan, and the way both are told."""

    def __init__(self, problem: Problem, settings: Settings, watch: Watch) -> None:
        self.problem, self.settings, self.watch = problem, settings, watch
        self.below = relaxed(problem)  # what bounds are proven on: the problem itself, unless it has sample paths
        self.by_cost = problem.objective.mode == "min_cost"
        self.total = float(problem.workloads.weight.sum())
        began = time.monotonic()
        self.deadline = began + settings.time_limit_s
        self.best = Best()
        self.exact_method = METHOD
        self.sharpening: Sharpening | None = None
        self.branching: Branching | None = None
        self.cooled = False
        self.known_best = False
        self.proven_infeasible = False
        self.packing_s = self.mending_s = 0.0
        self.why_not = self.note = ""
        self.blocks = 1 if settings.blocks == 1 else block_count(problem, settings.blocks)
        self.large = is_large(problem)
        self.bound_share = _LARGE_BOUND_SHARE if self.large else _BOUND_SHARE
        self.exact_bound = 0.0 if self.by_cost else 1.0
        self._bounding: Bounding | Ascent | None = None

    @property
    def quick(self) -> bool:
        """Whether a large problem's plan that does not pack can be mended within seconds."""
        return self.large and self.plain

    @property
    def plain(self) -> bool:
        """Whether a plan can be had at once: by cost, where it needs no more than packing."""
        problem = self.problem
        asked = (problem.survival, problem.paths, problem.parts, problem.interference, most_moves(problem))
        return self.by_cost and not has_shared(problem) and all(one is None for one in asked)

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
        return self.watch.stopped() or time.monotonic() > self.search_until

    @property
    def search_until(self) -> float:
        """When (`time.monotonic`) only packing what is there still fits into the time."""
        polish = _POLISH_SHARE * self.settings.time_limit_s if self.large and self.best.solution else 0.0
        return self.deadline - max(1.5 * self.packing_s, polish)

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
        """What the best plan reaches; NaN while there is none."""
        if self.best.solution is None:
            return float("nan")
        return self.best.usd if self.by_cost else 1.0 - self.best.left_out / max(self.total, 1e-12)

    @property
    def gap(self) -> float:
        """Between the best plan and the bound, as a share; infinite while there is no plan."""
        if self.best.solution is None:
            return np.inf
        return relative_gap(self.problem.objective.mode, self.objective, self.bound)

    @property
    def closed(self) -> bool:
        """The gap is as small as was asked for."""
        return self.gap <= self.settings.gap and (self.by_cost or self.best.usd < np.inf)

    @property
    def good_enough(self) -> bool:
        """The plan is so near to the bound that a search that need not be thorough ends."""
        return not self.settings.thorough and self.gap <= _GOOD_GAP

    def tell(self, phase: str, solution: Solution | None = None) -> None:
        """Report what is done, and a plan if there is a better one."""
        self.watch.report(phase, solution, self.objective, self.bound)

    def notarise(self) -> None:
        """Hand out what proves the bound so far; only whoever raises the bound may call this."""
        certificate = certificate_of(self)
        if certificate is not None and isinstance(self.watch, Notary):
            self.watch.prove(certificate)

    def take(self, solution: Solution, left_out: float, phase: str) -> bool:
        """Keep and report a packed plan when it is the best so far; False when it costs more than the budget."""
        usd = cost_usd(self.problem, solution)
        over = not self.by_cost and usd > self.problem.objective.budget_usd * (1 + 1e-9) + 1e-9
        if not over and self.best.better(usd, left_out, self.by_cost):
            self.best = Best(solution, usd, left_out)
            self.tell(phase, solution)
        return not over


def certificate_of(run: Run) -> Certificate | None:
    """What proves the bound by prices; None where nobody asks."""
    if not run.settings.certify:
        return None
    if not run.bounded:
        return no_prices(run.below)
    return run.bounding.certificate() if run.branching is None else run.branching.certificate()


def raise_bound(run: Run, best_usd: float) -> None:
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
    sharpen(run)
    if run.stopped():  # perhaps before there were any prices
        return
    run.branching = run.branching or Branching(run.below, run.bounding, run.stopped,
                                                 pools=not run.settings.certify)
    branches = 0
    while branches < _BRANCHES or (run.settings.thorough and not run.cooled):
        if run.branching.done or run.stopped():
            return
        run.branching.advance(best_usd * (1 - run.settings.gap))
        branches += 1
    run.notarise()
    run.tell("search and bound")


def sharpen(run: Run) -> None:
    """Have the bound know that machines are whole, where it may: certificates do not tell such rows."""
    assert isinstance(run.bounding, Bounding), "only a linear program takes rows in"
    if run.settings.certify or run.problem.paths is not None or not may_use(run.below):
        return
    run.sharpening = run.sharpening or Sharpening(run.below, run.bounding, run.stopped)
    while not run.sharpening.done and not run.stopped():
        run.sharpening.advance()
        run.tell("search and bound")


def take_whole(run: Run, solution: Solution, phase: str) -> None:
    """Keep a packed plan if it is the best so far and leaves out no more than it may."""
    left_out = float(run.problem.workloads.weight[unattained(run.problem, solution.units)].sum())
    if not run.by_cost or left_out <= run.problem.slack + 1e-9:
        run.take(solution, left_out, phase)
