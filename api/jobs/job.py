"""The process of one job: makes what is asked for and writes it into the store. `api.jobs.worker` starts it.

When the worker is gone, or what this process was forked from, it ends itself at once (solvers below it do the same).
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from sqlalchemy.exc import DBAPIError

from api.database.outages import Outage, outage
from api.jobs.log import print_to
from api.settings import Settings
from api.store.jobs import Job, Kind
from api.store.store import Store
from planner.errors import InputError

KINDS: dict[Kind, str] = {
    "plan": "api.kinds.plan",
    "forecast": "api.kinds.forecast",
    "capacity": "api.kinds.capacity",
    "what_if": "api.kinds.what_if",
    "pareto": "api.kinds.pareto",
    "train": "api.kinds.train",
    "evaluate": "api.kinds.evaluate",
    "validate": "api.kinds.validate",
    "drift": "api.kinds.drift",
    "purge": "api.kinds.purge",
    "verification": "api.kinds.verification",
    "judgement": "api.kinds.judgement",
}
"""The module of each kind of job; it has `carry_out`."""
REPORT_EVERY_S = 0.5
LOOK_S = 1.0
"""How often a process looks whether it was left alone."""
ORPHANED = 3
"""Exit status when the worker has gone."""
AWAY, FULL = 4, 5
"""Exit statuses when the database did not answer, so that what was done is to be done again, or had no room for it."""


class CannotBeError(Exception):
    """There is no answer to what was asked; the text says why."""


@dataclass
class Task:
    """What the module of a kind gets: the job, the store to write to, and the service's settings."""

    job: Job
    store: Store
    settings: Settings
    folder: Path
    """Of its own, for files that are needed while the job is carried out."""
    _told_at: float = field(default=float("-inf"))
    _phase: float | str | None = None

    def report(self, progress: Mapping[str, float | str | None]) -> None:
        """Note how far it is, not more often than a client would ask."""
        now, phase = time.monotonic(), progress.get("phase")
        if phase != self._phase:
            self._phase = phase
            print_line(str(phase))
        if now - self._told_at >= REPORT_EVERY_S:
            self._told_at = now
            self.store.report(self.job, progress)


def print_line(text: str) -> None:
    """A line for the log of the job, with its time (UTC)."""
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}", flush=True)  # noqa: T201 (what it prints is its log)


class _Kind(Protocol):
    def carry_out(self, task: Task) -> None: ...


def run(order: Mapping[str, Any]) -> None:
    """Carry out the job of an order, in a session of its own: Ctrl-C at the terminal is for the service."""
    os.setsid()
    tempfile.tempdir = os.environ["TMPDIR"] = order["folder"]  # of all that it and what it starts write for a while
    threading.Thread(target=_end_with_the_worker, args=(order["folder"],), daemon=True).start()
    print_to(order["log"])
    job = Job(order["id"], order["tenant"], order["kind"], order["attempt"], order["request"])
    settings = Settings.from_dict(order["settings"]).of(job.tenant)
    make_way(settings.niceness)
    store = Store(settings.store).of(job.tenant)
    print_line(f"attempt {job.attempt} of {job.kind}")
    try:
        _carry_out(job, store, settings)
    except DBAPIError as error:
        why = outage(error)
        if why is None:
            raise
        raise SystemExit(AWAY if why is Outage.AWAY else FULL) from None


def _carry_out(job: Job, store: Store, settings: Settings) -> None:
    """Carry a job out and say how it ended. Raises what the driver does where the database cannot take that."""
    try:
        with tempfile.TemporaryDirectory(prefix=f"planner-{job.kind}-") as folder:
            task = Task(job, store, settings, Path(folder))
            cast(_Kind, import_module(KINDS[job.kind])).carry_out(task)
    except InputError as error:
        _fail(store, job, error.problems)
    except CannotBeError as why:
        _fail(store, job, [str(why)])
    except Exception as error:
        if outage(error) is not None:
            raise
        traceback.print_exc()
        print_line(traceback.format_exc())
        _fail(store, job, [f"a fault of the planner: {type(error).__name__}: {error}".splitlines()[0]])
    else:
        print_line("ended")


def _fail(store: Store, job: Job, errors: Sequence[str]) -> None:
    for line in errors:
        print_line(f"failed: {line}")
    store.fail(job, list(errors))


def make_way(niceness: int) -> None:
    """Let what answers requests go first. Linux may weigh sessions before processes (autogroups): where this process
    leads a session of its own, that is made as nice.
    """
    os.nice(niceness)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # there are no autogroups here
            Path("/proc/self/autogroup").write_text(str(niceness))


def _end_with_the_worker(folder: str) -> None:
    """End when nobody is there any more who would do that, and would take its files away."""
    worker, server = multiprocessing.parent_process(), os.getppid()
    assert worker is not None
    while worker.is_alive() and os.getppid() == server:
        worker.join(LOOK_S)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(ORPHANED)
