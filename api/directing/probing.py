"""Looks at clusters from here, again and again, and reports what it finds as a probe does."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from api.directing.directing import Directing
from api.settings import Probe
from api.web.problems import Problem
from planner.directing import DirectingError, Report

if TYPE_CHECKING:
    import httpx

COUNTS_S, RENEW_S = 600.0, 200.0
"""How long a report counts when nothing looks any more, and how often it is renewed while something does."""
_LOG = logging.getLogger(__name__)


@dataclass
class Streak:
    """How often in a row a look went well or ill, and what that makes of the cluster: nothing until one of both was so
    often enough.
    """

    down_after: int
    up_after: int
    well: int = 0
    ill: int = 0
    word: Literal["up", "down"] | None = None

    def add(self, well: bool) -> Literal["up", "down"] | None:
        """What is to be said after one more look."""
        self.well, self.ill = (self.well + 1, 0) if well else (0, self.ill + 1)
        if self.ill >= self.down_after:
            self.word = "down"
        elif self.well >= self.up_after:
            self.word = "up"
        return self.word


class Prober:
    """Probes in a thread of their own. `source` tells this service's reports from another's."""

    def __init__(self, directing: Directing, probes: Sequence[Probe], source: str) -> None:
        self._directing, self._probes, self._source = directing, probes, source
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="probes")

    def start(self) -> None:
        """Begin to look, if there is anything to look at."""
        if self._probes:
            self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._all())

    async def _all(self) -> None:
        import httpx  # a tenth of a second: only who probes waits for it

        # What the environment says of proxies is not meant for clusters; a page is where its address says.
        async with httpx.AsyncClient(trust_env=False, follow_redirects=False) as http:
            looking = [asyncio.create_task(self._watch(probe, http)) for probe in self._probes]
            await self._stopping.wait()
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)

    async def _watch(self, probe: Probe, http: httpx.AsyncClient) -> None:
        streak, said, said_at = Streak(probe.down_after, probe.up_after), "", float("-inf")
        while True:
            began = time.monotonic()
            wrong = await self._look(probe, http)
            word = streak.add(wrong is None)
            if word is not None and (word != said or began - said_at > RENEW_S):
                report = Report(word, "probe", f"{self._source} {probe.url}", COUNTS_S, (wrong or "")[:1000])
                if await asyncio.to_thread(self._say, probe.cluster, report):
                    said, said_at = word, began
            await asyncio.sleep(max(0.0, began + probe.every_s - time.monotonic()))

    async def _look(self, probe: Probe, http: httpx.AsyncClient) -> str | None:
        """What is wrong; None when nothing is."""
        import httpx

        parts = urlsplit(probe.url)
        try:
            async with asyncio.timeout(probe.timeout_s):
                if parts.scheme == "tcp":
                    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
                    writer.close()
                    return None
                async with http.stream("GET", probe.url) as answer:
                    return None if answer.status_code < 400 else f"{probe.url}: status {answer.status_code}"
        except TimeoutError:
            return f"{probe.url}: no answer in {probe.timeout_s:g} s"
        except (OSError, httpx.HTTPError) as error:
            return f"{probe.url}: {type(error).__name__}: {error}"

    def _say(self, cluster: str, report: Report) -> bool:
        """Report; False where that could not be done and is to be tried again."""
        try:
            self._directing.report(cluster, report)
        except (Problem, DirectingError) as why:  # no plan is in force, or one without this cluster
            _LOG.debug("probe of %s: %s", cluster, why)
            return False
        with suppress(SQLAlchemyError):  # the database is away: this service knows, and the report is renewed
            self._directing.keep(cluster, report)
            return True
        return False
