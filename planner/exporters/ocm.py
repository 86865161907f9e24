"""Open Cluster Management: a score for every workload on every cluster, and a Placement that goes by it.

100: the plan has it there; 50: it falls back to there; 0: it may run there; -100: it may not. Scores are the status of
an AddOnPlacementScore in the cluster's namespace: apply them with `--server-side --subresource=status`.
"""

from __future__ import annotations

from typing import Any

from planner.exporters.planned import Planned
from planner.exporters.text import Files, documents
from planner.kube import labels
from planner.kube.labels import dns_label

PLANNED, FALLBACK, ALLOWED, FORBIDDEN = 100, 50, 0, -100
NAME, NAMESPACE = "workload-planner", "default"

Manifest = dict[str, Any]


def export(planned: Planned, slot: int | None) -> Files:
    """`scores.yaml` and `placements.yaml` for the hub. All slots are alike."""
    planned.check_slot(slot)
    names = sorted({unit.workload.name for unit in planned.units})
    return {"scores.yaml": documents([_scores(planned, cluster.name, names) for cluster in planned.clusters]),
            "placements.yaml": documents([_placement(planned, name) for name in names])}


def score(planned: Planned, workload: str, cluster: str) -> int:
    """How much a plan wants a workload on a cluster."""
    if any(unit.cluster.name == cluster for unit in planned.units_of(workload)):
        return PLANNED
    if any((row.workload, row.cluster) == (workload, cluster) for row in planned.plan.fallbacks):
        return FALLBACK
    return ALLOWED if cluster in planned.allowed[workload] else FORBIDDEN


def _scores(planned: Planned, cluster: str, names: list[str]) -> Manifest:
    return {
        "apiVersion": "cluster.open-cluster-management.io/v1alpha1", "kind": "AddOnPlacementScore",
        "metadata": {"name": NAME, "namespace": dns_label(cluster), "labels": labels.MANAGED_BY},
        "status": {"validUntil": planned.plan.valid_until,
                   "scores": [{"name": dns_label(name), "value": score(planned, name, cluster)} for name in names]},
    }


def _placement(planned: Planned, name: str) -> Manifest:
    count = len({unit.cluster.name for unit in planned.units_of(name)})
    by_score = {"scoreCoordinate": {"type": "AddOn", "addOn": {"resourceName": NAME, "scoreName": dns_label(name)}},
                "weight": 1}
    return {
        "apiVersion": "cluster.open-cluster-management.io/v1beta1", "kind": "Placement",
        "metadata": {"name": dns_label(name), "namespace": NAMESPACE, "labels": labels.MANAGED_BY},
        "spec": {"numberOfClusters": count,
                 "prioritizerPolicy": {"mode": "Exact", "configurations": [by_score]}},
    }
