"""Directs requests by the plans in force and live health."""

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
    DirectingError,
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
    Plans of several scenarios may direct together; a workload goes by the first of them that places it, and a cluster
    that several name is one cluster. `seed` is where turns begin; give every process its own, so that they do not all
    begin at the same cluster.
    """

    def __init__(self, *routes: Routes, health: Mapping[str, ClusterHealth] | None = None,
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
    def routes(self) -> tuple[Routes, ...]:
        """What is in force."""
        return self._now.routes

    @property
    def clusters(self) -> frozenset[str]:
        """Clusters of the plans in force."""
        return self._now.clusters

    @property
    def lost(self) -> frozenset[str]:
        """Clusters of the plans in force that are lost now."""
        now = self._now if self._clock() < self._now.until else self._turned()
        return now.lost & now.clusters

    def follow(self, *routes: Routes) -> None:
        """Direct by other plans from now on; by none, every request is refused."""
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
        known = self._now.clusters
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

    def _snapshot(self, routes: tuple[Routes, ...], moment: float) -> _Now:
        """What holds now; what has been worked out already is kept where nothing has changed."""
        how = self._hysteresis
        self._health = {name: one.settled(moment, how) for name, one in self._health.items()}
        lost = frozenset(name for name, one in self._health.items() if one.lost)
        change = min((one.changes_at(how) for one in self._health.values()), default=inf)
        held = [_slot(one, moment, self._grace_s) for one in routes]
        slots, until = tuple(slot for slot, _ in held), min([change, *(until for _, until in held)])
        before: _Now | None = getattr(self, "_now", None)
        same = before is not None and before.routes is routes
        if before is not None and same and (before.lost, before.slots) == (lost, slots):
            return replace(before, until=until)
        self._draws.forget()
        known = before.clusters if before is not None and same else frozenset[str]().union(
            *(one.clusters for one in routes))
        return _Now(routes, known, slots, lost, until, _Ways(routes, slots, lost, self._draws, self._seed))


@dataclass(frozen=True, slots=True)
class _Now:
    """What holds until `until` (POSIX seconds). A slot of None: that plan does not hold."""

    routes: tuple[Routes, ...]
    clusters: frozenset[str]
    slots: tuple[int | None, ...]
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

    def __init__(self, routes: tuple[Routes, ...], slots: tuple[int | None, ...], lost: frozenset[str], draws: Draws,
                 seed: int) -> None:
        super().__init__()
        self.routes, self.slots, self.lost, self.draws, self.seed = routes, slots, lost, draws, seed

    def __missing__(self, workload: str) -> _Way:
        if self.routes and all(slot is None for slot in self.slots):
            raise _not_now(self.routes[0])
        for routes, slot in zip(self.routes, self.slots, strict=True):
            if (streams := routes.workloads.get(workload)) is not None:
                if slot is None:
                    raise _not_now(routes)
                by_region = {stream.user_region: stream for stream in streams}
                way = self[workload] = _Way(self, routes, slot, workload, by_region)
                return way
        raise self._nowhere(workload)

    def _nowhere(self, workload: str) -> DirectingError:
        """Why there is no way for a workload that no plan places."""
        for routes in self.routes:
            if workload in routes.shed:
                without = f" without {', '.join(routes.down)}" if routes.down else ""
                return ShedError(f"workload: {workload}: shed by the plan in force, which has no room for it{without}")
            if workload in routes.unplaced:
                return UnknownWorkloadError(f"workload: {workload}: the plan in force places it nowhere")
        known = [name for routes in self.routes for name in routes.workloads]
        which = "the plan" if len(self.routes) == 1 else "any plan"
        return UnknownWorkloadError(f"workload: {workload}: not in {which} in force{nearest(workload, known)}")


def _not_now(routes: Routes) -> NotInForceError:
    start, end = routes.bounds()
    why = f"it holds from {start:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}: put another plan in force"
    return NotInForceError(f"plan {routes.name} {routes.plan_id[:12]}: not in force now: {why}")


class _Way(dict[str | None, Choice[Direction]]):
    """The choice of every user region of a workload, worked out when first asked for."""

    def __init__(self, ways: _Ways, routes: Routes, slot: int, workload: str,
                 streams: Mapping[str | None, Stream]) -> None:
        super().__init__()
        self._ways, self._routes, self._slot, self._workload = ways, routes, slot, workload
        self._streams = streams

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
        lost, routes = self._ways.lost, self._routes
        losses = [loss for loss in routes.clusters[unit.cluster] if loss in unit.fallbacks]
        ways = [unit.cluster, *(unit.fallbacks[loss] for loss in losses)]
        there = next((cluster for cluster in ways if cluster not in lost), None)
        plan_id = routes.plan_of(self._workload)
        return None if there is None else Direction(self._workload, region, there, unit.cluster, plan_id)
