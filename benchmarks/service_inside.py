"""Directing as a router's own library: calls a second, one request a call, with shares and losses honoured."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from planner.directing import Director, Report, Routes
from planner.directing.routes import Stream, Unit
from planner.plan import PlanHorizon

WORKLOADS, CLUSTERS, CALLS = 1000, 20, 1000
REGIONS = ("aws/eu-west-1", "aws/us-east-1")
SHARES = (0.5, 0.3, 0.2)
LOST = "cluster-0"


@dataclass(frozen=True)
class Calls:
    """Calls a second of processor and of wall time, the furthest that any share was from the plan's (of the calls of
    one workload), and the calls that went to a lost cluster.
    """

    calls_per_s: float
    calls_per_cpu_s: float
    share_off: float
    lost: int
    seconds: float
    cpu_seconds: float


def routes() -> Routes:
    """Many workloads, each with users in two regions who are spread over three clusters; every place has a fallback."""
    start = datetime.now(UTC) - timedelta(hours=1)
    names = [f"cluster-{n}" for n in range(CLUSTERS)]

    def unit(n: int, k: int) -> Unit:
        home = names[(n + k) % CLUSTERS]
        return Unit(cluster=home, share=SHARES[k], fallbacks={home: names[(n + k + 7) % CLUSTERS]})

    workloads = {f"web-{n}": tuple(Stream(user_region=region, share=0.5, units=tuple(unit(n, k) for k in range(3)))
                                   for region in REGIONS) for n in range(WORKLOADS)}
    return Routes(plan_id="0" * 64, name="made", horizon=PlanHorizon(start=start, slots=24, slot_minutes=60),
                  clusters={name: (name, f"aws/{name}", "aws") for name in names}, workloads=workloads)


def by_turns(director: Director) -> Callable[[str, int], str]:
    """Requests without a key."""
    return lambda workload, _: director.direct(workload, REGIONS[0]).cluster


def by_key(director: Director) -> Callable[[str, int], str]:
    """Requests with the key of a customer."""
    keys = [f"customer-{n}" for n in range(CALLS)]
    return lambda workload, n: director.direct(workload, REGIONS[0], keys[n]).cluster


def measure(kind: Callable[[Director], Callable[[str, int], str]], seconds: float) -> Calls:
    """Call for so long while a cluster is lost; then see where calls went."""
    director = Director(routes())
    director.report(LOST, Report("down", by="probe"))
    names, call = [f"web-{n}" for n in range(WORKLOADS)], kind(director)
    for name in names:  # ways are worked out when first asked for
        call(name, 0)
    count, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() < began + seconds:
        for n, name in enumerate(names):
            call(name, n)
        count += len(names)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    off, lost = _judged(call)
    return Calls(count / took, count / cpu, off, lost, took, cpu)


def _judged(call: Callable[[str, int], str]) -> tuple[float, int]:
    """How far shares are off in a thousand calls of each of some workloads, and calls that went to the lost cluster."""
    off, lost = 0.0, 0
    for n in (0, 5, 19):
        got = Counter(call(f"web-{n}", k) for k in range(CALLS))
        lost += got[LOST]
        for k, share in enumerate(SHARES):
            home = (n + k) % CLUSTERS
            at = home if home else (n + k + 7) % CLUSTERS
            off = max(off, abs(got[f"cluster-{at}"] / CALLS - share))
    return off, lost
