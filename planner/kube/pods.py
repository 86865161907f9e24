"""What a pod asks for, as the scheduler counts it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from planner.kube.objects import Fields, Thing, listed
from planner.kube.quantities import GIB

Amounts = dict[str, Fraction]
"""Quantities by resource."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What one pod asks for: vcpu, GiB, and whole devices by resource name; `missing` are resources that some container
    does not state (`cpu`, `memory`).
    """

    vcpu: float
    memory_gib: float
    disk_gib: float
    devices: Mapping[str, int]
    missing: frozenset[str]


def needs(thing: Thing, spec: Fields, field: str) -> Needs:
    """What a pod of a spec asks for: the larger of what its containers need together and what any init container needs
    beside the sidecars started before it; and overhead. Pod-level resources win. Raises InputError.

    A limit without a request is the request, as Kubernetes has it.
    """
    total, missing = Amounts(), set[str]()
    for number, container in enumerate(listed(thing, spec.get("containers"), f"{field}.containers")):
        _add(total, _stated(thing, container, f"{field}.containers[{number}]", missing))
    sidecars, peak = Amounts(), Amounts()
    for number, container in enumerate(listed(thing, spec.get("initContainers"), f"{field}.initContainers")):
        stated = _stated(thing, container, f"{field}.initContainers[{number}]", set())
        if container.get("restartPolicy") == "Always":
            _add(sidecars, stated)
            _most(peak, sidecars)
        else:
            _most(peak, _sum((stated, sidecars)))
    _add(total, sidecars)
    _most(total, peak)
    for name, amount in _resources(thing, spec, field).items():
        total[name] = amount
        missing.discard(name)
    _add(total, {name: thing.quantity(value, f"{field}.overhead.{name}")
                 for name, value in (spec.get("overhead") or {}).items()})
    if not any(total.values()):  # 0 of everything says nothing of what it takes
        missing |= {"cpu", "memory"}
    devices = {name: int(amount) for name, amount in total.items() if "/" in name and amount}
    return Needs(float(total.get("cpu", 0)), float(total.get("memory", 0) / GIB),
                 float(total.get("ephemeral-storage", 0) / GIB), devices, frozenset(missing))


def _stated(thing: Thing, container: Fields, field: str, missing: set[str]) -> Amounts:
    """Requests of a container; `missing` is told what it does not state."""
    found = _resources(thing, container, field)
    missing |= {"cpu", "memory"} - found.keys()
    return found


def _resources(thing: Thing, holder: Fields, field: str) -> Amounts:
    """Requests, and limits where there is no request, of a container or of a pod as a whole."""
    resources = holder.get("resources") or {}
    if not isinstance(resources, Mapping):
        raise thing.wrong(f"{field}.resources", resources, "a mapping of requests and limits is needed")
    found = Amounts()
    for part in ("limits", "requests"):
        for name, value in (resources.get(part) or {}).items():
            found[name] = thing.quantity(value, f"{field}.resources.{part}.{name}")
    return found


def _add(total: Amounts, more: Mapping[str, Fraction]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Fraction(0)) + amount


def _most(total: Amounts, other: Mapping[str, Fraction]) -> None:
    for name, amount in other.items():
        total[name] = max(total.get(name, Fraction(0)), amount)


def _sum(parts: Iterable[Mapping[str, Fraction]]) -> Amounts:
    total = Amounts()
    for part in parts:
        _add(total, part)
    return total
