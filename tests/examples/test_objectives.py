"""Both objectives, end to end, on the medical example: what least money buys, and what a budget buys."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.checking import verify_plan
from planner.plan import Plan
from planner.planning import PlanRequest, make_plan
from planner.suppose import suppose
from planner.whatif import Change

EXAMPLES = Path(__file__).parents[2] / "examples"
MEDICAL = EXAMPLES / "medical"


@pytest.fixture(scope="module")
def cheapest() -> Plan:
    """The least cost of the medical example."""
    return make_plan(MEDICAL).plan


def within(budget_usd: float) -> Plan:
    """The most attainment that a budget buys; the plan verifies and keeps to it."""
    plan = make_plan(MEDICAL, PlanRequest("max_sla", budget_usd=budget_usd)).plan
    assert plan.cost_usd <= budget_usd
    assert plan.bound >= plan.sla_attainment
    assert verify_plan(MEDICAL, plan).violations == ()
    return plan


def test_a_budget_of_the_least_cost_buys_everything(cheapest: Plan) -> None:
    """With exactly what min_cost pays (to the cent), max_sla attains all, at no more cost."""
    plan = within(round(cheapest.cost_usd + 0.005, 2))
    assert (plan.sla_attainment, plan.unplaced, plan.status) == (1.0, (), "optimal")
    assert plan.cost_usd == pytest.approx(cheapest.cost_usd, abs=0.01)


def test_a_dollar_less_leaves_one_of_three_out(cheapest: Plan) -> None:
    """Just below the least cost one workload must go: two thirds of the weight is the proven most."""
    plan = within(cheapest.cost_usd - 1.0)
    assert plan.sla_attainment == pytest.approx(2 / 3)
    assert plan.bound == pytest.approx(2 / 3, abs=1e-6)
    assert len(plan.unplaced) == 1


def test_a_budget_for_one_workload_serves_the_doctors(cheapest: Plan) -> None:
    """200 USD pay for serving alone, which is the only workload that costs less, in Western Europe as ever."""
    plan = within(200.0)
    assert {unit.workload: unit.cluster for unit in plan.assignments} == {"cancer-odds-serving": "azure-westeurope"}
    assert plan.sla_attainment == pytest.approx(1 / 3)
    assert {unit.cluster for unit in cheapest.assignments if unit.workload == "cancer-odds-serving"} == {
        "azure-westeurope"}


def test_without_western_europe_nobody_answers_in_time(cheapest: Plan) -> None:
    """What if the one cluster near the doctors is gone: no plan, serving named; claims and training stay possible."""
    lost = PlanRequest(what_if=(Change.parse("remove-cluster", "azure-we*"),))
    found = suppose(MEDICAL, lost, cheapest)
    assert not found.possible
    assert found.plan is not None
    assert [row.workload for row in found.plan.unplaced] == ["cancer-odds-serving"]
    (displaced,) = found.fares.displaced
    assert displaced.startswith("cancer-odds-serving (users in azure/westeurope): runs on azure-westeurope, which")


def test_dearer_brazil_moves_no_claims_but_costs_more(cheapest: Plan) -> None:
    """Prices of AWS in Brazil cannot push the ETL away: residency and data hold it; the diff is cost alone."""
    asked = PlanRequest(what_if=(Change.parse("price", "aws:m6i*:+10%"),))
    found = suppose(MEDICAL, asked, cheapest)
    assert found.fares.holds
    assert found.differs is not None
    assert not found.differs.of_kind("moved", "new", "gone")
    assert found.differs.after.cost_usd > found.differs.before.cost_usd
