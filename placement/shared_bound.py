"""What pools share, at prices: Lagrangian relaxation of shared limits and of what commitments pay for.

A limit row with price v >= 0 a unit makes every machine that counts dearer, and gives the limit back once. A unit of a
commitment is rented out at u >= 0 in every slot: then an on_demand machine costs its own price or the rent of the units
that would pay for it, whichever is less, and of the commitment so much is held as earns more than it costs. That
commitments take turns, the dearest machine first, is left out, which only lowers the bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from placement.problem import Floats, Problem
from placement.shared import covered, units_per_machine


@dataclass(frozen=True, slots=True)
class SharedPrices:
    """Prices in units of the objective: `limit` [L, T] of a limit's measure, `unit` [K, T] of a commitment's unit.

    Left empty, limits are free and units cost what they are sold for.
    """

    limit: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    unit: Floats = field(default_factory=lambda: np.zeros((0, 0)))


FREE = SharedPrices()


def priced(problem: Problem, shared: SharedPrices, cost_scale: float) -> tuple[Problem, float]:
    """The problem with machines at these prices, a USD counting `cost_scale` of the objective; and a constant term.

    For any prices >= 0 the least cost of the new problem's machines, plus the constant, is at most that of the old.
    """
    offers, limits, c = problem.offers, problem.limits, problem.commitments
    price, run = cost_scale * offers.price_usd, cost_scale * problem.pools.run_usd
    unit = shared.unit if len(shared.unit) else cost_scale * c.price_usd
    constant = 0.0
    for k in range(len(c.owned)):
        rows = covered(problem, k)
        price[rows] = np.minimum(price[rows], unit[k] * units_per_machine(problem, k, rows))
        each = float((cost_scale * c.price_usd[k] - unit[k]).sum())
        constant += each * float(c.owned[k]) + min(0.0, each) * float(c.most[k])
    for row in range(len(shared.limit)):
        rent = shared.limit[row] * limits.amount[row][:, None]
        if limits.paid[row]:
            price += rent[offers.pool] * offers.price_usd
        else:
            run += rent
        constant -= float((shared.limit[row] * limits.most[row]).sum())
    pools = replace(problem.pools, run_usd=run)
    return replace(problem, offers=replace(offers, price_usd=price), pools=pools), constant
