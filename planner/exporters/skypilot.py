"""SkyPilot tasks: where each unit runs, where it goes when that is lost, and what comes next, as `resources.ordered`.

A node of a task is a machine of the plan, `num_nodes` as many as the unit would fill by itself where it needs most. Own
clusters are Kubernetes contexts of their name, where a node is a pod as large as the room on a machine. What a task
runs is for you to add (`setup`, `run`).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor
from typing import Any

from planner.exporters.planned import Planned, Unit
from planner.exporters.ranking import fallback_of
from planner.exporters.text import Files, documents
from planner.kube.labels import dns_label
from planner.scenario.model import Cluster, Pool, Request
from planner.supply import RESOURCES, room_on_one

CLOUDS = frozenset({"aws", "azure", "gcp", "oci", "ibm", "lambda", "runpod", "nebius", "cudo", "fluidstack",
                    "paperspace", "do", "vast", "scp", "hyperbolic", "vsphere"})
"""Providers that SkyPilot knows by these names; all others are own clusters."""


def export(planned: Planned, slot: int | None) -> Files:
    """A task for every unit, as large as in a slot; left out, as where it needs most."""
    if slot is not None:
        planned.check_slot(slot)
    return {f"{unit.name}.yaml": documents([_task(unit, planned, slot)]) for unit in planned.units}


def _task(unit: Unit, planned: Planned, slot: int | None) -> dict[str, Any]:
    replicas = max(unit.replicas) if slot is None else unit.replicas[slot]
    nodes = max(1, ceil(replicas / max(1, replicas_on(unit.pool, unit.request))))
    ordered = [entry for place in _places(unit, planned) for entry in _resources(*place, unit)]
    return {"name": unit.name, "num_nodes": nodes, "resources": {"ordered": ordered}}


def _places(unit: Unit, planned: Planned) -> list[tuple[Cluster, Pool]]:
    """Where the unit is, its fallback and the next best place, each pool once."""
    named = [(unit.cluster.name, unit.pool.name), fallback_of(planned, unit)]
    named += [tuple(row.runner_up.split("/", 1)) for row in planned.plan.reasons  # type: ignore[misc]  # two words
              if row.workload == unit.workload.name and row.runner_up]
    at = {(cluster.name, pool.name): (cluster, pool) for cluster in planned.clusters for pool in cluster.pools}
    return [at[place] for place in dict.fromkeys(named) if place in at]


def _resources(cluster: Cluster, pool: Pool, unit: Unit) -> Iterator[dict[str, Any]]:
    """Resources of a pool: first on spot, where it has any and the work may be interrupted."""
    machine = pool.machine
    known = machine.gpu_count and machine.gpu_model
    gpus = {"accelerators": f"{machine.gpu_model}:{machine.gpu_count}"} if known else {}
    if cluster.provider not in CLOUDS:
        room = dict(zip(RESOURCES, room_on_one(pool), strict=True))
        yield {"infra": f"k8s/{dns_label(cluster.name)}", "cpus": floor(room["vcpu"]),
               "memory": floor(room["memory_gib"]), **gpus}
        return
    place = {"infra": "/".join([cluster.provider, cluster.region, *([pool.zone] if pool.zone else [])]),
             "instance_type": machine.name, **gpus}
    purchases = {offer.purchase for offer in pool.offers}
    if unit.workload.preemptible and "spot" in purchases:
        yield place | {"use_spot": True}
    if purchases != {"spot"}:
        yield place | {"use_spot": False}


def replicas_on(pool: Pool, request: Request) -> int:
    """Replicas of a request alone that one machine of a pool holds."""
    asked = {"gpu": request.gpu, "vcpu": request.vcpu, "memory_gib": request.memory_gib, "disk_gib": request.disk_gib,
             "network_gbps": request.network_gbps}
    holds = [room / asked[name] for name, room in zip(RESOURCES, room_on_one(pool), strict=True) if asked[name]]
    return floor(min(holds, default=1.0) + 1e-6)
