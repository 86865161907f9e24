"""A plan of a what-if, read back: it is seen in the world that it was made for."""

from __future__ import annotations

from pathlib import Path

import pytest

from placement.verify import verify
from planner.opened import open_plan
from planner.planning import PlanRequest, make_plan
from planner.whatif import Change

SCENARIO = """
name: one
horizon: {start: 2026-11-02T00:00:00Z, slots: 2, slot_minutes: 60}
objective: {mode: min_cost}
clusters:
- {name: north, provider: own, region: oslo, country: NO, pools: [{name: p, machine: {name: a, vcpu: 8, memory_gib: 32},
   max: 9, offers: [{purchase: on_demand, price_usd_per_hour: 1.0}]}]}
workloads:
- {name: big, kind: etl, request: {vcpu: 8, memory_gib: 4}, replicas: [2, 3]}
"""


def test_a_what_if_plan_is_opened_under_its_changes(tmp_path: Path) -> None:
    """Twice the demand at twice the price is what the plan opened again costs."""
    (tmp_path / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    changes = Change.read("demand all:x2"), Change.read("price own:*:x2")
    plan = make_plan(tmp_path, PlanRequest(solver="highs", time_limit_s=90.0, what_if=changes)).plan
    opened = open_plan(tmp_path, plan)
    assert opened.solution is not None
    assert plan.cost_usd == pytest.approx(20.0)
    assert verify(opened.formulation.problem, opened.solution).costs.total_usd == pytest.approx(20.0)
