"""A what-if as a page: what is changed, how the plan in force fares, and the two plans side by side."""

from __future__ import annotations

from typing import Any

from planner.diff_view import sections
from planner.plan import Plan
from planner.report.page import SHOWN, slots_of
from planner.report.plain import plain as json_of
from planner.suppose import Supposed
from planner.suppose_view import anew, in_force_lines, in_force_sections
from planner.terminal import plain


def suppose_view(found: Supposed) -> dict[str, Any]:
    """What a page shows of it, as JSON has it."""
    plans = {"before": found.before} | ({"after": found.plan} if found.possible and found.plan is not None else {})
    shown: dict[str, Any] = json_of({
        "name": plain(found.before.name), "changes": list(map(plain, found.changes)), "holds": found.fares.holds,
        "fares": list(map(plain, in_force_lines(found))), "anew": plain(anew(found)), "possible": found.possible,
        "short": in_force_sections(found, SHOWN),
        "conflict": [] if found.plan is None else list(found.plan.conflict),
        "relaxations": [] if found.plan is None else [row.model_dump() for row in found.plan.relaxations],
        "differs": [] if found.differs is None else sections(found.differs, {}, SHOWN),
        "data": {"slots": slots_of(found.before), "parts": list(found.before.costs.model_dump()),
                 "plans": {name: _drawn(plan) for name, plan in plans.items()}}})
    return shown


def _drawn(plan: Plan) -> dict[str, Any]:
    """Machines that run in each slot, and USD by part of the cost."""
    running = [sum(at) for at in zip(*(row.count for row in plan.machines), strict=True)]
    return {"machines": running, "costs": list(plan.costs.model_dump().values())}
