"""Units of a plan as Deployments and CronJobs: what they ask for, and on which machines they may run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from planner.exporters.planned import Planned, Unit
from planner.exporters.schedule import ZONE as UTC_ZONE
from planner.exporters.schedule import cron
from planner.kube import labels
from planner.kube.quantities import needed_cpu, needed_gib
from planner.scenario.model import Pool, Request, Workload

Manifest = dict[str, Any]
BACKOFF = 3
"""Times that a Job starts a failed pod again."""


def deployment(unit: Unit, replicas: int) -> Manifest:
    """A unit that runs all the time, with so many replicas."""
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(unit),
        "spec": {"replicas": replicas, "selector": {"matchLabels": {labels.UNIT: unit.name}},
                 "template": _template(unit, _spread(unit))},
    }


def cron_jobs(unit: Unit, planned: Planned) -> Iterator[Manifest]:
    """A batch unit: gangs that start when the plan says. Runs at the same time of day share a CronJob."""
    def alike(slot: int) -> tuple[int, int, int]:
        moment = planned.moment(slot)
        return moment.month, moment.hour, moment.minute

    starts = sorted((run.start for run in unit.runs), key=lambda slot: (alike(slot), slot))
    groups = [list(group) for _, group in groupby(starts, alike)]
    for number, group in enumerate(sorted(groups), 1):
        name = unit.name if len(groups) == 1 else labels.dns_label(f"{unit.name}-{number}", 52)
        yield _cron_job(unit, name, cron([planned.moment(slot) for slot in group]), planned.horizon.slot_minutes)


def _cron_job(unit: Unit, name: str, schedule: str, slot_minutes: int) -> Manifest:
    gang, minutes = unit.runs[0].replicas, (unit.runs[0].end - unit.runs[0].start) * slot_minutes
    job = {"parallelism": gang, "completions": gang, "backoffLimit": BACKOFF,
           "template": _template(unit, {"restartPolicy": "Never"})}
    if gang > 1:
        job["completionMode"] = "Indexed"
    return {
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": _metadata(unit, **{labels.RUN_MINUTES: str(minutes)}) | {"name": name},
        "spec": {"schedule": schedule, "timeZone": UTC_ZONE, "concurrencyPolicy": "Forbid",
                 "jobTemplate": {"spec": job}},
    }


NATIVE = {"kind", "priority", "request", "replicas"}
"""Fields of a workload that its manifest says by itself."""


def _metadata(unit: Unit, **annotations: str) -> Manifest:
    """Name, labels, and as an annotation what Kubernetes has no field for: objectives, residency, runbook and so on."""
    if unit.whole:
        fields = unit.workload.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=NATIVE)
        more = {"network_gbps": unit.request.network_gbps} if unit.request.network_gbps else {}
        annotations[labels.WORKLOAD] = json.dumps({**fields, **more}, ensure_ascii=False)
    found = {"annotations": dict(sorted(annotations.items()))} if annotations else {}
    return {"name": unit.name, "labels": unit_labels(unit), **found}


def unit_labels(unit: Unit) -> dict[str, str]:
    """Labels of all objects of a unit."""
    users = {labels.USERS: labels.label_value(unit.user_region.replace("/", "."))} if unit.user_region else {}
    return workload_labels(unit.workload) | {labels.UNIT: unit.name} | users


def workload_labels(workload: Workload) -> dict[str, str]:
    """Labels of all objects of a workload."""
    pipeline = {"app.kubernetes.io/part-of": labels.label_value(workload.pipeline)} if workload.pipeline else {}
    return {"app.kubernetes.io/name": labels.label_value(workload.name), **pipeline, **labels.MANAGED_BY,
            labels.KIND: workload.kind}


def _template(unit: Unit, more: Manifest) -> Manifest:
    """A pod of a unit, with `more` in its spec."""
    spec = {**more, "nodeSelector": node_selector(unit.pool), **affinity(unit.workload, [unit.pool]),
            **tolerations(unit.request, unit.pool.machine.gpu_model),
            "priorityClassName": priority_class(unit.workload.priority),
            "containers": [container(unit.workload, unit.request, unit.pool.machine.gpu_model)]}
    return {"metadata": {"labels": unit_labels(unit)}, "spec": spec}


def node_selector(pool: Pool) -> dict[str, str]:
    """Labels of the nodes of a pool."""
    zone = {labels.ZONE: labels.label_value(pool.zone)} if pool.zone else {}
    return {labels.POOL: labels.label_value(pool.name), **zone}


def affinity(workload: Workload, pools: Sequence[Pool]) -> Manifest:
    """Keeps work that may not be interrupted from spot nodes, where a pool has any."""
    spot = any(offer.purchase == "spot" for pool in pools for offer in pool.offers)
    if workload.preemptible or not spot:
        return {}
    rule = {"key": labels.PURCHASE, "operator": "NotIn", "values": ["spot"]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


def tolerations(request: Request, gpu_model: str | None) -> Manifest:
    """Lets pods with GPUs onto nodes that are kept for them."""
    if not request.gpu:
        return {}
    return {"tolerations": [{"key": labels.gpu_resource(gpu_model), "operator": "Exists", "effect": "NoSchedule"}]}


def _spread(unit: Unit) -> Manifest:
    """Replicas evenly over the zones of the cluster, where the pool is not in one."""
    if unit.pool.zone:
        return {}
    return {"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": labels.ZONE, "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {labels.UNIT: unit.name}}}]}


def container(workload: Workload, request: Request, gpu_model: str | None) -> Manifest:
    """The container of a replica. Its image is named after the workload, for `images` of a kustomization to set."""
    gpus = {labels.gpu_resource(gpu_model): str(request.gpu)} if request.gpu else {}
    disk = {"ephemeral-storage": needed_gib(request.disk_gib)} if request.disk_gib else {}
    requests = {"cpu": needed_cpu(request.vcpu), "memory": needed_gib(request.memory_gib), **disk, **gpus}
    name = labels.dns_label(workload.name)
    return {"name": name, "image": name, "resources": {"requests": requests} | ({"limits": gpus} if gpus else {})}


def priority_class(priority: int) -> str:
    """Name of the PriorityClass of a priority 0..100."""
    return f"planner-{priority}"


def priority_classes(units: Sequence[Unit]) -> Iterator[Manifest]:
    """PriorityClasses that units name, each with the workload's priority as its value."""
    for priority in sorted({unit.workload.priority for unit in units}):
        yield {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
               "metadata": {"name": priority_class(priority), "labels": labels.MANAGED_BY}, "value": priority,
               "description": f"Workloads of priority {priority} in plans"}
