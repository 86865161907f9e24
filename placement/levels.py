"""What holding one more machine of an owned or committed offer costs, level by level.

At level d (the most that run in any slot) an offer costs the sum over slots of price[t] x max(owned[t], d): a convex
function of d, flat up to the fewest owned in any slot, then in steps that end where a slot's owned machines do.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from placement.problem import Floats, Ints, Problem, Purchase


@dataclass(frozen=True, slots=True)
class Levels:
    """Levels of all fixed offers of one pool together, bought cheapest first.

    `held` machines cost nothing more than `sunk_usd`, which is paid anyway; then come steps of `width` [k] machines for
    `usd` [k] each, in ascending order.
    """

    held: int
    sunk_usd: float
    width: Ints
    usd: Floats


def pool_levels(problem: Problem, offers: Ints) -> Levels:
    """Levels of the `offers` (rows) of one pool; those not paid for in every slot are passed over."""
    held, sunk = 0, 0.0
    steps: list[tuple[float, int]] = []
    for o in offers[problem.offers.purchase[offers] <= Purchase.COMMITTED].tolist():
        price, owned = problem.offers.price_usd[o], problem.offers.owned[o]
        held += int(owned.min())
        sunk += float((price * owned).sum())
        steps += _steps(price, owned, int(problem.offers.max_machines[o].max(initial=0)))
    steps.sort(key=lambda step: step[0])
    return Levels(held, sunk, np.array([n for _, n in steps], np.int64), np.array([usd for usd, _ in steps], float))


def _steps(price: Floats, owned: Ints, highest: int) -> list[tuple[float, int]]:
    """(USD of one more machine, how many) from the fewest owned up to `highest`."""
    ends = np.unique(np.append(owned, highest))
    ends = ends[ends <= highest]
    return [(float(price[owned <= low].sum()), int(high - low)) for low, high in pairwise(ends)]
