"""Kueue: ClusterQueues, Cohorts, ResourceFlavors and LocalQueues, with the nodes and the work that there are.

A file or folder with a ClusterQueue is a cluster of its name. Every queue has a pool of its own in every flavor, as
large as its quota and what it may borrow; limits hold what queues of a cohort may use together, so that a plan borrows
and lends as Kueue does. Quotas count whole machines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from planner.errors import InputError
from planner.importers.draft import Asked, Draft, Fields, number, plain
from planner.importers.kubernetes import STAND_IN, workload_names
from planner.importers.kubernetes_priority import Priorities
from planner.importers.kueue_flavors import TOLERANCE, Base, Flavor, Room, flavors_of, machines_in, usable
from planner.importers.kueue_quotas import Cap, Quotas, quotas_of
from planner.importers.kueue_work import Submitted, local_queues, submitted
from planner.importers.sources import Source, read_sources
from planner.kube.pods import Needs

NOTHING_KNOWN = {"vcpu": 1.0, "memory_gib": 4.0}
"""What a queue's work asks for where nothing says what is submitted to it."""


def read(sources: Sequence[str], asked: Asked) -> Draft:
    """Every cluster with queues of some files and folders. Raises InputError where there is no ClusterQueue."""
    draft, found = Draft(), read_sources(sources, asked)
    clusters = found.clusters("ClusterQueue")
    if not clusters:
        needed = "`kubectl get clusterqueues,resourceflavors,localqueues,cohorts -A -o json` writes what is needed"
        raise InputError([f"{found.names}: no ClusterQueue: {needed}"])
    every = [_Cluster.of(name, source, asked, draft) for name, source in clusters.items()]
    names = workload_names([(one.name, work.key) for one in every for work in one.work])
    priorities = Priorities.of(found.things, [work.spec for one in every for work in one.work])
    for one in every:
        draft.clusters.append(one.fields)
        draft.more.setdefault("limits", []).extend(one.limits)
        for work in one.work:
            one.add(work, names[one.name, work.key], priorities, asked, draft)
        for (namespace, name), queue in one.silent:
            one.add_unknown(f"{namespace}/{name}" if len(every) == 1 else f"{one.name}/{namespace}/{name}", queue,
                            asked, draft)
    if not draft.more["limits"]:
        del draft.more["limits"]
    if not draft.workloads:
        raise InputError([f"{found.names}: no LocalQueue that takes work: there is nothing to plan"])
    return draft


@dataclass(frozen=True, slots=True)
class _Pool:
    """What a queue has of the machines of a flavor."""

    name: str
    queue: str
    flavor: str
    room: Room


@dataclass(frozen=True, slots=True)
class _Cluster:
    """A cluster with its pools, what is submitted to it, and the LocalQueues of which nothing is known."""

    name: str
    fields: Fields
    limits: list[Fields]
    pools: tuple[_Pool, ...]
    flavors: dict[str, Flavor]
    work: tuple[Submitted, ...]
    silent: tuple[tuple[tuple[str, str], str], ...]

    @classmethod
    def of(cls, name: str, source: Source, asked: Asked, draft: Draft) -> _Cluster:
        """Read the objects of a cluster. Raises InputError where no quota holds anything."""
        quotas = quotas_of(source.things, draft)
        queues = local_queues(source.things, quotas, draft)
        work = tuple(submitted(source.things, queues, draft))
        needs: dict[str, list[Needs]] = {}
        for one in work:
            for flavor in quotas.queues[one.queue].quotas:
                needs.setdefault(flavor, []).append(one.spec.needs())
        fields, flavors = flavors_of(name, source.things, quotas, needs, asked, draft)
        made = _Pools(name, quotas, flavors, draft)
        if not made.fields:
            raise InputError([f"{source.name}: no quota of a ClusterQueue that holds anything: there is no room"])
        used = {one.queue for one in work}
        silent = tuple((key, queue) for key, queue in queues.items() if queue not in used)
        return cls(name, fields | {"pools": made.fields}, made.limits, tuple(made.pools), flavors, work, silent)

    def add(self, work: Submitted, name: str, priorities: Priorities, asked: Asked, draft: Draft) -> None:
        """Add what is submitted; what no quota holds is left out and told."""
        batch = work.batch(name, asked, draft) if work.jobs else None
        if work.jobs and batch is None:
            return
        needs = work.spec.needs()
        request: Room = {"vcpu": needs.vcpu or STAND_IN["cpu"], "memory_gib": needs.memory_gib or STAND_IN["memory"],
                         "disk_gib": needs.disk_gib, "gpu": max(needs.devices.values(), default=0)}
        if not (needs.vcpu and needs.memory_gib):
            draft.guess("workloads.*.request", "0.1 vCPU, 200 MB", "containers without a request", name)
        pools = [pool for pool in self.pools if pool.queue == work.queue
                 and self.flavors[pool.flavor].takes(work.spec.fields)
                 and all(amount <= pool.room.get(what, 0.0) + TOLERANCE for what, amount in request.items())]
        if not pools:
            draft.guess("workloads.*", "left out", "no flavor of its queue has room for one pod and takes it", name)
            return
        if not work.jobs:
            draft.guess("workloads.*.replicas", "those of now in all slots", "how long it runs is not stated", name)
        draft.workloads.append(self._workload(name, work.queue, request, pools, work.replicas, asked, draft) | plain({
            "priority": priorities.level(work.spec, name, draft), "batch": batch}))

    def add_unknown(self, name: str, queue: str, asked: Asked, draft: Draft) -> None:
        """Add a stand-in for a queue of which nobody says what is submitted to it."""
        pools = [pool for pool in self.pools if pool.queue == queue]
        if not pools:
            draft.guess("workloads.*", "left out", "queues without a quota", name)
            return
        request = {what: min(amount, *(pool.room[what] for pool in pools)) for what, amount in NOTHING_KNOWN.items()}
        request["gpu"] = float(all(pool.room["gpu"] for pool in pools))
        why = "nothing says what is submitted to it: add its Jobs or Workloads, or put in what it needs"
        draft.guess("workloads.*.request", "one small replica", why, name)
        draft.workloads.append(self._workload(name, queue, request, pools, 1, asked, draft))

    def _workload(self, name: str, queue: str, request: Room, pools: Sequence[_Pool], replicas: int, asked: Asked,
                  draft: Draft) -> Fields:
        kind = "training" if request.get("gpu") else "etl"
        draft.guess("workloads.*.kind", kind, "work with GPUs is training, all other is etl", name)
        spot = all(self.flavors[pool.flavor].spot for pool in pools)
        if spot:
            draft.guess("workloads.*.preemptible", "true", "all flavors of its queue that it may have are spot", name)
        amounts = {what: int(amount) if what == "gpu" else number(amount) for what, amount in request.items() if amount}
        legal = [f"{self.name}/{pool.name}" for pool in pools]
        return plain({"name": name, "kind": kind, "owner": queue, "request": amounts,
                      "replicas": [replicas] * asked.slots, "preemptible": True if spot else None,
                      "clusters": {"pin": legal[0]} if len(legal) == 1 else {"allow": legal}})


class _Pools:
    """Pools of every queue in every flavor, and what bounds several of them together."""

    def __init__(self, cluster: str, quotas: Quotas, flavors: dict[str, Flavor], draft: Draft) -> None:
        self.fields: list[Fields] = []
        self.limits: list[Fields] = []
        self.pools: list[_Pool] = []
        for name, flavor in flavors.items():
            caps = list(quotas.caps(name))
            whole = [pool for queue in quotas.queues for base in flavor.bases
                     for pool in self._add(cluster, queue, name, base, quotas, caps, draft)]
            self._limit(cluster, name, flavor, caps, whole, draft)

    def _add(self, cluster: str, queue: str, flavor: str, base: Base, quotas: Quotas, caps: Sequence[Cap],
             draft: Draft) -> Iterator[_Pool]:
        """The pool of a queue; only one of whole machines counts for limits, and is given back."""
        own = quotas.queues[queue].nominal(flavor)
        if not own:
            return
        most = min((machines_in(cap.amounts, base.room) for cap in caps if queue in cap.queues), default=inf)
        where, name = "clusters.*.pools.max", f"{queue}-{flavor}" + (f"-{base.name}" if base.name != flavor else "")
        if base.count is not None and most > base.count:
            draft.guess(where, "the nodes that there are", "quotas above what the nodes have", f"{cluster}/{name}")
            most = base.count
        if most == inf:
            draft.guess(where, "left out", "quotas of pods or devices only: of what machines have none", name)
            return
        fields, room = {"name": name} | {key: value for key, value in base.fields.items() if key != "name"}, base.room
        offers = [{key: value for key, value in offer.items() if key not in ("owned", "max")}
                  for offer in base.fields["offers"]]
        if most < 1:
            quota = usable(own)
            room = {what: min(amount, quota.get(what, amount)) for what, amount in base.room.items()}
            if not room["vcpu"] or not room["memory_gib"]:
                return
            taken = fields.get("reserved", {})
            kept = {what: number(taken.get(what, 0) + amount - room[what]) for what, amount in base.room.items()}
            fields["reserved"] = plain({what: int(value) if what == "gpu" else value for what, value in kept.items()
                                        if value})
            draft.guess("clusters.*.pools.reserved", "what is not its own", "quotas below one machine: they neither "
                        "borrow nor lend", f"{cluster}/{name}")
        self.fields.append(plain({**fields, "max": max(1, int(most)), "offers": offers}))
        pool = _Pool(name, queue, flavor, room)
        self.pools.append(pool)
        if most >= 1:
            yield pool

    def _limit(self, cluster: str, name: str, flavor: Flavor, caps: Sequence[Cap], pools: Sequence[_Pool],
               draft: Draft) -> None:
        """Rows that hold what several pools of a flavor use together, in machines with the most room."""
        if not flavor.bases:
            return
        room = {what: max(base.room[what] for base in flavor.bases) for what in flavor.bases[0].room}
        for cap in caps:
            held = [f"{cluster}/{pool.name}" for pool in pools if pool.queue in cap.queues]
            most = machines_in(cap.amounts, room)
            if len(held) > 1 and most != inf:
                self.limits.append({"name": f"{cluster}-{cap.name}-{name}", "pools": held, "measure": "machines",
                                    "max": int(most)})
        for base in flavor.bases:
            if base.count is None:
                continue
            held = [f"{cluster}/{pool.name}" for pool in pools
                    if base.name in (name, pool.name.removeprefix(f"{pool.queue}-{name}-"))]
            if len(held) > 1:
                self.limits.append({"name": f"{cluster}-{base.name}-nodes", "pools": held, "measure": "machines",
                                    "max": base.count})
        if pools:
            draft.guess("clusters.*.pools.max", "whole machines", "quotas count what pods ask for; every queue has "
                        "machines of its own here", f"{cluster}/{name}")
