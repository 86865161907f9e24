"""Run a solver in a process of its own: killed at its limit or on cancel, its memory returned, its best answer kept.

The child is a fresh interpreter that imports only the solver it runs, because some solver libraries cannot be loaded
together, and with one thread for numba and BLAS, because those count threads when they are first imported. It talks
over its standard input and output: the job comes in by pickle, progress and new plans go out. The end of its input
means that the parent is gone, and the child ends itself and all it started.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import queue
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import IO, Literal, Protocol, cast

from placement.blocks import unsplittable
from placement.certificate import Certificate
from placement.engines import EngineFailed, unreachable
from placement.gap import Mode, relative_gap
from placement.jit import on_compiling
from placement.memory import SETTING, give_back
from placement.options import too_large
from placement.problem import Problem
from placement.result import Result, Settings, Solution, Watch
from placement.solvers import SOLVERS

POLL_S = 0.05
"""How often the parent looks at the clock and at `interrupted` while no message comes, in seconds."""

_REPORT_EVERY_S = 0.05
_NOISE_KEPT_BYTES = 4096
_SCRATCH = "planner-solver-"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
                             "NUMBA_NUM_THREADS"), "1")
_START = "from placement.worker import run_job; run_job()"


class Unsupported(ValueError):  # noqa: N818 (says what happened)
    """The solver does not handle this problem; the message says why."""


class SolverFailed(RuntimeError):  # noqa: N818 (says what happened)
    """The solver raised an error, which the message states in one line; `trace` is its traceback, for developers."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a solve is: `objective` is USD (`min_cost`) or attainment (`max_sla`); None while not known."""

    seconds: float
    objective: float | None
    bound: float | None
    gap: float | None
    phase: str


class Stopwatch:
    """A watch for solving in this process: stops after `time_limit_s` and remembers the last report as attributes."""

    def __init__(self, time_limit_s: float = float("inf")) -> None:
        self.stop_at = time.monotonic() + time_limit_s
        self.phase = ""
        self.solution: Solution | None = None
        self.objective = self.bound = float("nan")

    def report(self, phase: str, solution: Solution | None, objective: float, bound: float) -> None:
        """Keep the report; a solution replaces the one before."""
        self.phase, self.objective, self.bound = phase, objective, bound
        self.solution = solution or self.solution

    def stopped(self) -> bool:
        """True once the time is up."""
        return time.monotonic() > self.stop_at


class _Solver(Protocol):
    """What every module named in `SOLVERS` offers."""

    def supports(self, problem: Problem) -> str | None: ...

    def solve(self, problem: Problem, settings: Settings, watch: Watch) -> Result: ...


def grace_s(time_limit_s: float) -> float:
    """How long a child may go on after it was asked to stop before it is killed, in seconds."""
    return min(4.0, 1.0 + 0.05 * time_limit_s)


def solve(problem: Problem, solver: str, settings: Settings, on_progress: Callable[[Progress], None],
          interrupted: Callable[[], bool]) -> Result:
    """Run `SOLVERS[solver]` in a child process and return its answer, or the best it reported before it was ended.

    `settings.time_limit_s` counts from this call, start-up of the child included; soon after it (`grace_s`) the child
    is killed. `on_progress` is called at every report and a few times a second; `interrupted` is asked as often, and
    once it is true the solve ends with the best plan so far. Whatever ends the child early, its last reported plan
    and bound are returned as "feasible", or "unknown" without a plan, and `method` says why.

    Raises `ValueError` for an unknown solver, `Unsupported` when the solver does not handle this problem and
    `SolverFailed` when it raised.
    """
    job = _Job(problem, solver, _module_name(solver), settings, time.time())
    best = _Best(problem.objective.mode)
    child = _Child(job)
    try:
        result = _follow(child, best, settings, on_progress, interrupted)
        return replace(result, compiling_s=best.compiled_s(child.seconds))
    finally:
        child.kill()


def solve_here(problem: Problem, solver: str, settings: Settings, watch: Watch) -> Result:
    """Run `SOLVERS[solver]` in this process. Raises `ValueError` and `Unsupported` like `solve`, and what it raises."""
    return _run(_Job(problem, solver, _module_name(solver), settings, time.time()), watch)


def _module_name(solver: str) -> str:
    if solver in SOLVERS:
        return SOLVERS[solver]
    near = get_close_matches(solver, SOLVERS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"solver: {solver!r} is not one of {', '.join(SOLVERS)}{hint}")


def _run(job: _Job, watch: Watch) -> Result:
    # Loaded late: each solver brings heavy libraries, some of which cannot share a process.
    module = cast(_Solver, import_module(job.module))
    if (reason := _too_large(job, module) or module.supports(job.problem) or _not_in_blocks(job)) is not None:
        raise Unsupported(f"solver {job.solver!r} does not handle this problem: {reason}")
    return module.solve(job.problem, job.settings, watch)


def _too_large(job: _Job, module: _Solver) -> str | None:
    """Why a solver that writes everything out will not; a limit on memory decides that by itself."""
    most: int | None = getattr(module, "MAX_ENTRIES", None)
    return too_large(job.problem, most) if most is not None and job.settings.memory_gib is None else None


def _not_in_blocks(job: _Job) -> str | None:
    """Why what is asked to be solved in blocks cannot be; None where it can, or nobody asks."""
    if job.settings.blocks == 1:
        return None
    own = next(iter(SOLVERS))
    if job.solver != own:
        return f"only {own} solves in blocks"
    return unsplittable(job.problem) or unreachable(job.settings.engine)


def _follow(child: _Child, best: _Best, settings: Settings, on_progress: Callable[[Progress], None],
            interrupted: Callable[[], bool]) -> Result:
    kill_at = float("inf")
    reason = ""
    while True:
        message = child.receive(POLL_S)
        if isinstance(message, _Answer):
            return message.unwrap(best)
        if isinstance(message, _Gone):
            return best.result(reason or child.epitaph())
        if isinstance(message, _Report):
            best.take(message)
        if isinstance(message, _Proven):
            best.certificate = message.certificate
        if isinstance(message, _Compiling):
            best.compile(message.on, child.seconds)
        on_progress(best.progress(child.seconds))
        if not reason and (cause := _cause_to_stop(child.seconds, settings, interrupted)):
            reason = cause
            kill_at = child.seconds + grace_s(settings.time_limit_s)
            child.ask_to_stop()
        if child.seconds > kill_at:
            return best.result(reason)


def _cause_to_stop(seconds: float, settings: Settings, interrupted: Callable[[], bool]) -> str:
    if seconds > settings.time_limit_s:
        return f"stopped at the time limit of {settings.time_limit_s:g} s"
    return "stopped on request" if interrupted() else ""


class _Best:
    """The best plan and the best bound a child has reported."""

    def __init__(self, mode: Mode) -> None:
        self.mode: Mode = mode
        self.solution: Solution | None = None
        self.objective = float("inf") if mode == "min_cost" else float("-inf")
        self.bound = 0.0 if mode == "min_cost" else 1.0  # costs are never negative, attainment never above 1
        self.phase = "starting"
        self.certificate: Certificate | None = None
        self._compiled_s = 0.0
        self._compiles_since: float | None = None

    def take(self, report: _Report) -> None:
        self.phase = report.phase
        lower = self.mode == "min_cost"
        better = report.objective <= self.objective if lower else report.objective >= self.objective
        if report.solution is not None and better:
            self.solution, self.objective = report.solution, report.objective
        self.bound = max(self.bound, report.bound) if lower else min(self.bound, report.bound)

    def compile(self, on: bool, seconds: float) -> None:
        self._compiled_s = self.compiled_s(seconds)
        self._compiles_since = seconds if on else None

    def compiled_s(self, seconds: float) -> float:
        """How much of the `seconds` so far went into compiling."""
        return self._compiled_s + (0.0 if self._compiles_since is None else seconds - self._compiles_since)

    def progress(self, seconds: float) -> Progress:
        phase = self.phase if self._compiles_since is None else "compiling, once"
        if self.solution is None:
            return Progress(seconds, None, self.bound, None, phase)
        gap = relative_gap(self.mode, self.objective, self.bound)
        return Progress(seconds, self.objective, self.bound, gap, phase)

    def result(self, reason: str) -> Result:
        status: Literal["unknown", "feasible"] = "unknown" if self.solution is None else "feasible"
        return Result(status, self.solution, self.bound, f"{self.phase}; {reason}", certificate=self.certificate)


@dataclass(frozen=True, slots=True)
class _Job:
    problem: Problem
    solver: str
    module: str
    settings: Settings
    started_at: float


@dataclass(frozen=True, slots=True)
class _Report:
    phase: str
    solution: Solution | None
    objective: float
    bound: float


@dataclass(frozen=True, slots=True)
class _Proven:
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class _Compiling:
    on: bool


@dataclass(frozen=True, slots=True)
class _Answer:
    """How a solver ended by itself: with a result, out of memory (nothing set), refusing the problem, or failing."""

    result: Result | None = None
    refused: str = ""
    failed: str = ""
    trace: str = ""

    def unwrap(self, best: _Best) -> Result:
        if self.refused:
            raise Unsupported(self.refused)
        if self.failed:
            raise SolverFailed(self.failed, self.trace)
        return self.result if self.result is not None else best.result("stopped, out of memory")


class _Gone:
    """The child's output has ended."""


_Message = _Report | _Proven | _Compiling | _Answer | _Gone


class _Child:
    """A solver process seen from the parent. No call blocks for longer than it says."""

    def __init__(self, job: _Job) -> None:
        self.started = time.monotonic()
        self.noise = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `kill`)
        self.scratch = tempfile.TemporaryDirectory(prefix=_SCRATCH, ignore_cleanup_errors=True)
        self.process = subprocess.Popen(  # noqa: S603 (our own interpreter and code)
            [sys.executable, "-P", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.noise,
            env={**child_environment(), "TMPDIR": self.scratch.name}, start_new_session=True)
        self.inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self.stop = threading.Event()
        self.killed = threading.Event()
        threading.Thread(target=_send, args=(self.process.stdin, job, self.stop, self.killed), daemon=True).start()
        threading.Thread(target=_receive, args=(self.process.stdout, self.inbox), daemon=True).start()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def receive(self, timeout_s: float) -> _Message | None:
        with contextlib.suppress(queue.Empty):
            return self.inbox.get(timeout=timeout_s)
        return None

    def ask_to_stop(self) -> None:
        self.stop.set()

    def kill(self) -> None:
        """End the child and everything it started; afterwards nothing of it is left."""
        self._end_group()
        self.stop.set()
        self.killed.set()
        self.noise.close()
        self.scratch.cleanup()

    def epitaph(self) -> str:
        """Why a child that gave no answer ended, with the last line it printed."""
        code = self._end_group()
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        why = f"was killed by {signal.Signals(-code).name}{hint}" if code < 0 else f"ended with status {code}"
        self.noise.seek(max(0, self.noise.seek(0, os.SEEK_END) - _NOISE_KEPT_BYTES))
        lines = self.noise.read().decode(errors="replace").strip().splitlines()
        return f"the solver process {why}" + (f": {lines[-1]}" if lines else "")

    def _end_group(self) -> int:
        # The group keeps the child's process id, which nobody else can get before `wait` has collected it.
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


def child_environment() -> dict[str, str]:
    """The child sees the parent's import path, one thread per library, hashes that are the same in every run, and gives
    back what it frees.
    """
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {**SETTING, **os.environ, **_ONE_THREAD, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}


def _send(stream: IO[bytes], job: _Job, stop: threading.Event, killed: threading.Event) -> None:
    with contextlib.suppress(OSError), stream:  # an OSError means that the child is gone, which `_receive` notices
        pickle.dump(job, stream, protocol=5)
        stream.flush()
        give_back()  # building a large problem takes more than the problem, and the child needs it now
        stop.wait()
        stream.write(b"stop\n")
        stream.flush()
        killed.wait()  # closing earlier would tell the child that the parent is gone


def _receive(stream: IO[bytes], inbox: queue.SimpleQueue[_Message]) -> None:
    try:
        # Half a message of a child that was killed may be wrong in any way, and one may not fit into memory.
        with stream, contextlib.suppress(Exception):
            while True:
                inbox.put(pickle.load(stream))  # noqa: S301 (from our own child)
    finally:
        inbox.put(_Gone())


def run_job() -> None:
    """Be the child: read a job from standard input, solve it, write reports and the answer to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _offer_to_the_memory_killer()
    # Solvers print; their words go where the parent looks only after a crash.
    inlet, outlet = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    job: _Job = pickle.load(inlet)  # noqa: S301 (from our own parent)
    left_s = max(0.0, job.settings.time_limit_s - (time.time() - job.started_at))
    if job.settings.memory_gib is not None:
        resource.setrlimit(resource.RLIMIT_AS, (int(job.settings.memory_gib * 2**30), resource.RLIM_INFINITY))
    _end_at_the_latest(left_s + 3 * grace_s(job.settings.time_limit_s))
    watch = _PipeWatch(outlet, left_s)
    threading.Thread(target=_listen, args=(inlet, watch), daemon=True).start()
    on_compiling(lambda on: watch.send(_Compiling(on)))
    # `replace` builds the problem anew: pickled arrays come back writable, and a problem's arrays are not.
    settings = replace(job.settings, time_limit_s=left_s)
    watch.send(_answer(replace(job, problem=replace(job.problem), settings=settings), watch))
    os._exit(0)  # native threads may take their time to unwind, and nobody waits for them


def _answer(job: _Job, watch: Watch) -> _Answer:
    try:
        return _Answer(result=_run(job, watch))
    except (Unsupported, EngineFailed) as refusal:
        return _Answer(refused=str(refusal))
    except MemoryError:
        return _Answer()
    except Exception as error:  # noqa: BLE001 (raised again in the parent)
        cause = (str(error).splitlines() or [""])[0]
        failed = f"solver {job.solver!r} failed: {type(error).__name__}: {cause}"
        return _Answer(failed=failed, trace=traceback.format_exc())


class _PipeWatch:
    """Sends reports to the parent, plain progress not too often; stops at the limit or when the parent asks."""

    def __init__(self, outlet: IO[bytes], time_limit_s: float) -> None:
        self.outlet = outlet
        self.stop_at = time.monotonic() + time_limit_s
        self.asked_to_stop = False
        self.next_report_at = 0.0
        self.lock = threading.Lock()

    def report(self, phase: str, solution: Solution | None, objective: float, bound: float) -> None:
        if solution is None and time.monotonic() < self.next_report_at:
            return
        self.send(_Report(phase, solution, float(objective), float(bound)))
        self.next_report_at = time.monotonic() + _REPORT_EVERY_S

    def prove(self, certificate: Certificate) -> None:
        self.send(_Proven(certificate))

    def stopped(self) -> bool:
        return self.asked_to_stop or time.monotonic() > self.stop_at

    def send(self, message: _Report | _Proven | _Compiling | _Answer) -> None:
        with self.lock:
            pickle.dump(message, self.outlet, protocol=5)
            self.outlet.flush()


def _listen(inlet: IO[bytes], watch: _PipeWatch) -> None:
    while inlet.readline():
        watch.asked_to_stop = True
    # The parent is gone, which would have removed the scratch folder that it made.
    if Path(os.environ.get("TMPDIR", "")).name.startswith(_SCRATCH):
        shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _end_at_the_latest(seconds: float) -> None:
    """End this process even if native code never returns to Python and the parent is no longer there to kill it."""
    if seconds < threading.TIMEOUT_MAX:
        nowhere = Path(os.devnull).open("w")  # noqa: SIM115 (must outlive this call)
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)


def _offer_to_the_memory_killer() -> None:
    """When memory runs out, let Linux end this process rather than the parent, which keeps the best plan."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")
