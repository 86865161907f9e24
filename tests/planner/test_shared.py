"""Limits and commitments that pools share, from the scenario's words to a plan that `planner verify` believes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.checking import verify_plan
from planner.plan import read_plan
from planner.planning import PlanRequest, make_plan

Row = dict[str, Any]


def fleet(**fields: Any) -> Row:
    """Two clouds whose machines hold one replica each; four slots of two hours with demand 1, 2, 4, 1."""
    def cluster(name: str, price: float) -> Row:
        return {"name": name, "provider": "own", "region": name, "country": "DE", "pue": 1.5, "pools": [
            {"name": "m", "machine": {"name": "box", "vcpu": 4, "memory_gib": 16, "watts": 400}, "max": 9,
             "offers": [{"purchase": "on_demand", "price_usd_per_hour": price}]}]}
    return {"name": "shared", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 4, "slot_minutes": 120},
            "objective": {"mode": "min_cost"}, "clusters": [cluster("near", 1.0), cluster("far", 1.5)],
            "workloads": [{"name": "etl", "kind": "etl", "request": {"vcpu": 3, "memory_gib": 4}, "owner": "red",
                           "replicas": [1, 2, 4, 1]}]} | fields


def plan_of(folder: Path, scenario: Row) -> Row:
    """The plan of a scenario by HiGHS as it lies on disk; `planner verify` agrees with it."""
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    make_plan(folder, PlanRequest(solver="highs", time_limit_s=90)).write(folder / "plan.json")
    assert verify_plan(folder, folder / "plan.json").violations == ()
    plan: Row = json.loads((folder / "plan.json").read_text())
    return plan


@pytest.mark.parametrize(("discount", "max_buy", "bought"), [(0.25, 9, 0.75), (0.6, 9, 0.8), (0.6, 0.5, 0.5),
                                                            (0.1, 9, 0.9)])
def test_a_savings_plan_is_bought_to_the_quantile_that_pays(tmp_path: Path, discount: float, max_buy: float,
                                                            bought: float) -> None:
    """What one more USD an hour costs in all slots is what it saves in those that still use it: the newsvendor's rule.
    """
    commitment = {"name": "save", "covers": ["near/*"], "unit": "usd_per_hour", "discount": discount,
                  "max_buy": max_buy}
    plan = plan_of(tmp_path, fleet(commitments=[commitment]))
    row = plan["commitments"][0]
    covered = [min(bought / (1 - discount), n) for n in (1, 2, 4, 1)]
    assert row["bought"] == pytest.approx(bought)
    assert plan["cost_usd"] == pytest.approx(8 * bought + 2 * sum(n - c for n, c in zip((1, 2, 4, 1), covered,
                                                                                     strict=True)))
    if bought:
        assert row["used_share"] == pytest.approx(sum(covered) * (1 - discount) / (4 * bought))
    assert sum(plan["costs_by_owner"].values()) == pytest.approx(plan["cost_usd"])
    assert plan["costs"]["machines"] == pytest.approx(plan["cost_usd"])


def test_what_is_owned_is_paid_and_used_first(tmp_path: Path) -> None:
    """Three machines owned for the dear cloud draw the work there; what they leave idle is paid all the same."""
    commitment = {"name": "held", "covers": ["far/*"], "unit": "machines", "price_usd_per_hour": 0.5, "owned": 3,
                  "max_buy": 2}
    plan = plan_of(tmp_path, fleet(commitments=[commitment]))
    assert plan["commitments"] == [{"name": "held", "owned": 3.0, "bought": 0.0, "used_share": pytest.approx(7 / 12),
                                    "cost_usd": 12.0}]
    assert plan["cost_usd"] == pytest.approx(12 + 2 * 1.5)
    assert {row["cluster"] for row in plan["assignments"]} == {"far"}


@pytest.mark.parametrize(("measure", "most"), [("machines", 3), ("vcpu", 15.9), ("kw", 2.3), ("usd_per_hour", 3.9)])
def test_a_limit_drives_work_to_where_there_is_none(tmp_path: Path, measure: str, most: float) -> None:
    """Four machines would pass the limit in the busy slot, so the work runs in the other cloud, though it is dearer."""
    limit = {"name": "cap", "pools": ["near/m*"], "measure": measure, "max": most}
    plan = plan_of(tmp_path, fleet(limits=[limit]))
    assert {row["cluster"] for row in plan["assignments"]} == {"far"}
    folder = tmp_path / "free"
    folder.mkdir()
    assert plan_of(folder, fleet())["assignments"][0]["cluster"] == "near"
    said = verify_plan(tmp_path, read_plan(folder / "plan.json")).violations
    assert any("limit cap comes to" in sentence and "in slot 2" in sentence for sentence in said)


def test_figures_of_a_commitment_cannot_be_made_up(tmp_path: Path) -> None:
    """More bought than may be, a wrong share, a row left out or a name unknown: `planner verify` says which."""
    commitment = {"name": "save", "covers": ["*"], "unit": "usd_per_hour", "discount": 0.5, "max_buy": 2, "owned": 0.25}
    plan_of(tmp_path, fleet(commitments=[commitment]))
    plan = read_plan(tmp_path / "plan.json").model_copy(update={"plan_id": ""})
    row = plan.commitments[0]
    for rows, words in (((row.model_copy(update={"bought": 2.5}),), "0 to 2 may be bought"),
                        ((row.model_copy(update={"used_share": 0.1}),), "used_share is 0.1"),
                        ((row.model_copy(update={"cost_usd": 1.0}),), "cost_usd is 1.000000"),
                        ((), "does not list save"), ((row, row), "listed twice"),
                        ((row.model_copy(update={"name": "sav"}),), "no such commitment")):
        said = verify_plan(tmp_path, plan.model_copy(update={"commitments": rows})).violations
        assert any(words in sentence for sentence in said)
