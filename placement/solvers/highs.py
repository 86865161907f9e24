"""HiGHS (Huangfu and Hall, "Parallelizing the dual revised simplex method", 2018) on the whole formulation."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import highspy
import numpy as np

from placement.formulation import too_many_sets
from placement.interference import LEFT_OUT
from placement.mip import Model
from placement.options import MAX_ENTRIES as MAX_ENTRIES  # what is written out without a limit on memory
from placement.options import no_paths
from placement.parts import SPLITS
from placement.problem import Problem
from placement.result import Result, Settings, Solution, Status, Watch
from placement.solvers.exact import Follower, Outcome, Start, solve_with

if TYPE_CHECKING:
    from highspy.highs import HighsCallbackEvent

FAULTY_PRESOLVE = 1 << 16
"""The presolve rule that enumerates solutions. HiGHS 1.13 to 1.15 lose equality rows in it and call feasible models
infeasible (https://github.com/ERGO-Code/HiGHS/issues/3216)."""

_PROVEN: dict[highspy.HighsModelStatus, Status] = {
    highspy.HighsModelStatus.kOptimal: "optimal",
    highspy.HighsModelStatus.kInfeasible: "infeasible",
    # All columns are bounded, thus it is never unbounded.
    highspy.HighsModelStatus.kUnboundedOrInfeasible: "infeasible",
}


def supports(problem: Problem) -> str | None:
    """Any problem whose sets of failure domains can be written out."""
    if problem.parts is not None:
        return SPLITS
    if problem.interference is not None:
        return LEFT_OUT
    return no_paths(problem) or too_many_sets(problem)


def solve(problem: Problem, settings: Settings, watch: Watch) -> Result:
    """Branch and bound on `placement.formulation`; the bound is HiGHS's dual bound."""
    return solve_with(run, "highs", problem, settings, watch)


def solve_exact(problem: Problem, settings: Settings, watch: Watch, start: Solution | None = None) -> Result:
    """As `solve`, from a plan that is known: never returns a worse one."""
    return solve_with(run, "highs", problem, settings, watch, start)


def run(model: Model, settings: Settings, follower: Follower, start: Start | None) -> Outcome:
    """Run one model; that it is infeasible is only believed when it also is without presolve."""
    begin = time.monotonic()
    outcome = _run(model, settings, follower, start, presolve="choose")
    if outcome.status != "infeasible":
        return outcome
    left = replace(settings, time_limit_s=max(0.0, settings.time_limit_s - (time.monotonic() - begin)))
    return _run(model, left, follower, start, presolve="off")


def _run(model: Model, settings: Settings, follower: Follower, start: Start | None, presolve: str) -> Outcome:
    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.resetGlobalScheduler(True)  # noqa: FBT003 (blocking; else an earlier model's threads stay)
    options: dict[str, bool | int | float | str] = {
        "output_flag": False, "threads": settings.threads, "random_seed": settings.seed, "presolve": presolve,
        "time_limit": settings.time_limit_s, "mip_rel_gap": settings.gap, "presolve_rule_off": FAULTY_PRESOLVE}
    for option, value in options.items():
        highs.setOptionValue(option, value)
    _pass(highs, model)
    if start is not None:
        highs.setSolution(len(start[0]), start[0].astype(np.int32), start[1])
    _listen(highs, follower)
    highs.run()
    outcome = _outcome(highs)
    highs.resetGlobalScheduler(True)  # noqa: FBT003 (else a model with another number of threads is refused after it)
    return outcome


def _pass(highs: highspy.Highs, model: Model) -> None:
    inf = highspy.kHighsInf
    status = highs.passModel(
        len(model.cost), len(model.row_lower), len(model.value), int(highspy.MatrixFormat.kRowwise),
        int(highspy.ObjSense.kMinimize), 0.0, model.cost, model.lower, model.upper,
        np.maximum(model.row_lower, -inf), np.minimum(model.row_upper, inf), model.row_start[:-1].astype(np.int32),
        model.column.astype(np.int32), model.value, model.whole.astype(np.int32))
    if status == highspy.HighsStatus.kError:
        raise RuntimeError("HiGHS refused the model")


def _listen(highs: highspy.Highs, follower: Follower) -> None:
    def improved(event: HighsCallbackEvent) -> None:
        follower.found(np.array(event.data_out.mip_solution, np.float64))

    def asked(event: HighsCallbackEvent) -> None:
        follower.bounded(float(event.data_out.mip_dual_bound))
        event.interrupt(follower.stopped())

    def asked_in_lp(event: HighsCallbackEvent) -> None:
        event.interrupt(follower.stopped())

    highs.cbMipImprovingSolution += improved
    highs.cbMipInterrupt += asked
    highs.cbSimplexInterrupt += asked_in_lp


def _outcome(highs: highspy.Highs) -> Outcome:
    info = highs.getInfo()
    proven = _PROVEN.get(highs.getModelStatus())
    if proven == "infeasible":
        return Outcome("infeasible", None, float("nan"))
    bound = float(info.mip_dual_bound)
    if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return Outcome("unknown", None, bound)
    return Outcome(proven or "feasible", np.array(highs.getSolution().col_value), bound)
