"""Clusters, pools and offers of a resolved scenario as arrays, and what links between regions cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from placement.problem import Clusters, Domains, Floats, Ints, Offers, Pools, Purchase
from planner.errors import InputError
from planner.scenario.model import Cluster, Link, Machine, Offer, Pool, Scenario
from planner.timeline import Timeline, by_slot

RESOURCES = ("gpu", "vcpu", "memory_gib", "disk_gib", "network_gbps")
"""Resources of a request, in the order in which a missing one is named."""

PURCHASES = {"owned": Purchase.OWNED, "committed": Purchase.COMMITTED, "on_demand": Purchase.ON_DEMAND,
             "spot": Purchase.SPOT}

GRAMS_PER_TONNE = 1e6
WATTS_PER_KW = 1e3


@dataclass(frozen=True, slots=True, eq=False)
class Supply:
    """What can run work: `clusters` [G], `pools` [P] with their `cluster` [P], `room` [P, 5] by `RESOURCES`."""

    clusters: tuple[Cluster, ...]
    pools: tuple[tuple[Cluster, Pool], ...]
    cluster: Ints
    room: Floats

    @classmethod
    def of(cls, scenario: Scenario) -> Supply:
        """Pools in the order of the scenario, which is sorted by cluster."""
        pairs = tuple((cluster, pool) for cluster in scenario.clusters for pool in cluster.pools)
        at = np.repeat(np.arange(len(scenario.clusters)), [len(cluster.pools) for cluster in scenario.clusters])
        return cls(scenario.clusters, pairs, at, np.array([room_on_one(pool) for _, pool in pairs]))

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """(cluster, pool) names of all pools."""
        return tuple((cluster.name, pool.name) for cluster, pool in self.pools)

    @property
    def machines(self) -> tuple[Machine, ...]:
        """Machine type of all pools."""
        return tuple(pool.machine for _, pool in self.pools)

    @property
    def machine_pue(self) -> tuple[tuple[Machine, float], ...]:
        """Machine type and power usage effectiveness (1 where none is given) of all pools."""
        return tuple((pool.machine, cluster.pue or 1.0) for cluster, pool in self.pools)


def room_on_one(pool: Pool) -> list[float]:
    """Room for replicas on one machine by `RESOURCES`: (shape - reserved) x (1 - headroom), which counts for vcpu and
    memory only.

    A disk or a network that the machine does not state it does not promise: there is none of it.
    """
    machine, reserved, kept = pool.machine, pool.reserved, 1 - pool.headroom
    room = (machine.gpu_count - reserved.gpu, (machine.vcpu - reserved.vcpu) * kept,
            (machine.memory_gib - reserved.memory_gib) * kept, (machine.disk_gib or 0.0) - reserved.disk_gib,
            (machine.network_gbps or 0.0) - reserved.network_gbps)
    return [max(0.0, float(left)) for left in room]


def problem_clusters(supply: Supply, links: Links) -> Clusters:
    """Availability of every cluster and egress prices between them; NaN where no link says."""
    keys = [cluster.region_key for cluster in supply.clusters]
    return Clusters(np.array([cluster.availability for cluster in supply.clusters], float), links.egress(keys, keys))


def problem_domains(scenario: Scenario, supply: Supply) -> Domains | None:
    """Failure domains of the pools: provider > region > cluster > zone; None where every cluster is one by itself.

    A part that is always up carries nothing and is left out of the paths.
    """
    if not scenario.domains and not any(cluster.zones for cluster in supply.clusters):
        return None
    stated = {domain.name: domain.availability for domain in scenario.domains}
    leaves: dict[tuple[int, str | None], int] = {}
    parts: dict[tuple[str, ...], int] = {}
    up: list[float] = []
    paths: list[list[int]] = []
    row = []
    for (cluster, pool), g in zip(supply.pools, supply.cluster.tolist(), strict=True):
        row.append(leaves.setdefault((g, pool.zone), len(leaves)))
        if row[-1] < len(paths):
            continue
        zone = next((one.availability for one in cluster.zones if one.name == pool.zone), 1.0)
        paths.append([])
        for key, chance in (((cluster.provider,), stated.get(cluster.provider, 1.0)),
                            ((cluster.provider, cluster.region), stated.get(cluster.region_key, 1.0)),
                            (("", str(g)), cluster.availability), (("", str(g), pool.zone or ""), zone)):
            if chance < 1 and key not in parts:
                parts[key] = len(up)
                up.append(chance)
            paths[-1].append(parts.get(key, -1))
    path = np.array(paths, np.int64)
    some = (path >= 0).any(axis=0)
    return Domains(np.array(row, np.int64), np.ascontiguousarray(path[:, some] if some.any() else path[:, :1]),
                   np.array(up, float))


def problem_pools(scenario: Scenario, supply: Supply, resources: Sequence[int]) -> Pools:
    """Room by the resources in use, machines at most and at least, and carbon per running machine and slot."""
    slots, weight = scenario.horizon.slots, Timeline.of(scenario.horizon).weight
    most, least = (np.array([by_slot(limit, slots) for limit in limits]).astype(np.int32)
                   for limits in ([pool.max for _, pool in supply.pools], [pool.min for _, pool in supply.pools]))
    carbon = np.array([_carbon_usd(scenario, cluster, pool.machine) * weight for cluster, pool in supply.pools])
    return Pools(supply.cluster, np.ascontiguousarray(supply.room[:, list(resources)]), most, carbon, least)


def _carbon_usd(scenario: Scenario, cluster: Cluster, machine: Machine) -> Floats:
    """Price of the carbon of one machine in each slot: watts x hours x pue x grid; what is not given is 0, pue 1."""
    kwh = (machine.watts or 0.0) / WATTS_PER_KW * scenario.horizon.slot_hours * (cluster.pue or 1.0)
    grams = kwh * by_slot(cluster.grid_g_per_kwh or 0.0, scenario.horizon.slots)
    return grams / GRAMS_PER_TONNE * scenario.carbon_usd_per_tonne


def problem_offers(scenario: Scenario, supply: Supply) -> Offers:
    """Offers sorted by pool, then owned, committed, on_demand, spot. Raises InputError for a minimum they cannot give.
    """
    rows = sorted(((p, int(PURCHASES[offer.purchase]), offer) for p, (_, pool) in enumerate(supply.pools)
                   for offer in pool.offers), key=lambda row: row[:2])
    slots, hours, line = scenario.horizon.slots, scenario.horizon.slot_hours, Timeline.of(scenario.horizon)
    price = [by_slot(_price_usd_per_hour(supply, p, offer), slots) * hours * _again(offer) * line.weight
             for p, _, offer in rows]
    owned = [by_slot(offer.owned, slots) for _, _, offer in rows]
    most = [_most(supply.pools[p][1], offer, line.days) for p, _, offer in rows]
    pool = np.array([row[0] for row in rows], np.int64)
    _check_minimum(supply, pool, np.array(most).reshape(len(rows), slots))
    return Offers(pool, np.array([row[1] for row in rows], np.int64),
                  np.array(owned, np.int64).reshape(len(rows), slots), np.array(price, float).reshape(len(rows), slots),
                  np.array(most, np.int32).reshape(len(rows), slots))


def _check_minimum(supply: Supply, pool: Ints, most: Floats) -> None:
    """In every slot a pool's offers can give its minimum, `most` [O, T] machines each."""
    for p, (cluster, model) in enumerate(supply.pools):
        if model.min == 0:
            continue
        there = np.minimum(most[pool == p].sum(axis=0), by_slot(model.max, most.shape[1]))
        short = np.flatnonzero(there < by_slot(model.min, most.shape[1]))
        if len(short):
            t = int(short[0])
            least = model.min if isinstance(model.min, int) else model.min[t]
            where = f"clusters.{cluster.name}.pools.{model.name}.min: {least}"
            most_there = f"in slot {t} the pool and its offers give {there[t]:g} machines at most"
            raise InputError([f"{where}: {most_there}: lower min, or raise max"])


def _again(offer: Offer) -> float:
    """Spot also pays for the work that an interruption makes it do again."""
    return 1 + (offer.interruption_per_hour * offer.redo_hours if offer.purchase == "spot" else 0.0)


def _price_usd_per_hour(supply: Supply, p: int, offer: Offer) -> float | tuple[float, ...]:
    """The offer's price, as given or from the catalog."""
    if offer.price_usd_per_hour is None:
        cluster, pool = supply.pools[p]
        where = f"clusters.{cluster.name}.pools.{pool.name}.offers.{offer.purchase}"
        raise InputError([f"{where}: no price_usd_per_hour, and the catalog has none: give one"])
    return offer.price_usd_per_hour


def _most(pool: Pool, offer: Offer, days: Floats) -> Floats:
    """Machines of an offer [T]: before the lead time only those already owned, save of purchase owned.

    `days` [T] is when the slots begin, counted from the horizon's start.
    """
    slots = len(days)
    most = np.minimum(by_slot(pool.max, slots), by_slot(pool.max if offer.max is None else offer.max, slots))
    early = days < (0.0 if offer.purchase == "owned" else pool.lead_time_days) - 1e-9
    return np.where(early, np.minimum(most, by_slot(offer.owned, slots)), most)


class Links:
    """Round trips (ms) and egress prices (USD per GB) between regions; NaN where nothing says.

    A round trip may be taken from the reverse link; a region to itself is 0 ms and 0 USD unless a link says otherwise.
    """

    def __init__(self, links: Iterable[Link]) -> None:
        self._rtt: dict[tuple[str, str], float] = {}
        self._egress: dict[tuple[str, str], float] = {}
        for link in links:
            if link.rtt_ms is not None:
                self._rtt[link.from_, link.to] = link.rtt_ms
            if link.egress_usd_per_gb is not None:
                self._egress[link.from_, link.to] = link.egress_usd_per_gb

    def rtt(self, senders: Sequence[str], receivers: Sequence[str]) -> Floats:
        """Round trips [senders, receivers] in ms."""
        return _table(senders, receivers, lambda a, b: self._rtt.get((a, b), self._rtt.get((b, a))))

    def egress(self, senders: Sequence[str], receivers: Sequence[str]) -> Floats:
        """Prices [senders, receivers] in USD per GB, paid where the data leaves."""
        return _table(senders, receivers, lambda a, b: self._egress.get((a, b)))


def _table(senders: Sequence[str], receivers: Sequence[str], known: Callable[[str, str], float | None]) -> Floats:
    def of(sender: str, receiver: str) -> float:
        value = known(sender, receiver)
        return value if value is not None else 0.0 if sender == receiver else np.nan

    return np.array([[of(a, b) for b in receivers] for a in senders], float).reshape(len(senders), len(receivers))


def missing_link(sender: str, receiver: str, field: Literal["rtt_ms", "egress_usd_per_gb"], why: str) -> InputError:
    """The error for a link that is needed and neither given nor in the catalog."""
    mend = f"{{from: {sender}, to: {receiver}, {field}: ...}}"
    return InputError([f"links: {sender} to {receiver}: no {field}, which {why} needs: add {mend}"])
