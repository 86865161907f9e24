"""What there is for demand that grows: machines without an order, machines at most, and limits that pools share."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from planner.scenario.model import Limit, Machine, Pool, Scenario
from planner.supply import RESOURCES, Supply
from planner.timeline import by_slot

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A limit over pools: `each` [P] is what one machine of a pool counts."""

    name: str
    measure: str
    most: float
    each: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """P pools by (cluster, pool): `shape` [P, 5] is the room of a machine by `resources`, `held` [P] the machines that
    need no order, `most` [P] those that may be there at most, `lead_days` [P] the wait for what is ordered.

    Where limits vary by slot the last slot counts: it is what stays.
    """

    names: tuple[tuple[str, str], ...]
    machines: tuple[Machine, ...]
    resources: tuple[str, ...]
    shape: Floats
    held: Floats
    most: Floats
    lead_days: Floats
    limits: tuple[Shared, ...]
    refused: tuple[str, ...]


def room_of(scenario: Scenario) -> Room:
    """The room of a resolved scenario."""
    supply = Supply.of(scenario)
    pools = [pool for _, pool in supply.pools]
    counted = [_counts(pool, scenario.horizon.slots) for pool in pools]
    limits = [_shared(limit, supply) for limit in scenario.limits]
    return Room(supply.names, supply.machines, RESOURCES, supply.room, np.array([held for held, _ in counted]),
                np.array([most for _, most in counted]), np.array([pool.lead_time_days for pool in pools]),
                tuple(limit for limit in limits if limit is not None),
                tuple(limit.name for limit, made in zip(scenario.limits, limits, strict=True) if made is None))


def _counts(pool: Pool, slots: int) -> tuple[float, float]:
    """Machines that need no order, and at most. Beyond what is owned a lead time counts, save for purchase owned."""
    last = float(by_slot(pool.max, slots)[-1])
    held = most = 0.0
    for offer in pool.offers:
        owned = float(by_slot(offer.owned, slots)[-1])
        top = last if offer.max is None else float(by_slot(offer.max, slots)[-1])
        most += max(owned, top)
        held += owned if pool.lead_time_days > 0 and offer.purchase != "owned" else max(owned, top)
    return min(held, last), min(most, last)


def _shared(limit: Limit, supply: Supply) -> Shared | None:
    """A limit in machines of each pool; None for money, which depends on the offers that run."""
    if limit.measure == "usd_per_hour":
        return None
    each = [_counted(machine, limit.measure)
            if any(fnmatchcase(f"{cluster}/{pool}", pattern) for pattern in limit.pools) else 0.0
            for (cluster, pool), machine in zip(supply.names, supply.machines, strict=True)]
    return Shared(limit.name, limit.measure, limit.max, np.array(each))


def _counted(machine: Machine, measure: str) -> float:
    """What one machine counts towards a limit."""
    if measure == "kw":
        return (machine.watts or 0.0) / 1000
    return {"machines": 1.0, "vcpu": machine.vcpu, "gpu": float(machine.gpu_count)}[measure]
