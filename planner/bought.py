"""What a plan holds of commitments: into its rows, and out of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from placement.problem import Floats, Problem
from placement.result import Solution
from placement.shared import cover, levels
from planner.plan import BoughtCommitment, Plan
from planner.scenario.model import Commitment
from planner.words import same_usd

SHARE = 1e-6
"""Shares of commitments that are used, and units bought, agree within this."""


def plan_commitments(rows: Iterable[Commitment], problem: Problem, solution: Solution) -> tuple[BoughtCommitment, ...]:
    """What a plan holds of every commitment, in the scenario's order: owned, bought, used and paid."""
    held, (used, _) = levels(problem, solution), use(problem, solution)
    price = problem.commitments.price_usd
    found = []
    for k, row in enumerate(rows):
        paid = float(held[k] * price[k].sum())
        share = float((used[k] * price[k]).sum()) / paid if paid > 0 else 0.0
        found.append(BoughtCommitment(name=row.name, owned=row.owned, bought=round(float(held[k]) - row.owned, 6) + 0.0,
                                      used_share=round(share, 9), cost_usd=round(paid, 6)))
    return tuple(found)


def use(problem: Problem, solution: Solution) -> tuple[Floats, tuple[Floats, ...]]:
    """Units used of every commitment [K, T], and the machines [O, T] that each pays for."""
    left, held = solution.machines.astype(float), levels(problem, solution)
    used, paid_for = np.zeros((len(held), problem.slots)), []
    for k, level in enumerate(held.tolist()):
        paid, used[k] = cover(problem, k, left, level)
        left -= paid
        paid_for.append(paid)
    return used, tuple(paid_for)


def bought_units(plan: Plan, names: tuple[str, ...], violations: list[str]) -> Floats:
    """What a plan buys of each commitment [K]; what it does not list it does not buy."""
    bought, seen = np.zeros(len(names)), set[str]()
    for row in plan.commitments:
        if row.name not in names or row.name in seen:
            what = "listed twice" if row.name in seen else "no such commitment in the scenario"
            violations.append(f"commitments: {row.name}: {what}")
            continue
        seen.add(row.name)
        bought[names.index(row.name)] = row.bought
    return bought


def wrong_figures(plan: Plan, true: Iterable[BoughtCommitment]) -> Iterator[str]:
    """Figures of commitments that a plan states otherwise than they are."""
    said = {row.name: row for row in plan.commitments}
    for row in true:
        stated = said.get(row.name)
        if stated is None:
            if row.owned or row.bought:
                yield f"commitments does not list {row.name}, of which {row.owned + row.bought:g} are held"
            continue
        for field in ("owned", "used_share"):
            if abs(getattr(stated, field) - getattr(row, field)) > SHARE * max(1.0, row.owned):
                yield f"commitments: {row.name}: {field} is {getattr(stated, field):g}; it is {getattr(row, field):g}"
        if not same_usd(stated.cost_usd, row.cost_usd):
            yield f"commitments: {row.name}: cost_usd is {stated.cost_usd:.6f}; it is {row.cost_usd:.6f}"
