"""What a plan must survive, from the scenario's words: which losses there are, and which streams survive them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from placement.problem import Bools, Counts, Floats, Ints, Survival
from planner.demand import Demand
from planner.scenario.model import Cluster, Scenario
from planner.scenario.values import Survive
from planner.supply import PURCHASES, Supply
from planner.timeline import by_slot

LEVELS: tuple[Survive, ...] = ("none", "cluster", "region", "provider")
"""Position is what `placement.problem.Survival` calls a kind."""


@dataclass(frozen=True, eq=False)
class Losses:
    """Every single loss that some stream survives: its `name`, its kind and the clusters it takes.

    `kind` [L] and `asked` [S] are positions in `LEVELS`; `lost` [L, G]. Names are a cluster's, a region key, a
    provider's.
    """

    names: tuple[str, ...]
    kind: Ints
    lost: Bools
    asked: Ints

    @classmethod
    def of(cls, scenario: Scenario, supply: Supply, demand: Demand) -> Losses:
        """One loss for every domain of each level that is asked for, smaller levels first, in the clusters' order."""
        levels = [LEVELS.index(scenario.level_survived(workload)) for workload in demand.workloads]
        asked = np.array(levels, np.int64)[demand.workload]
        table = [(kind, name) for kind in np.unique(asked[asked > 0]).tolist()
                 for name in dict.fromkeys(domain(cluster, LEVELS[kind]) for cluster in supply.clusters)]
        lost = [[domain(cluster, LEVELS[kind]) == name for cluster in supply.clusters] for kind, name in table]
        return cls(tuple(name for _, name in table), np.array([kind for kind, _ in table], np.int64),
                   np.array(lost, bool).reshape(-1, len(supply.clusters)), asked)

    def problem_survival(self, supply: Supply, limits: Counts, pool: Ints, purchase: Ints) -> Survival | None:
        """For the problem, whose offers have `limits` [O, T], `pool` and `purchase` [O]; None where nothing is asked.

        After a loss no more machines are assured of an offer than its limits allow anyway.
        """
        if not self.names:
            return None
        offers = zip(pool.tolist(), purchase.tolist(), strict=True)
        assured = np.array([_assured(supply, p, kind, limits.shape[1]) for p, kind in offers]).reshape(limits.shape)
        return Survival(self.lost, self.kind, self.asked, np.minimum(limits, assured).astype(np.int32))

    @cached_property
    def row(self) -> dict[str, int]:
        """Row of a loss by its name."""
        return {name: row for row, name in enumerate(self.names)}

    def of_level(self, stream: int) -> Ints:
        """Rows of the losses that a stream survives."""
        return np.flatnonzero(self.kind == self.asked[stream])


def _assured(supply: Supply, pool: int, purchase: int, slots: int) -> Floats:
    """Machines of an offer that are sure to come after a loss [T], where it says: else as many as any limit allows."""
    offer = next(offer for offer in supply.pools[pool][1].offers if PURCHASES[offer.purchase] == purchase)
    return by_slot(np.iinfo(np.int32).max if offer.assured_max is None else offer.assured_max, slots)


def domain(cluster: Cluster, level: Survive) -> str:
    """The name of the domain of a level that a cluster lies in."""
    return {"none": "", "cluster": cluster.name, "region": cluster.region_key, "provider": cluster.provider}[level]
