"""KEDA ScaledObjects that give every Deployment of `planner export kubernetes` the replicas of each slot.

A cron trigger holds from its start up to its end; of several the most replicas count, and with none `minReplicaCount`.
A unit that needs the same in all slots has no ScaledObject: its Deployment says it. Batch units run as CronJobs.
"""

from __future__ import annotations

from typing import Any

from planner.exporters.planned import Planned, Unit
from planner.exporters.pods import unit_labels
from planner.exporters.schedule import ZONE, check_year, crons, spans
from planner.exporters.text import Files, documents
from planner.kube.labels import dns_label


def export(planned: Planned, slot: int | None) -> Files:
    """`scaledobjects.yaml` in a folder for every cluster. The slot makes no difference."""
    planned.check_slot(slot)
    check_year(planned.horizon, "KEDA")
    files: Files = {}
    for cluster in planned.clusters:
        scaled = [scaled_object(unit, planned) for unit in planned.units_in(cluster.name)
                  if not unit.batch and len(set(unit.replicas)) > 1]
        if scaled:
            files[f"{dns_label(cluster.name)}/scaledobjects.yaml"] = documents(scaled)
    return files


def scaled_object(unit: Unit, planned: Planned) -> dict[str, Any]:
    """Replicas of a unit by the clock."""
    least = min(unit.replicas)
    above = [span for span in spans(unit.replicas, planned.horizon) if span.value > least]
    triggers = [{"type": "cron", "metadata": {"timezone": ZONE, "start": found.start, "end": found.end,
                                              "desiredReplicas": str(found.value)}} for found in crons(above)]
    at_once = {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}
    return {
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": {"name": unit.name, "labels": unit_labels(unit)},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": unit.name},
                 "minReplicaCount": least, "maxReplicaCount": max(unit.replicas), "cooldownPeriod": 0,
                 "advanced": {"horizontalPodAutoscalerConfig": at_once}, "triggers": triggers},
    }
