"""Groups that share machines, and what they save, small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from planner.formulate import Formulation
from planner.interpret import copies_of, to_solution
from planner.multiplex import Sharing, sharing
from planner.plan import Plan
from planner.scenario.model import Scenario

Build = Callable[..., tuple[Scenario, Formulation]]
New = Callable[..., dict[str, Any]]
PlanOf = Callable[..., Plan]


def groups(fleet: dict[str, Any], build: Build, plan: Plan) -> tuple[Sharing, ...]:
    """The sharing groups of a plan in plain words."""
    _, formulation = build(fleet, kept_copies=copies_of(plan))
    reading = to_solution(plan, formulation)
    assert reading.violations == ()
    return sharing(formulation.problem, reading.solution)


def test_two_workloads_busy_at_different_times_share_one_machine(fleet: dict[str, Any], build: Build, new: New,
                                                                plan_of: PlanOf) -> None:
    """Alone each needs a machine at its peak, together one does; on demand that saves nothing, as none ran idle."""
    fleet["workloads"] = [new("day", replicas=[4, 4, 0, 0]), new("night", replicas=[0, 0, 4, 4])]
    plan = plan_of({"day": "aws-sp/m6i", "night": "aws-sp/m6i"}, {("aws-sp/m6i", "on_demand"): [1, 1, 1, 1]})
    (group,) = groups(fleet, build, plan)
    assert (group.sum_of_peaks, group.peak_of_sum) == (2, 1)
    assert group.saved_usd == pytest.approx(0)


def test_filling_each_others_gaps_saves_the_machines_that_need_not_run(fleet: dict[str, Any], build: Build, new: New,
                                                                      plan_of: PlanOf) -> None:
    """Two replicas each, four to a machine: together one machine for four slots, alone two at 1 USD an hour."""
    fleet["workloads"] = [new("a"), new("b")]
    plan = plan_of({"a": "aws-sp/m6i", "b": "aws-sp/m6i"}, {("aws-sp/m6i", "on_demand"): [1, 1, 1, 1]})
    (group,) = groups(fleet, build, plan)
    assert (group.sum_of_peaks, group.peak_of_sum) == (2, 1)
    assert group.saved_usd == pytest.approx(4.0)


def test_machines_held_throughout_save_what_need_not_be_held(fleet: dict[str, Any], build: Build, new: New,
                                                             plan_of: PlanOf) -> None:
    """Peaks of 3 machines at different times: 6 held alone, 3 together, 2 owned either way: 3 x 4 slots less."""
    fleet["workloads"] = [new("day", replicas=[12, 12, 0, 0]), new("night", replicas=[0, 0, 12, 12]), new("spare")]
    plan = plan_of({"day": "own-lis/cpu", "night": "own-lis/cpu", "spare": "aws-sp/m6i"},
                   {("own-lis/cpu", "owned"): [3, 3, 3, 3], ("aws-sp/m6i", "on_demand"): [1, 1, 1, 1]})
    (group,) = groups(fleet, build, plan)
    assert (group.sum_of_peaks, group.peak_of_sum) == (6, 3)
    assert group.saved_usd == pytest.approx(3 * 4 * 0.5)


def test_a_pool_with_one_workload_is_no_group(fleet: dict[str, Any], build: Build, plan_of: PlanOf) -> None:
    """Nothing is shared where one workload is alone, however many copies it has elsewhere."""
    plan = plan_of({"etl": "aws-sp/m6i"}, {("aws-sp/m6i", "on_demand"): [1, 1, 1, 1]})
    assert groups(fleet, build, plan) == ()
