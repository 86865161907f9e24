"""PlacementDecisions of SIG-Multicluster (KEP-5313): the clusters of every workload, for whoever deploys to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from planner.exporters.planned import Planned
from planner.exporters.text import Files, documents
from planner.kube import labels
from planner.kube.labels import dns_label

NAMESPACE, SCHEDULER = "default", "workload-planner"
SLICE = 100
"""Decisions that one object may hold; the rest go into further ones."""


def export(planned: Planned, slot: int | None) -> Files:
    """`decisions.yaml`: clusters named as ClusterProfiles are. All slots are alike."""
    planned.check_slot(slot)
    names = sorted({unit.workload.name for unit in planned.units})
    return {"decisions.yaml": documents([found for name in names for found in _slices(planned, name)])}


def _slices(planned: Planned, workload: str) -> Iterator[dict[str, Any]]:
    """Clusters in the order of the workload's units, as many objects as they need."""
    why = next((row.why for row in planned.plan.reasons if row.workload == workload), "")
    clusters = list(dict.fromkeys(unit.cluster.name for unit in planned.units_of(workload)))
    decisions = [{"clusterProfileRef": {"name": dns_label(cluster)}, **({"reason": why} if why else {})}
                 for cluster in clusters]
    name = dns_label(workload)
    for number, first in enumerate(range(0, len(decisions), SLICE)):
        tags = {"multicluster.x-k8s.io/decision-key": name, "multicluster.x-k8s.io/placement-key": name,
                "multicluster.x-k8s.io/decision-index": str(number)}
        yield {"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "PlacementDecision",
               "metadata": {"name": dns_label(f"{name}-{number}"), "namespace": NAMESPACE,
                            "labels": labels.MANAGED_BY | tags},
               "decisions": decisions[first:first + SLICE], "schedulerName": SCHEDULER}
