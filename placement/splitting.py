"""How plans with parts are found: place everything whole, cut where prices say that it pays, place again, mend caps.

The first plan splits nothing, so a plan with parts is never dearer than the one found without. Its prices say which
splits pay (`placement.part_prices`); the problem so cut is an ordinary one, solved by the same method, and its prices
cut again. At the end caps and places of the split streams are tried against what pools really cost
(`placement.part_search`). The bound is that of prices with every replica free to go where it is cheapest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from placement.bound import Prices
from placement.complete import complete
from placement.formulation import cost_usd
from placement.gap import OPTIMAL_GAP, relative_gap
from placement.part_prices import best_cuts, cap_levels, fine_levels, reliable, split_bound
from placement.part_search import mend
from placement.parts import NO_CUTS, Cut, Placed, cut, cuts_in, lift, lower, parts_of, unite
from placement.problem import Bools, Ints, Problem
from placement.restrict import keep_candidates
from placement.result import Result, Settings, Solution, Status, Watch

METHOD = "Lagrangian bound on packing rows (every layer of a split load where it is cheapest)"
_LARGE = 50_000
"""Streams x slots from which only the best plan's caps are mended."""
_SHARES = (0.4, 0.4, 0.6)
"""Shares of the time left that the plan without splits and the turns with splits may take."""
_BOUND_SHARE, _BOUND_ROUNDS = 0.3, 12
"""Share of the time left, and rounds, in which the bound is raised with every load cut at many levels."""
_FINE = 600
"""Layers in all that loads are cut into then, or six levels each where that is more."""
_LAYERS = 1 << 20


class Prover(Protocol):
    """What raises a bound round by round (`placement.bounding`, `placement.ascent`)."""

    prices: Prices
    done: bool

    def advance(self) -> None:
        """One round."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method that places streams `whole`, with the prices that guided it, and what raises its bound."""

    whole: Callable[[Problem, Settings, Watch], tuple[Result, Prices | None]]
    prover: Callable[[Problem, Settings, Callable[[], bool], float], Prover]


@dataclass(slots=True)
class _Best:
    """The best plan so far, in rows of the problem that may be cut."""

    problem: Problem
    solution: Solution | None = None
    usd: float = np.inf
    left_out: float = np.inf

    @property
    def objective(self) -> float:
        """As the problem states it."""
        if self.problem.objective.mode == "min_cost":
            return self.usd
        return 1.0 - self.left_out / max(float(self.problem.workloads.weight.sum()), 1e-12)

    def take(self, made: Cut, solution: Solution) -> bool:
        """Keep a plan of the problem cut when it is better; False when it is not."""
        streams = np.zeros(len(made.problem.streams.shape), bool)
        streams[solution.units.stream] = True
        out = np.unique(made.problem.streams.workload[~streams])
        usd, left_out = cost_usd(made.problem, solution), float(self.problem.workloads.weight[out].sum())
        rank, best = (usd, left_out), (self.usd, self.left_out)
        by_cost = self.problem.objective.mode == "min_cost"
        if (rank < best) if by_cost else (rank[::-1] < best[::-1]):
            cuts = cuts_in(made.problem)
            self.solution, self.usd, self.left_out = replace(solution, cuts=cuts), usd, left_out
            return True
        return False


class _Teller:
    """Tells of plans of the problem cut as plans of the problem, and of no bound that holds for the cut one only."""

    def __init__(self, best: _Best, watch: Watch, made: Cut, keep: Ints, bound: float) -> None:
        self._best, self._watch, self._made, self._keep, self._bound = best, watch, made, keep, bound

    def report(self, phase: str, solution: Solution | None, objective: float, bound: float) -> None:  # noqa: ARG002
        """Pass on what is better than all before."""
        taken = solution is not None and self._best.take(self._made, _all_candidates(solution, self._keep))
        told = float("nan") if self._best.solution is None else self._best.objective
        self._watch.report(phase, self._best.solution if taken else None, told, self._bound)

    def stopped(self) -> bool:
        """As the watch says."""
        return self._watch.stopped()


def _all_candidates(solution: Solution, keep: Ints) -> Solution:
    """A solution of the problem with the candidates `keep` [n] only, as one of the problem with all."""
    units, given = solution.units, solution.fallbacks
    if given is not None:
        given = replace(given, candidate=keep[given.candidate])
    return replace(solution, units=replace(units, candidate=keep[units.candidate]), fallbacks=given)


def solve_with_parts(problem: Problem, settings: Settings, watch: Watch, method: Method) -> Result:
    """Plan a problem whose streams may be split, by a method that places streams whole."""
    deadline = time.monotonic() + settings.time_limit_s
    best, keep = _Best(problem), reliable(problem)
    bound = 0.0 if problem.objective.mode == "min_cost" else 1.0
    cuts, seen, worth = NO_CUTS, set[bytes](), None

    def stopped() -> bool:
        return watch.stopped() or time.monotonic() > deadline

    for turn, share in enumerate(_SHARES):
        seen.add(cuts.tobytes())
        made = cut(problem, cuts)
        narrow, rows = _narrowed(made, keep)
        seconds = share * (deadline - time.monotonic())
        teller = _Teller(best, watch, made, rows, bound)
        result, prices = method.whole(narrow, replace(settings, time_limit_s=seconds), teller)
        if result.solution is not None:
            best.take(made, _all_candidates(result.solution, rows))
            if len(problem.streams.shape) * problem.slots < _LARGE:
                _mend(best, result.solution, made, rows, keep, stopped)
        worth = result.worth or worth
        if prices is not None:
            bound = _better(problem, bound, split_bound(problem, prices))
        if turn == 0:
            bound, prices = _raised(problem, bound, prices, keep, settings, watch, deadline, method)
        cuts = _next_cuts(problem, prices, keep)
        if watch.stopped() or cuts.tobytes() in seen:
            break
    if best.solution is not None and len(problem.streams.shape) * problem.slots >= _LARGE:
        made = cut(problem, best.solution.cuts)
        _mend(best, best.solution, made, np.arange(len(made.problem.candidates.stream)), keep, stopped)
    if best.solution is None:
        return _none(problem, bound)
    gap = relative_gap(problem.objective.mode, best.objective, bound)
    status: Status = "optimal" if gap <= OPTIMAL_GAP else "feasible"
    return Result(status, best.solution, bound, METHOD, worth)


def _raised(problem: Problem, bound: float, prices: Prices | None, keep: Bools, settings: Settings, watch: Watch,
            deadline: float, method: Method) -> tuple[float, Prices | None]:
    """A better bound and its prices: those of the problem with every load cut at many levels, each layer by itself."""
    parts = parts_of(problem)
    most = max(6, _FINE // len(parts.stream))
    fine = replace(problem, parts=replace(parts, most=np.full(len(parts.stream), _LAYERS)))
    layers = [(s, high - low) for s, load in zip(parts.stream.tolist(), parts.load, strict=True)
              for low, high in pairwise([0, *fine_levels(load, most).tolist()])]
    narrow, _ = _narrowed(cut(fine, np.array(layers, np.int64).reshape(-1, 2)), keep)
    until = time.monotonic() + _BOUND_SHARE * (deadline - time.monotonic())
    if watch.stopped():
        return bound, prices
    prover = method.prover(narrow, settings, lambda: watch.stopped() or time.monotonic() > until, until)
    for _ in range(_BOUND_ROUNDS):
        if prover.done or watch.stopped() or time.monotonic() > until:
            break
        prover.advance()
        found = _better(problem, bound, split_bound(problem, prover.prices))
        if found != bound:
            bound, prices = found, prover.prices
    return bound, prices


def _narrowed(made: Cut, keep: Bools) -> tuple[Problem, Ints]:
    """The problem cut with the candidates of split streams that go together, and the rows of all that it has."""
    layers = made.problem.layers
    if layers is None:
        return made.problem, np.arange(len(made.problem.candidates.stream))
    split = np.isin(layers.group, layers.group[layers.part > 0])
    kept: Bools = keep[made.candidate] | ~split[made.problem.candidates.stream]
    return keep_candidates(made.problem, kept), np.flatnonzero(kept)


def _better(problem: Problem, bound: float, found: float) -> float:
    """The better of a bound as the objective reads it and one that was `found` by prices."""
    if problem.objective.mode == "min_cost":
        return max(bound, found)
    total = float(problem.workloads.weight.sum())
    return min(bound, 1.0 if total <= 0 else 1.0 - found / total)


def _next_cuts(problem: Problem, prices: Prices | None, keep: Bools) -> Ints:
    """Where to cut next: where it pays at the prices; where nothing was placed and there are none, half way up."""
    if prices is not None:
        return best_cuts(problem, prices, keep)
    parts, found = parts_of(problem), []
    for s, load in zip(parts.stream.tolist(), parts.load, strict=True):
        levels = cap_levels(load)
        middle = levels[len(levels) // 2] if len(levels) else int(np.ceil(load.max(initial=0.0) / 2))
        if middle >= 1:
            found.append((s, int(middle)))
    return np.array(found, np.int64).reshape(-1, 2)


def _mend(best: _Best, found: Solution, made: Cut, rows: Ints, keep: Bools, stopped: Callable[[], bool]) -> None:
    """Unite parts that lie in one pool, and try other caps and places for what may be split, from a plan found.

    `found` is of the problem `made` with the candidates `rows` only.
    """
    problem, given = best.problem, _all_candidates(found, rows)
    cuts, placed = unite(problem, cuts_in(made.problem), lift(made, given.units))
    _offer(best, cuts, placed)
    _offer(best, *mend(problem, cuts, placed, keep, stopped, lambda *plan: _bought(problem, *plan)[2]))


def _offer(best: _Best, cuts: Ints, placed: Placed) -> None:
    """Buy for units where they are now, and keep that when it is better."""
    made, solution, _ = _bought(best.problem, cuts, placed)
    if solution is not None:
        best.take(made, solution)


def _bought(problem: Problem, cuts: Ints, placed: Placed) -> tuple[Cut, Solution | None, float]:
    """The problem cut, the units with the cheapest machines, and their cost; none where room or money lacks."""
    made = cut(problem, cuts)
    solution = complete(made.problem, lower(made, placed))
    if not isinstance(solution, Solution):
        return made, None, np.inf
    usd = cost_usd(made.problem, solution)
    if problem.objective.mode == "max_sla" and usd > problem.objective.budget_usd * (1 + 1e-9):
        return made, None, np.inf
    return made, solution, usd


def _none(problem: Problem, bound: float) -> Result:
    """No plan was found: a proof where the bound has no place for something at any price."""
    if problem.objective.mode == "min_cost" and np.isinf(bound):
        return Result("infeasible", None, bound, f"{METHOD}: not all that must be placed has room")
    return Result("unknown", None, bound, "no complete plan was found; that none exists is not proven")
