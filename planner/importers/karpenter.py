"""NodePools of Karpenter: `kubectl get nodepools,nodes,pods,deployments -A -o json`.

Karpenter starts machines when pods wait. So a NodePool becomes the pools it may start: each machine type of the catalog
that its requirements allow, by each way to pay, within its limits. All else is read as `kubernetes` reads it: nodes of
the types are added that might be started, and nodes that Karpenter has started belong to the pool of their type.
Requirements, limits and labels: https://karpenter.sh/docs/concepts/nodepools/
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from planner.errors import InputError
from planner.importers.draft import Asked, Draft, Fields, number
from planner.importers.karpenter_types import PROVIDERS, labels_of
from planner.importers.kubernetes import scenario_of
from planner.importers.kubernetes_nodes import MACHINE_LABELS, REGION_LABELS, first_label
from planner.importers.kubernetes_work import counts, daemon
from planner.importers.sources import Source, Sources, read_sources
from planner.kube import labels
from planner.kube.objects import Thing
from planner.kube.scheduling import holds, may_run
from planner.scenario.model import Machine

POOL, CAPACITY = "karpenter.sh/nodepool", "karpenter.sh/capacity-type"
PURCHASES = {"on-demand": "on_demand", "spot": "spot"}
"""Ways to pay by capacity type."""
MOST = 1000
"""Machines of a type where no limit says how many there may be."""
OVERHEAD = 0.075
"""Of a machine's memory, which virtual machines do not see: Karpenter's own setting VM_MEMORY_OVERHEAD_PERCENT."""
DISKS_GIB = {"aws": 20, "azure": 128}
"""Disk of a node whose class does not state it."""
MEASURES = {"cpu": "vcpu", "nvidia.com/gpu": "gpu", "amd.com/gpu": "gpu", "nodes": "machines"}
"""Limits of a NodePool that hold for all of its machines together, as measures of a scenario."""
_ZONE = re.compile(r"([a-z]{2,}(?:-[a-z]+)+-[0-9])[a-z]|([a-z0-9]+)-[0-9]")


def read(sources: Sequence[str], asked: Asked) -> Draft:
    """Every cluster with NodePools. Raises InputError where there is none, or one that cannot be read."""
    given = read_sources(sources, asked)
    homes = given.clusters("NodePool")
    if not homes:
        needed = "`kubectl get nodepools,nodes,pods -A -o json` writes what is needed"
        raise InputError([f"{given.names}: no NodePool: {needed}"])
    told = Draft()
    offered = {name: _Offered.of(name, source.things, asked, told) for name, source in homes.items()}
    others = [source for source in given.found if source.name not in homes and len(homes) > 1]
    changed = [Source(name, tuple(offered[name].things), source.results) for name, source in homes.items()]
    draft = scenario_of(Sources((*changed, *others)), asked)
    for fields in draft.clusters:
        offered[fields["name"]].within_limits(fields, draft)
    for guess in told.guesses():
        for one in guess.names or (None,):
            draft.guess(guess.field, guess.value, guess.why, one)
    return draft


@dataclass(frozen=True, slots=True)
class _NodePool:
    """A NodePool, and where its machines are."""

    thing: Thing
    group: str
    region: str
    zones: tuple[str, ...]
    disk: str

    @property
    def rules(self) -> list[Mapping[str, Any]]:
        """Its requirements."""
        return list(self.thing.items("spec", "template", "spec", "requirements"))

    @property
    def labels(self) -> dict[str, str]:
        """Labels that its nodes get from it."""
        named = self.thing.fields("spec", "template", "metadata", "labels")
        return {key: str(value) for key, value in named.items()} | {POOL: self.thing.name}

    def pool(self, machine: str, purchase: str) -> str:
        """The name of the pool of a machine type."""
        return "-".join([self.thing.name, machine, *(["spot"] if purchase == "spot" else ())])

    def started(self, machine: Machine, name: str, capacity: str, zone: str | None) -> Thing:
        """A node as Karpenter would start it."""
        place = {labels.REGION: self.region} | ({labels.ZONE: zone} if zone else {})
        purchase = PURCHASES[capacity]
        own = labels_of(self.group, name, machine) | self.labels | place | {
            CAPACITY: capacity, labels.POOL: self.pool(name, purchase), labels.PURCHASE: purchase}
        if machine.gpu_model:
            own[labels.GPU_MODEL] = machine.gpu_model
        devices = {labels.gpu_resource(machine.gpu_model): machine.gpu_count} if machine.gpu_count else {}
        size = {"cpu": number(machine.vcpu), "memory": f"{number(machine.memory_gib)}Gi",
                "ephemeral-storage": self.disk, **devices}
        least = size | {"memory": f"{number(1024 * machine.memory_gib * (1 - OVERHEAD))}Mi"}
        node = "-".join(filter(None, (self.thing.name, name, capacity, zone, "to-start")))
        return Thing({"kind": "Node", "metadata": {"name": node, "labels": own | {"kubernetes.io/hostname": node}},
                      "spec": {"providerID": f"{PROVIDERS[self.group]}:///{node}",
                               "taints": self.thing.items("spec", "template", "spec", "taints")},
                      "status": {"capacity": size, "allocatable": least}}, self.thing.file)


@dataclass(frozen=True, slots=True)
class _Offered:
    """The objects of a cluster with nodes that may be started, and the NodePool of each pool."""

    things: list[Thing]
    pools: dict[str, _NodePool]

    @classmethod
    def of(cls, cluster: str, things: Sequence[Thing], asked: Asked, draft: Draft) -> _Offered:
        """What the NodePools of a cluster may start."""
        found = [_node_pool(cluster, thing, things, asked, draft) for thing in things if thing.kind == "NodePool"]
        by_name = {one.thing.name: one for one in found}
        owner, changed = dict[str, _NodePool](), list[Thing]()
        for thing in things:
            one = by_name.get(thing.labels.get(POOL, "")) if thing.kind == "Node" else None
            if one is not None:
                thing = _named(thing, one)
                owner[thing.labels[labels.POOL]] = one
            changed.append(thing)
        for one in found:
            for node in _startable(cluster, one, asked, draft):
                owner[node.labels[labels.POOL]] = one
                changed += [node, *_daemons(things, node)]
        return cls(changed, owner)

    def within_limits(self, cluster: Fields, draft: Draft) -> None:
        """Say how many machines of each pool there may be, and what bounds those of a NodePool together."""
        held: dict[str, list[str]] = {}
        for pool in list(cluster["pools"]):
            one = self.pools.get(pool["name"]) or self.pools.get(str(pool["name"]).removesuffix(f"-{pool.get('zone')}"))
            if one is None:
                continue
            pool["max"] = _most(one, pool["machine"], draft)
            if pool["max"]:
                held.setdefault(one.thing.name, []).append(f"{cluster['name']}/{pool['name']}")
            else:
                cluster["pools"].remove(pool)
                draft.guess("clusters.*.pools", "left out", "one machine is more than the limits of its NodePool",
                            pool["name"])
        by_name = {one.thing.name: one for one in self.pools.values()}
        for name, pools in held.items():
            if len(pools) > 1:
                draft.more.setdefault("limits", []).extend(_rows(cluster["name"], by_name[name], pools))
                if "memory" in by_name[name].thing.fields("spec", "limits"):
                    why = "limits on memory: scenarios have none over several pools"
                    draft.guess("limits", "of each type by itself", why, name)


def _node_pool(cluster: str, thing: Thing, things: Sequence[Thing], asked: Asked, draft: Draft) -> _NodePool:
    """A NodePool, its provider by its node class, its region by its requirements, else by the nodes that there are."""
    reference = thing.fields("spec", "template", "spec", "nodeClassRef")
    group = str(reference.get("group", ""))
    if group not in PROVIDERS:
        raise thing.wrong("spec.template.spec.nodeClassRef.group", reference.get("group"),
                          f"machine types of {' and '.join(PROVIDERS)} are read")
    rules = thing.items("spec", "template", "spec", "requirements")
    zones = tuple(value for rule in rules if rule.get("key") == labels.ZONE and rule.get("operator") == "In"
                  for value in map(str, rule.get("values") or ()))
    regions = {str(value) for rule in rules if rule.get("key") in REGION_LABELS and rule.get("operator") == "In"
               for value in rule.get("values") or ()}
    regions |= {part for zone in zones if (match := _ZONE.fullmatch(zone)) and (part := match[1] or match[2])}
    nodes = [node for node in things if node.kind == "Node"]
    regions = regions or {found for node in nodes if (found := first_label(node, REGION_LABELS))}
    if len(regions) > 1:
        raise thing.wrong("spec.template.spec.requirements", ", ".join(sorted(regions)), "one region is needed")
    region = next(iter(regions), None)
    if region is None:
        sold = Counter(place for provider, place, _ in asked.catalog.prices if provider == PROVIDERS[group])
        region = min(sold, key=lambda place: (-sold[place], place))
        why = "neither a node nor a requirement names one: the first of those that sell the most types"
        draft.guess(f"clusters.{cluster}.region", region, why, thing.name)
    disk = next((found for one in things if one.kind == reference.get("kind") and one.name == reference.get("name")
                 and (found := _disk(one))), None)
    if disk is None:
        disk = f"{DISKS_GIB[PROVIDERS[group]]}Gi"
        draft.guess("clusters.*.pools.machine.disk_gib", DISKS_GIB[PROVIDERS[group]], "its node class states no disk",
                    thing.name)
    return _NodePool(thing, group, region, zones, disk)


def _disk(node_class: Thing) -> str | None:
    """The disk of nodes of a class."""
    sizes = [volume["ebs"]["volumeSize"] for volume in node_class.items("spec", "blockDeviceMappings")
             if isinstance(volume.get("ebs"), Mapping) and volume["ebs"].get("volumeSize")]
    if sizes:
        field = "spec.blockDeviceMappings.ebs.volumeSize"
        return str(max(sizes, key=lambda size: node_class.quantity(size, field)))
    size = node_class.at("spec", "osDiskSizeGB")
    return None if size is None else f"{node_class.whole('spec', 'osDiskSizeGB', default=0)}Gi"


def _startable(cluster: str, one: _NodePool, asked: Asked, draft: Draft) -> Iterator[Thing]:
    """Nodes that a NodePool may start, of each type, way to pay and zone."""
    provider, where = PROVIDERS[one.group], f"clusters.{cluster}.pools.*"
    sold = {name: machine for (of, name), machine in sorted(asked.catalog.machines.items())
            if of == provider and (provider, one.region, name) in asked.catalog.prices}
    if not sold:
        raise one.thing.wrong("spec.template.spec.requirements", f"{provider}/{one.region}",
                              "a region is needed whose machines are in the catalog: give one with --catalog")
    named = {str(value) for rule in one.rules if rule.get("key") in MACHINE_LABELS and rule.get("operator") == "In"
             for value in rule.get("values") or ()}
    for name in sorted(named - sold.keys()):
        draft.guess(where, "left out", f"types that a NodePool names and the catalog does not have in {provider}/"
                    f"{one.region}", name)
    nodes = [one.started(machine, name, capacity, zone) for name, machine in sold.items() for capacity in PURCHASES
             for zone in one.zones or (None,)]
    known = {key for node in nodes for key in node.labels}
    rules = []
    for rule in one.rules:
        if rule.get("key") in known:
            rules.append(rule)
        elif rule.get("key") != CAPACITY:
            draft.guess(where, "any value", f"requirements on what is not known of machine types: {rule.get('key')}",
                        one.thing.name)
    if not any(rule.get("key") == CAPACITY for rule in rules):  # as Karpenter sets it where nothing is said
        rules.append({"key": CAPACITY, "operator": "In", "values": ["on-demand"]})
    elif any("reserved" in (rule.get("values") or ()) for rule in rules):
        draft.guess(where, "left out", "reserved capacity: how much of it there is stands in no NodePool: add an offer",
                    one.thing.name)
    found = nodes
    for rule in rules:
        found = [node for node in found if holds(rule, node.labels)]
        if not found:
            raise one.thing.wrong("spec.template.spec.requirements", _words(rule), "no machine type of the catalog in "
                                  f"{provider}/{one.region} is as this and those before it want")
    draft.guess(f"{where}.reserved.memory_gib", f"{OVERHEAD:.1%} of it", "what virtual machines do "
                "not see, as Karpenter reckons; what the kubelet keeps is not stated", one.thing.name)
    yield from found


def _words(rule: Mapping[str, Any]) -> str:
    values = ",".join(map(str, rule.get("values") or ()))
    return " ".join(str(part) for part in (rule.get("key"), rule.get("operator"), values) if part)


def _named(node: Thing, one: _NodePool) -> Thing:
    """A node that Karpenter started, in the pool of its type."""
    machine = first_label(node, MACHINE_LABELS)
    if machine is None:
        raise node.wrong(f"metadata.labels.{labels.MACHINE}", None, "nodes of a NodePool have a machine type")
    purchase = PURCHASES.get(node.labels.get(CAPACITY, "on-demand"), "on_demand")
    content = deepcopy(dict(node.content))
    content["metadata"]["labels"] |= {labels.POOL: one.pool(machine, purchase), labels.PURCHASE: purchase}
    return Thing(content, node.file)


def _daemons(things: Sequence[Thing], node: Thing) -> Iterator[Thing]:
    """The pods of DaemonSets that a node would run, one of each."""
    seen = set[tuple[str, str]]()
    for pod in things:
        if pod.kind != "Pod" or not daemon(pod) or not counts(pod):
            continue
        owner = pod.items("metadata", "ownerReferences")[0]
        spec = {key: value for key, value in pod.fields("spec").items() if key not in ("nodeName", "affinity")}
        key = pod.namespace, str(owner.get("name"))
        if owner.get("kind") == "DaemonSet" and key not in seen and may_run(spec, node):
            seen.add(key)
            yield Thing({**pod.content, "spec": spec | {"nodeName": node.name}}, pod.file)


def _most(one: _NodePool, machine: Mapping[str, Any], draft: Draft) -> int:
    """Machines of a shape that a NodePool may have at most."""
    fixed = one.thing.at("spec", "replicas")
    if fixed is not None:
        return one.thing.whole("spec", "replicas", default=0)
    size = {"cpu": machine["vcpu"], "memory": machine["memory_gib"] * 2**30, "nodes": 1,
            **dict.fromkeys(("nvidia.com/gpu", "amd.com/gpu"), machine.get("gpu_count", 0))}
    most = list[int]()
    for name, limit in one.thing.fields("spec", "limits").items():
        amount = one.thing.quantity(limit, f"spec.limits.{name}")
        if name not in size:
            draft.guess("clusters.*.pools.max", "any number", f"limits on what is not known of machines: {name}",
                        one.thing.name)
        elif size[name]:
            most.append(int(amount / size[name]))
    if not most:
        draft.guess("clusters.*.pools.max", MOST, "NodePools without limits", one.thing.name)
    return min(most, default=MOST)


def _rows(cluster: str, one: _NodePool, pools: Sequence[str]) -> Iterator[Fields]:
    """What bounds the machines of a NodePool together."""
    if one.thing.at("spec", "replicas") is not None:
        yield {"name": f"{cluster}-{one.thing.name}-nodes", "pools": list(pools), "measure": "machines",
               "max": one.thing.whole("spec", "replicas", default=0)}
    for name, limit in one.thing.fields("spec", "limits").items():
        if name in MEASURES:
            amount = one.thing.quantity(limit, f"spec.limits.{name}")
            yield {"name": f"{cluster}-{one.thing.name}-{re.sub('[./]', '-', name)}", "pools": list(pools),
                   "measure": MEASURES[name], "max": number(float(amount))}
