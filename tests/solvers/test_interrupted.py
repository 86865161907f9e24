"""Real solvers that are killed or interrupted in the middle of a hard problem."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from placement.problem import Problem
from placement.result import Settings
from placement.verify import verify
from placement.worker import Progress, grace_s, solve

Build = Callable[..., Problem]
LONG = Settings(time_limit_s=120, gap=0, threads=1)
SLACK_S = 20.0
"""What a busy machine may take for nothing; far below the limit that an interrupt cuts short."""


@pytest.fixture
def hard(tiny_problem: Build) -> Problem:
    """A problem that takes exact solvers minutes, though a first plan comes within seconds."""
    return tiny_problem(5, clusters=6, workloads=20, slots=12)


def children() -> set[int]:
    """Process ids of this process's children."""
    return {child.pid for child in psutil.Process().children()}


def test_kill_9_of_a_running_solver_keeps_its_best_plan(hard: Problem) -> None:
    """HiGHS killed by signal 9 in the middle leaves a plan that `verify` accepts, with the bound it had proven."""
    before = children()

    def kill_after_a_plan(progress: Progress) -> None:
        if progress.objective is not None:
            for child in children() - before:
                os.kill(child, signal.SIGKILL)

    result = solve(hard, "highs", LONG, kill_after_a_plan, bool)
    assert result.status == "feasible"
    assert "SIGKILL" in result.method
    assert result.solution is not None
    assert verify(hard, result.solution, result.bound).violations == ()
    assert children() <= before


@pytest.mark.parametrize("solver", ["planner", "highs", "cp-sat"])
def test_an_interrupt_keeps_the_best_plan(hard: Problem, solver: str) -> None:
    """Interrupted after its first plan, a solver stops within its grace and its plan is legal."""
    first_plan: list[float] = []

    def note(progress: Progress) -> None:
        if progress.objective is not None and not first_plan:
            first_plan.append(time.monotonic())

    result = solve(hard, solver, LONG, note, lambda: bool(first_plan))
    assert result.solution is not None
    assert time.monotonic() < first_plan[0] + grace_s(LONG.time_limit_s) + SLACK_S
    assert verify(hard, result.solution, result.bound).violations == ()


def test_cbc_writes_what_it_has_when_interrupted(hard: Problem) -> None:
    """CBC, which shows no plan before its end, ends soon after an interrupt and leaves no process."""
    before = children()
    begin = time.monotonic()
    result = solve(hard, "cbc", LONG, lambda _: None, lambda: time.monotonic() > begin + 4)
    assert time.monotonic() < begin + 4 + grace_s(LONG.time_limit_s) + SLACK_S
    assert result.status in ("feasible", "unknown")
    assert children() <= before
