"""CP-SAT of OR-Tools on the whole formulation, in whole numbers.

CP-SAT takes integers only. Costs are multiplied by up to 10^6 (less where the sum would pass 10^15) and rounded down,
so its bound, divided by the same number, is a bound for the true costs. Rows with fractions are scaled likewise and
rounded so that they only become looser; an incumbent is held against the true rows before it is taken.
"""

from __future__ import annotations

import math
import sys
import threading

import numpy as np

from placement.formulation import too_many_sets
from placement.interference import LEFT_OUT
from placement.mip import Model
from placement.options import MAX_ENTRIES as MAX_ENTRIES  # what is written out without a limit on memory
from placement.options import no_paths
from placement.parts import SPLITS
from placement.problem import Floats, Ints, Problem
from placement.result import Result, Settings, Watch
from placement.solvers.exact import Follower, Outcome, Start, solve_with

if "highspy" in sys.modules:
    raise ImportError("cp-sat: highspy is loaded in this process, and OR-Tools cannot be loaded beside it; "
                      "use placement.worker.solve, which runs each solver in a process of its own")

from ortools.sat.python import cp_model

LARGEST_SCALE = 1e6
LARGEST_SUM = 1e15
"""Sums of scaled terms stay below this, far from the 2^63 at which CP-SAT refuses a model."""
_POLL_S = 0.05


def supports(problem: Problem) -> str | None:
    """Any problem whose sets of failure domains can be written out, and that is whole: of savings plans parts of a USD
    are bought.
    """
    if problem.parts is not None:
        return SPLITS
    if problem.interference is not None:
        return LEFT_OUT
    if not problem.commitments.by_machine.all():
        return "a commitment is in USD per hour, of which any part may be bought; cp-sat decides in whole numbers"
    return no_paths(problem) or too_many_sets(problem)


def solve(problem: Problem, settings: Settings, watch: Watch) -> Result:
    """Search on `placement.formulation` with `settings.threads` workers, interleaved for the same answer every time."""
    return solve_with(run, "cp-sat", problem, settings, watch)


def run(model: Model, settings: Settings, follower: Follower, start: Start | None) -> Outcome:
    """Run one model."""
    program = cp_model.CpModel()
    upper = np.floor(model.upper + 1e-9)
    columns = [program.new_int_var(low, high, "") for low, high in
               zip(np.ceil(model.lower - 1e-9).astype(int).tolist(), upper.astype(int).tolist(), strict=True)]
    _add_rows(program, columns, model, upper)
    scale = _scale(model.cost, upper)
    program.minimize(cp_model.LinearExpr.weighted_sum(columns, _down(model.cost * scale).astype(np.int64).tolist()))
    for column, value in zip(*start, strict=True) if start is not None else ():
        program.add_hint(columns[int(column)], round(float(value)))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = settings.threads
    solver.parameters.interleave_search = settings.threads > 1
    solver.parameters.random_seed = settings.seed
    solver.parameters.max_time_in_seconds = settings.time_limit_s
    solver.parameters.relative_gap_limit = settings.gap
    solver.best_bound_callback = lambda bound: follower.bounded(bound / scale)
    with _Stopper(solver, follower):
        status = solver.solve(program, _Found(columns, follower))
    return _outcome(solver, status, columns, scale)


def _outcome(solver: cp_model.CpSolver, status: cp_model.CpSolverStatus, columns: list[cp_model.IntVar],
             scale: float) -> Outcome:
    if status == cp_model.MODEL_INVALID:
        raise RuntimeError("CP-SAT refused the model")
    if status == cp_model.INFEASIBLE:
        return Outcome("infeasible", None, float("nan"))
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Outcome("unknown", None, float("nan"))
    values = np.array([solver.value(column) for column in columns], np.float64)
    return Outcome("optimal" if status == cp_model.OPTIMAL else "feasible", values,
                   float(solver.best_objective_bound) / scale)


def _add_rows(program: cp_model.CpModel, columns: list[cp_model.IntVar], model: Model, upper: Floats) -> None:
    for row, (first, end) in enumerate(zip(model.row_start[:-1], model.row_start[1:], strict=True)):
        at, value = model.column[first:end], model.value[first:end]
        low, high = model.row_lower[row], model.row_upper[row]
        terms = [columns[i] for i in at.tolist()]
        if _all_whole(value):
            ends = (_up(np.array([low])), _down(np.array([high])))
            _add_row(program, terms, value.astype(np.int64), ends[0].item(), ends[1].item())
            continue
        scale = _scale(value, upper[at])
        if np.isfinite(high):
            most = _down(np.array([high * scale])).item()
            _add_row(program, terms, _down(value * scale).astype(np.int64), -np.inf, most)
        if np.isfinite(low):
            least = _up(np.array([low * scale])).item()
            _add_row(program, terms, _up(value * scale).astype(np.int64), least, np.inf)


def _add_row(program: cp_model.CpModel, terms: list[cp_model.IntVar], value: Ints, low: float, high: float) -> None:
    least = int(low) if np.isfinite(low) else cp_model.INT_MIN
    most = int(high) if np.isfinite(high) else cp_model.INT_MAX
    program.add_linear_constraint(cp_model.LinearExpr.weighted_sum(terms, value.tolist()), least, most)


def _scale(value: Floats, upper: Floats) -> float:
    """The largest power of ten to `LARGEST_SCALE` that keeps sums below `LARGEST_SUM`; 1 if all are whole."""
    if _all_whole(value):
        return 1.0
    largest = float(np.abs(value) @ upper)
    return min(LARGEST_SCALE, 10.0 ** math.floor(math.log10(LARGEST_SUM / max(largest, 1e-9))))


def _all_whole(value: Floats) -> bool:
    return bool((np.abs(value - np.round(value)) < 1e-12).all())


def _down(value: Floats) -> Floats:
    """Round down, but a value next to a whole number to it."""
    return np.floor(value + 1e-6)


def _up(value: Floats) -> Floats:
    return np.ceil(value - 1e-6)


class _Found(cp_model.CpSolverSolutionCallback):
    """Tells the follower of each new solution."""

    def __init__(self, columns: list[cp_model.IntVar], follower: Follower) -> None:
        super().__init__()
        self.columns, self.follower = columns, follower

    def on_solution_callback(self) -> None:
        """Called by CP-SAT."""
        self.follower.found(np.array([self.value(column) for column in self.columns], np.float64))


class _Stopper:
    """Asks the follower now and then, in a thread, whether the search is to stop: CP-SAT itself never asks."""

    def __init__(self, solver: cp_model.CpSolver, follower: Follower) -> None:
        self.solver, self.follower = solver, follower
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def _ask(self) -> None:
        while not self.done.wait(_POLL_S):
            if self.follower.stopped():
                self.solver.stop_search()
