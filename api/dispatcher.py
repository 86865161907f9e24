"""Starts a planning process for every queued plan, a few at a time, and sees to it that each comes to an end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from api.settings import Settings
from api.store import Job, Store

POLL_S = 0.2
START_S = 60.0
"""What a planning process may take beyond its time limit, to start, read and write, before it is ended."""

_OVERRUN = 1.1
_START = "from api.job import main; main()"


class Dispatcher:
    """Threads that take plans from the store's queue. Start it once; `stop` puts running plans back into the queue."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._stopping = threading.Event()
        self._queued = threading.Event()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, name=f"planner-{n}") for n in range(settings.planners)]

    def start(self) -> None:
        """Begin to take plans."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look at the queue now."""
        self._queued.set()

    def stop(self) -> None:
        """End the planning processes and wait until all threads are done."""
        self._stopping.set()
        self._queued.set()
        for thread in self._threads:
            thread.join()

    def alive(self) -> bool:
        """Whether plans are being taken."""
        return all(thread.is_alive() for thread in self._threads) and not self._stopping.is_set()

    def end(self, plan_id: str) -> None:
        """End the process of a plan that was cancelled, if it has one."""
        with self._lock:
            process = self._running.get(plan_id)
        if process is not None:
            process.kill()

    def _work(self) -> None:
        """Take plans one after another."""
        while not self._stopping.is_set():
            self._queued.clear()
            job = self._store.claim()
            if job is None:
                self._queued.wait(timeout=POLL_S * 5)
            else:
                self._run(job)

    def _run(self, job: Job) -> None:
        """Make one plan in a process of its own, and say so when that did not end well."""
        process = self._start(job)
        try:
            reason = self._watch(process, float(job.request["time_limit_s"]) * _OVERRUN + START_S)
        finally:
            process.kill()
            process.wait()
            with self._lock:
                del self._running[job.plan_id]
        if self._stopping.is_set():
            self._store.requeue(job)
        elif reason is not None:
            self._store.fail(job, [reason])

    def _start(self, job: Job) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C at the terminal is for the service, which ends this in order
        )
        with self._lock:
            self._running[job.plan_id] = process
        assert process.stdin is not None
        try:
            process.stdin.write(_order_line(self._settings, job))
            process.stdin.flush()
        except BrokenPipeError:  # cancelled this very moment, or it could not start: its exit status tells
            pass
        return process

    def _watch(self, process: subprocess.Popen[bytes], seconds: float) -> str | None:
        """Wait for the end; why it was no good one, None when it was."""
        until = time.monotonic() + seconds
        while not self._stopping.is_set():
            try:
                status = process.wait(POLL_S)
            except subprocess.TimeoutExpired:
                if time.monotonic() > until:
                    return f"the planning process ran for more than {seconds:.0f} s and was ended"
                continue
            return None if status == 0 else f"the planning process ended {_ending(status)}"
        return None


def _order_line(settings: Settings, job: Job) -> bytes:
    """What `api.job` reads."""
    order = {
        "database": str(settings.database),
        "packings": str(settings.packings(job.plan_id)),
        "scenarios": None if settings.scenarios is None else str(settings.scenarios),
        "plan_id": job.plan_id,
        "attempt": job.attempt,
        "request": dict(job.request),
    }
    return json.dumps(order).encode() + b"\n"


def _ending(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"with status {status}"
    return f"by signal {-status}" + (" (killed; out of memory?)" if status == -9 else "")
