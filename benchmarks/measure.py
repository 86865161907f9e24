"""Run a command in processes of its own and measure all of them together."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.05
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Usage:
    """`seconds` of wall time, `cpu_seconds` of the command and everything it started, and `peak_mib`.

    `peak_mib` is the most memory that was resident in all its processes together, sampled twenty times a second (pages
    shared between them count once for each).
    """

    exit_status: int
    seconds: float
    cpu_seconds: float
    peak_mib: float


def run_measured(command: Sequence[str], limit_s: float) -> Usage:
    """Run to the end in the project's folder, or kill it and all it started at `limit_s` (exit status -9)."""
    started, peak_kib = time.monotonic(), 0
    child = subprocess.Popen(list(command), start_new_session=True, cwd=ROOT)  # noqa: S603 - our own command line
    try:
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            peak_kib = max(peak_kib, sum(_resident_kib(p) for p in _family(child.pid)))
            if time.monotonic() - started > limit_s:
                os.killpg(child.pid, signal.SIGKILL)
            time.sleep(SAMPLE_S)
    except BaseException:
        os.killpg(child.pid, signal.SIGKILL)
        raise
    child.returncode = os.waitstatus_to_exitcode(status)
    return Usage(child.returncode, time.monotonic() - started, usage.ru_utime + usage.ru_stime,
                 max(peak_kib, 0 if peak_kib else usage.ru_maxrss) / 1024)


def _family(pid: int) -> Iterator[int]:
    """A process and all below it, as far as the system tells (Linux)."""
    yield pid
    try:
        found = [text for file in Path(f"/proc/{pid}/task").glob("*/children") for text in file.read_text().split()]
    except OSError:  # it ended while we looked
        return
    for child in found:
        yield from _family(int(child))


def _resident_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it ended, or this system has no /proc
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)
