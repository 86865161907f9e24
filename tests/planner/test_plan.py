"""The plan as a file: what is written is read again, says who pays, and says what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.complete import Shortfall, complete
from placement.result import Solution
from placement.verify import verify
from planner.build import Proof, build_plan
from planner.errors import InputError
from planner.formulate import Formulation
from planner.interpret import copies_of, to_solution
from planner.plan import Plan, Provenance, content_id, plan_text, read_plan, write_plan
from planner.scenario.model import Scenario

Build = Callable[..., tuple[Scenario, Formulation]]
New = Callable[..., dict[str, Any]]
PlanOf = Callable[..., Plan]


def built(scenario: Scenario, formulation: Formulation, places: Plan) -> tuple[Plan, Solution]:
    """The plan that puts units where `places` does, on the cheapest machines that hold them."""
    reading = to_solution(places, formulation)
    assert reading.violations == ()
    solution = complete(formulation.problem, reading.solution.units)
    assert not isinstance(solution, Shortfall)
    verdict = verify(formulation.problem, solution)
    proof = Proof(verdict.costs.total_usd / 2, "half of it")
    return build_plan(scenario, formulation, solution, proof, verdict.attainment, Provenance(seed=7)), solution


@pytest.fixture
def rich(fleet: dict[str, Any], new: New) -> dict[str, Any]:
    """Two owners' workloads with data, storage, a flow and a move, and carbon that costs something."""
    fleet["carbon_usd_per_tonne"] = 50.0
    fleet["clusters"][0] |= {"grid_g_per_kwh": 400.0, "storage_usd_per_gb_month": 0.02}
    fleet["clusters"][0]["pools"][0]["machine"]["watts"] = 300.0
    fleet["workloads"] = [
        new("claims", owner="claims-team",
            data={"location": "azure/westeurope", "gb_per_day_in": 6.0, "stored_gb": 50.0},
            incumbent={"cluster": "own-lis", "pool": "cpu", "move_cost_usd": 3.0}),
        new("serve", replicas=[1, 3, 3, 1], after=[{"workload": "claims", "gb_per_day": 12.0}]),
        new("night", owner="claims-team", batch={"duration_slots": 1, "earliest_slot": 0, "latest_slot": 3})]
    return fleet


def test_costs_add_up_by_part_by_owner_and_against_verify(rich: dict[str, Any], build: Build, plan_of: PlanOf) -> None:
    """Parts and owners each add up to the cost that `placement.verify` computes on its own."""
    scenario, formulation = build(rich)
    places = plan_of({"claims": "aws-sp/m6i", "serve": "azure-we/d16", "night": "own-lis/cpu"}, {}, night=2)
    plan, solution = built(scenario, formulation, places)
    cost = verify(formulation.problem, solution).costs.total_usd
    assert plan.cost_usd == pytest.approx(cost, abs=1e-6)
    assert sum(plan.costs.model_dump().values()) == pytest.approx(cost, abs=1e-5)
    assert sum(plan.costs_by_owner.values()) == pytest.approx(cost, abs=1e-5)
    assert set(plan.costs_by_owner) == {"claims-team", "(none)"}
    assert plan.costs.egress == pytest.approx((6 + 12) * 4 / 24 * 0.1)
    assert plan.costs.moves == 3.0
    assert plan.costs.storage == pytest.approx(50 * 0.02 * 4 / 730, abs=1e-6)
    assert plan.costs.carbon == pytest.approx(0.3 * 4 * 400 / 1e6 * 50, abs=1e-6)


def test_machines_that_nobody_uses_are_paid_by_nobody_in_particular(fleet: dict[str, Any], build: Build,
                                                                    plan_of: PlanOf) -> None:
    """Two owned machines stand idle at 0.5 USD for four hours, and the plan says so."""
    scenario, formulation = build(fleet)
    plan, _ = built(scenario, formulation, plan_of({"etl": "aws-sp/m6i"}, {}))
    assert plan.costs_by_owner == {"(idle)": 4.0, "(none)": 4.0}


def test_a_plan_is_the_same_after_writing_and_reading(rich: dict[str, Any], build: Build, plan_of: PlanOf,
                                                      tmp_path: Path) -> None:
    """Bytes, id and solution survive; nothing in the file tells when or where it was made."""
    scenario, formulation = build(rich)
    places = plan_of({"claims": "aws-sp/m6i", "serve": "aws-sp/m6i", "night": "own-lis/cpu"}, {}, night=1)
    plan, solution = built(scenario, formulation, places)
    write_plan(plan, tmp_path / "plan.json")
    again = read_plan(tmp_path / "plan.json")
    assert again == plan
    assert plan_text(again) == (tmp_path / "plan.json").read_text()
    assert plan.plan_id == content_id(json.loads((tmp_path / "plan.json").read_text()))
    assert (to_solution(again, formulation).solution.machines == solution.machines).all()
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    assert plan.valid_until == "2026-11-02T04:00:00Z"


def test_the_file_has_every_key_of_the_format_in_its_order(fleet: dict[str, Any], build: Build,
                                                           plan_of: PlanOf) -> None:
    """Readers find all keys, empty or not."""
    scenario, formulation = build(fleet)
    plan, _ = built(scenario, formulation, plan_of({"etl": "aws-sp/m6i"}, {}))
    content = json.loads(plan_text(plan))
    assert list(content) == [
        "schema", "name", "plan_id", "parent", "horizon", "valid_until", "status", "mode", "cost_usd", "costs",
        "sla_attainment", "bound", "gap", "bound_method", "assignments", "costs_by_owner", "waves", "machines",
        "fallbacks", "groups", "unplaced", "scarce", "misses", "conflict", "relaxations", "reasons", "provenance"]
    assert content["assignments"] == [{"workload": "etl", "user_region": None, "copy": 0, "part": 0, "cap": None,
                                       "cluster": "aws-sp", "pool": "m6i", "start_slot": None}]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(choices=st.lists(st.tuples(st.sampled_from(["aws-sp/m6i", "azure-we/d16", "own-lis/cpu", "own-lis/h100"]),
                                  st.lists(st.integers(0, 9), min_size=4, max_size=4)), min_size=1, max_size=5))
def test_reading_a_built_plan_gives_the_same_cost(choices: list[tuple[str, list[int]]], build: Build, new: New,
                                                  small: Callable[[], dict[str, Any]], plan_of: PlanOf) -> None:
    """Solution to plan to text to plan to solution: machines and cost are what they were."""
    words = small() | {"workloads": [new(f"w{i}", replicas=row) for i, (_, row) in enumerate(choices)]}
    words["clusters"][2]["pools"][0] |= {"max": 40}
    words["clusters"][2]["pools"][0]["offers"][0]["max"] = 40
    scenario, formulation = build(words)
    places = plan_of({f"w{i}": place for i, (place, _) in enumerate(choices)}, {})
    plan, solution = built(scenario, formulation, places)
    again = to_solution(Plan.model_validate_json(plan_text(plan)), formulation)
    assert again.violations == ()
    assert (again.solution.machines == solution.machines).all()
    assert verify(formulation.problem, again.solution).costs.total_usd == pytest.approx(plan.cost_usd, abs=1e-5)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"workload": "nobody"}, "nobody: no such workload in the scenario"),
    ({"user_region": "aws/x"}, "etl for users in aws/x: no users in aws/x"),
    ({"cluster": "aws-xx"}, "etl: no cluster aws-xx in the scenario"),
    ({"pool": "c7"}, "etl: no pool c7 in cluster aws-sp"),
    ({"pool": "spot"}, "etl: may not run on aws-sp/spot: the only offers are spot"),
    ({"part": 1}, "etl part 1: max_parts is 1"),
    ({"cap": 2}, "etl: cap 2: may not be split so: parts are for a lone copy"),
    ({"start_slot": 3}, "etl: start_slot 3, but the workload has no batch window"),
])
def test_an_assignment_that_cannot_be_is_told_in_words(fleet: dict[str, Any], build: Build, plan_of: PlanOf,
                                                       change: dict[str, Any], sentence: str) -> None:
    """Each broken assignment gives one sentence that names the workload and what is wrong."""
    plan = plan_of({"etl": "aws-sp/m6i"}, {})
    broken = plan.model_copy(update={"assignments": (plan.assignments[0].model_copy(update=change),)})
    _, formulation = build(fleet, kept_copies=copies_of(broken))
    (found,) = to_solution(broken, formulation).violations
    assert found.startswith(sentence)


def test_a_start_outside_its_window_says_which_starts_are_allowed(fleet: dict[str, Any], build: Build, new: New,
                                                                  plan_of: PlanOf) -> None:
    """A run of two slots with earliest 1 and latest 2 may not start in slot 3, nor nowhere."""
    fleet["workloads"] = [new("etl", batch={"duration_slots": 2, "earliest_slot": 1, "latest_slot": 2})]
    _, formulation = build(fleet)
    for start in (3, None):
        plan = plan_of({"etl": "aws-sp/m6i"}, {}, etl=start)
        (found,) = to_solution(plan, formulation).violations
        assert found == f"etl: start_slot {start}: a run of 2 slots on aws-sp/m6i may start in 1..2"


@pytest.mark.parametrize(("machines", "sentence"), [
    ({("aws-sp/m6i", "spot"): [1, 1, 1, 1]}, "machines of aws-sp/m6i spot: the pool has no offer spot"),
    ({("aws-sp/m6i", "on_demand"): [1, 1]}, "machines of aws-sp/m6i on_demand: 2 counts for 4 slots"),
    ({("aws-sp/x", "on_demand"): [1] * 4}, "machines of aws-sp/x on_demand: no pool x in cluster aws-sp"),
])
def test_machines_that_cannot_be_are_told_in_words(fleet: dict[str, Any], build: Build, plan_of: PlanOf,
                                                   machines: dict[tuple[str, str], list[int]], sentence: str) -> None:
    """Rows of machines name a pool, one of its offers, and one count a slot."""
    _, formulation = build(fleet)
    assert to_solution(plan_of({"etl": "aws-sp/m6i"}, machines), formulation).violations == (sentence,)


@pytest.mark.parametrize(("text", "problem"), [
    ("", "not JSON"), ("{", "not JSON"), ("[]", "not a plan but []"),
    ('{"schema": 2}', "schema: 2: Input should be 1"),
    ('{"cost_usd": "much"}', 'cost_usd: "much": Input should be a valid number'),
])
def test_a_file_that_is_no_plan_is_an_input_error(tmp_path: Path, text: str, problem: str) -> None:
    """The message names the file, the field, what was found and what is allowed."""
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError) as caught:
        read_plan(tmp_path / "plan.json")
    assert any(str(tmp_path / "plan.json") in line and problem in line for line in caught.value.problems)


def test_a_plan_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    """The message says what to name instead."""
    with pytest.raises(InputError, match=r"nothing\.json: No such file or directory: name a plan.json"):
        read_plan(tmp_path / "nothing.json")
