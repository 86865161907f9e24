"""`planner catalog`: machine types and prices, as rows to look at."""

from __future__ import annotations

from collections import defaultdict
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import NamedTuple

from planner.catalog import Catalog
from planner.errors import InputError


class MachineRow(NamedTuple):
    """A machine type of one provider; prices in USD per hour, the least and the most over `regions` regions."""

    provider: str
    machine: str
    vcpu: float
    memory_gib: float
    gpus: str
    regions: int
    least_usd: float | None
    most_usd: float | None


class PriceRow(NamedTuple):
    """A machine type in one region; prices in USD per hour."""

    provider: str
    region: str
    machine: str
    vcpu: float
    memory_gib: float
    gpus: str
    on_demand_usd: float | None
    spot_usd: float | None


def machine_rows(catalog: Catalog, pattern: str) -> list[MachineRow]:
    """Machine types whose name matches, by provider and size. Raises InputError when there is none."""
    asked: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (provider, _, name), price in catalog.prices.items():
        if price.on_demand is not None:
            asked[provider, name].append(price.on_demand)
    rows = []
    for (provider, name), machine in catalog.machines.items():
        if not fnmatchcase(name.lower(), pattern.lower()):
            continue
        paid = asked[provider, name]
        gpus = _gpus(machine.gpu_count, machine.gpu_model)
        rows.append(MachineRow(provider, name, machine.vcpu, machine.memory_gib, gpus, len(paid),
                               min(paid, default=None), max(paid, default=None)))
    if not rows:
        raise _none(pattern, sorted({name for _, name in catalog.machines}), "machine")
    return sorted(rows)


def price_rows(catalog: Catalog, pattern: str, region: str) -> list[PriceRow]:
    """Machine types whose name matches in one region (`provider/region`). Raises InputError when there is none."""
    if region not in catalog.regions:
        raise _none(region, sorted(catalog.regions), "--region")
    provider, _, place = region.partition("/")
    rows = []
    for (owner, there, name), price in catalog.prices.items():
        machine = catalog.machine(owner, name)
        if (owner, there) == (provider, place) and machine is not None and fnmatchcase(name.lower(), pattern.lower()):
            rows.append(PriceRow(owner, there, name, machine.vcpu, machine.memory_gib,
                                 _gpus(machine.gpu_count, machine.gpu_model), price.on_demand, price.spot))
    if not rows:
        raise _none(pattern, catalog.machine_names(provider), f"machine in {region}")
    return sorted(rows)


def _gpus(count: int, model: str | None) -> str:
    return f"{count} x {model}" if count and model else ""


def _none(wanted: str, known: list[str], what: str) -> InputError:
    near = get_close_matches(wanted, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known[:8])} and so on"
    return InputError([f"catalog: {what}: {wanted!r}: nothing matches{hint}"])
