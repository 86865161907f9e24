"""Prices, shapes, regions and distances as facts to look up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from planner.scenario.model import Machine
from planner.scenario.values import Purchase

SAME_METROPOLIS_MS = 2.0
"""Round trip between two regions that stand at the same place on the map (an estimate)."""


@dataclass(frozen=True, slots=True)
class Region:
    """Where a region is, and what its power is like.

    `area` is the continent that egress prices go by. `round_trips_as` is the region whose round trips it shares.
    """

    provider: str
    region: str
    country: str
    area: str | None = None
    round_trips_as: str | None = None
    grid_g_per_kwh: float | None = None
    pue: float | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """USD per hour of one machine; None where no price is known."""

    on_demand: float | None = None
    spot: float | None = None


@dataclass(frozen=True)
class Catalog:
    """Facts by name; a lookup gives None for what is not known.

    `machines` by (provider, machine), `prices` by (provider, region, machine), `regions` by `provider/region`,
    `round_trips` in ms by two region keys, `egress` in USD per GB by (sender, receiver), each a region key,
    `provider/area`, a provider, or `internet`. `as_of` is an ISO date: no price is older.
    """

    as_of: str
    machines: Mapping[tuple[str, str], Machine]
    prices: Mapping[tuple[str, str, str], Price]
    regions: Mapping[str, Region]
    round_trips: Mapping[tuple[str, str], float]
    egress: Mapping[tuple[str, str], float]

    def machine(self, provider: str, name: str) -> Machine | None:
        """The shape of a machine type."""
        return self.machines.get((provider, name))

    def price(self, provider: str, region: str, name: str, purchase: Purchase) -> float | None:
        """List price in USD per hour; known for on_demand and spot only."""
        found = self.prices.get((provider, region, name))
        if found is None or purchase not in ("on_demand", "spot"):
            return None
        return found.on_demand if purchase == "on_demand" else found.spot

    def region(self, key: str) -> Region | None:
        """What is known of a region `provider/region`."""
        return self.regions.get(key)

    def rtt_ms(self, sender: str, receiver: str) -> float | None:
        """Round trip between two regions: of the pair, else of the places that they share round trips with."""
        if sender == receiver:
            return 0.0
        places = [known.round_trips_as or key if (known := self.regions.get(key)) else key
                  for key in (sender, receiver)]
        if places[0] == places[1]:
            return SAME_METROPOLIS_MS
        for a, b in ((sender, receiver), (receiver, sender), (places[0], places[1]), (places[1], places[0])):
            if (a, b) in self.round_trips:
                return self.round_trips[a, b]
        return None

    def egress_usd_per_gb(self, sender: str, receiver: str) -> float | None:
        """Price of data from one region to another: the rule that names both most closely."""
        if sender == receiver:
            return 0.0
        receivers = [*self._names(receiver)]
        if sender.split("/")[0] != receiver.split("/")[0]:
            receivers = [receiver, "internet"]
        for a in self._names(sender):
            for b in receivers:
                if (a, b) in self.egress:
                    return self.egress[a, b]
        return None

    def _names(self, key: str) -> tuple[str, ...]:
        """A region, its provider's area and its provider."""
        provider, known = key.split("/")[0], self.regions.get(key)
        return (key, f"{provider}/{known.area}", provider) if known and known.area else (key, provider)

    @cached_property
    def providers(self) -> frozenset[str]:
        """Providers of which machines are known."""
        return frozenset(provider for provider, _ in self.machines)

    @cached_property
    def gpu_models(self) -> frozenset[str]:
        """GPU models of all machine types."""
        return frozenset(machine.gpu_model for machine in self.machines.values() if machine.gpu_model)

    def machine_names(self, provider: str) -> list[str]:
        """Machine types of a provider, in order."""
        return sorted(name for owner, name in self.machines if owner == provider)

    def over(self, base: Catalog) -> Catalog:
        """One catalog with what it lacks taken from another. Prices of the providers it knows are its own alone."""
        machines = {**base.machines, **{key: _filled(machine, base.machines.get(key))
                                        for key, machine in self.machines.items()}}
        prices = {key: price for key, price in base.prices.items() if key[0] not in self.providers}
        return replace(self, machines=machines, prices={**prices, **self.prices},
                       regions={**base.regions, **self.regions}, round_trips={**base.round_trips, **self.round_trips},
                       egress={**base.egress, **self.egress})


def _filled(machine: Machine, base: Machine | None) -> Machine:
    """A machine with what it does not state taken from the same machine elsewhere."""
    if base is None:
        return machine
    unstated = [name for name in type(machine).model_fields if getattr(machine, name) is None]
    return machine.model_copy(update={name: getattr(base, name) for name in unstated})
