"""Requests by the thousand against a service on this machine, and how long they took.

`at_most` asks as fast as answers come on so many connections, by wrk where it is installed; `at_rate` asks so many
times a second whether answers come or not, and counts from when a request was due, so that a service that stalls is
not spared the requests that it held up.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

WRK = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", (string.gsub(wrk.path, "#", n)))
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """What came of it. `errors` are answers of status 400 or above and requests without an answer; `cpu_seconds` is
    what asking took.
    """

    by: str
    requests: int
    errors: int
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def requests_per_s(self) -> float:
        """Requests that were answered as asked, a second."""
        return (self.requests - self.errors) / self.seconds


@dataclass(frozen=True)
class Request:
    """A request as it goes over the wire; `#` in the path is a number that is another every time."""

    url: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "GET"
    body: bytes = b""

    def text(self, number: int) -> bytes:
        """The bytes."""
        parts = urlsplit(self.url)
        lines = [f"{self.method} {self.path.replace('#', str(number))} HTTP/1.1", f"host: {parts.netloc}",
                 *(f"{name}: {value}" for name, value in self.headers)]
        if self.body:
            lines += ["content-type: application/json", f"content-length: {len(self.body)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def at_most(request: Request, connections: int, seconds: float) -> Load:
    """As many requests as are answered."""
    return (_wrk if shutil.which("wrk") else partial(_own, None))(request, connections, seconds)


def at_rate(request: Request, rate: float, connections: int, seconds: float) -> Load:
    """So many requests a second."""
    return _own(rate, request, connections, seconds)


def _wrk(request: Request, connections: int, seconds: float) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "asked.lua"
        script.write_text(WRK)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
        command += [part for name, value in request.headers for part in ("-H", f"{name}: {value}")]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = subprocess.run([*command, request.url + request.path], capture_output=True, text=True, check=True)  # noqa: S603 - our own
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("RESULT ")]
    requests, micros, errors, p50, p99 = map(int, line.split()[1:])
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Load("wrk", requests, errors, micros / 1e6, cpu_seconds, p50 / 1000, p99 / 1000)


def _own(rate: float | None, request: Request, connections: int, seconds: float) -> Load:
    """The same in a process of its own, so that what it takes can be told from what we take."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        took, errors, cpu_seconds, elapsed = pool.apply(_ask, (rate, request, connections, seconds))
    took = sorted(took) or [float("inf")]
    p50, p99 = (1000 * took[min(len(took) - 1, int(share * len(took)))] for share in (0.5, 0.99))
    return Load("own", len(took), errors, elapsed, cpu_seconds, p50, p99)


def _ask(rate: float | None, request: Request, connections: int, seconds: float
         ) -> tuple[list[float], int, float, float]:
    os.nice(0)
    began = time.perf_counter()
    took, errors = asyncio.run(_all(rate, request, connections, seconds))
    return took, errors, time.process_time(), time.perf_counter() - began


async def _all(rate: float | None, request: Request, connections: int, seconds: float) -> tuple[list[float], int]:
    began, took, errors = time.perf_counter(), list[float](), 0
    numbers = iter(range(10**9))

    async def one() -> None:
        nonlocal errors
        connection = await Connection.to(request.url)
        while True:
            number = next(numbers)
            due = time.perf_counter() if rate is None else began + number / rate
            if due - began >= seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter())) if rate is not None else None
            try:
                status, _ = await connection.ask(request.text(number))
                errors += status >= 400
            except OSError:
                errors += 1
                connection = await Connection.to(request.url)
            took.append(time.perf_counter() - due)
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return took, errors


class Connection:
    """One connection that stays open, for answers that state their length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, url: str) -> Connection:
        """Connect."""
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def ask(self, text: bytes) -> tuple[int, bytes]:
        """Send a request, give status and body of its answer. Raises OSError when there is none."""
        self._writer.write(text)
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
            return int(head[9:12]), await self._reader.readexactly(length)
        except asyncio.IncompleteReadError:
            raise ConnectionResetError from None

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@dataclass(frozen=True)
class Lost:
    """How long after a loss was said, and answered, requests were still sent that went there: the last of them, and
    how many requests were watched.
    """

    last_ms: float
    watched: int


def after_a_loss(ask: Request, cluster: str, lose: Callable[[], object], seconds: float, connections: int = 4) -> Lost:
    """Ask all the time while `lose` says that a cluster is lost; when was the last request sent that went there?"""
    return asyncio.run(_after_a_loss(ask, cluster, lose, seconds, connections))


async def _after_a_loss(ask: Request, cluster: str, lose: Callable[[], object], seconds: float, connections: int
                        ) -> Lost:
    sent: list[tuple[float, str]] = []
    stop = asyncio.Event()

    async def one() -> None:
        connection = await Connection.to(ask.url)
        while not stop.is_set():
            at = time.perf_counter()
            _, body = await connection.ask(ask.text(len(sent)))
            sent.append((at, json.loads(body).get("cluster", "")))
        connection.close()

    tasks = [asyncio.create_task(one()) for _ in range(connections)]
    await asyncio.sleep(seconds / 4)
    await asyncio.to_thread(lose)
    said = time.perf_counter()
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.gather(*tasks)
    return Lost(1000 * _last(sent, cluster, said), len(sent))


def _last(sent: Sequence[tuple[float, str]], cluster: str, said: float) -> float:
    return max([at - said for at, found in sent if found == cluster and at > said], default=0.0)
