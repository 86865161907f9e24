"""Where parts of a solve run side by side: processes of this machine, or tasks of Ray on one machine or many.

Both do the same: something large is shared once, then tasks are mapped over a function of it. A task that is lost (its
process was killed, or ran out of memory) gives None; the others go on. Ray is loaded only when it is asked for.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Answer = TypeVar("Answer")

_POLL_S = 0.05
_REACH_S = 5.0
"""Seconds that a cluster may take to answer."""
_STORE_BYTES = 512 * 2**20
"""Memory of Ray's object store on this machine, at most; a tenth of the memory there is, where that is less."""
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_DISABLE_IMPORT_WARNING": "1",
          "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Ray on this machine alone tells nobody anything, and listens on the loopback interface only (the second)."""


def nobody(answer: object) -> None:
    """Nobody waits for single answers."""


class Engine(Protocol):
    """What runs tasks. `lost` counts those that gave no answer because something ended them."""

    lost: int

    def share(self, value: object) -> None:
        """Put a value where all tasks reach it, instead of the one before."""

    def map(self, function: Callable[[Any, Any], Any], tasks: Sequence[object], stopped: Callable[[], bool],
            told: Callable[[Any], None] = nobody) -> list[Any]:
        """`function(shared value, task)` for every task, in their order; None for those lost or not done when
        `stopped`. Each answer is `told` as it comes. Raises TaskFailed where one raised an error.
        """

    def close(self) -> None:
        """End all that was started."""


class TaskFailed(RuntimeError):  # noqa: N818 (says what happened)
    """A task raised an error, which the message states."""


class EngineFailed(RuntimeError):  # noqa: N818 (says what happened)
    """An engine cannot be had as things are; the message says why and how to mend it, in one line."""


def missing(engine: str) -> str | None:
    """Why an engine cannot be used here, and how to mend that; None where it can."""
    if engine not in ENGINES:
        return f"engine: {engine}: allowed are {', '.join(ENGINES)}"
    if engine == "ray" and find_spec("ray") is None:
        return "engine: ray: Ray is not installed; install it with: pip install 'workload-planner[ray]'"
    return None


def unreachable(engine: str) -> str | None:
    """Why the cluster that an engine is to use cannot be reached, found out in seconds; None where it can.

    Only an address HOST:PORT is tried; what else Ray knows (auto, ray://HOST:PORT) is left to Ray.
    """
    address = _cluster() if engine == "ray" else None
    if address is None or "://" in address or address == "auto":
        return None
    host, _, port = address.rpartition(":")
    where = f"engine: ray: RAY_ADDRESS={address}"
    mend = "give HOST:PORT of a running cluster (ray start --head), or unset it to use this machine"
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        return f"{where}: not an address; {mend}"
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()
    except OSError as error:
        return f"{where}: no cluster answers there ({error.strerror or error}); {mend}"
    return None


def _cluster() -> str | None:
    """The cluster of Ray that the user names; None where Ray is to be started here."""
    address = os.environ.get("RAY_ADDRESS", "").strip()
    return None if address in ("", "local") else address


# ---------------------------------------------------------------- processes of this machine


@dataclass(slots=True, eq=False)
class _Worker:
    process: SpawnProcess
    line: Connection
    knows: int = -1
    task: int = -1


class Processes:
    """Fresh processes of this machine, kept until the end; one that is gone is replaced."""

    def __init__(self, workers: int) -> None:
        self.lost = 0
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._count, self._value, self._version = max(1, workers), None, 0

    def share(self, value: object) -> None:
        """Keep the value; each worker gets it with its next task."""
        self._value, self._version = value, self._version + 1  # type: ignore[assignment]

    def map(self, function: Callable[[Any, Any], Any], tasks: Sequence[object], stopped: Callable[[], bool],
            told: Callable[[Any], None] = nobody) -> list[Any]:
        """See `Engine.map`."""
        answers: list[Any] = [None] * len(tasks)
        waiting = deque(range(len(tasks)))
        while (waiting or self._busy) and not stopped():
            while waiting and (worker := self._idle(len(tasks))) is not None:
                self._give(worker, function, waiting.popleft(), tasks)
            for line in wait([worker.line for worker in self._busy], _POLL_S):
                self._take(next(worker for worker in self._workers if worker.line is line), answers, told)
        for worker in self._busy:
            self._end(worker)  # nobody waits for it any more
        return answers

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.task >= 0]

    def _idle(self, tasks: int) -> _Worker | None:
        """A worker without a task, started where there are too few; None while all are busy."""
        free = next((worker for worker in self._workers if worker.task < 0), None)
        if free is not None or len(self._workers) >= min(self._count, tasks):
            return free
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours))
        return self._workers[-1]

    def _give(self, worker: _Worker, function: Callable[[Any, Any], Any], index: int, tasks: Sequence[object]) -> None:
        worker.task = index
        with contextlib.suppress(OSError):  # gone: `_take` notices
            if worker.knows != self._version:
                worker.line.send(("share", self._value))
                worker.knows = self._version
            worker.line.send((function, tasks[index]))

    def _take(self, worker: _Worker, answers: list[Any], told: Callable[[Any], None]) -> None:
        try:
            done, value = worker.line.recv()
        except (EOFError, OSError):
            self.lost += 1
            self._end(worker)
            return
        if not done:
            raise TaskFailed(value)
        answers[worker.task], worker.task = value, -1
        told(value)

    def _end(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.kill()
        worker.process.join()
        worker.line.close()

    def close(self) -> None:
        """Kill all workers."""
        for worker in list(self._workers):
            self._end(worker)


def _serve(line: Connection) -> None:
    """Be a worker: take what is shared and tasks, answer, until the line is closed."""
    shared: object = None
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            what, value = line.recv()
            if what == "share":
                shared = value
                continue
            line.send(_done(what, shared, value))


def _done(function: Callable[[Any, Any], Any], shared: object, task: object) -> tuple[bool, object]:
    """(whether it went well, the answer or what went wrong)."""
    try:
        return True, function(shared, task)
    except MemoryError:
        os._exit(1)  # its memory goes back, and the task counts as lost
    except Exception as error:  # noqa: BLE001 (raised again where the task came from)
        where = traceback.extract_tb(error.__traceback__)[-1]
        return False, f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"


# ---------------------------------------------------------------- Ray


class RayTasks:
    """Tasks of Ray: on the cluster that `RAY_ADDRESS` names, else on as many processors of this machine as workers."""

    def __init__(self, workers: int) -> None:
        if (why := missing("ray")) is not None:
            raise ImportError(why)
        self.lost = 0
        self._folder = None if _cluster() else tempfile.mkdtemp(prefix="r")
        try:
            self._ray = _started(max(1, workers), self._folder)
        except Exception as error:
            self._remove()
            why = " ".join(str(error).split()) or type(error).__name__
            raise EngineFailed(f"engine: ray: {_cluster() or 'this machine'}: Ray did not start: {why}") from error
        self._value: object = None

    def share(self, value: object) -> None:
        """Put the value into the object store, once for all tasks."""
        self._value = self._ray.put(value)

    def map(self, function: Callable[[Any, Any], Any], tasks: Sequence[object], stopped: Callable[[], bool],
            told: Callable[[Any], None] = nobody) -> list[Any]:
        """See `Engine.map`."""
        ray, answers = self._ray, list[Any]([None] * len(tasks))
        remote = ray.remote(num_cpus=1, max_retries=0)(_done)
        running = {remote.remote(function, self._value, task): at for at, task in enumerate(tasks)}
        while running and not stopped():
            ready, _ = ray.wait(list(running), num_returns=1, timeout=_POLL_S)
            for reference in ready:
                self._take(reference, running.pop(reference), answers, told)
        for reference in running:
            ray.cancel(reference, force=True)
        return answers

    def _take(self, reference: object, at: int, answers: list[Any], told: Callable[[Any], None]) -> None:
        try:
            done, value = self._ray.get(reference)
        except self._ray.exceptions.RayError:  # its process was killed, or its machine is gone
            self.lost += 1
            return
        if not done:
            raise TaskFailed(value)
        answers[at] = value
        told(value)

    def close(self) -> None:
        """Leave the cluster; end the one that was started here."""
        with to_the_end():
            self._ray.shutdown()
            self._remove()

    def _remove(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def to_the_end() -> Iterator[None]:
    """Let Ctrl-C wait until it is done: half an end of Ray leaves processes behind, and an exit status of its own."""
    if threading.current_thread() is not threading.main_thread():  # Ctrl-C comes to the main thread only
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)


def _started(workers: int, folder: str | None) -> Any:  # noqa: ANN401 (Ray has no types that are worth their import)
    """Ray, connected or started: nothing is sent anywhere, no dashboard is served, the token stays in this process."""
    if folder is not None:
        os.environ.update(_QUIET)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one into the home folder
    import ray

    logs: dict[str, Any] = {"configure_logging": False, "log_to_driver": False}
    # Ray prints where it connects to; standard output belongs to whoever called.
    with contextlib.redirect_stdout(sys.stderr):
        if folder is None:
            ray.init(address=_cluster(), **logs)
        else:
            ray.init(address="local", num_cpus=workers, include_dashboard=False, object_store_memory=_store_bytes(),
                     _node_ip_address="127.0.0.1", _temp_dir=folder, **logs)
    return ray


def _store_bytes() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(80 * 2**20, min(_STORE_BYTES, memory // 10))


class Serial:
    """Tasks one after the other in this process, for work that is small or is to be looked into."""

    def __init__(self, workers: int = 1) -> None:  # noqa: ARG002
        self.lost = 0
        self._value: object = None

    def share(self, value: object) -> None:
        """Keep the value."""
        self._value = value

    def map(self, function: Callable[[Any, Any], Any], tasks: Sequence[object], stopped: Callable[[], bool],
            told: Callable[[Any], None] = nobody) -> list[Any]:
        """See `Engine.map`; errors come as they are."""
        answers: list[Any] = [None] * len(tasks)
        for at, task in enumerate(tasks):
            if stopped():
                break
            answers[at] = function(self._value, task)
            told(answers[at])
        return answers

    def close(self) -> None:
        """Nothing was started."""


ENGINES: dict[str, Callable[[int], Engine]] = {"processes": Processes, "ray": RayTasks}
"""Engines by name, made with how many workers may run at once on this machine."""
