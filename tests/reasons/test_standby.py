"""The process that answers many questions: it answers, is killed at its limit, comes back, and leaves nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from placement.problem import Problem
from placement.result import Settings
from placement.solvers import brute
from placement.standby import Standby
from placement.verify import costs
from placement.worker import Stopwatch


def test_it_answers_one_question_after_another(tiny_problem: Callable[..., Problem]) -> None:
    """Answers are those of the planner's own method, in one process for all; with `any_plan` any plan does."""
    with Standby() as standby:
        for seed in range(3):
            problem = tiny_problem(seed, workloads=2, slots=2)
            found = standby.solve(problem, Settings(time_limit_s=20.0))
            assert found.solution is not None
            if brute.supports(problem) is None:
                best = brute.solve(problem, Settings(), Stopwatch()).bound
                assert costs(problem, found.solution).total_usd == pytest.approx(best, rel=1e-3)
            assert standby.solve(problem, Settings(time_limit_s=20.0), any_plan=True).solution is not None


def test_a_killed_process_is_no_answer_and_another_one_comes(tiny_problem: Callable[..., Problem]) -> None:
    """Kill -9 gives "unknown" or lets the next question be answered by a new process; none is left in the end."""
    problem = tiny_problem(1, workloads=2, slots=2)
    with Standby() as standby:
        assert standby.solve(problem, Settings(time_limit_s=20.0)).solution is not None
        assert standby.pid is not None
        os.kill(standby.pid, signal.SIGKILL)
        assert standby.solve(problem, Settings(time_limit_s=20.0)).status == "unknown"
        assert standby.solve(problem, Settings(time_limit_s=20.0)).solution is not None
        last = standby.pid
        assert last is not None
    time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)
