"""A choice per task: what each task takes alone, and what it does where that is not to be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from placement.problem import Problem
from placement.result import Settings
from placement.solvers import per_task
from placement.verify import verify
from placement.worker import Stopwatch
from planner.catalog import builtin_catalog
from planner.formulate import formulate
from planner.profiles import profile
from planner.resolve import resolve
from planner.scenario import read_scenario

BOX = {"name": "box", "vcpu": 4, "memory_gib": 8}


def problem_of(folder: Path, offers: dict[str, dict[str, Any]], *workloads: dict[str, Any]) -> Problem:
    """Pools of boxes of 4 vCPU by name, one offer each, and workloads, over two slots of an hour."""
    pools = [{"name": name, "machine": BOX, "max": offer.pop("pool_max", 9), "offers": [offer]}
             for name, offer in offers.items()]
    common = {"kind": "etl", "request": {"vcpu": 2, "memory_gib": 1}}
    content = {"name": "boxes", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 2, "slot_minutes": 60},
               "objective": {"mode": "min_cost"},
               "clusters": [{"name": "hall", "provider": "onprem", "region": "hall", "country": "DE", "pools": pools}],
               "workloads": [{"name": f"w{i}"} | common | workload for i, workload in enumerate(workloads)]}
    (folder / "scenario.yaml").write_text(yaml.safe_dump(content))
    scenario = resolve(read_scenario(folder), builtin_catalog())
    return formulate(scenario, profile(scenario, 1)).problem


def cost_of(problem: Problem) -> float:
    """What the plan costs, after it was verified."""
    result = per_task.solve(problem, Settings(), Stopwatch())
    assert result.solution is not None, result.method
    verdict = verify(problem, result.solution, result.bound)
    assert verdict.holds, verdict.violations
    return verdict.costs.total_usd


def test_nothing_is_shared(tmp_path: Path) -> None:
    """Two tasks that would fit one box take one each, for their peak, in the slots in which they run."""
    offers = {"demand": {"purchase": "on_demand", "price_usd_per_hour": 1.0}}
    problem = problem_of(tmp_path, offers, {"replicas": [1, 0]}, {"replicas": [1, 3]})
    assert cost_of(problem) == pytest.approx(1 + 2 * 2)


def test_the_next_cheapest_is_taken_where_the_cheapest_is_full(tmp_path: Path) -> None:
    """One box of the cheap pool goes to the first task, the second task takes the dear one."""
    offers = {"cheap": {"purchase": "on_demand", "price_usd_per_hour": 1.0, "pool_max": 1},
              "dear": {"purchase": "on_demand", "price_usd_per_hour": 3.0}}
    problem = problem_of(tmp_path, offers, {"replicas": [1, 1]}, {"replicas": [1, 1]})
    assert cost_of(problem) == pytest.approx(2 * 1 + 2 * 3)


def test_machines_held_anyway_count_as_free(tmp_path: Path) -> None:
    """A held box is taken before a cheaper one on demand, as what is paid for anyway."""
    offers = {"held": {"purchase": "owned", "price_usd_per_hour": 5.0, "owned": 1, "max": 1},
              "demand": {"purchase": "on_demand", "price_usd_per_hour": 1.0}}
    problem = problem_of(tmp_path, offers, {"replicas": [1, 1]}, {"replicas": [1, 1]})
    assert cost_of(problem) == pytest.approx(2 * 5 + 2 * 1)


def test_a_task_without_room_chooses_first_next_time(tmp_path: Path) -> None:
    """A task that fits the cheap pool only gets it, though another one chose it before."""
    offers = {"cheap": {"purchase": "on_demand", "price_usd_per_hour": 1.0, "pool_max": 1},
              "spot": {"purchase": "spot", "price_usd_per_hour": 3.0}}
    problem = problem_of(tmp_path, offers, {"replicas": [1, 1], "preemptible": True}, {"replicas": [1, 1]})
    assert cost_of(problem) == pytest.approx(2 * 1 + 2 * 3)


def test_what_finds_no_room_alone_is_said(tmp_path: Path) -> None:
    """Two tasks that share a box in a plan have none where each needs its own; the answer says so in words."""
    offers = {"only": {"purchase": "on_demand", "price_usd_per_hour": 1.0, "pool_max": 1}}
    problem = problem_of(tmp_path, offers, {"replicas": [1, 1]}, {"replicas": [1, 1]})
    result = per_task.solve(problem, Settings(), Stopwatch())
    assert result.solution is None
    assert "1 workloads find no room on machines of their own" in result.method
