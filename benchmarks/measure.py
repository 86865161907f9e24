"""Run a command in processes of its own and measure all of them together."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S, SHARED_SAMPLE_S = 0.05, 0.2
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Usage:
    """`seconds` of wall time, `cpu_seconds` of the command and everything it started, and `peak_mib`.

    `peak_mib` is the most memory that was resident in all its processes together, sampled twenty times a second (five
    times where there are several processes: pages that they share count once, which the system takes longer to tell).
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
            family = list(_family(child.pid))
            peak_kib = max(peak_kib, resident_kib(family))
            if time.monotonic() - started > limit_s:
                os.killpg(child.pid, signal.SIGKILL)
            time.sleep(SAMPLE_S if len(family) == 1 else SHARED_SAMPLE_S)
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


def resident_kib(family: Sequence[int]) -> int:
    """Memory that processes hold together; pages that several of them map count once (their proportional set sizes)."""
    one = len(family) == 1
    return sum(_field_kib(Path(f"/proc/{pid}/{'status' if one else 'smaps_rollup'}"), "VmRSS:" if one else "Pss:")
               for pid in family)  # fmt: skip


def _field_kib(file: Path, name: str) -> int:
    try:
        lines = file.read_text().splitlines()
    except OSError:  # it ended, or this system has no /proc
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
