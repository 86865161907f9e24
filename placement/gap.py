"""How far a plan is from its bound, stated once for solvers, progress bars and plans."""

from __future__ import annotations

from typing import Literal

Mode = Literal["min_cost", "max_sla"]

OPTIMAL_GAP = 1e-4
"""A plan is called optimal when its relative gap is at most this."""


def relative_gap(mode: Mode, objective: float, bound: float) -> float:
    """(cost - bound) / cost in `min_cost`, (bound - attained) / bound in `max_sla`; 0 where the two meet."""
    distance = objective - bound if mode == "min_cost" else bound - objective
    base = objective if mode == "min_cost" else bound
    return max(0.0, distance) / base if base > 0 else 0.0
