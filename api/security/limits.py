"""How many requests one caller may make, so that none takes the service from the others."""

from __future__ import annotations

import math
import time
from http import HTTPStatus
from typing import Literal

from limits import RateLimitItem, parse_many

from api.settings import Limits
from api.web.problems import Problem

What = Literal["reads", "writes", "refused"]
MOST_COUNTS = 100_000
"""Counts beyond which those that are over are forgotten."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Rates:
    """Counts requests of each caller by the second or whatever the settings say, in this process: from the first one on
    for so long, and then anew. (The storage of `limits` starts threads to forget, up to a hundred a second.)
    """

    def __init__(self, limits: Limits) -> None:
        self._limits: dict[What, list[RateLimitItem]] = {
            "reads": parse_many(limits.reads), "writes": parse_many(limits.writes),
            "refused": parse_many(limits.refused)}  # fmt: skip
        self._counts: dict[tuple[RateLimitItem, What, str], tuple[float, int]] = {}

    def admit(self, method: str, tenant: str, caller: str) -> None:
        """Count a request of a caller. Raises Problem (429) when it was one too many."""
        self._count("reads" if method in _READING else "writes", f"{tenant}/{caller}")

    def refused(self, address: str) -> None:
        """Count a request of somebody who is not known. Raises Problem (429) when it was one too many."""
        self._count("refused", address)

    def _count(self, what: What, who: str) -> None:
        now = time.time()
        for limit in self._limits[what]:
            until, count = self._now(limit, what, who, now)
            if count >= limit.amount:
                wait = max(1, math.ceil(until - now))
                raise Problem(HTTPStatus.TOO_MANY_REQUESTS, f"more than {limit}: ask again in {wait} s",
                              headers={"Retry-After": str(wait)})
            self._counts[limit, what, who] = until, count + 1
        if len(self._counts) > MOST_COUNTS:
            self._counts = {key: found for key, found in self._counts.items() if found[0] > now}

    def _now(self, limit: RateLimitItem, what: What, who: str, now: float) -> tuple[float, int]:
        """Until when requests count together, and how many there were."""
        until, count = self._counts.get((limit, what, who), (0.0, 0))
        return (until, count) if until > now else (now + limit.get_expiry(), 0)
