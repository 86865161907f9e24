"""Limits and commitments that pools share: are the limits kept, and what do the commitments cost and save?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from placement.checks.violation import Violation
from placement.problem import Floats, Problem, Purchase
from placement.result import Solution

RELATIVE = 1e-6
"""A sum may pass its limit by this share of it (absolute below 1), for rounding."""


def broken_limits(problem: Problem, solution: Solution) -> Iterator[Violation]:
    """Every limit holds in every slot, and of no commitment more is bought than may be, nor a part of a machine."""
    for row, most in enumerate(problem.limits.most):
        found = _measure(problem, solution, row)
        over = found - most
        if (over > RELATIVE * np.maximum(1.0, most)).any():
            t = int(over.argmax())
            yield Violation("limit", {"limit": row, "slot": t}, float(found[t]), float(most[t]),
                            f"limit {row} comes to {found[t]:.6g} in slot {t}; {most[t]:.6g} is its maximum "
                            f"(too much in {int((over > RELATIVE * np.maximum(1.0, most)).sum())} slots)")
    c = problem.commitments
    if len(solution.bought) not in (0, len(c.owned)):
        yield Violation("commitment", {}, float(len(solution.bought)), float(len(c.owned)),
                        f"the plan buys of {len(solution.bought)} commitments; there are {len(c.owned)}")
        return
    for k, bought in enumerate(solution.bought.tolist()):
        if not -RELATIVE <= bought <= c.most[k] + RELATIVE * max(1.0, float(c.most[k])):
            yield Violation("commitment", {"commitment": k}, bought, float(c.most[k]),
                            f"the plan buys {bought:.6g} of commitment {k}; 0 to {c.most[k]:.6g} may be bought")
        elif c.by_machine[k] and abs(bought - round(bought)) > RELATIVE:
            yield Violation("commitment", {"commitment": k}, bought, round(bought),
                            f"the plan buys {bought:.6g} of commitment {k}; machines are bought whole")


def _measure(problem: Problem, solution: Solution, row: int) -> Floats:
    """What limit `row` counts in every slot [T]."""
    offers, limits = problem.offers, problem.limits
    total = np.zeros(problem.slots)
    for o in np.flatnonzero(limits.amount[row, offers.pool]):
        count = solution.machines[o].astype(np.float64)
        if limits.paid[row]:
            if offers.purchase[o] in (Purchase.OWNED, Purchase.COMMITTED):
                count = np.maximum(count.max(initial=0.0), offers.owned[o])
            count = count * offers.price_usd[o]
        total += limits.amount[row, offers.pool[o]] * count
    return total


def commitment_costs(problem: Problem, solution: Solution) -> tuple[float, float]:
    """USD that commitments cost, and USD of on_demand machines that they pay for, at the offers' prices."""
    c = problem.commitments
    left = solution.machines.astype(np.float64)
    cost = saved = 0.0
    for k in range(len(c.owned)):
        units = float(c.owned[k]) + (float(solution.bought[k]) if len(solution.bought) == len(c.owned) else 0.0)
        cost += units * float(c.price_usd[k].sum())
        saved += sum(_pay(problem, k, units, left, t) for t in range(problem.slots))
    return cost, saved


def _pay(problem: Problem, k: int, units: float, left: Floats, t: int) -> float:
    """USD of machines that `units` of commitment k pay for in slot t, dearest first; they are taken out of `left`."""
    offers, c = problem.offers, problem.commitments
    rows = [o for o in range(len(offers.pool)) if offers.purchase[o] == Purchase.ON_DEMAND
            and c.covers[k, offers.pool[o]] and left[o, t] > 0]
    usd = 0.0
    for o in sorted(rows, key=lambda o: -offers.price_usd[o, t]):
        price = float(offers.price_usd[o, t])
        each = 1.0 if c.by_machine[k] else (1 - float(c.discount[k])) * price / float(c.price_usd[k, t])
        paid = float(left[o, t]) if each <= 0 else min(float(left[o, t]), units / each)
        units -= paid * each
        left[o, t] -= paid
        usd += paid * price
    return usd
