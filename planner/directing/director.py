"""Directs requests by the plan in force and live health."""

from __future__ import annotations

import threading
import time
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf
from zlib import crc32

from planner.directing.choice import BUCKETS, GOLDEN, Choice, Draws, Place
from planner.directing.errors import (
    NoClusterError,
    NotInForceError,
    ShedError,
    UnknownClusterError,
    UnknownRegionError,
    UnknownWorkloadError,
    nearest,
)
from planner.directing.health import ClusterHealth, Hysteresis, Report
from planner.directing.routes import Routes, Stream, Unit, utc

GRACE_S = 86_400.0
_LAST_BUCKET = BUCKETS - 1


@dataclass(frozen=True, slots=True)
class Direction:
    """Where a request goes: to `cluster`, which is not the plan's own place (`home`) while that one is lost."""

    workload: str
    user_region: str | None
    cluster: str
    home: str
    plan_id: str


class Director:
    """Directs requests of one process; any number of threads may call it.

    A call reads one snapshot of plan, slot and health, which is replaced as a whole when any of them changes: it takes
    no lock, and a call that begins after `report` or `follow` has returned sees what that said. A plan directs from its
    first slot to `grace_s` after its last one, which then stays in force: one failed planning run turns nobody away.
    `seed` is where turns begin; give every process its own, so that they do not all begin at the same cluster.
    """

    def __init__(self, routes: Routes, *, health: Mapping[str, ClusterHealth] | None = None,
                 hysteresis: Hysteresis | None = None, grace_s: float = GRACE_S, seed: int = 0,
                 clock: Callable[[], float] = time.time) -> None:
        """`clock` gives POSIX seconds; `health` is what was known of clusters before."""
        self._hysteresis = hysteresis or Hysteresis()
        self._grace_s, self._seed, self._clock = grace_s, seed, clock
        self._lock = threading.Lock()
        self._draws = Draws()
        self._health = dict(health or {})
        self._now: _Now = self._snapshot(routes, self._clock())

    def direct(self, workload: str, region: str | None = None, key: str | None = None) -> Direction:
        """Where a request for a workload goes, sent from a user region, always the same place for the same `key`.

        Without a region a workload that lists user regions is directed by their shares; one that lists none takes
        requests from anywhere. Raises DirectingError.
        """
        now = self._now
        if self._clock() >= now.until:
            now = self._turned()
        choice = now.ways[workload][region]
        if key is None:
            return choice.targets[bisect(choice.bounds, next(choice.turns) * GOLDEN % 1.0)]
        return choice.targets[choice.buckets()[crc32(key.encode("utf-8", "surrogatepass")) & _LAST_BUCKET]]

    @property
    def routes(self) -> Routes:
        """What is in force."""
        return self._now.routes

    @property
    def lost(self) -> frozenset[str]:
        """Clusters of the plan in force that are lost now."""
        now = self._now if self._clock() < self._now.until else self._turned()
        return now.lost & now.routes.clusters.keys()

    def follow(self, routes: Routes) -> None:
        """Direct by another plan from now on."""
        with self._lock:
            self._now = self._snapshot(routes, self._clock())

    def report(self, cluster: str, report: Report) -> ClusterHealth:
        """Take in what is said of a cluster, and say how it is now. Raises UnknownClusterError."""
        with self._lock:
            before, now = self._known(cluster), self._clock()
            health = before.heard(report, now, self._hysteresis)
            self._health = {**self._health, cluster: health}
            self._now = self._snapshot(self._now.routes, now)
        return health

    def learn(self, health: Mapping[str, ClusterHealth]) -> None:
        """Take over what somebody else knows of clusters, instead of what is known here."""
        with self._lock:
            self._health = {**self._health, **health}
            self._now = self._snapshot(self._now.routes, self._clock())

    def health(self, cluster: str) -> ClusterHealth:
        """How a cluster is now. Raises UnknownClusterError."""
        return self._known(cluster).settled(self._clock(), self._hysteresis)

    def returns_at(self, health: ClusterHealth) -> float | None:
        """When a lost cluster is back if nobody reports, in POSIX seconds; None where it is not lost or said to be."""
        return health.returns_at(self._hysteresis)

    def _known(self, cluster: str) -> ClusterHealth:
        known = self._now.routes.clusters
        if cluster not in known:
            raise UnknownClusterError(f"cluster: {cluster}: not known{nearest(cluster, known)}")
        return self._health.get(cluster, ClusterHealth())

    def _turned(self) -> _Now:
        """The snapshot of now, after something has changed by itself: a slot, a hold, an expiry."""
        with self._lock:
            moment = self._clock()
            if moment >= self._now.until:
                self._now = self._snapshot(self._now.routes, moment)
            return self._now

    def _snapshot(self, routes: Routes, moment: float) -> _Now:
        """What holds now; what has been worked out already is kept where nothing has changed."""
        how = self._hysteresis
        self._health = {name: one.settled(moment, how) for name, one in self._health.items()}
        lost = frozenset(name for name, one in self._health.items() if one.lost)
        change = min((one.changes_at(how) for one in self._health.values()), default=inf)
        slot, until = _slot(routes, moment, self._grace_s)
        before: _Now | None = getattr(self, "_now", None)
        until = min(until, change)
        if before is not None and (before.routes is routes) and (before.lost, before.slot) == (lost, slot):
            return replace(before, until=until)
        self._draws.forget()
        return _Now(routes, slot, lost, until, _Ways(routes, slot, lost, self._draws, self._seed))


@dataclass(frozen=True, slots=True)
class _Now:
    """What holds until `until` (POSIX seconds). `slot` of None: the plan does not hold."""

    routes: Routes
    slot: int | None
    lost: frozenset[str]
    until: float
    ways: _Ways


def _slot(routes: Routes, moment: float, grace_s: float) -> tuple[int | None, float]:
    """The slot that holds now, and until when (POSIX seconds)."""
    start, end = routes.bounds()
    if moment < start.timestamp():
        return None, start.timestamp()
    if moment >= end.timestamp() + grace_s:
        return None, inf
    slot = routes.horizon.slot_at(utc(moment))
    assert slot is not None
    following = routes.next_slot(slot)
    return slot, following.timestamp() if following is not None else end.timestamp() + grace_s


class _Ways(dict[str, "_Way"]):
    """The way of every workload, worked out when first asked for."""

    def __init__(self, routes: Routes, slot: int | None, lost: frozenset[str], draws: Draws, seed: int) -> None:
        super().__init__()
        self.routes, self.slot, self.lost, self.draws, self.seed = routes, slot, lost, draws, seed

    def __missing__(self, workload: str) -> _Way:
        if self.slot is None:
            start, end = self.routes.bounds()
            why = f"it holds from {start:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}: put another plan in force"
            raise NotInForceError(f"plan {self.routes.name} {self.routes.plan_id[:12]}: not in force now: {why}")
        streams = self.routes.workloads.get(workload)
        if streams is None:
            if workload in self.routes.shed:
                without = f" without {', '.join(self.routes.down)}" if self.routes.down else ""
                raise ShedError(f"workload: {workload}: shed by the plan in force, which has no room for it{without}")
            if workload in self.routes.unplaced:
                raise UnknownWorkloadError(f"workload: {workload}: the plan in force places it nowhere")
            known = self.routes.workloads
            raise UnknownWorkloadError(f"workload: {workload}: not in the plan in force{nearest(workload, known)}")
        way = self[workload] = _Way(self, self.slot, workload, {stream.user_region: stream for stream in streams})
        return way


class _Way(dict[str | None, Choice[Direction]]):
    """The choice of every user region of a workload, worked out when first asked for."""

    def __init__(self, ways: _Ways, slot: int, workload: str, streams: Mapping[str | None, Stream]) -> None:
        super().__init__()
        self._ways, self._slot, self._workload, self._streams = ways, slot, workload, streams

    def __missing__(self, region: str | None) -> Choice[Direction]:
        if region is not None and None in self._streams:
            return self[None]
        if region is not None and region not in self._streams:
            known = [name for name in self._streams if name is not None]
            hint = nearest(region, known) or f"; there are {', '.join(sorted(known))}"
            raise UnknownRegionError(f"region: {region}: {self._workload} has no users there by the plan{hint}")
        places = self._places(region)
        if not any(place.target is not None for place in places):
            homes = ", ".join(sorted({place.name.partition("#")[0] for place in places}))
            what = f"all of {homes} are lost, and every fallback"
            raise NoClusterError(f"workload: {self._workload}: no cluster is left: {what}: plan again without them")
        choice = self[region] = Choice(places, self._ways.draws, self._ways.seed)
        return choice

    def _places(self, region: str | None) -> list[Place[Direction]]:
        """Places of a region's stream, or of all streams by their shares."""
        streams = [self._streams[region]] if region in self._streams else list(self._streams.values())
        seen, places = Counter[str](), []
        for stream in streams:
            for unit in stream.units:
                weight = unit.share_in(self._slot) * (stream.share if len(streams) > 1 else 1.0)
                places.append(Place(f"{unit.cluster}#{seen[unit.cluster]}", weight, self._direction(region, unit)))
                seen[unit.cluster] += 1
        return places

    def _direction(self, region: str | None, unit: Unit) -> Direction | None:
        """Where a unit's requests go: home, else to the first fallback that is there, else nowhere of its own."""
        lost, routes = self._ways.lost, self._ways.routes
        losses = [loss for loss in routes.clusters[unit.cluster] if loss in unit.fallbacks]
        ways = [unit.cluster, *(unit.fallbacks[loss] for loss in losses)]
        there = next((cluster for cluster in ways if cluster not in lost), None)
        plan_id = routes.plan_of(self._workload)
        return None if there is None else Direction(self._workload, region, there, unit.cluster, plan_id)
