"""How many requests one caller may make, so that none takes the service from the others."""

from __future__ import annotations

import math
import time
from http import HTTPStatus
from typing import Literal

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from api.problems import Problem
from api.settings import Limits

What = Literal["reads", "writes", "refused"]
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Rates:
    """Counts requests of each caller by the second or whatever the settings say, in this process."""

    def __init__(self, limits: Limits) -> None:
        self._strategy = FixedWindowRateLimiter(MemoryStorage())
        self._limits: dict[What, list[RateLimitItem]] = {
            "reads": parse_many(limits.reads), "writes": parse_many(limits.writes),
            "refused": parse_many(limits.refused)}  # fmt: skip

    def admit(self, method: str, tenant: str, caller: str) -> None:
        """Count a request of a caller. Raises Problem (429) when it was one too many."""
        self._count("reads" if method in _READING else "writes", tenant, caller)

    def refused(self, address: str) -> None:
        """Count a request of somebody who is not known. Raises Problem (429) when it was one too many."""
        self._count("refused", address)

    def suspicious(self, address: str) -> bool:
        """Whether there were too many of somebody who is not known: signatures need not be checked for them."""
        return not all(self._strategy.test(limit, "refused", address) for limit in self._limits["refused"])

    def _count(self, what: What, *who: str) -> None:
        for limit in self._limits[what]:
            if not self._strategy.hit(limit, what, *who):
                until = self._strategy.get_window_stats(limit, what, *who).reset_time
                wait = max(1, math.ceil(until - time.time()))
                raise Problem(HTTPStatus.TOO_MANY_REQUESTS, f"more than {limit}: ask again in {wait} s",
                              headers={"Retry-After": str(wait)})
