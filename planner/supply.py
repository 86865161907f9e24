"""Clusters, pools and offers of a resolved scenario as arrays, and what links between regions cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np

from placement.problem import Clusters, Floats, Ints, Offers, Pools, Purchase
from planner.errors import InputError
from planner.scenario.model import Cluster, Link, Machine, Offer, Pool, Scenario

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
        return cls(scenario.clusters, pairs, at, np.array([_room(pool) for _, pool in pairs]))

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """(cluster, pool) names of all pools."""
        return tuple((cluster.name, pool.name) for cluster, pool in self.pools)

    @property
    def machines(self) -> tuple[Machine, ...]:
        """Machine type of all pools."""
        return tuple(pool.machine for _, pool in self.pools)


def _room(pool: Pool) -> list[float]:
    """Room for replicas on one machine: (shape - reserved) x (1 - headroom), headroom on vcpu and memory only.

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


def problem_pools(scenario: Scenario, supply: Supply, resources: Sequence[int]) -> Pools:
    """Room by the resources in use, machines at most, and carbon per running machine and slot."""
    slots = scenario.horizon.slots
    most = np.array([pool.max for _, pool in supply.pools], np.int32)
    carbon = np.array([_carbon_usd(scenario, cluster, pool.machine) for cluster, pool in supply.pools])
    return Pools(supply.cluster, np.ascontiguousarray(supply.room[:, list(resources)]),
                 np.repeat(most[:, None], slots, axis=1), np.repeat(carbon[:, None], slots, axis=1))


def _carbon_usd(scenario: Scenario, cluster: Cluster, machine: Machine) -> float:
    """Price of the carbon of one machine in one slot: watts x hours x pue x grid; what is not given is 0, pue 1."""
    kwh = (machine.watts or 0.0) / WATTS_PER_KW * scenario.horizon.slot_hours * (cluster.pue or 1.0)
    return kwh * (cluster.grid_g_per_kwh or 0.0) / GRAMS_PER_TONNE * scenario.carbon_usd_per_tonne


def problem_offers(scenario: Scenario, supply: Supply) -> Offers:
    """Offers sorted by pool, then owned, committed, on_demand, spot."""
    rows = sorted(((p, int(PURCHASES[offer.purchase]), offer) for p, (_, pool) in enumerate(supply.pools)
                   for offer in pool.offers), key=lambda row: row[:2])
    slots, hours = scenario.horizon.slots, scenario.horizon.slot_hours
    price = np.array([_price_usd_per_hour(supply, p, offer) * hours for p, _, offer in rows], float)
    most = [_most(supply.pools[p][1], offer, slots, hours) for p, _, offer in rows]
    return Offers(np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.int64),
                  np.array([offer.owned for _, _, offer in rows], np.int64),
                  np.repeat(price[:, None], slots, axis=1), np.array(most, np.int32).reshape(len(rows), slots))


def _price_usd_per_hour(supply: Supply, p: int, offer: Offer) -> float:
    """The offer's price; spot also pays for the work that an interruption makes it do again."""
    if offer.price_usd_per_hour is None:
        cluster, pool = supply.pools[p]
        where = f"clusters.{cluster.name}.pools.{pool.name}.offers.{offer.purchase}"
        raise InputError([f"{where}: no price_usd_per_hour, and the catalog has none: give one"])
    again = offer.interruption_per_hour * offer.redo_hours if offer.purchase == "spot" else 0.0
    return offer.price_usd_per_hour * (1 + again)


def _most(pool: Pool, offer: Offer, slots: int, slot_hours: float) -> list[int]:
    """Machines of an offer by slot: before the lead time only those already owned, save of purchase owned."""
    most = min(pool.max, pool.max if offer.max is None else offer.max)
    wait = 0 if offer.purchase == "owned" else ceil(pool.lead_time_days * 24 / slot_hours - 1e-9)
    early = min(wait, slots)
    return [min(most, offer.owned)] * early + [most] * (slots - early)


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
