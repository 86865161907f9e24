"""A solver's process: what it reports survives it, and nothing of it is left behind."""

import itertools
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import psutil
import pytest

from placement.gap import relative_gap
from placement.problem import Objective, Problem
from placement.result import Result, Settings
from placement.solvers import SOLVERS
from placement.worker import Progress, SolverFailed, Stopwatch, Unsupported, grace_s, solve, solve_here

ROGUE = Path(__file__).parent / "processes"
SLACK_S = 20.0
"""What a busy machine may take for nothing; far below the minute that a process goes on which nobody ends."""
Build = Callable[..., Problem]
Outcome = tuple[Result, list[Progress], float]


class Rogue(Protocol):
    """Run the rogue solver one way: its result, the progress seen and the seconds it took.

    `interrupted`: it is told to stop once it has reported a plan.
    """

    def __call__(self, way: str, *, time_limit_s: float = 60.0, interrupted: bool = False,
                 problem: Problem | None = None) -> Outcome: ...


@pytest.fixture
def rogue(tiny_problem: Build, monkeypatch: pytest.MonkeyPatch) -> Rogue:
    """The rogue solver, registered like any other."""
    monkeypatch.syspath_prepend(str(ROGUE))
    monkeypatch.setitem(SOLVERS, "rogue", "rogue")
    import rogue as module

    def run(way: str, *, time_limit_s: float = 60.0, interrupted: bool = False,
            problem: Problem | None = None) -> Outcome:
        seen: list[Progress] = []
        begin = time.monotonic()
        settings = Settings(seed=list(module.WAYS).index(way), time_limit_s=time_limit_s)
        result = solve(problem or tiny_problem(1), "rogue", settings, seen.append,
                       lambda: interrupted and bool(seen) and seen[-1].objective is not None)
        return result, seen, time.monotonic() - begin

    return run


@pytest.mark.parametrize(("way", "why"), [
    ("die", "killed by SIGKILL (out of memory?)"),
    ("ask_for_all_memory", "out of memory"),
    ("crash", "SIGSEGV"),
    ("leave", "ended with status 3"),
    ("talk_nonsense", "the solver process was killed"),
])
def test_the_best_reported_plan_survives_the_solver(rogue: Rogue, way: str, why: str) -> None:
    """A child that is killed, out of memory, crashed or gone still leaves its last plan and bound, and the reason."""
    result, _, _ = rogue(way)
    assert (result.status, result.bound) == ("feasible", 4.0)
    assert result.solution is not None
    assert (result.solution.machines == 1).all()
    assert why in result.method


def test_compiling_is_told_and_counted(rogue: Rogue) -> None:
    """Time that goes into compiling shows as a phase of its own and in the result, nested kernels once; else it is 0.
    """
    result, progress, seconds = rogue("compile_something")
    assert 0 < result.compiling_s < seconds
    assert "compiling, once" in {now.phase for now in progress}
    assert progress[-1].phase == "warming up"
    assert rogue("behave")[0].compiling_s == 0


def test_a_limit_on_memory_decides_what_is_too_large(tiny_problem: Build) -> None:
    """Too large to write out: refused with numbers; tried where memory is limited, and then stopped by that limit."""
    problem, settings = tiny_problem(1, workloads=8, slots=3000), Settings(time_limit_s=120)
    with pytest.raises(Unsupported, match="621144000 entries, more than the 60000000"):
        solve(problem, "highs", settings, lambda _: None, bool)
    result = solve(problem, "highs", replace(settings, memory_gib=1.0), lambda _: None, bool)
    assert result.solution is None
    assert "out of memory" in result.method


def test_last_words_of_a_crash_are_told(rogue: Rogue) -> None:
    """What a crashing solver printed last is in the method."""
    result, _, _ = rogue("crash")
    assert "last words" in result.method


def test_an_exception_comes_back_with_its_trace(rogue: Rogue) -> None:
    """An exception in the child is raised in the parent in one line, with the child's traceback for developers."""
    with pytest.raises(SolverFailed, match=r"^solver 'rogue' failed: RuntimeError: the third pool is cursed$") as error:
        rogue("fail")
    assert "rogue.py" in error.value.trace


@pytest.mark.parametrize("way", ["ignore_the_stop", "hold_the_lock"])
def test_a_child_that_does_not_stop_is_killed(rogue: Rogue, way: str) -> None:
    """A solver that never asks whether to stop, or holds Python's lock, is killed soon after the limit."""
    result, _, seconds = rogue(way, time_limit_s=4)
    assert result.status == "feasible"
    assert "time limit of 4 s" in result.method
    assert seconds < 4 + grace_s(4) + SLACK_S


def test_an_interrupt_returns_the_best_plan(rogue: Rogue) -> None:
    """Once `interrupted` is true, the child is asked to stop and its own answer is returned."""
    result, _, seconds = rogue("wait_until_asked", interrupted=True)
    assert (result.status, result.bound) == ("feasible", 4.5)
    assert seconds < 60


def test_an_interrupted_child_that_goes_on_is_killed(rogue: Rogue) -> None:
    """A child deaf to the interrupt is killed, and the plan it reported comes back."""
    result, _, seconds = rogue("ignore_the_stop", interrupted=True)
    assert "on request" in result.method
    assert result.solution is not None
    assert seconds < 60


def test_children_of_the_child_go_with_it(rogue: Rogue) -> None:
    """Processes that a solver started do not outlive it."""
    rogue("leave_a_child")
    end = time.monotonic() + SLACK_S
    while processes_with("orphan-of-rogue") and time.monotonic() < end:
        time.sleep(0.05)
    assert not processes_with("orphan-of-rogue")


def processes_with(text: str) -> list[str]:
    """Command lines of running processes that contain `text`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


def test_noise_on_standard_output_is_harmless(rogue: Rogue) -> None:
    """What a solver prints does not mix with its answer."""
    result, _, _ = rogue("write_noise")
    assert result.bound == 4.5


def test_the_problem_is_read_only_in_the_child(rogue: Rogue) -> None:
    """A solver cannot write into the problem's arrays, in its own process either."""
    with pytest.raises(SolverFailed, match="read-only"):
        rogue("write_into_the_problem")


def test_a_refusal_is_told(rogue: Rogue, tiny_problem: Build) -> None:
    """A solver's reason for not handling a problem is raised as `Unsupported`."""
    unlucky = replace(tiny_problem(1), objective=Objective("max_sla", budget_usd=7))
    with pytest.raises(Unsupported, match="unlucky"):
        rogue("behave", problem=unlucky)


def test_progress_tells_objective_bound_and_gap(rogue: Rogue) -> None:
    """Progress starts without a plan and then carries the report's figures and the relative gap."""
    _, seen, _ = rogue("wait_until_asked", interrupted=True)
    last = seen[-1]
    assert seen[0].objective is None
    assert (last.objective, last.bound, last.gap, last.phase) == (10.0, 4.0, 0.6, "warming up")
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(seen))


def test_the_limit_counts_from_the_call(rogue: Rogue) -> None:
    """The child is told only the seconds that are left after it was started."""
    result, _, _ = rogue("behave", time_limit_s=1000)
    assert 1000 - SLACK_S < float(result.method.removeprefix("limit ")) < 1000


def test_a_tenth_of_a_second_is_kept(rogue: Rogue) -> None:
    """A limit shorter than the start of a process returns at once all the same."""
    result, _, seconds = rogue("ignore_the_stop", time_limit_s=0.1)
    assert result.status in ("feasible", "unknown")
    assert seconds < 0.1 + grace_s(0.1) + SLACK_S


def test_an_unknown_solver_is_named_with_the_nearest(tiny_problem: Build) -> None:
    """A solver that does not exist is refused at once, with the nearest name."""
    with pytest.raises(ValueError, match="did you mean 'highs'"):
        solve(tiny_problem(1), "higs", Settings(), lambda _: None, bool)
    with pytest.raises(ValueError, match="'nobody' is not one of"):
        solve_here(tiny_problem(1), "nobody", Settings(), Stopwatch())


def test_nothing_is_left_when_the_parent_is_killed(tiny_problem: Build, tmp_path: Path) -> None:
    """After kill -9 of the parent, the child that would run for a minute ends too, and its scratch folder goes."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "problem").write_bytes(pickle.dumps(tiny_problem(1)))
    (tmp_path / "parent.py").write_text(textwrap.dedent(f"""
        import pickle, sys
        from pathlib import Path
        sys.path[:0] = [{str(ROGUE)!r}, {str(ROGUE.parents[2])!r}]
        import rogue
        from placement import worker
        from placement.result import Settings
        worker.SOLVERS["rogue"] = "rogue"
        problem = pickle.loads(Path({str(tmp_path / "problem")!r}).read_bytes())
        settings = Settings(seed=list(rogue.WAYS).index("ignore_the_stop"), time_limit_s=60)
        worker.solve(problem, "rogue", settings, lambda progress: print(progress.phase, flush=True), bool)
        """))
    with subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "TMPDIR": str(scratch)}) as parent:
        assert parent.stdout is not None
        while "warming up" not in parent.stdout.readline():
            assert parent.poll() is None
        assert list(scratch.iterdir())
        child, = (child.pid for child in psutil.Process(parent.pid).children())
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + SLACK_S
    while runs(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not runs(child)
    assert not list(scratch.iterdir())


def runs(pid: int) -> bool:
    """Whether a process is there and is more than an entry that waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(("mode", "objective", "bound", "gap"), [
    ("min_cost", 10.0, 8.0, 0.2), ("min_cost", 0.0, 0.0, 0.0), ("min_cost", 10.0, 10.1, 0.0),
    ("max_sla", 0.5, 1.0, 0.5), ("max_sla", 0.0, 0.0, 0.0)])
def test_gap_is_relative_to_cost_or_to_the_bound(mode: Literal["min_cost", "max_sla"], objective: float, bound: float,
                                                 gap: float) -> None:
    """The gap is a share of the cost in `min_cost` and of the bound in `max_sla`, never negative."""
    assert np.isclose(relative_gap(mode, objective, bound), gap)


def test_no_file_descriptor_is_left(rogue: Rogue) -> None:
    """Every solve leaves as many file descriptors open as there were before."""
    rogue("behave")
    before = open_files()
    for _ in range(3):
        rogue("behave")
    end = time.monotonic() + SLACK_S
    while open_files() > before and time.monotonic() < end:
        time.sleep(0.02)
    assert open_files() <= before


def open_files() -> int:
    """How many file descriptors this process holds."""
    return len(list(Path("/proc/self/fd").iterdir()))
