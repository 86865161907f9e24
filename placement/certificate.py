"""What proves a bound, as solvers hand it out and `placement.checks.reprove` takes it: prices, weights, branches.

Sizes as in `placement.problem`, and n priced rows, V weight vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

from placement.problem import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Decision:
    """One side of a branch on a stream.

    With a `domain` >= 0: the stream has a copy in that failure domain (`yes`) or has none. With -1: it has at most
    `copies` copies (`yes`) or more.
    """

    stream: int
    domain: int
    copies: int
    yes: bool
    pool: int = -1


@dataclass(frozen=True, slots=True)
class PricedRows:
    """Packing rows with a price, each array [n]: vector `weight` in `pool`, over all work or over what is `firm`.

    `price` [n, T] is in units of the objective for a machine and slot, 0 or more.
    """

    pool: Ints
    weight: Ints
    firm: Bools
    price: Floats


@dataclass(frozen=True, slots=True)
class Leaf:
    """Prices that prove a bound where all `decisions` hold.

    `usd_price` is what a USD counts in the objective: 1 in `min_cost`, the price of the budget in `max_sla`.
    `weight_price` is the price of the floor on attainment (`min_cost`; else 0). `limit` [L, T] and `unit` [K, T] are
    the prices of shared limits and of commitments' units; without rows, those of nothing shared (see
    `placement.shared_bound`).
    """

    decisions: tuple[Decision, ...]
    rows: PricedRows
    usd_price: float
    weight_price: float
    limit: Floats
    unit: Floats


@dataclass(frozen=True, slots=True)
class Certificate:
    """`weights` [V, C] and the leaves of the branches; the problem's bound is the least of the leaves' bounds."""

    weights: Floats
    leaves: tuple[Leaf, ...]
