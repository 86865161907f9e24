"""Flavors of Kueue as machines: those of nodes with its labels, else of its machine type, else like its quota."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, inf
from typing import Any

from planner.importers.draft import Asked, Draft, Fields, number, plain
from planner.importers.kubernetes_nodes import (
    DEVICE,
    LOCAL,
    MACHINE_LABELS,
    REGION_LABELS,
    ZONE_LABELS,
    cluster_fields,
    first_label,
    gpu_model,
    node_pools,
    purchase_of,
)
from planner.importers.kubernetes_work import daemon_needs
from planner.importers.kueue_quotas import Amounts, Quotas, kueue
from planner.importers.prices import guessed_price
from planner.kube import labels
from planner.kube.objects import Thing
from planner.kube.pods import Needs
from planner.kube.quantities import GIB
from planner.kube.scheduling import may_run

VCPU, GIB_PER_VCPU, VCPU_PER_GPU = 16.0, 4.0, 8.0
"""A machine of which nothing is known: vCPU, and what its quota does not say of memory and of vCPU beside GPUs."""
TOLERANCE = 1e-6

Room = dict[str, float]
"""What a machine has for pods: vcpu, memory_gib, disk_gib and gpu."""


@dataclass(frozen=True, slots=True)
class Base:
    """Machines of a flavor: fields of a pool, room on one, and how many there are (None: as many as wanted)."""

    name: str
    fields: Fields
    room: Room
    count: int | None


@dataclass(frozen=True, slots=True)
class Flavor:
    """A flavor as the node that a pod would see, and its machines."""

    node: Thing
    bases: tuple[Base, ...]
    spot: bool

    def takes(self, spec: Mapping[str, Any]) -> bool:
        """Whether a pod may have it, as Kueue decides: by those node labels that the flavor names, and its taints."""
        known = {key: value for key, value in (spec.get("nodeSelector") or {}).items() if key in self.node.labels}
        tolerations = [*(spec.get("tolerations") or ()), *self.node.items("spec", "tolerations")]
        return may_run({"nodeSelector": known, "tolerations": tolerations}, self.node)


def usable(amounts: Mapping[str, Fraction]) -> Room:
    """A quota by the planner's names; what has no place in a scenario (pods, other devices) is not in it."""
    found: Room = {}
    for resource, amount in amounts.items():
        if resource in ("cpu", "memory", "ephemeral-storage"):
            name = {"cpu": "vcpu", "memory": "memory_gib", "ephemeral-storage": "disk_gib"}[resource]
            found[name] = float(amount if name == "vcpu" else amount / GIB)
        elif DEVICE.fullmatch(resource):
            found["gpu"] = float(amount)
    return found


def machines_in(amounts: Mapping[str, Fraction], room: Room) -> float:
    """Whole machines whose room a quota holds; `inf` where it bounds nothing that they have."""
    parts = [amount / room[name] for name, amount in usable(amounts).items() if room.get(name)]
    return min(parts, default=inf) if not parts else float(int(min(parts) + TOLERANCE))


def flavors_of(name: str, things: Sequence[Thing], quotas: Quotas, needs: Mapping[str, Sequence[Needs]], asked: Asked,
               draft: Draft) -> tuple[Fields, dict[str, Flavor]]:
    """Fields of a cluster, and its flavors by name; `needs` are what pods ask for that may have each.

    A flavor with labels that no node has is left out and told.
    """
    found = [Thing({"kind": "Node", "metadata": {"name": one.name, "labels": one.fields("spec", "nodeLabels")},
                    "spec": {"taints": one.items("spec", "nodeTaints"),
                             "tolerations": one.items("spec", "tolerations")}}, one.file)
             for one in things if kueue(one, "ResourceFlavor")]
    nodes = [thing for thing in things if thing.kind == "Node"]
    if not nodes:
        cluster = _cluster(name, found, asked, draft)
        return cluster, {one.name: _by_quota(one, cluster, quotas, needs.get(one.name, ()), asked, draft)
                         for one in found}
    by_zone = any(label in one.labels for one in found for label in ZONE_LABELS)
    pools = node_pools(nodes, by_zone)
    cluster = cluster_fields(name, nodes, pools, daemon_needs(things)[0], asked, draft)
    made = {pool["name"]: pool for pool in cluster.pop("pools", ())}
    flavors = dict[str, Flavor]()
    for one in found:
        groups = [(pool.name, [node for node in pool.nodes if one.labels.items() <= node.labels.items()])
                  for pool in pools]
        bases = tuple(_base(made[pool], len(group)) for pool, group in groups if group)
        if not bases:
            draft.guess("clusters.*.pools", "left out", "flavors whose labels no node has that takes pods", one.name)
        spot = any(purchase_of(node, cluster["provider"]) == "spot" for _, group in groups for node in group)
        flavors[one.name] = Flavor(one, bases, spot)
    return cluster, flavors


def _base(pool: Fields, count: int) -> Base:
    machine, reserved = pool["machine"], pool.get("reserved", {})
    room = {name: machine.get(name, 0) - reserved.get(name, 0) for name in ("vcpu", "memory_gib", "disk_gib")}
    return Base(pool["name"], {name: value for name, value in pool.items() if name != "max"},
                room | {"gpu": float(machine.get("gpu_count", 0))}, count)


def _cluster(name: str, flavors: Sequence[Thing], asked: Asked, draft: Draft) -> Fields:
    """Where a cluster is, as far as its flavors say: by their machine types and labels."""
    machine = next((found for one in flavors if (found := first_label(one, MACHINE_LABELS))), None)
    region = next((found for one in flavors if (found := first_label(one, REGION_LABELS))), None)
    sold = sorted(((price.on_demand, *key) for key, price in asked.catalog.prices.items()
                   if key[2] == machine and region in (None, key[1]) and price.on_demand is not None))
    place = sold[0][1:3] if sold else ("onprem", region or LOCAL)
    if not sold:
        draft.guess(f"clusters.{name}.provider", "onprem", "no flavor names a machine type that is in the catalog")
    if region is None:
        why = "the cheapest for its machines" if sold else "no node and no flavor names a region"
        draft.guess(f"clusters.{name}.region", place[1], why)
    zones = dict.fromkeys(found for one in flavors if (found := first_label(one, ZONE_LABELS)))
    return plain({"name": name, "provider": place[0], "region": place[1], "zones": [{"name": zone} for zone in zones]})


def _by_quota(flavor: Thing, cluster: Fields, quotas: Quotas, needs: Sequence[Needs], asked: Asked,
              draft: Draft) -> Flavor:
    """Machines of a flavor of which no node is known: of its type, else of a size guessed from all quotas of it."""
    where = f"clusters.{cluster['name']}.pools.{flavor.name}"
    place = cluster["provider"], cluster["region"]
    kind = first_label(flavor, MACHINE_LABELS)
    known = asked.catalog.machine(place[0], kind) if kind else None
    if known is not None:
        machine = plain(known.model_dump(exclude_defaults=True) | {"name": kind})
        draft.guess("clusters.*.pools.reserved", 0, "no node says what it keeps for itself", flavor.name)
    else:
        machine = _shape(flavor, quotas, needs, draft) | ({"name": kind} if kind else {})
    purchase = purchase_of(flavor, place[0])
    offer: Fields = {"purchase": purchase}
    price = guessed_price(draft, asked, where, place, machine["name"], purchase)
    if price is not None:
        offer["price_usd_per_hour"] = number(price)
    fields = plain({"machine": machine, "zone": first_label(flavor, ZONE_LABELS), "offers": [offer]})
    room = {name: machine.get(name, 0) for name in ("vcpu", "memory_gib", "disk_gib")}
    return Flavor(flavor, (Base(flavor.name, fields, room | {"gpu": machine.get("gpu_count", 0)}, None),),
                  purchase == "spot")


def _shape(flavor: Thing, quotas: Quotas, needs: Sequence[Needs], draft: Draft) -> Fields:
    """A machine with the proportions of a flavor's quotas, large enough for the largest pod."""
    total = Amounts()
    for holder in (*quotas.queues.values(), *quotas.cohorts.values()):
        for resource, amount in holder.nominal(flavor.name).items():
            total[resource] = total.get(resource, Fraction(0)) + amount
    all_of, device = usable(total), next((name for name in total if DEVICE.fullmatch(name)), None)
    gpus = max([1, *(count for one in needs for count in one.devices.values())]) if all_of.get("gpu") else 0
    parts = all_of["gpu"] / gpus if gpus else max(1.0, all_of.get("vcpu", VCPU) / VCPU)
    vcpu = all_of["vcpu"] / parts if "vcpu" in all_of else gpus * VCPU_PER_GPU or VCPU
    memory = all_of["memory_gib"] / parts if "memory_gib" in all_of else vcpu * GIB_PER_VCPU
    disk = all_of.get("disk_gib", 0.0) / parts
    times = max([1.0, *(one.vcpu / vcpu for one in needs if vcpu),
                 *(one.memory_gib / memory for one in needs if memory)])
    gpus, times = ceil(gpus * times - TOLERANCE), (ceil(gpus * times - TOLERANCE) / gpus if gpus else times)
    draft.guess("clusters.*.pools.machine", "of the proportions of its quota", "flavors whose labels name no machine "
                "type that is known, and there are no nodes", flavor.name)
    return plain({"name": flavor.name, "vcpu": number(max(vcpu * times, 0.001)),
                  "memory_gib": number(max(memory * times, 0.001)), "disk_gib": number(disk * times) or None,
                  "gpu_model": gpu_model(flavor, device) if gpus and device else None, "gpu_count": gpus or None,
                  "arch": "arm64" if flavor.labels.get(labels.ARCH) == "arm64" else None})
