"""Manifests of every cluster: Deployments and CronJobs with requests, node selectors, spread and replicas.

A kustomization names the images, which no scenario knows; `simulated-nodes.yaml` holds the machines for a simulator,
and no `kubectl apply -k` touches it. What Kubernetes has no field for stands in an annotation of the workload and in a
ConfigMap, so that `planner import kubernetes` reads the same cluster again.
"""

from __future__ import annotations

import json

from planner.exporters.nodes import nodes
from planner.exporters.planned import Planned
from planner.exporters.pods import Manifest, cron_jobs, deployment, priority_classes
from planner.exporters.text import Files, documents
from planner.kube.labels import CONFIG, MANAGED_BY, dns_label
from planner.scenario.model import Cluster


def export(planned: Planned, slot: int | None) -> Files:
    """A folder for every cluster with units or machines, in the state of a slot (left out: the first)."""
    at = planned.check_slot(slot)
    files: Files = {}
    for cluster in planned.clusters:
        units, machines = planned.units_in(cluster.name), planned.machines_in(cluster.name)
        folder = dns_label(cluster.name)
        if running := [node for row in machines for node in nodes(row, at)]:
            files[f"{folder}/simulated-nodes.yaml"] = documents(running)
        if units:
            steady = [deployment(unit, unit.replicas[at]) for unit in units if not unit.batch]
            batch = [job for unit in units if unit.batch for job in cron_jobs(unit, planned)]
            parts = {"cluster.yaml": [_config(cluster)], "priorities.yaml": list(priority_classes(units)),
                     "deployments.yaml": steady, "jobs.yaml": batch}
            files |= {f"{folder}/{name}": documents(objects) for name, objects in parts.items() if objects}
            files[f"{folder}/kustomization.yaml"] = _kustomization(planned, [n for n, found in parts.items() if found],
                                                                   sorted({u.workload.name for u in units}))
    return files


def _config(cluster: Cluster) -> Manifest:
    """What nodes do not say of a cluster: prices, limits, availability."""
    fields = cluster.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG, "labels": MANAGED_BY},
            "data": {"cluster.json": json.dumps(fields, indent=1, ensure_ascii=False)}}


def _kustomization(planned: Planned, resources: list[str], workloads: list[str]) -> bytes:
    """What `kubectl apply -k` takes, with a line for the image of every workload."""
    content = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources,
               "images": [{"name": dns_label(name), "newTag": "latest"} for name in workloads]}
    return f"# Plan {planned.plan.plan_id}\n".encode() + documents([content])
