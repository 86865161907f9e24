"""Limits that pools share, in conflicts and among what is scarce."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.explain import explain
from planner.opened import open_plan
from planner.plan import Plan
from planner.planning import PlanRequest, make_plan


def limited(small: Callable[[], dict[str, Any]], new: Callable[..., dict[str, Any]], most: float) -> dict[str, Any]:
    """Two pools, one at 1 and one at 3 USD, and a limit on machines of the cheap one."""
    fleet = small()
    fleet["clusters"] = fleet["clusters"][:2]
    cheap, dear = fleet["clusters"][0]["pools"][0], fleet["clusters"][1]["pools"][0]
    fleet["clusters"][0]["pools"], fleet["clusters"][1]["pools"] = [cheap], [dear]
    dear["offers"][0]["price_usd_per_hour"] = 3.0
    fleet["limits"] = [{"name": "quota", "pools": ["aws-sp/*"], "measure": "machines", "max": most}]
    fleet["workloads"] = [new(f"w{i}", replicas=[4, 4, 4, 4]) for i in range(4)]
    return fleet


def test_a_shared_limit_has_its_price(small: Any, new: Any, tmp_path: Path) -> None:
    """A quota of two machines where four would be cheaper: one more saves 2 USD in each of 4 slots."""
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(limited(small, new, 2)))
    plan = make_plan(tmp_path, PlanRequest(time_limit_s=40.0)).plan
    assert [row.what for row in plan.scarce] == ["limit quota (2 machines): one more"]
    assert plan.scarce[0].price_usd == pytest.approx(8.0, abs=0.01)
    bound_by = explain(open_plan(tmp_path, plan), "w0").binding
    assert "scarce: limit quota (2 machines): one more is worth USD 8.00 to the plan" in bound_by
    fleet = limited(small, new, 2)
    fleet["workloads"][0]["clusters"] = {"deny": ["aws-sp"]}
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet))
    assert not any("quota" in line for line in explain(open_plan(tmp_path, _elsewhere(plan, fleet)), "w0").binding)


def _elsewhere(plan: Plan, fleet: dict[str, Any]) -> Plan:
    """The plan with the first workload on the other cluster."""
    there = {"cluster": fleet["clusters"][1]["name"], "pool": fleet["clusters"][1]["pools"][0]["name"]}
    rows = tuple(row.model_copy(update=there) if row.workload == "w0" else row for row in plan.assignments)
    return plan.model_copy(update={"assignments": rows})


@pytest.mark.soak
def test_a_shared_limit_may_be_in_conflict(small: Any, new: Any, tmp_path: Path) -> None:
    """Four that may run under the quota only: it is named, and there are ways out."""
    fleet = limited(small, new, 2)
    for workload in fleet["workloads"]:
        workload["residency"] = {"allow": ["BR"]}
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet))
    plan = make_plan(tmp_path, PlanRequest(time_limit_s=60.0)).plan
    assert plan.status == "infeasible"
    assert "quota: at most 2 machines together (limits)" in plan.conflict
    assert plan.relaxations
