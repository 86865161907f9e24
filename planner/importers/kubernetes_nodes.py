"""Nodes of a cluster as pools: alike ones together, less what system daemons take, without those that take no pods."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from planner.importers.draft import Asked, Draft, Fields, number, plain
from planner.importers.prices import guessed_price
from planner.kube import labels
from planner.kube.objects import Thing
from planner.kube.pods import Needs
from planner.kube.quantities import GIB
from planner.scenario.values import Purchase

POOL_LABELS = (labels.POOL, "karpenter.sh/nodepool", "eks.amazonaws.com/nodegroup", "cloud.google.com/gke-nodepool",
               "kubernetes.azure.com/agentpool", "agentpool", "alpha.eksctl.io/nodegroup-name")
REGION_LABELS = (labels.REGION, "failure-domain.beta.kubernetes.io/region")
ZONE_LABELS = (labels.ZONE, "failure-domain.beta.kubernetes.io/zone")
MACHINE_LABELS = (labels.MACHINE, "beta.kubernetes.io/instance-type")
GPU_LABELS = (labels.GPU_MODEL, "cloud.google.com/gke-accelerator", "k8s.amazonaws.com/accelerator",
              "karpenter.k8s.aws/instance-gpu-name", "amd.com/gpu.product-name")
PROVIDERS = {"aws": "aws", "azure": "azure", "gce": "gcp"}
"""Providers by the scheme of `spec.providerID`; all others are own machines."""
ARCHES = {kube: ours for ours, kube in labels.ARCHES.items()}
DEVICE = re.compile(r"(?:nvidia|amd|intel)\.com/(?:gpu|mig-.+)|habana\.ai/gaudi|google\.com/tpu")
"""Resources that count as GPUs; a slice of one (`nvidia.com/mig-1g.5gb`) is a GPU of a model of its own."""
MODEL = re.compile(r"(?:[ABHLPTV]|GB|GH|MI|K)[0-9]{1,3}[A-Z]?")
SPOT = {"karpenter.sh/capacity-type": "spot", "eks.amazonaws.com/capacityType": "SPOT",
        "cloud.google.com/gke-spot": "true", "cloud.google.com/gke-preemptible": "true",
        "kubernetes.azure.com/scalesetpriority": "spot"}
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class NodePool:
    """Nodes of a pool that are ready and take pods, and how many there are that do not."""

    name: str
    zone: str | None
    nodes: tuple[Thing, ...]
    cordoned: int
    not_ready: int

    @property
    def away(self) -> str:
        """In words, which nodes take no pods."""
        counts = (self.cordoned, "cordoned"), (self.not_ready, "not ready")
        return " and ".join(f"{count} {what}" for count, what in counts if count)


def node_pools(nodes: Sequence[Thing], by_zone: bool) -> list[NodePool]:
    """Nodes alike in pool label, machine type, CPUs and GPUs; with `by_zone` in zone, too."""
    groups: dict[tuple[Any, ...], list[Thing]] = {}
    for node in sorted(nodes, key=lambda node: node.name):
        zone = first_label(node, ZONE_LABELS) if by_zone else None
        key = first_label(node, POOL_LABELS), first_label(node, MACHINE_LABELS), zone, _cpus(node), gpus(node)
        groups.setdefault(key, []).append(node)
    plain_names = Counter(key[0] or key[1] or "nodes" for key in groups)
    found, taken = list[NodePool](), set[str]()
    for (pool, machine, zone, *_), group in groups.items():
        word = pool or machine or "nodes"
        name = _unused(word if plain_names[word] == 1 or not zone else f"{word}-{zone}", taken)
        ready = [node for node in group if _ready(node)]
        usable = tuple(node for node in ready if node.at("spec", "unschedulable") is not True)
        found.append(NodePool(name, zone, usable, len(ready) - len(usable), len(group) - len(ready)))
    return found


def cluster_fields(name: str, nodes: Sequence[Thing], pools: Sequence[NodePool], daemons: Mapping[str, Needs],
                   asked: Asked, draft: Draft) -> Fields:
    """The fields of a cluster; `daemons` are what system daemons take on every node, by its name."""
    provider = next((PROVIDERS[scheme] for node in nodes if (scheme := _scheme(node)) in PROVIDERS), None)
    if provider is None:
        draft.guess(f"clusters.{name}.provider", "onprem", "no node has a providerID of a known cloud")
    region = next((found for node in nodes if (found := first_label(node, REGION_LABELS))), None)
    if region is None:
        draft.guess(f"clusters.{name}.region", LOCAL, f"no node has a label {labels.REGION}")
    place = provider or "onprem", region or LOCAL
    made = [fields for pool in pools if (fields := _pool(pool, name, place, daemons, asked, draft)) is not None]
    zones = dict.fromkeys(pool["zone"] for pool in made if "zone" in pool)
    return plain({"name": name, "provider": place[0], "region": place[1], "zones": [{"name": zone} for zone in zones],
                  "pools": made})


def _pool(pool: NodePool, cluster: str, place: tuple[str, str], daemons: Mapping[str, Needs], asked: Asked,
          draft: Draft) -> Fields | None:
    """The fields of a pool; None where no node of it takes pods."""
    where = f"clusters.{cluster}.pools.{pool.name}"
    if not pool.nodes:
        draft.guess(where, "left out", f"no node of it takes pods: {pool.away}")
        return None
    if pool.away:
        draft.guess(f"{where}.max", len(pool.nodes), f"nodes that take pods; others are {pool.away}")
    machine, reserved = _shape(pool, where, daemons, draft)
    return plain({"name": pool.name, "zone": pool.zone, "machine": machine, "max": len(pool.nodes),
                  "reserved": reserved, "offers": _offers(pool, where, place, machine["name"], asked, draft)})


def _shape(pool: NodePool, where: str, daemons: Mapping[str, Needs], draft: Draft) -> tuple[Fields, Fields]:
    """The machine of a pool, and what is reserved on it: what nodes keep for themselves and what daemons ask for."""
    sizes = [(_amounts(node, "capacity"), _amounts(node, "allocatable")) for node in pool.nodes]
    least = {name: min(capacity[name] for capacity, _ in sizes) for name in sizes[0][0]}
    room = {name: min(min(there[name], capacity[name]) - _taken(daemons.get(node.name), name)
                      for node, (capacity, there) in zip(pool.nodes, sizes, strict=True)) for name in least}
    if any(capacity != least for capacity, _ in sizes):
        draft.guess(f"{where}.machine", "the least of each", "its nodes differ in size")
    node = pool.nodes[0]
    devices = gpus(node)
    if len(devices) > 1:
        rest = ", ".join(f"{count} {name}" for name, count in devices[1:])
        draft.guess(f"{where}.machine.gpu_count", devices[0][1], f"of {devices[0][0]}; {rest} are left out")
    arch = ARCHES.get(node.labels.get(labels.ARCH, "amd64"), node.labels.get(labels.ARCH))
    memory = node.labels.get(labels.GPU_MEMORY, "")
    machine = {
        "name": first_label(node, MACHINE_LABELS) or pool.name, "vcpu": number(least["vcpu"]),
        "memory_gib": number(least["memory_gib"]), "disk_gib": number(least["disk_gib"]) or None,
        "gpu_model": gpu_model(node, devices[0][0]) if devices else None,
        "gpu_count": devices[0][1] if devices else None,
        "gpu_memory_gib": number(int(memory) / 1024) if devices and memory.isdigit() else None,
        "arch": arch if arch != "x86_64" else None}
    return plain(machine), plain({name: number(least[name] - room[name]) or None for name in least})


def _taken(needs: Needs | None, name: str) -> float:
    return 0.0 if needs is None else float(getattr(needs, name))


def _offers(pool: NodePool, where: str, place: tuple[str, str], machine: str, asked: Asked,
            draft: Draft) -> list[Fields]:
    """How the nodes of a pool are paid for, each purchase with as many as there are."""
    counts = Counter(purchase_of(node, place[0]) for node in pool.nodes)
    made = []
    for purchase, count in sorted(counts.items()):
        offer: Fields = {"purchase": purchase}
        if purchase in ("owned", "committed"):
            offer["owned"] = count
        if len(counts) > 1:
            offer["max"] = count
        price = guessed_price(draft, asked, where, place, machine, purchase)
        made.append(offer if price is None else offer | {"price_usd_per_hour": number(price)})
    return made


def purchase_of(node: Thing, provider: str) -> Purchase:
    """How a node was bought: what the planner's label says, spot by the labels of clouds, else the provider's usual."""
    own = node.labels.get(labels.PURCHASE)
    if own in get_args(Purchase):
        return cast("Purchase", own)
    if own is not None:
        raise node.wrong(f"metadata.labels.{labels.PURCHASE}", own, f"one of {', '.join(get_args(Purchase))}")
    if any(node.labels.get(label) == value for label, value in SPOT.items()):
        return "spot"
    return "owned" if provider == "onprem" else "on_demand"


def spot_nodes(pools: Sequence[NodePool], provider: str) -> set[str]:
    """Names of nodes that may be taken away."""
    return {node.name for pool in pools for node in pool.nodes if purchase_of(node, provider) == "spot"}


def gpus(node: Thing) -> tuple[tuple[str, int], ...]:
    """Devices of a node by resource, the most numerous first."""
    amounts = node.fields("status", "capacity")
    found = [(name, int(node.quantity(value, f"status.capacity.{name}"))) for name, value in amounts.items()
             if DEVICE.fullmatch(name)]
    return tuple(sorted(((name, count) for name, count in found if count), key=lambda one: (-one[1], one[0])))


def gpu_model(node: Thing, resource: str) -> str:
    """The model of a node's GPUs as catalogs call it (`NVIDIA-H100-80GB-HBM3` is an H100), with the slice if it is one.
    """
    piece = resource.split("/mig-")[1:]
    return "-".join([model_of(first_label(node, GPU_LABELS) or resource), *(f"mig-{part}" for part in piece)])


def model_of(product: str) -> str:
    """The model of a GPU by a product's name; the name itself where no model is in it."""
    words = re.split(r"[-_ ]", product.upper())
    return next((word for word in words if MODEL.fullmatch(word)), product)


def first_label(node: Thing, names: Sequence[str]) -> str | None:
    """The first of some labels that a node has."""
    return next((node.labels[name] for name in names if node.labels.get(name)), None)


def _amounts(node: Thing, part: str) -> dict[str, float]:
    """CPU, memory and disk of a node: its capacity or, what is left of it, allocatable."""
    found = node.fields("status", part) or node.fields("status", "capacity")
    for name in ("cpu", "memory"):
        if name not in found:
            raise node.wrong(f"status.{part}.{name}", None, "what the node has is needed")
    amount = {name: node.quantity(found.get(name, 0), f"status.{part}.{name}")
              for name in ("cpu", "memory", "ephemeral-storage")}
    return {"vcpu": float(amount["cpu"]), "memory_gib": float(amount["memory"] / GIB),
            "disk_gib": float(amount["ephemeral-storage"] / GIB)}


def _cpus(node: Thing) -> float:
    return _amounts(node, "capacity")["vcpu"]


def _ready(node: Thing) -> bool:
    """Whether the kubelet says that it is ready; a node without conditions is a manifest, and counts."""
    conditions = {one.get("type"): one.get("status") for one in node.items("status", "conditions")}
    return not conditions or conditions.get("Ready") == "True"


def _scheme(node: Thing) -> str:
    return str(node.at("spec", "providerID") or "").split("://", maxsplit=1)[0]


def _unused(name: str, taken: set[str]) -> str:
    """The name itself, or with the first number that makes it new."""
    found = next(word for word in (name, *(f"{name}-{number}" for number in range(2, 10_000))) if word not in taken)
    taken.add(found)
    return found
