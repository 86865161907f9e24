"""Kueue: quotas that are the plan's machines, and for MultiKueue the clusters of every workload in order.

`manager/` is for the management cluster: a ClusterQueue for every workload, whose quota is what its units need, and a
MultiKueueConfig that names its clusters in the plan's order. A folder for every cluster has a ResourceFlavor for each
pool and purchase and one ClusterQueue, whose quotas are whole machines times the room on one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from planner.errors import InputError
from planner.exporters.planned import Machines, Planned, Unit
from planner.exporters.ranking import ranking
from planner.exporters.text import Files, documents
from planner.kube import labels
from planner.kube.labels import dns_label
from planner.kube.quantities import cpu_there, gib_there, needed_cpu, needed_gib
from planner.scenario.model import Request
from planner.supply import RESOURCES, room_on_one

API = "kueue.x-k8s.io/v1beta2"
QUEUE, FLAVOR, NAMESPACE = "planned", "planned", "default"
MOST_FLAVORS, MOST_CLUSTERS = 64, 20
"""What a ClusterQueue and a MultiKueueConfig take."""

Manifest = dict[str, Any]


def export(planned: Planned, slot: int | None) -> Files:
    """Quotas of a slot; left out, the most machines of each offer, and the most of each workload, in any slot."""
    if slot is not None:
        planned.check_slot(slot)
    files: Files = {}
    for cluster in planned.clusters:
        machines = planned.machines_in(cluster.name)
        if not machines:
            continue
        if len(machines) > MOST_FLAVORS:
            most = f"a ClusterQueue of Kueue takes {MOST_FLAVORS}: split the cluster"
            raise InputError([f"clusters.{cluster.name}: {len(machines)} pools by purchase: {most}"])
        folder = dns_label(cluster.name)
        files[f"{folder}/flavors.yaml"] = documents([_flavor(row) for row in machines])
        units = planned.units_in(cluster.name)
        disk = any(unit.request.disk_gib for unit in units)
        queues = [_cluster_queue(QUEUE, [_quotas(_flavor_name(row), _room(row, slot, disk)) for row in machines])]
        named = dict.fromkeys(unit.workload.name for unit in units)
        files[f"{folder}/queues.yaml"] = documents([*queues, *(_local_queue(name, QUEUE) for name in named)])
    return files | _manager(planned, slot)


def _manager(planned: Planned, slot: int | None) -> Files:
    names = sorted({unit.workload.name for unit in planned.units})
    rankings = {name: ranking(planned, name)[:MOST_CLUSTERS] for name in names}
    clusters = sorted({cluster for found in rankings.values() for cluster in found})
    flavor = {"apiVersion": API, "kind": "ResourceFlavor", "metadata": _metadata(FLAVOR), "spec": {}}
    queues = [made for name in names for made in _workload_queue(planned, name, slot)]
    checks = [made for name in names for made in _check(name, rankings[name])]
    return {"manager/clusters.yaml": documents([_worker(name) for name in clusters]),
            "manager/queues.yaml": documents([flavor, *queues]), "manager/order.yaml": documents(checks)}


def _workload_queue(planned: Planned, name: str, slot: int | None) -> Iterator[Manifest]:
    quotas = _quotas(FLAVOR, _needed(planned.units_of(name), slot))
    queue = _cluster_queue(dns_label(name), [quotas])
    queue["spec"]["admissionChecksStrategy"] = {"admissionChecks": [{"name": dns_label(name)}]}
    yield queue
    yield _local_queue(name, dns_label(name))


def _check(name: str, clusters: Sequence[str]) -> Iterator[Manifest]:
    """The admission check that sends a workload to its clusters, the first ones first."""
    parameters = {"apiGroup": "kueue.x-k8s.io", "kind": "MultiKueueConfig", "name": dns_label(name)}
    yield {"apiVersion": API, "kind": "AdmissionCheck", "metadata": _metadata(dns_label(name)),
           "spec": {"controllerName": "kueue.x-k8s.io/multikueue", "parameters": parameters}}
    yield {"apiVersion": API, "kind": "MultiKueueConfig", "metadata": _metadata(dns_label(name)),
           "spec": {"clusters": [dns_label(cluster) for cluster in clusters]}}


def _worker(cluster: str) -> Manifest:
    """A cluster that MultiKueue may send to; its kubeconfig is in a secret of this name."""
    source = {"kubeConfig": {"locationType": "Secret", "location": f"{dns_label(cluster)}-kubeconfig"}}
    return {"apiVersion": API, "kind": "MultiKueueCluster", "metadata": _metadata(dns_label(cluster)),
            "spec": {"clusterSource": source}}


def _flavor(row: Machines) -> Manifest:
    tags = {labels.POOL: labels.label_value(row.pool.name), labels.PURCHASE: row.purchase}
    return {"apiVersion": API, "kind": "ResourceFlavor", "metadata": _metadata(_flavor_name(row)),
            "spec": {"nodeLabels": tags}}


def _flavor_name(row: Machines) -> str:
    return dns_label(f"{row.pool.name}-{row.purchase.replace('_', '-')}")


def _cluster_queue(name: str, flavors: Sequence[Manifest]) -> Manifest:
    """A ClusterQueue whose flavors all cover the same resources; one that a flavor lacks has a quota of 0."""
    covered = list(dict.fromkeys(quota["name"] for flavor in flavors for quota in flavor["resources"]))
    for flavor in flavors:
        there = {quota["name"]: quota for quota in flavor["resources"]}
        flavor["resources"] = [there.get(name, {"name": name, "nominalQuota": "0"}) for name in covered]
    group = {"coveredResources": covered, "flavors": list(flavors)}
    return {"apiVersion": API, "kind": "ClusterQueue", "metadata": _metadata(name),
            "spec": {"namespaceSelector": {}, "resourceGroups": [group]}}


def _local_queue(workload: str, queue: str) -> Manifest:
    return {"apiVersion": API, "kind": "LocalQueue",
            "metadata": {**_metadata(dns_label(workload)), "namespace": NAMESPACE}, "spec": {"clusterQueue": queue}}


def _quotas(flavor: str, amounts: Iterable[tuple[str, str]]) -> Manifest:
    return {"name": flavor, "resources": [{"name": name, "nominalQuota": amount} for name, amount in amounts]}


def _room(row: Machines, slot: int | None, disk: bool) -> Iterator[tuple[str, str]]:
    """Room on all machines of an offer together: whole machines times what one has for replicas.

    `disk` says whether anybody asks for it: nodes often have another disk than their machine type could have.
    """
    machines = max(row.count) if slot is None else row.count[slot]
    room = dict(zip(RESOURCES, room_on_one(row.pool), strict=True))
    yield "cpu", cpu_there(room["vcpu"], machines)
    yield "memory", gib_there(room["memory_gib"], machines)
    if disk:
        yield "ephemeral-storage", gib_there(room["disk_gib"], machines)
    if room["gpu"]:
        yield labels.gpu_resource(row.pool.machine.gpu_model), str(int(room["gpu"]) * machines)


def _needed(units: Sequence[Unit], slot: int | None) -> Iterator[tuple[str, str]]:
    """What all replicas of a workload ask for together: of a slot, or in the slot where they are most."""
    totals = [sum(row) for row in zip(*(unit.replicas for unit in units), strict=True)]
    replicas = max(totals) if slot is None else totals[slot]
    request: Request = units[0].request
    yield "cpu", needed_cpu(request.vcpu, replicas)
    yield "memory", needed_gib(request.memory_gib, replicas)
    if request.disk_gib:
        yield "ephemeral-storage", needed_gib(request.disk_gib, replicas)
    if request.gpu:
        yield labels.gpu_resource(units[0].pool.machine.gpu_model), str(request.gpu * replicas)


def _metadata(name: str) -> Manifest:
    return {"name": name, "labels": labels.MANAGED_BY}
