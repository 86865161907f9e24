"""Solvers that misbehave, each in the way its `settings.seed` says: what a worker process must survive."""

import ctypes
import os
import signal
import subprocess
import sys
import time

import numba
import numpy as np

from placement.problem import Problem
from placement.result import Result, Settings, Solution, Units, Watch


def supports(problem: Problem) -> str | None:
    """Refuse only the problem with a budget of 7 USD."""
    return "a budget of 7 USD is unlucky" if problem.objective.budget_usd == 7 else None


def solve(problem: Problem, settings: Settings, watch: Watch) -> Result:
    """Report a plan of 10 USD over a bound of 4, misbehave, then answer if still there."""
    plan = empty_plan(problem)
    watch.report("warming up", plan, 10.0, 4.0)
    list(WAYS.values())[settings.seed](problem, watch)
    return Result("feasible", plan, 4.5, f"limit {settings.time_limit_s:.3f}")


def empty_plan(problem: Problem) -> Solution:
    """No units, and one machine of every offer in every slot."""
    none = np.zeros(0, np.int64)
    machines = np.ones((len(problem.offers.pool), problem.slots), np.int32)
    return Solution(Units(none, none, none, none, none), machines)


def die(problem: Problem, watch: Watch) -> None:
    """End as the kernel's memory killer would end it."""
    os.kill(os.getpid(), signal.SIGKILL)


def ask_for_all_memory(problem: Problem, watch: Watch) -> None:
    """Raise a real MemoryError."""
    np.ones(1 << 45)


def fail(problem: Problem, watch: Watch) -> None:
    """Raise an error of several lines."""
    raise RuntimeError("the third pool is cursed\nand more lines")


def ignore_the_stop(problem: Problem, watch: Watch) -> None:
    """Go on for ever."""
    while True:
        time.sleep(1)


def hold_the_lock(problem: Problem, watch: Watch) -> None:
    """Stay in native code without giving Python's lock to other threads."""
    ctypes.PyDLL(None).sleep(60)


def write_noise(problem: Problem, watch: Watch) -> None:
    """Print from Python and beneath it."""
    print("noise from Python")
    os.write(1, b"noise from C\n")


def write_into_the_problem(problem: Problem, watch: Watch) -> None:
    """Change the input."""
    problem.shapes[:] = 0


def leave_a_child(problem: Problem, watch: Watch) -> None:
    """Start a process and die."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "orphan-of-rogue"])
    die(problem, watch)


def wait_until_asked(problem: Problem, watch: Watch) -> None:
    """Behave: return when asked to."""
    while not watch.stopped():
        time.sleep(0.01)


def crash(problem: Problem, watch: Watch) -> None:
    """End by a segmentation fault, with last words."""
    os.write(2, b"last words\n")
    ctypes.string_at(0)


def leave(problem: Problem, watch: Watch) -> None:
    """End without an answer."""
    os._exit(3)


def talk_nonsense(problem: Problem, watch: Watch) -> None:
    """Send a message that nobody can read, and go on for ever."""
    watch.outlet.write(b"cno_such_module\nat_all\n.")  # type: ignore[attr-defined]
    watch.outlet.flush()  # type: ignore[attr-defined]
    ignore_the_stop(problem, watch)


def compile_something(problem: Problem, watch: Watch) -> None:
    """Compile a kernel that is not on disk, and another within it."""
    inner = numba.njit(lambda x: x + 1)
    numba.njit(lambda x: inner(x) * 2)(len(problem.shapes))


def behave(problem: Problem, watch: Watch) -> None:
    """Do nothing wrong."""


WAYS = {way.__name__: way for way in (die, ask_for_all_memory, fail, ignore_the_stop, hold_the_lock, write_noise,
                                      write_into_the_problem, leave_a_child, wait_until_asked, crash, leave, behave,
                                      talk_nonsense, compile_something)}
