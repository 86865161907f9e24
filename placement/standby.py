"""One process that solves problem after problem: many small questions without a start for each.

Like `placement.worker` it is killed at its limit and leaves nothing behind; the next question starts another one.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import IO, Self

from placement.problem import Problem
from placement.result import Result, Settings
from placement.worker import Stopwatch, Unsupported, child_environment, grace_s, solve_here

SOLVER = "planner"
_SERVE = "from placement.standby import serve; serve()"
_NOTHING = Result("unknown", None, 0.0, "stopped at its limit")


@dataclass(frozen=True, slots=True)
class _Question:
    problem: Problem
    settings: Settings
    any_plan: bool


class Standby:
    """Solves in a process that stays until the end of the `with` block. A question without an answer is "unknown".
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process that waits or solves now."""
        return None if self._child is None else self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._end()

    def solve(self, problem: Problem, settings: Settings, *, any_plan: bool = False) -> Result:
        """What the planner's own method answers within `settings.time_limit_s`; with `any_plan` the first plan does."""
        child = self._started()
        late = threading.Timer(settings.time_limit_s + grace_s(settings.time_limit_s), self._end)
        late.start()
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            pickle.dump(_Question(problem, settings, any_plan), child.stdin, protocol=5)
            child.stdin.flush()
            found = pickle.load(child.stdout)  # noqa: S301 (from our own child)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            self._end()
            return _NOTHING
        finally:
            late.cancel()
        return found if isinstance(found, Result) else _NOTHING

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            self._child = subprocess.Popen(  # noqa: S603 (our own interpreter and code)
                [sys.executable, "-P", "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, env=child_environment(), start_new_session=True)
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            for stream in (child.stdin, child.stdout):
                with suppress(OSError):
                    if stream is not None:
                        stream.close()


class _AnyPlan(Stopwatch):
    """Stops at the first plan too."""

    def stopped(self) -> bool:
        """True once there is a plan, or the time is up."""
        return self.solution is not None or super().stopped()


def serve() -> None:
    """Be the process: answer questions from standard input until it ends, and then end at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inlet, outlet = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    questions: queue.SimpleQueue[_Question] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(inlet, questions), daemon=True).start()
    while True:
        pickle.dump(_answer(questions.get()), outlet, protocol=5)
        outlet.flush()


def _listen(inlet: IO[bytes], questions: queue.SimpleQueue[_Question]) -> None:
    while True:
        try:
            questions.put(pickle.load(inlet))  # noqa: S301 (from our own parent)
        except (EOFError, pickle.UnpicklingError):
            os.killpg(0, signal.SIGKILL)  # the parent is gone


def _answer(question: _Question) -> Result | str:
    settings, began = question.settings, time.monotonic()
    problem = replace(question.problem)  # pickled arrays come back writable, and a problem's arrays are not
    try:
        if question.any_plan:
            with suppress(Unsupported):
                found = solve_here(problem, "first-fit", settings, Stopwatch(settings.time_limit_s))
                if found.solution is not None:
                    return found
        left_s = settings.time_limit_s - (time.monotonic() - began)
        return solve_here(problem, SOLVER, settings, (_AnyPlan if question.any_plan else Stopwatch)(left_s))
    except Exception as error:  # noqa: BLE001 (the parent takes it for no answer)
        return f"{type(error).__name__}: {error}"
