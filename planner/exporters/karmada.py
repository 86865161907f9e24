"""Karmada: workloads as templates, how their replicas are divided over clusters, and on which pools they run there.

Weights are such that Karmada's own rule gives every cluster the plan's whole replicas in every slot
(`planner.exporters.division`). Where no weights hold for the whole horizon, later ones lie in `changes/`, a file for
every slot from which on they hold. A workload that is in one cluster has its fallback as second cluster affinity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from planner.exporters.division import Split, stretches
from planner.exporters.planned import Planned, Unit
from planner.exporters.pods import (
    Manifest,
    affinity,
    container,
    cron_jobs,
    priority_class,
    priority_classes,
    tolerations,
    workload_labels,
)
from planner.exporters.ranking import fallback_of
from planner.exporters.schedule import ZONE, check_year, cron, spans
from planner.exporters.text import Files, documents
from planner.kube import labels
from planner.kube.labels import dns_label
from planner.scenario.model import Pool, Workload

POLICY, AUTOSCALING = "policy.karmada.io/v1alpha1", "autoscaling.karmada.io/v1alpha1"
CRON_JOB = ("batch/v1", "CronJob")
DEPLOYMENT = ("apps/v1", "Deployment")


def export(planned: Planned, slot: int | None) -> Files:
    """Templates, policies and schedules for the Karmada control plane, in the state of a slot (left out: the first)."""
    at = planned.check_slot(slot)
    check_year(planned.horizon, "Karmada")
    steady = [_Divided.of(planned, units) for units in _by_workload(planned, batch=False)]
    batch = [unit for units in _by_workload(planned, batch=True) for unit in units]
    parts = {
        "priorities.yaml": [*priority_classes(planned.units), _priorities(planned)],
        "deployments.yaml": [one.template(at) for one in steady],
        "jobs.yaml": [job for unit in batch for job in cron_jobs(unit, planned)],
        "policies.yaml": [*(one.policy(one.weights(at)) for one in steady),
                          *(_batch_policy(unit, planned) for unit in batch)],
        "overrides.yaml": [*(one.overrides() for one in steady), *_batch_overrides(batch, planned)],
        "schedules.yaml": [one.schedule() for one in steady if len(set(one.totals)) > 1],
    }
    files = {name: documents(objects) for name, objects in parts.items() if objects}
    changes: dict[int, list[Manifest]] = {}
    for one in steady:
        for first, weights in one.stretches:
            if first > at:
                changes.setdefault(first, []).append(one.policy(weights))
    for first, objects in changes.items():
        files[f"changes/{first:05d}-{planned.moment(first):%Y%m%dT%H%MZ}.yaml"] = documents(objects)
    return files


def _by_workload(planned: Planned, batch: bool) -> Iterator[list[Unit]]:
    """Units of every workload with batch windows, or of every one without."""
    for workload in planned.workloads:
        units = [unit for unit in planned.units_of(workload.name) if unit.batch == batch]
        if units:
            yield units


@dataclass(frozen=True, slots=True)
class _Divided:
    """A workload that runs all the time: replicas of all clusters together `totals` [T], and stretches of weights."""

    planned: Planned
    units: Sequence[Unit]
    totals: Sequence[int]
    stretches: Sequence[tuple[int, Split]]

    @classmethod
    def of(cls, planned: Planned, units: Sequence[Unit]) -> _Divided:
        """All units of a workload."""
        splits = [_split(units, t) for t in range(planned.horizon.slots)]
        return cls(planned, units, [sum(split.values()) for split in splits], stretches(splits))

    @property
    def workload(self) -> Workload:
        """Whose units they are."""
        return self.units[0].workload

    @property
    def name(self) -> str:
        """Name of its objects."""
        return dns_label(self.workload.name)

    def weights(self, slot: int) -> Split:
        """Weights that hold in a slot."""
        return next(weights for first, weights in reversed(self.stretches) if first <= slot)

    def template(self, slot: int) -> Manifest:
        """The Deployment with the replicas of all clusters together in a slot."""
        tags = workload_labels(self.workload)
        selector = {labels.WORKLOAD: labels.label_value(self.workload.name)}
        request, model = self.units[0].request, self.units[0].pool.machine.gpu_model
        spec = {"priorityClassName": priority_class(self.workload.priority), **tolerations(request, model),
                "containers": [container(self.workload, request, model)]}
        return {"apiVersion": DEPLOYMENT[0], "kind": DEPLOYMENT[1], "metadata": {"name": self.name, "labels": tags},
                "spec": {"replicas": self.totals[slot], "selector": {"matchLabels": selector},
                         "template": {"metadata": {"labels": tags | selector}, "spec": spec}}}

    def policy(self, weights: Split) -> Manifest:
        """Its PropagationPolicy under some weights."""
        fallback = self._fallback()
        shares = [{"targetCluster": {"clusterNames": [dns_label(name)]}, "weight": weight}
                  for name, weight in sorted({**fallback, **weights}.items())]
        scheduling = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted",
                      "weightPreference": {"staticWeightList": shares}}
        return _policy(self.name, [(*DEPLOYMENT, self.name)], [sorted(weights), sorted(fallback)], scheduling)

    def overrides(self) -> Manifest:
        """On which pools of each cluster its pods run."""
        pools: dict[str, list[Pool]] = {}
        for unit in self.units:
            pools.setdefault(unit.cluster.name, []).append(unit.pool)
        for cluster, pool in self._fallback_pools():
            pools.setdefault(cluster, []).append(pool)
        rules = [_rule(name, "/spec/template/spec/affinity", _on_pools(self.units[0], found))
                 for name, found in sorted(pools.items())]
        return _override(self.name, [(*DEPLOYMENT, self.name)], rules)

    def schedule(self) -> Manifest:
        """Its replicas of all clusters together, by the clock."""
        groups: dict[tuple[object, ...], list[Any]] = {}
        for span in spans(self.totals, self.planned.horizon):
            key = (span.start.month, span.start.hour, span.start.minute, span.value)
            groups.setdefault(key, []).append(span)
        rules = [{"name": f"rule-{number}", "schedule": cron([span.start for span in group]), "timeZone": ZONE,
                  "targetReplicas": group[0].value} for number, group in enumerate(groups.values())]
        target = {"apiVersion": DEPLOYMENT[0], "kind": DEPLOYMENT[1], "name": self.name}
        return {"apiVersion": AUTOSCALING, "kind": "CronFederatedHPA",
                "metadata": {"name": self.name, "labels": labels.MANAGED_BY},
                "spec": {"scaleTargetRef": target, "rules": rules}}

    def _fallback(self) -> dict[str, int]:
        """Weights of the clusters that take over when the only one is lost."""
        if len({unit.cluster.name for unit in self.units}) > 1:
            return {}
        found: Counter[str] = Counter()
        for unit in self.units:
            place = fallback_of(self.planned, unit)
            if place is not None:
                found[place[0]] += max(1, max(unit.replicas))
        return dict(found)

    def _fallback_pools(self) -> Iterator[tuple[str, Pool]]:
        if not self._fallback():
            return
        for unit in self.units:
            place = fallback_of(self.planned, unit)
            if place is not None:
                yield place[0], _pool(self.planned, place)


def _split(units: Sequence[Unit], slot: int) -> dict[str, int]:
    found: Counter[str] = Counter()
    for unit in units:
        found[unit.cluster.name] += unit.replicas[slot]
    return dict(found)


def _pool(planned: Planned, place: tuple[str, str]) -> Pool:
    return next(pool for cluster in planned.clusters if cluster.name == place[0]
                for pool in cluster.pools if pool.name == place[1])


def _on_pools(unit: Unit, pools: Sequence[Pool]) -> Manifest:
    """A node affinity for some pools, away from spot where it must be."""
    names = list(dict.fromkeys(labels.label_value(pool.name) for pool in pools))
    rules = [{"key": labels.POOL, "operator": "In", "values": names}]
    if spot := affinity(unit.workload, pools):
        needed = spot["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        rules += needed["nodeSelectorTerms"][0]["matchExpressions"]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": rules}]}}}


def _batch_policy(unit: Unit, planned: Planned) -> Manifest:
    """A batch unit goes as a whole to its cluster, or to its fallback."""
    place = fallback_of(planned, unit)
    jobs = [(*CRON_JOB, str(job["metadata"]["name"])) for job in cron_jobs(unit, planned)]
    clusters = [[unit.cluster.name], [place[0]] if place else []]
    return _policy(unit.name, jobs, clusters, {"replicaSchedulingType": "Duplicated"})


def _batch_overrides(batch: Sequence[Unit], planned: Planned) -> Iterator[Manifest]:
    """The pool of a batch unit in its fallback cluster, where it has another name."""
    for unit in batch:
        place = fallback_of(planned, unit)
        if place is not None:
            jobs = [(*CRON_JOB, str(job["metadata"]["name"])) for job in cron_jobs(unit, planned)]
            selector = {labels.POOL: labels.label_value(place[1])}
            path = "/spec/jobTemplate/spec/template/spec/nodeSelector"
            yield _override(unit.name, jobs, [_rule(place[0], path, selector, "replace")])


def _policy(name: str, resources: Sequence[tuple[str, str, str]], clusters: Sequence[Sequence[str]],
            scheduling: Manifest) -> Manifest:
    """A PropagationPolicy to the first clusters, or, when those are lost, to the next."""
    named = [{"affinityName": word, "clusterNames": [dns_label(name) for name in names]}
             for word, names in zip(("planned", "fallback"), clusters, strict=True) if names]
    where = ({"clusterAffinities": named} if len(named) > 1
             else {"clusterAffinity": {"clusterNames": named[0]["clusterNames"]}})
    return {"apiVersion": POLICY, "kind": "PropagationPolicy", "metadata": {"name": name, "labels": labels.MANAGED_BY},
            "spec": {"resourceSelectors": _selectors(resources),
                     "placement": {**where, "replicaScheduling": scheduling}}}


def _override(name: str, resources: Sequence[tuple[str, str, str]], rules: Sequence[Manifest]) -> Manifest:
    return {"apiVersion": POLICY, "kind": "OverridePolicy", "metadata": {"name": name, "labels": labels.MANAGED_BY},
            "spec": {"resourceSelectors": _selectors(resources), "overrideRules": list(rules)}}


def _rule(cluster: str, path: str, value: Manifest, operator: str = "add") -> Manifest:
    """Another value for a field of the template in one cluster."""
    return {"targetCluster": {"clusterNames": [dns_label(cluster)]},
            "overriders": {"plaintext": [{"path": path, "operator": operator, "value": value}]}}


def _selectors(resources: Sequence[tuple[str, str, str]]) -> list[Manifest]:
    return [{"apiVersion": version, "kind": kind, "name": name} for version, kind, name in resources]


def _priorities(planned: Planned) -> Manifest:
    """Every cluster gets the PriorityClasses."""
    resources = [("scheduling.k8s.io/v1", "PriorityClass", str(found["metadata"]["name"]))
                 for found in priority_classes(planned.units)]
    clusters = [cluster.name for cluster in planned.clusters]
    made = _policy("planner-priorities", resources, [clusters, []], {"replicaSchedulingType": "Duplicated"})
    return made | {"kind": "ClusterPropagationPolicy"}
