"""The limits that a plan reaches, and what one more of each would be worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from placement.problem import Purchase
from placement.result import Solution, Worth
from placement.scarcity import bought_again_usd, reached
from planner.formulate import Formulation
from planner.plan import Scarce
from planner.scenario.model import Limit

CENT = 0.005
MOST = 50
"""Limits that are told, the dearest first."""


def scarce(formulation: Formulation, solution: Solution, worth: Worth | None,
           limits: Sequence[Limit] = ()) -> tuple[Scarce, ...]:
    """Limits that the plan reaches and that cost something, the dearest first.

    The price is the shadow price in the bound, where the solver has one, or what one machine more of an offer saves at
    once when the same machines are bought anew, if that is more.
    """
    told = (*_prices(formulation, solution, worth), *_shared(formulation, solution, worth, limits))
    rows = [(round(usd, 6), what) for what, usd in told if usd > CENT]
    rows.sort(key=lambda row: (-row[0], row[1]))
    return tuple(Scarce(what=what, price_usd=usd) for usd, what in rows[:MOST])


def _prices(formulation: Formulation, solution: Solution, worth: Worth | None) -> Iterator[tuple[str, float]]:
    problem, names = formulation.problem, formulation.names
    full, saved = reached(problem, solution), bought_again_usd(problem, solution)
    if worth is not None:
        for p in np.flatnonzero(full.pools).tolist():
            most = _range(problem.pools.max_machines[p])
            yield f"max of pool {'/'.join(names.pools[p])} ({most}): one machine more", float(worth.pool_usd[p])
    shadow = np.zeros(len(saved)) if worth is None else worth.offer_usd
    for o in np.flatnonzero(full.offers).tolist():
        pool, kind = "/".join(names.pools[problem.offers.pool[o]]), Purchase(problem.offers.purchase[o]).name.lower()
        most = _range(problem.offers.max_machines[o])
        yield f"max of {kind} machines of {pool} ({most}): one more", float(max(shadow[o], saved[o]))
    if worth is not None and worth.weight_usd > 0:
        asked = problem.objective
        if asked.mode == "min_cost":
            yield f"sla_floor ({asked.sla_floor:g}): one unit of weight less", worth.weight_usd
        else:
            yield f"budget_usd ({asked.budget_usd:,.2f}): one more unit of weight attained", worth.weight_usd


def _shared(formulation: Formulation, solution: Solution, worth: Worth | None,
            limits: Sequence[Limit]) -> Iterator[tuple[str, float]]:
    """Shared limits: one unit more of the measure in every slot; an hourly budget counts in USD per hour."""
    problem = formulation.problem
    if worth is None or len(worth.limit_usd) != len(limits):
        return
    for row in np.flatnonzero(reached(problem, solution).limits).tolist():
        limit = limits[row]
        each = float(problem.limits.most[row].mean()) / limit.max if limit.max > 0 else 1.0
        yield f"limit {limit.name} ({limit.max:g} {limit.measure}): one more", float(worth.limit_usd[row]) * each


def _range(counts: np.ndarray) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{high:,}" if low == high else f"{low:,} to {high:,}"
