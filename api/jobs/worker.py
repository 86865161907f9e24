"""A worker: takes jobs from the durable queue, and quick ones beside them, and carries each out in a process of its
own, which it can end.

Its settings come in as one JSON line on standard input, which then stays open: `stop` asks it to put its job back and
end, and the end of the input means that the service is gone, and this process ends itself at once.

The processes of jobs are forked from one that has loaded what they need, which takes a second otherwise. It starts with
the first job, and does nothing else: what a job does stays in the job's process. When nothing was asked for a while it
is ended, and gives its memory back.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from api.database.outages import Outage, outage
from api.jobs.durable import Doing, Queue, work
from api.jobs.job import AWAY, FULL, run
from api.jobs.log import Log
from api.jobs.schedules import Schedules
from api.notices import Courier
from api.observability.tracing import Traces, opened
from api.settings import Settings
from api.store.files import LOG
from api.store.jobs import Job
from api.store.store import Store

POLL_S = 0.2
AWAY_S = 1.0
"""How long after the database did not answer it is asked again; a job that it did not answer waits twice as long each
time, up to `AWAY_MOST_S`."""
AWAY_MOST_S = 60.0
MOST_AWAY = 10
"""How often a job is begun again because the database answers the worker and not the job."""
GIVEN_UP = ("the database answers the worker, and did not answer what the job asked, again and again: the log of the "
            "database says why (a time limit of statements, perhaps)")
START_S = 60.0
"""What a job's process may take beyond its time limit, to start, read and write, before it is ended."""
LIMIT_S = 6 * 3600.0
"""How long a job without a time limit of its own may take."""
REST_S = 120.0
"""How long after the last job what jobs are forked from is ended: it takes as much memory as all else."""
ORPHANED = 3
"""Exit status when the service has gone."""
NO_ROOM = "the store has no room on its disk for what this made: make room, and ask again"

_LOG: Final = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_OVERRUN = 1.1
_LOADED = ["api.kinds.loaded"]


def main() -> None:
    """Work until told to stop."""
    order = json.loads(sys.stdin.buffer.readline())
    executor = order.pop("executor")
    settings = Settings.from_dict(order)
    queue = Queue(settings.store)
    queue.open()
    store, traces = Store(settings.store, queue), opened(os.environ)
    carrying, schedules = Carrying(store, settings, traces), Schedules(store, queue)
    courier = Courier(store, settings.channels)
    work(settings.store, executor, Doing(carrying.carry_out, schedules.tick, courier.deliver, courier.give_up))
    schedules.resume()
    schedules.catch_up(datetime.now(UTC))
    if not sys.stdin.buffer.readline():
        os._exit(ORPHANED)  # what was begun counts as an attempt: it may be what ended the service
    carrying.stop()
    if traces is not None:
        traces.close()
    os._exit(0)


class _AwayError(Exception):
    """The database did not answer the process of a job."""


class Carrying:
    """Carries out jobs, one after another of each lane, each in a process of its own."""

    def __init__(self, store: Store, settings: Settings, traces: Traces | None = None) -> None:
        self._store, self._settings, self._traces = store, settings, traces
        self._stopping, self._ending, self._running = threading.Event(), threading.Condition(), 0
        self._starting, self._rest = set[str](), threading.Timer(REST_S, self._end_loaded)
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(_LOADED)

    def carry_out(self, job_id: str) -> None:
        """Carry out a job that has not ended; it is then done or failed, or it was cancelled. While the database is
        away it is tried again, later each time, which costs no attempt: nobody else would, as for the queue it has
        begun.
        """
        self._note(1)
        try:
            for times in range(1, MOST_AWAY + 1):
                job = self._answered(partial(self._store.begin, job_id, self._settings.max_attempts))
                if job is None or not self._attempt(job, last=times == MOST_AWAY) or times == MOST_AWAY:
                    break
                if self._stopping.wait(min(AWAY_S * 2 ** (times - 1), AWAY_MOST_S)):
                    break
        finally:
            self._note(-1)
        self._hold()

    def _answered(self, ask: Callable[[], _Answer]) -> _Answer | None:
        """What the database answers, asked until it can; None when the process is to end before."""
        while True:
            try:
                return ask()
            except DBAPIError as error:
                if outage(error) is None:
                    raise
            if self._stopping.wait(AWAY_S):
                return None

    def _attempt(self, job: Job, *, last: bool) -> bool:
        """See to it that a job ends also where what carries it out does not work: no room for its files, say. Whether
        the database was away meanwhile, and the job is to be begun again as if it had not been; the `last` time it
        fails, as it may be the job that the database cannot take.
        """
        try:
            self._finish(job)
        except Exception as error:  # noqa: BLE001 - whatever it was, the job must say so
            why = outage(error)
            if isinstance(error, _AwayError) or why is Outage.AWAY:
                ended = partial(self._store.fail, job, [GIVEN_UP]) if last else partial(self._store.requeue, job)
                self._answered(ended)
                return True
            _LOG.exception("job %s could not be carried out", job.id)
            said = f"could not be carried out: {type(error).__name__}: {error}".splitlines()[0]
            self._answered(partial(self._store.fail, job, [NO_ROOM if why is Outage.FULL else said]))
        return False

    def _finish(self, job: Job) -> None:
        """See to it that a job ends, or goes back into the queue."""
        seconds = float(job.request.get("time_limit_s", LIMIT_S)) * _OVERRUN + START_S
        told: dict[str, str | int] = {"job": job.id, "tenant": job.tenant, "attempt": job.attempt}
        with nullcontext() if self._traces is None else self._traces.job(job.kind, told):
            reason = self._in_a_process(job, seconds)
        if self._stopping.is_set():
            self._answered(partial(self._store.requeue, job))
        elif reason is not None:
            self._answered(partial(self._store.fail, job, [reason]))

    def stop(self) -> None:
        """End the processes of jobs and put the jobs back into the queue, also those that wait for what they need to be
        loaded.
        """
        self._stopping.set()
        with self._ending:
            while not self._ending.wait_for(lambda: not self._running, POLL_S):
                if self._starting:
                    _end_forkserver()

    def _note(self, more: int) -> None:
        """Count jobs that are being carried out; after the last one the process that they are forked from may rest."""
        with self._ending:
            self._running += more
            self._rest.cancel()
            if not self._running and not self._stopping.is_set():
                self._rest = threading.Timer(REST_S, self._end_loaded)
                self._rest.daemon = True
                self._rest.start()
            self._ending.notify_all()

    def _end_loaded(self) -> None:
        """End what jobs are forked from, unless there is one by now; the next one starts it again."""
        with self._ending:
            if not self._running:
                _end_forkserver()

    def _hold(self) -> None:
        """Do not tell the queue that a job has ended which was put back: the process is about to end."""
        while self._stopping.is_set():
            time.sleep(POLL_S)

    def _in_a_process(self, job: Job, seconds: float) -> str | None:
        """Carry out a job in a process that is gone afterwards with all its files, and keep what it prints; why it
        came to no good end, as `_watch`.
        """
        # solvers notice a bit later that their job is gone, and may still write
        with tempfile.TemporaryDirectory(prefix=f"planner-{job.id}-", ignore_cleanup_errors=True) as folder:
            log = Log(Path(folder) / LOG, self._store.file(job.id, LOG))
            try:
                return self._logged(job, seconds, folder, log)
            finally:
                self._keep(job, log)

    def _keep(self, job: Job, log: Log) -> None:
        """Keep what was printed since it was last kept; where the database is away it is tried again later."""
        text = log.news()
        if text is not None:
            with suppress(SQLAlchemyError):
                self._store.keep_log(job, text)

    def _logged(self, job: Job, seconds: float, folder: str, log: Log) -> str | None:
        order = {"settings": self._settings.to_dict(), "id": job.id, "tenant": job.tenant, "kind": job.kind,
                 "attempt": job.attempt, "request": dict(job.request), "folder": folder,
                 "log": str(log.path)}
        process = self._processes.Process(target=run, args=(order,), name=job.id)
        self._starting.add(job.id)
        try:
            process.start()
        except (OSError, EOFError) as error:
            return f"the job's process could not be started: {error}"
        finally:
            self._starting.discard(job.id)
        try:
            return self._watch(job, process, seconds, log)
        finally:
            process.kill()
            process.join()

    def _watch(self, job: Job, process: ForkServerProcess, seconds: float, log: Log) -> str | None:
        """Wait for the end; why it was no good one, None when it was, or when nobody waits for it any more."""
        until = time.monotonic() + seconds
        while not self._stopping.is_set():
            process.join(POLL_S)
            if process.exitcode == AWAY:
                raise _AwayError
            if process.exitcode == FULL:
                return NO_ROOM
            if process.exitcode is not None:
                return None if process.exitcode == 0 else f"the job's process ended {_ending(process.exitcode)}"
            self._keep(job, log)
            if not self._store.goes_on(job):
                return None
            if time.monotonic() > until:
                return f"the job's process ran for more than {seconds:.0f} s and was ended"
        return None


def _end_forkserver() -> None:
    """End the process that those of jobs are forked from; `multiprocessing` starts another when it is needed."""
    kept: Any = vars(forkserver)["_forkserver"]  # there is no public way to it (3.11, 3.12)
    pid = vars(kept)["_forkserver_pid"]
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # it does not listen while it loads
        kept._stop()  # noqa: SLF001 - which waits for its end, and forgets it


def _ending(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"with status {status}"
    return f"by signal {-status}" + (" (killed; out of memory?)" if status == -9 else "")
