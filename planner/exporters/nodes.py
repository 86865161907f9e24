"""Machines of a plan as Node objects, for simulators of clusters such as KWOK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from planner.exporters.planned import Machines
from planner.kube import labels
from planner.kube.quantities import cpu_there, gib_there
from planner.scenario.model import Machine, Reserved

PODS = 110
"""Pods that a node takes, as the kubelet's default has it."""


def nodes(machines: Machines, slot: int) -> Iterator[dict[str, Any]]:
    """Nodes that run in a slot: the shape as capacity, less what is reserved as allocatable."""
    cluster, pool, machine = machines.cluster, machines.pool, machines.pool.machine
    zone = {labels.ZONE: labels.label_value(pool.zone)} if pool.zone else {}
    kind = {labels.MACHINE: labels.label_value(machine.name)} if machine.name else {}
    gpu = {labels.GPU_MODEL: labels.label_value(machine.gpu_model)} if machine.gpu_count and machine.gpu_model else {}
    common = {**labels.MANAGED_BY, labels.POOL: labels.label_value(pool.name), labels.PURCHASE: machines.purchase,
              labels.REGION: labels.label_value(cluster.region), **zone, **kind, **gpu,
              labels.ARCH: labels.ARCHES.get(machine.arch, machine.arch)}
    for number in range(machines.count[slot]):
        name = labels.dns_label(f"{cluster.name}-{pool.name}-{machines.purchase.replace('_', '-')}-{number}")
        yield {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **common},
                         "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "status": {"capacity": _resources(machine, Reserved()),
                       "allocatable": _resources(machine, pool.reserved),
                       "conditions": [{"type": "Ready", "status": "True"}]},
        }


def _resources(machine: Machine, reserved: Reserved) -> dict[str, str]:
    """What a machine has, less what is reserved."""
    gpus = machine.gpu_count - reserved.gpu
    return {"cpu": cpu_there(max(0.0, machine.vcpu - reserved.vcpu)),
            "memory": gib_there(max(0.0, machine.memory_gib - reserved.memory_gib)),
            **({"ephemeral-storage": gib_there(max(0.0, machine.disk_gib - reserved.disk_gib))}
               if machine.disk_gib is not None else {}),
            **({labels.gpu_resource(machine.gpu_model): str(max(0, gpus))} if machine.gpu_count else {}),
            "pods": str(PODS)}
