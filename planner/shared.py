"""Limits and commitments that pools share: from the scenario's words to arrays."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import numpy as np

from placement.problem import Bools, Commitments, Limits
from planner.scenario.model import Limit, Machine, Scenario
from planner.supply import WATTS_PER_KW, Supply
from planner.timeline import Timeline


def problem_limits(scenario: Scenario, supply: Supply) -> Limits:
    """One row for every limit; a cap in USD per hour is one on the USD of a slot, as often as the slot counts."""
    if not scenario.limits:
        return Limits()
    slot = scenario.horizon.slot_hours * Timeline.of(scenario.horizon).weight
    paid = np.array([limit.measure == "usd_per_hour" for limit in scenario.limits])
    amount = [_matching(limit.pools, supply) * [_amount(limit, *pool) for pool in supply.machine_pue]
              for limit in scenario.limits]
    most = [limit.max * (slot if usd else np.ones_like(slot)) for limit, usd in zip(scenario.limits, paid, strict=True)]
    return Limits(np.array(amount, float), paid, np.array(most, float))


def _amount(limit: Limit, machine: Machine, pue: float) -> float:
    """What one running machine counts; in USD per hour, what one USD does. A power not stated is none."""
    return {"machines": 1.0, "vcpu": machine.vcpu, "gpu": float(machine.gpu_count),
            "kw": (machine.watts or 0.0) * pue / WATTS_PER_KW, "usd_per_hour": 1.0}[limit.measure]


def problem_commitments(scenario: Scenario, supply: Supply) -> Commitments:
    """One row for every commitment, in units of USD per hour or machines."""
    rows = scenario.commitments
    if not rows:
        return Commitments()
    slot = scenario.horizon.slot_hours * Timeline.of(scenario.horizon).weight
    price = [(row.price_usd_per_hour or 0.0 if row.unit == "machines" else 1.0) * slot for row in rows]
    return Commitments(
        np.array([_matching(row.covers, supply) for row in rows]), np.array([row.unit == "machines" for row in rows]),
        np.array([row.discount or 0.0 for row in rows]), np.array(price), np.array([row.owned for row in rows], float),
        np.array([row.max_buy for row in rows], float))


def _matching(patterns: Iterable[str], supply: Supply) -> Bools:
    """[P] pools whose `cluster/pool` matches one of the patterns."""
    return np.array([any(fnmatchcase(f"{cluster}/{pool}", pattern) for pattern in patterns)
                     for cluster, pool in supply.names])
