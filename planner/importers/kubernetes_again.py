"""Clusters that `planner export kubernetes` wrote, read again: objects say what they can, a ConfigMap of the cluster
and an annotation of every workload what Kubernetes has no field for. Objects win.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from planner.importers.draft import Fields, plain
from planner.importers.kubernetes_nodes import NodePool
from planner.importers.kubernetes_work import Work
from planner.kube import labels
from planner.kube.objects import Thing

SIZES, RESERVED = ("vcpu", "memory_gib", "disk_gib", "gpu_count"), ("vcpu", "memory_gib", "disk_gib")
"""What nodes say of a machine, and of what is reserved on it."""


def stated_cluster(things: Sequence[Thing]) -> Fields:
    """What the planner's own ConfigMap says of a cluster; nothing where there is none. Raises InputError."""
    config = next((one for one in things if one.kind == "ConfigMap" and one.name == labels.CONFIG), None)
    return {} if config is None else _mapping(config, config.at("data", "cluster.json"), "data.cluster.json")


def stated_workload(work: Work) -> Fields:
    """What an annotation of the planner says of a workload; nothing where there is none. Raises InputError."""
    if not work.things or (text := work.things[0].annotations.get(labels.WORKLOAD)) is None:
        return {}
    return _mapping(work.things[0], text, f"metadata.annotations.{labels.WORKLOAD}")


def with_stated(fields: Fields, stated: Fields) -> Fields:
    """A cluster as stated, its machines as large as its nodes, less what those keep; pools without a node as stated."""
    seen = {pool["name"]: pool for pool in fields.get("pools", ())}
    pools = [_pool(pool, seen.pop(labels.label_value(str(pool["name"])), None)) for pool in stated.get("pools", ())]
    return {**stated, "pools": [*pools, *seen.values()]}


def _pool(stated: Fields, node: Fields | None) -> Fields:
    if node is None:
        return stated
    sizes = {name: node["machine"][name] for name in SIZES if name in node["machine"]}
    kept = {name: value for name, value in stated.get("reserved", {}).items() if name not in RESERVED}
    return plain({**stated, "machine": {**stated["machine"], **sizes},
                  "reserved": {**kept, **node.get("reserved", {})}})


def renamed(pools: Sequence[NodePool], stated: Fields) -> list[NodePool]:
    """Pools of nodes by their stated names, of which labels may hold less."""
    names = {labels.label_value(str(pool["name"])): str(pool["name"]) for pool in stated.get("pools", ())}
    return [replace(pool, name=names.get(pool.name, pool.name)) for pool in pools]


def again(work: Work, stated: Fields, request: Fields, priority: int, slots: int) -> Fields:
    """The fields of a workload: kind, priority, request and replicas of its manifest, all else as stated."""
    beside = {name: stated[name] for name in stated if name != "network_gbps"}
    network = {"network_gbps": stated["network_gbps"]} if "network_gbps" in stated else {}
    return {**beside, "kind": work.labels.get(labels.KIND), "priority": priority, "request": request | network,
            "replicas": [work.replicas] * slots}


def _mapping(thing: Thing, text: object, field: str) -> Fields:
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise thing.wrong(field, text, "a mapping in JSON is needed, as `planner export kubernetes` writes it")
    return found
