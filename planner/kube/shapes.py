"""Fields of objects by what Kubernetes lets them hold: an API server refuses anything else, a file edited by hand may
have it. It is looked once, where objects are read, so that whoever reads a field finds what it expects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

KINDS: Final = frozenset({
    "Node", "Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "PriorityClass",
    "ConfigMap", "ClusterQueue", "LocalQueue", "ResourceFlavor", "Cohort", "Workload", "NodePool", "EC2NodeClass",
    "AKSNodeClass"})
"""Kinds that importers read and that have a name; what others hold is not looked at."""
PIPELINES: Final = frozenset({"Workflow", "CronWorkflow", "WorkflowTemplate", "ClusterWorkflowTemplate"})
"""The same of Argo: a template is one by its name there, and a name may be made up later."""
MAPPING, MAPPINGS, TEXTS, TEXT = "a mapping of fields", "a list of mappings", "a list of texts", "a text or a number"
FIELDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("metadata", "spec", "jobTemplate", "affinity", "nodeAffinity", "nodeClassRef"), MAPPING),
    **dict.fromkeys(("containers", "initContainers", "sidecars", "tolerations", "taints", "startupTaints", "conditions",
                     "matchExpressions", "matchFields", "nodeSelectorTerms", "requirements", "ownerReferences",
                     "templates", "podSets"), MAPPINGS),
    **dict.fromkeys(("values", "coveredResources"), TEXTS),
    **dict.fromkeys(("key", "operator", "effect", "type", "name", "namespace", "uid"), TEXT),
}
"""What fields hold, wherever they stand."""
NAMED: Final = frozenset({"labels", "annotations", "nodeSelector", "matchLabels", "nodeLabels", "requests", "limits",
                          "capacity", "allocatable", "overhead"})
"""Mappings from names that people give to texts or numbers."""
FREE: Final = frozenset({"data", "binaryData", "managedFields", "arguments", "inputs", "outputs"})
"""What may hold anything."""


class Misfit(NamedTuple):
    """A field, what it holds, and what it may hold."""

    field: str
    value: object
    allowed: str


def misfits(content: Mapping[str, Any], kind: str) -> Iterator[Misfit]:
    """Fields of an object that hold what they cannot."""
    if kind in KINDS | PIPELINES:
        if not isinstance(status := content.get("status"), Mapping | None):
            yield Misfit("status", status, f"{MAPPING} is needed")
        yield from _within(content, "", {**FIELDS, **({} if kind in PIPELINES else {"template": MAPPING})})
    metadata = content.get("metadata")
    if kind in KINDS and isinstance(metadata, Mapping | None) and not any(
            (metadata or {}).get(name) for name in ("name", "generateName")):
        yield Misfit("metadata.name", None, "a name is needed")


def _within(value: Mapping[str, Any], path: str, fields: Mapping[str, str]) -> Iterator[Misfit]:
    for name, held in value.items():
        where = f"{path}{name}"
        if held is None or name in FREE:
            continue
        if name in NAMED:
            yield from _named(held, where)
        elif name in fields and not _holds(held, fields[name]):
            yield Misfit(where, held, f"{fields[name]} is needed")
        else:
            for part, at in ((held, where), *((one, f"{where}[{number}]") for number, one in enumerate(
                    held if isinstance(held, list) else ()))):
                if isinstance(part, Mapping):
                    yield from _within(part, f"{at}.", fields)


def _named(held: object, where: str) -> Iterator[Misfit]:
    if not isinstance(held, Mapping):
        yield Misfit(where, held, f"{MAPPING} is needed")
        return
    for name, value in held.items():
        if not (value is None or _holds(value, TEXT)):
            yield Misfit(f"{where}.{name}", value, f"{TEXT} is needed")


def _holds(held: object, wanted: str) -> bool:
    if wanted in (MAPPINGS, TEXTS):
        each = Mapping if wanted == MAPPINGS else str | int | float
        return isinstance(held, list) and all(isinstance(one, each) for one in held)
    return isinstance(held, Mapping if wanted == MAPPING else str | int | float)
