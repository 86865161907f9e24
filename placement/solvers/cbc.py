"""CBC through PuLP on the whole formulation: the solver that comes with no library to load.

PuLP writes the model and reads the solution; the CBC program is run from here, so that it can be asked to stop.
"""

from __future__ import annotations

import math
import re
import signal
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pulp

from placement.formulation import too_many_sets
from placement.interference import LEFT_OUT
from placement.mip import Model
from placement.options import no_paths
from placement.parts import SPLITS
from placement.problem import Problem
from placement.result import Result, Settings, Watch
from placement.solvers.exact import Follower, Outcome, Start, solve_with

MAX_ENTRIES = 2_000_000
"""Largest table of options (placements x slots) that is written as a text file in reasonable time."""
_POLL_S = 0.05
_STOP_S = 1.0
_LOWER_BOUND = re.compile(r"^Lower bound:\s+(\S+)", re.MULTILINE)
_PRINTED_TO = 1e-3
"""CBC prints its bound with three decimals."""


def supports(problem: Problem) -> str | None:
    """Any problem whose sets of failure domains can be written out."""
    if problem.parts is not None:
        return SPLITS
    if problem.interference is not None:
        return LEFT_OUT
    return no_paths(problem) or too_many_sets(problem)


def solve(problem: Problem, settings: Settings, watch: Watch) -> Result:
    """Branch and cut on `placement.formulation`; incumbents are only seen at the end."""
    return solve_with(run, "cbc", problem, settings, watch)


def run(model: Model, settings: Settings, follower: Follower, start: Start | None) -> Outcome:  # noqa: ARG001
    """Run one model. A start is not used: CBC takes only complete ones."""
    program, columns = _program(model)
    with tempfile.TemporaryDirectory() as folder:
        written, found, log = (Path(folder) / name for name in ("model.mps", "model.sol", "log.txt"))
        _, names, rows, _ = program.writeMPS(str(written), rename=True)
        solver = pulp.PULP_CBC_CMD(msg=False)
        # CBC takes at most 5 digits of a gap; a limit of 0 means none to it.
        command = [solver.path, str(written), "-sec", f"{max(0.01, settings.time_limit_s):.2f}", "-ratio",
                   f"{settings.gap:g}", "-randomCbcSeed", str(settings.seed + 1), "-timeMode", "elapsed",
                   *(("-threads", str(settings.threads)) if settings.threads > 1 else ()),
                   "-solve", "-solution", str(found)]
        _follow(command, log, follower)
        if not found.exists():
            return Outcome("unknown", None, math.nan)
        status, values, _, _, _, proven = solver.readsol_MPS(str(found), program, program.variables(), names, rows)
        if status == pulp.LpStatusInfeasible:
            return Outcome("infeasible", None, math.nan)
        vector = np.array([values[column.name] for column in columns], np.float64)
        return _outcome(model, vector, proven, log.read_text(), settings.gap)


def _follow(command: list[str], log: Path, follower: Follower) -> None:
    """Run CBC to its end; when asked to stop it gets an interrupt, after which it writes what it has, then a kill."""
    with log.open("w") as noise, subprocess.Popen(  # noqa: S603 (the program that PuLP brings)
            command, stdin=subprocess.DEVNULL, stdout=noise, stderr=noise) as process:
        try:
            while process.poll() is None and not follower.stopped():
                _wait(process, _POLL_S)
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                _wait(process, _STOP_S)
        finally:
            process.kill()


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _program(model: Model) -> tuple[pulp.LpProblem, list[pulp.LpVariable]]:
    program = pulp.LpProblem("placement", pulp.LpMinimize)
    columns = [pulp.LpVariable(f"x{i}", low, high, pulp.LpInteger if whole else pulp.LpContinuous)
               for i, (low, high, whole) in enumerate(zip(model.lower.tolist(), model.upper.tolist(),
                                                          model.whole.tolist(), strict=True))]
    program += pulp.LpAffineExpression(list(zip(columns, model.cost.tolist(), strict=True)))
    value, column = model.value.tolist(), model.column.tolist()
    for row, (first, end) in enumerate(zip(model.row_start[:-1].tolist(), model.row_start[1:].tolist(), strict=True)):
        terms = pulp.LpAffineExpression([(columns[column[i]], value[i]) for i in range(first, end)])
        low, high = float(model.row_lower[row]), float(model.row_upper[row])
        if low == high:
            program += terms == low
            continue
        if math.isfinite(low):
            program += terms >= low
        if math.isfinite(high):
            program += terms <= high
    return program, columns


def _outcome(model: Model, values: np.ndarray, proven: int, log: str, gap: float) -> Outcome:
    printed = _LOWER_BOUND.search(log)
    bound = float(printed[1]) - _PRINTED_TO if printed else math.nan
    if proven not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible) or model.broken(values, 1e-5):
        return Outcome("unknown", None, bound)
    if proven == pulp.LpSolutionIntegerFeasible:
        return Outcome("feasible", values, bound)
    objective = float(model.cost @ values)
    return Outcome("optimal", values, objective - gap * abs(objective))
