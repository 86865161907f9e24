"""Clusters for workloads whose source names none: where the catalog sells what they need at the least price."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from planner.errors import InputError
from planner.importers.draft import Asked, Draft, Fields, number
from planner.scenario.model import Machine


def add_cluster(draft: Draft, asked: Asked) -> None:
    """Add a cluster with a pool for every machine type that the draft's workloads need, large enough for all of them.

    Raises InputError where no region of the catalog has machines for them.
    """
    needs = [(one["request"], max(one["replicas"]), one.get("hardware", {}).get("gpu_models"))
             for one in draft.workloads]
    best: tuple[float, str, dict[str, int]] | None = None
    for key in sorted(asked.catalog.regions):
        found = _machines(key, needs, asked)
        if found is not None and (best is None or found[0] < best[0] - 1e-9):
            best = found[0], key, found[1]
    if best is None:
        raise InputError(list(_homeless(draft, asked)) or [
            "workloads: no region of the catalog has machines for all of them: import them one by one"])
    provider, region = best[1].split("/", 1)
    pools = [{"name": name.replace("/", "-"), "machine": name, "max": count, "offers": [{"purchase": "on_demand"}]}
             for name, count in sorted(best[2].items())]
    draft.clusters.append({"name": f"{provider}-{region}", "provider": provider, "region": region, "pools": pools})
    why = "no cluster is given: the catalog has what is needed cheapest there, with a machine for every replica at most"
    draft.guess("clusters", f"{provider}-{region}", why)


def _machines(key: str, needs: Iterable[tuple[Fields, int, Any]], asked: Asked) -> tuple[float, dict[str, int]] | None:
    """Price of one machine for every replica in a region, and how many of each type; None where some need has none."""
    provider, region = key.split("/", 1)
    there = {name: (machine, price) for (owner, name), machine in asked.catalog.machines.items()
             if owner == provider and (price := asked.catalog.price(provider, region, name, "on_demand")) is not None}
    total, counts = 0.0, dict[str, int]()
    for request, replicas, models in needs:
        fitting = [(price, name) for name, (machine, price) in there.items() if fits(request, models, machine)]
        if not fitting:
            return None
        price, name = min(fitting)
        total += price * replicas
        counts[name] = counts.get(name, 0) + replicas
    return total, {name: max(1, count) for name, count in counts.items()}


def fits(request: Mapping[str, Any], models: Sequence[str] | None, machine: Machine) -> bool:
    """Whether one replica fits an empty machine of the usual architecture."""
    if request.get("gpu", 0) > machine.gpu_count or (not request.get("gpu") and machine.gpu_count):
        return False
    return (machine.arch == "x86_64" and request["vcpu"] <= machine.vcpu and request["memory_gib"] <= machine.memory_gib
            and request.get("disk_gib", 0) <= (machine.disk_gib or 0)
            and (models is None or machine.gpu_model in models))


def _homeless(draft: Draft, asked: Asked) -> Iterator[str]:
    """A line for every workload that no machine of the catalog is large enough for."""
    for one in draft.workloads:
        models = one.get("hardware", {}).get("gpu_models")
        if not any(fits(one["request"], models, machine) for machine in asked.catalog.machines.values()):
            kind = f" of {', '.join(models)}" if models else ""
            yield f"workloads.{one['name']}.request: {_words(one['request'])}{kind}: no machine of the catalog has that"


def _words(request: Mapping[str, Any]) -> str:
    parts = [f"{number(request['vcpu'])} vCPU", f"{number(request['memory_gib'])} GiB"]
    return ", ".join([*parts, *([f"{request['gpu']} GPUs"] if request.get("gpu") else [])])
