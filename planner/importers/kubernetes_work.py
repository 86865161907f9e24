"""Pods and their controllers as workloads: who owns whom, how many replicas, what each asks for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from planner.kube import labels
from planner.kube.objects import Fields, Thing
from planner.kube.pods import Needs, needs

REPLICAS = {"Deployment": ("spec", "replicas"), "StatefulSet": ("spec", "replicas"),
            "ReplicaSet": ("spec", "replicas"), "Job": ("spec", "parallelism"),
            "CronJob": ("spec", "jobTemplate", "spec", "parallelism")}
"""Controllers, and where they say how many pods they are to have."""
TIMED = re.compile(r"-[0-9]{8,10}$")
"""What a CronJob appends to its name for a Job: minutes, or seconds, since 1970."""
Key = tuple[str, str, str]
"""Namespace, kind and name of a controller; a pod of nobody is its own."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A pod's spec and where it stands."""

    thing: Thing
    fields: Fields
    where: str

    def needs(self) -> Needs:
        """What a pod of it asks for."""
        return needs(self.thing, self.fields, self.where)


@dataclass(slots=True)
class Work:
    """A controller: its objects, where there are any, and its pods that run or wait.

    CronJobs of one unit of a plan, which differ in nothing but when they run, are one controller.
    """

    key: Key
    things: list[Thing] = field(default_factory=list)
    pods: list[Thing] = field(default_factory=list)

    @property
    def batch(self) -> bool:
        """Whether it runs by the clock."""
        return self.key[1] == "CronJob" and bool(self.things)

    @property
    def replicas(self) -> int:
        """How many it is to have, or, where it does not say, has."""
        return self.things[0].whole(*REPLICAS[self.key[1]], default=1) if self.things else len(self.pods)

    @property
    def specs(self) -> list[Spec]:
        """Specs of its pods; of its template where it has none."""
        if self.pods or not self.things:
            return [Spec(pod, pod.fields("spec"), "spec") for pod in self.pods]
        path = (*(("spec", "jobTemplate") if self.batch else ()), "spec", "template", "spec")
        return [Spec(self.things[0], self.things[0].fields(*path), ".".join(path))]

    @property
    def nodes(self) -> Counter[str]:
        """Its pods by node."""
        return Counter(str(node) for pod in self.pods if (node := pod.at("spec", "nodeName")))

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of its object, else of its first pod."""
        return (self.things or self.pods)[0].labels


def work_of(things: Sequence[Thing]) -> list[Work]:
    """Everything that runs or is to run, save what system daemons do, by namespace, kind and name.

    Jobs and pods that are done, failed or going are nobody's demand. A controller with neither pods nor replicas is
    left out.
    """
    owners = _Owners(things)
    found: dict[Key, Work] = {}
    for thing in things:
        if thing.kind in REPLICAS and owners.top(thing) == _key(thing) and not _done(thing):
            key = _key(thing)
            if thing.kind == "CronJob" and (unit := thing.labels.get(labels.UNIT)):
                key = thing.namespace, thing.kind, unit
            found.setdefault(key, Work(key)).things.append(thing)
    for pod in things:
        if pod.kind == "Pod" and counts(pod) and not daemon(pod):
            key = owners.top(pod)
            found.setdefault(key, Work(key)).pods.append(pod)
    return [work for _, work in sorted(found.items()) if work.pods or work.replicas]


def _done(thing: Thing) -> bool:
    """Whether an object is a Job that has completed or failed, and is only kept for its record."""
    return thing.kind == "Job" and any(one.get("type") in ("Complete", "Failed") and one.get("status") == "True"
                                       for one in thing.items("status", "conditions"))


def counts(pod: Thing) -> bool:
    """Whether a pod runs or waits, and is not on its way out."""
    return pod.at("status", "phase") not in ("Succeeded", "Failed") and pod.at("metadata", "deletionTimestamp") is None


def daemon(pod: Thing) -> bool:
    """Whether a pod belongs to its node: of a DaemonSet, or started by the kubelet itself."""
    return any(owner.get("kind") in ("DaemonSet", "Node") for owner in pod.items("metadata", "ownerReferences"))


def daemon_needs(things: Sequence[Thing]) -> tuple[dict[str, Needs], list[str]]:
    """What daemons take by node, together, and the names of those with containers that state no request."""
    parts: dict[str, list[Needs]] = {}
    vague: dict[str, None] = {}
    for pod in things:
        if pod.kind == "Pod" and daemon(pod) and counts(pod):
            found = Spec(pod, pod.fields("spec"), "spec").needs()
            parts.setdefault(str(pod.at("spec", "nodeName")), []).append(found)
            if found.missing:
                vague[str(pod.items("metadata", "ownerReferences")[0].get("name"))] = None
    return {node: _together(found) for node, found in parts.items()}, list(vague)


def _together(parts: Iterable[Needs]) -> Needs:
    found = list(parts)
    return Needs(sum(one.vcpu for one in found), sum(one.memory_gib for one in found),
                 sum(one.disk_gib for one in found), {}, frozenset())


class _Owners:
    """Who is in charge of an object in the end."""

    def __init__(self, things: Iterable[Thing]) -> None:
        self._known = {_key(thing): thing for thing in things}

    def top(self, thing: Thing) -> Key:
        """The key of its topmost controller, itself where it has none."""
        owners = [one for one in thing.items("metadata", "ownerReferences") if one.get("controller", True)]
        if not owners:
            return _key(thing)
        kind, name = str(owners[0].get("kind")), str(owners[0].get("name"))
        key = thing.namespace, kind, name
        if key in self._known:
            return self.top(self._known[key])
        if kind == "ReplicaSet" and (mark := thing.labels.get("pod-template-hash")) and name.endswith(f"-{mark}"):
            return thing.namespace, "Deployment", name.removesuffix(f"-{mark}")
        if kind == "Job" and TIMED.search(name):
            return thing.namespace, "CronJob", TIMED.sub("", name)
        return key


def _key(thing: Thing) -> Key:
    return thing.namespace, thing.kind, thing.name
