"""The processes in which a host trains: one for every class it holds the lease of, ended with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from api.settings import Settings
from planner.hosting import HostedWork

AGAIN_S = 5.0
"""How long after its end a process is started again."""
_START = "from api.hosting.loop import main; main()"


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    epoch: int
    began: float


class Training:
    """Keeps the processes of a host running."""

    def __init__(self, settings: Settings, tenant: str, host: str) -> None:
        self._settings, self._tenant, self._host = settings, tenant, host
        self._running: dict[str, _Running] = {}

    def keep(self, work: Mapping[str, HostedWork], epochs: Mapping[str, int]) -> None:
        """See to it that what is held is trained, and nothing else."""
        for name in sorted(self._running.keys() - work.keys()):
            self._end(name)
        for name, one in work.items():
            running = self._running.get(name)
            if running is not None and running.epoch != epochs[name]:
                self._end(name)
                running = None
            ended = running is not None and running.process.poll() is not None
            if running is None or (ended and time.monotonic() - running.began > AGAIN_S):
                self._running[name] = _Running(self._start(name, one, epochs[name]), epochs[name], time.monotonic())

    def stop(self) -> None:
        """End all."""
        for name in list(self._running):
            self._end(name)

    def _end(self, name: str) -> None:
        process = self._running.pop(name).process
        process.kill()  # steps are written so that they may be cut off anywhere
        process.wait()

    def _start(self, name: str, work: HostedWork, epoch: int) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path}, start_new_session=True)  # fmt: skip
        order = {"settings": self._settings.to_dict(), "tenant": self._tenant, "workload": name, "host": self._host,
                 "epoch": epoch, "work": work.model_dump_json()}  # fmt: skip
        assert process.stdin is not None
        with suppress(OSError):  # it has ended, which is seen at the next look
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
        return process
