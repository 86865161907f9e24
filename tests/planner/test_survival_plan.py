"""Survival from the scenario to the plan and back: fallbacks in words, and why there is no plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import planner.planning
from placement.problem import Problem
from placement.result import Result, Settings
from placement.worker import Stopwatch, solve_here
from planner.checking import verify_plan
from planner.planning import PlanRequest, make_plan
from planner.scenario import parse_scenario


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solve without a process of its own: these scenarios are tiny."""
    def here(problem: Problem, solver: str, settings: Settings, *_: object) -> Result:
        return solve_here(problem, solver, settings, Stopwatch(settings.time_limit_s))
    monkeypatch.setattr(planner.planning, "solve", here)


def scenario(assured: int, **fields: object) -> Any:
    """Two clusters, each with two machines that hold one replica; `assured` of them come after a loss."""
    def cluster(name: str, usd: float) -> dict[str, Any]:
        offer = {"purchase": "on_demand", "price_usd_per_hour": usd, "assured_max": assured}
        return {"name": name, "provider": "own", "region": name, "country": "DE", "pools": [
            {"name": "p", "machine": {"name": "m", "vcpu": 4, "memory_gib": 16}, "max": 2, "offers": [offer]}]}

    work = {"name": "web", "kind": "etl", "request": {"vcpu": 4, "memory_gib": 4}, "replicas": [1, 2]}
    return parse_scenario({
        "name": "two", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 2, "slot_minutes": 60},
        "objective": {"mode": "min_cost"}, "clusters": [cluster("cheap", 1.0), cluster("dear", 2.0)],
        "workloads": [work], **fields}, Path())


def planned(source: Any) -> Any:
    """Plan in a few seconds."""
    return make_plan(source, PlanRequest(time_limit_s=90, solver="highs"))


def test_a_plan_names_the_fallback_of_every_lost_unit_and_verifies() -> None:
    """The work runs where it is cheap and falls back to the other cluster, at no cost."""
    source = scenario(2, survive="cluster")
    plan = planned(source).plan
    rows = [(row.lost, row.workload, row.cluster, row.pool) for row in plan.fallbacks]
    assert rows == [("cheap", "web", "dear", "p")]
    assert plan.cost_usd == 3.0
    assert verify_plan(source, plan).violations == ()
    bare = plan.model_copy(update={"fallbacks": (), "plan_id": ""})
    assert "no fallback" in " ".join(verify_plan(source, bare).violations)


def test_work_below_the_priority_is_not_covered_unless_it_says_so() -> None:
    """`survive_priority` leaves work out; its own `survive` counts instead."""
    assert planned(scenario(2, survive="cluster", survive_priority=60)).plan.fallbacks == ()
    work = {"name": "web", "kind": "etl", "request": {"vcpu": 4, "memory_gib": 4}, "replicas": [1, 2],
            "survive": "region"}
    assert [row.lost for row in planned(scenario(2, workloads=[work])).plan.fallbacks] == ["own/cheap"]


def test_two_copies_take_the_place_of_a_fallback_where_nothing_is_assured() -> None:
    """No machine comes after a loss: a second copy runs all the time, and nothing needs a fallback."""
    plan = planned(scenario(0, survive="cluster")).plan
    assert len(plan.assignments) == 2
    assert plan.fallbacks == ()
    assert plan.cost_usd == 9.0


def test_no_plan_because_of_survival_says_which_loss() -> None:
    """Where one provider holds everything its loss leaves no fallback, and the refusal says so."""
    plan = planned(scenario(2, survive="provider")).plan
    assert plan.status == "infeasible"
    assert "survive is provider: nothing outside provider own is legal" in " ".join(plan.unplaced[0].reasons)
