"""Clusters of Kubernetes: `kubectl get nodes,pods -A -o json` (and Deployments, Jobs and so on, where they are too).

A file or folder is a cluster of its name. Nodes become pools, less what nodes and DaemonSets take, without those that
are cordoned or not ready; what runs or waits becomes workloads, which may run where their selectors, affinities and
tolerations let them. Range queries of Prometheus become their history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planner.errors import InputError
from planner.importers.draft import Asked, Draft, Fields, number, plain
from planner.importers.kubernetes_again import again, renamed, stated_cluster, stated_workload, with_stated
from planner.importers.kubernetes_batch import batch_of
from planner.importers.kubernetes_history import add_history
from planner.importers.kubernetes_nodes import NodePool, cluster_fields, gpus, node_pools, spot_nodes
from planner.importers.kubernetes_priority import Priorities
from planner.importers.kubernetes_work import Key, Spec, Work, daemon_needs, work_of
from planner.importers.prometheus import series_of
from planner.importers.sources import Sources, read_sources
from planner.kube import labels
from planner.kube.objects import Thing
from planner.kube.pods import Needs
from planner.kube.scheduling import may_run

STAND_IN = {"cpu": 0.1, "memory": 0.1862645149}
"""vCPU and GiB (200 MB) of a pod that states no request, as Kubernetes' scheduler counts it when it scores nodes."""
TOLERANCE = 1e-6
"""How much over the room a request may be, as for placements."""


def read(sources: Sequence[str], asked: Asked) -> Draft:
    """Every cluster of some files and folders. Raises InputError where there is no node at all."""
    found = read_sources(sources, asked)
    draft = scenario_of(found, asked)
    if any(thing.kind == "NodePool" for thing in found.things):
        why = "NodePools are not read: `planner import karpenter` does"
        draft.guess("clusters.*.pools", "nodes that there are", why)
    return draft


def scenario_of(sources: Sources, asked: Asked) -> Draft:
    """Every cluster among some objects. Raises InputError where there is no node at all."""
    draft = Draft()
    clusters = sources.clusters("Node")
    if not clusters:
        raise InputError([f"{sources.names}: no Node: `kubectl get nodes,pods -A -o json` writes what is needed"])
    found = [_Cluster.of(name, source.things, asked, draft) for name, source in clusters.items()]
    names = workload_names([(cluster.name, work.key) for cluster in found for work in cluster.work])
    priorities = Priorities.of(sources.things, [spec for cluster in found for work in cluster.work
                                                for spec in work.specs])
    for cluster, source in zip(found, clusters.values(), strict=True):
        draft.clusters.append(cluster.fields)
        for work in cluster.work:
            fields = cluster.workload(work, names[cluster.name, work.key], priorities, asked, draft)
            if fields is not None:
                if len(found) > 1 and "clusters" not in fields:
                    fields["clusters"] = {"allow": [cluster.name]}
                    draft.guess("workloads.*.clusters.allow", "its own cluster", "it stays where it runs; widen it to "
                                "let the plan move it", fields["name"])
                draft.workloads.append(fields)
        if results := source.results:
            own = {key: name for (home, key), name in names.items() if home == cluster.name}
            add_history(series_of(results), own, cluster.work, asked, draft)
        else:
            for name in (names[cluster.name, work.key] for work in cluster.work if not work.batch):
                draft.guess("workloads.*.replicas", "those of now in all slots", "no history of demand is given", name)
    return draft


@dataclass(frozen=True, slots=True)
class _Cluster:
    """A cluster with the pools that take pods, and what runs on it."""

    name: str
    fields: Fields
    pools: tuple[NodePool, ...]
    work: tuple[Work, ...]
    spot: frozenset[str]

    @classmethod
    def of(cls, name: str, things: Sequence[Thing], asked: Asked, draft: Draft) -> _Cluster:
        """Read the objects of a cluster."""
        nodes = [thing for thing in things if thing.kind == "Node"]
        work = work_of(things)
        by_zone = any(labels.ZONE in str(spec.fields.get(part)) for one in work for spec in one.specs
                      for part in ("nodeSelector", "affinity"))
        pools = node_pools(nodes, by_zone)
        daemons, vague = daemon_needs(things)
        for daemon in vague:
            draft.guess(f"clusters.{name}.pools.*.reserved", 0, "DaemonSets with containers without requests", daemon)
        stated = stated_cluster(things)
        fields = cluster_fields(name, nodes, pools, daemons, asked, Draft() if stated else draft)
        if stated:
            fields, pools = with_stated(fields, stated), renamed(pools, stated)
            name = fields["name"]
        if "pools" not in fields:
            raise InputError([f"{nodes[0].file}: {len(nodes)} nodes: none is ready and takes pods: there is no room"])
        return cls(name, fields, tuple(pool for pool in pools if pool.nodes), tuple(work),
                   frozenset(spot_nodes(pools, fields["provider"])))

    def workload(self, work: Work, name: str, priorities: Priorities, asked: Asked, draft: Draft) -> Fields | None:
        """The fields of a workload; None, and told, where it does not run or no pool of the cluster can take it."""
        batch = batch_of(work.things, name, asked, draft) if work.batch else None
        if work.batch and batch is None:
            return None
        specs, stated = work.specs, stated_workload(work)
        if stated:
            level = priorities.level(specs[0], name, draft)
            return again(work, stated, _request(specs[0].needs()), level, asked.slots)
        needs = _largest([spec.needs() for spec in specs], name, draft)
        legal = [pool.name for pool, room in zip(self.pools, self.rooms, strict=True)
                 if _fits(specs[0], needs, pool, room)]
        if not legal:
            draft.guess("workloads.*", "left out", "no node that takes pods is large enough and lets them in", name)
            return None
        at = {node.name: pool.name for pool in self.pools for node in pool.nodes}
        home = Counter({pool: count for node, count in work.nodes.items() if (pool := at.get(node))})
        on_spot = bool(work.nodes.keys() & self.spot)
        if on_spot:
            draft.guess("workloads.*.preemptible", "true", "it runs on spot nodes", name)
        arch = sorted({str(pool["machine"].get("arch", "x86_64")) for pool in self.fields["pools"]
                       if pool["name"] in (home or legal)})
        return plain({
            "name": name, "kind": _kind(work, bool(needs.devices), name, draft),
            "priority": priorities.level(specs[0], name, draft),
            "max_parts": len(home) if len(home) > 1 and not batch else None, "request": _request(needs),
            "hardware": {"arch": arch} if arch != ["x86_64"] else None, "replicas": [work.replicas] * asked.slots,
            "batch": batch, "preemptible": True if on_spot else None, "clusters": self._rules(legal),
            "incumbent": {"cluster": self.name, "pool": home.most_common(1)[0][0]} if home else None})

    @property
    def rooms(self) -> list[dict[str, float]]:
        """Room on one machine of each pool."""
        named = {pool["name"]: pool for pool in self.fields["pools"]}
        return [{name: found["machine"].get(name, 0) - found.get("reserved", {}).get(name, 0)
                 for name in ("vcpu", "memory_gib", "disk_gib")} for pool in self.pools for found in [named[pool.name]]]

    def _rules(self, legal: Sequence[str]) -> Fields | None:
        """Which pools it may run in, where it is not all of them."""
        if len(legal) == len(self.pools):
            return None
        named = [f"{self.name}/{pool}" for pool in legal]
        return {"pin": named[0]} if len(named) == 1 else {"allow": named}


def workload_names(keys: Sequence[tuple[str, Key]]) -> dict[tuple[str, Key], str]:
    """A name for every controller of every cluster: as short as tells it from the others."""
    forms = (lambda _, key: key[2], lambda _, key: f"{key[0]}/{key[2]}",
             lambda _, key: f"{key[0]}/{key[1].lower()}/{key[2]}",
             lambda cluster, key: f"{cluster}/{key[0]}/{key[1].lower()}/{key[2]}")
    found: dict[tuple[str, Key], str] = {}
    left = list(keys)
    for form in forms:
        times = Counter(form(*key) for key in left)
        found |= {key: form(*key) for key in left if times[form(*key)] == 1}
        left = [key for key in left if key not in found]
    return found


def _kind(work: Work, gpus: bool, name: str, draft: Draft) -> str:
    """What the planner's own label says, else a task for Jobs and a service for all else."""
    if own := work.labels.get(labels.KIND):
        return own
    job = work.key[1] in ("Job", "CronJob")
    kind = "serving" if not job else "training" if gpus else "etl"
    draft.guess("workloads.*.kind", kind, "Jobs are etl, those with GPUs training, all else is serving", name)
    return kind


def _largest(found: Sequence[Needs], name: str, draft: Draft) -> Needs:
    """The most that any pod asks for, with a stand-in for what none states."""
    where = "workloads.*.request"
    if any(one != found[0] for one in found):
        draft.guess(where, "the largest", "its pods ask for different amounts", name)
    vcpu, memory = max(one.vcpu for one in found), max(one.memory_gib for one in found)
    missing = {resource for one in found for resource in one.missing}
    if "cpu" in missing and vcpu < STAND_IN["cpu"]:
        vcpu = STAND_IN["cpu"]
        draft.guess(f"{where}.vcpu", vcpu, "containers without a CPU request", name)
    if "memory" in missing and memory < STAND_IN["memory"]:
        memory = STAND_IN["memory"]
        draft.guess(f"{where}.memory_gib", memory, "containers without a memory request", name)
    return Needs(vcpu, memory, max(one.disk_gib for one in found), found[0].devices, frozenset(missing))


def _request(needs: Needs) -> Fields:
    request: Fields = {"vcpu": number(needs.vcpu), "memory_gib": number(needs.memory_gib)}
    if needs.devices:
        request["gpu"] = max(needs.devices.values())
    if needs.disk_gib:
        request["disk_gib"] = number(needs.disk_gib)
    return request


def _fits(spec: Spec, needs: Needs, pool: NodePool, room: Mapping[str, float]) -> bool:
    """Whether a node of a pool has the room and the devices that a pod asks for, and lets it in."""
    devices = dict(gpus(pool.nodes[0])[:1])
    large_enough = all(getattr(needs, name) <= amount + TOLERANCE for name, amount in room.items())
    return large_enough and all(devices.get(name, 0) >= count for name, count in needs.devices.items()) and any(
        may_run(spec.fields, node) for node in pool.nodes)
