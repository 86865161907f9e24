"""Keeps worker processes running, and gives back to the queue what workers had that are gone for good."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from api.database.engine import carry_over
from api.jobs.durable import Queue
from api.settings import Settings
from api.store.store import Store

LOOK_S = 0.2
SEEN_EVERY_S, GONE_S = 5.0, 30.0
"""How often workers are noted as living, and after how long without a note their jobs go back into the queue."""
AGAIN_S, AGAIN_MOST_S = 0.5, 30.0
"""How long after its end a worker is started again, twice as long each time it ended at once."""
STOP_S = 10.0
"""How long a worker may take to put its job back when it is to stop."""
_START = "from api.jobs.worker import main; main()"


class Workers:
    """`settings.workers` worker processes. Start it once; `stop` puts running jobs back into the queue."""

    def __init__(self, store: Store, queue: Queue, settings: Settings) -> None:
        self._store, self._queue, self._settings = store, queue, settings
        self._stopping, self._running = threading.Event(), set[str]()
        self.name = name = _instance(settings.data)
        self._executors = [f"{name}-{n}" for n in range(settings.workers)]
        self._keepers = [threading.Thread(target=self._keep, args=(one,), name=one) for one in self._executors]
        self._noting = threading.Thread(target=self._note, name="workers-seen")

    def start(self) -> None:
        """Start the workers."""
        self._look()
        for thread in (*self._keepers, self._noting):
            thread.start()

    def stop(self) -> None:
        """End the workers and wait until they are gone."""
        self._stopping.set()
        for thread in (*self._keepers, self._noting):
            thread.join()

    def alive(self) -> bool:
        """Whether all workers are there."""
        return len(self._running) == len(self._executors) and not self._stopping.is_set()

    def _keep(self, executor: str) -> None:
        """Start one worker, and again whenever it ends."""
        wait = AGAIN_S
        while not self._stopping.is_set():
            began = time.monotonic()
            self._run(executor)
            wait = AGAIN_S if time.monotonic() - began > AGAIN_MOST_S else min(2 * wait, AGAIN_MOST_S)
            self._stopping.wait(wait)

    def _run(self, executor: str) -> None:
        """One worker from start to end."""
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C at the terminal is for the service, which ends this in order
        )
        try:
            _tell(process, json.dumps(self._settings.to_dict() | {"executor": executor}))
            self._running.add(executor)
            while process.poll() is None and not self._stopping.wait(LOOK_S):
                pass
            _tell(process, "stop")
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
        finally:
            self._running.discard(executor)
            process.kill()
            process.wait()

    def _note(self) -> None:
        """Note that the workers live, and take back what others had that do not."""
        while not self._stopping.wait(SEEN_EVERY_S):
            with suppress(SQLAlchemyError):  # the database is away: it is said by /readyz, and tried again
                self._look()

    def _look(self) -> None:
        """Note that the workers live, and leave nothing with others that do not, or with another version."""
        self._store.seen(self._executors)
        self._queue.take_back(self._store.living(GONE_S))
        with self._store.engine.begin() as connection:
            self._queue.take_over(connection, self._executors)
        carry_over(self._store.engine)


def _tell(process: subprocess.Popen[bytes], line: str) -> None:
    assert process.stdin is not None
    with suppress(OSError):  # it has ended, which is seen by whoever waits for it
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()


def _instance(data_dir: Path) -> str:
    """The name of this service among those that share a database: the same for the same data folder."""
    file = data_dir / "instance"
    if not file.exists():
        file.write_text(uuid.uuid4().hex[:12])
    return file.read_text().strip()
