"""From a scenario folder to a checked plan, and from a broken plan to what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from planner.checking import verify_plan
from planner.errors import InputError
from planner.plan import Plan, content_id, plan_text, read_plan
from planner.planning import NoPlanFound, Planned, PlanRequest, make_plan

New = Callable[..., dict[str, Any]]
EXACT = "highs"


@pytest.fixture(scope="module")
def folder(small: Callable[[], dict[str, Any]], new: New, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small fleet with three workloads, as a scenario folder."""
    fleet = small()
    fleet["workloads"] = [
        new("claims", owner="claims-team", data={"location": "aws/sa-east-1", "gb_per_day_in": 60.0}),
        new("serve", kind="serving", replicas=[1, 3, 3, 1], slo={"latency_ms": 50.0, "availability": 0.98},
            users=[{"region": "azure/westeurope", "share": 1.0}]),
        new("night", preemptible=True, batch={"duration_slots": 1, "earliest_slot": 0, "latest_slot": 3})]
    return written(fleet, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def done(folder: Path) -> Planned:
    """The folder's plan, packings included."""
    return planned(folder, packings=True)


def written(fleet: dict[str, Any], folder: Path) -> Path:
    """A fleet in plain words as a scenario folder."""
    (folder / "scenario.yaml").write_text(yaml.safe_dump(fleet))
    return folder


def planned(folder: Path, **asked: Any) -> Planned:
    """The folder's plan by an exact solver, within seconds."""
    return make_plan(folder, PlanRequest(**({"solver": EXACT, "time_limit_s": 90.0} | asked)))


def reread(planned: Planned, path: Path, **changes: Any) -> Plan:
    """The plan as written, with some keys changed and no id."""
    content = json.loads(plan_text(planned.plan)) | {"plan_id": ""} | changes
    path.write_text(json.dumps(content))
    return read_plan(path)


def test_a_plan_is_checked_optimal_and_has_all_it_needs(folder: Path, done: Planned, tmp_path: Path) -> None:
    """The exact plan holds, costs what its parts say, places all, and is where rules and prices put it."""
    plan = done.plan
    where = {unit.workload: f"{unit.cluster}/{unit.pool}" for unit in plan.assignments}
    assert (plan.status, plan.unplaced, plan.sla_attainment) == ("optimal", (), 1.0)
    assert where["serve"] == "azure-we/d16"
    assert done.verdict is not None
    assert done.verdict.holds
    assert {reason.workload for reason in plan.reasons} == {"claims", "serve", "night"}
    assert plan.provenance.scenario_sha256
    done.write(tmp_path / "plan.json")
    check = verify_plan(folder, tmp_path / "plan.json")
    assert check.violations == ()
    assert check.cost_usd == pytest.approx(plan.cost_usd, abs=1e-5)


def test_same_input_and_seed_give_the_same_bytes(folder: Path, done: Planned) -> None:
    """Two runs write the same file, whether packings are shown or not."""
    assert plan_text(planned(folder).plan) == plan_text(done.plan)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"cost_usd": 1.0}, "cost_usd is stated as 1.000000; it is"),
    ({"costs": {"machines": 1.0}}, "costs.machines is stated as 1.000000; it is"),
    ({"bound": 1e6}, "the bound 1e+06 contradicts the plan's cost"),
    ({"sla_attainment": 0.5}, "sla_attainment is stated as 0.5; it is 1"),
    ({"gap": 0.5}, "gap is stated as 0.5; it is 0"),
    ({"unplaced": [{"workload": "serve", "reasons": []}]}, "unplaced lists serve, all of whose streams have units"),
    ({"costs_by_owner": {"(none)": 2.0}}, "costs_by_owner, added up, is stated as 2.000000"),
    ({"machines": []}, "runs 0 machines"),
    ({"horizon": {"start": "2026-11-02T00:00:00Z", "slots": 5, "slot_minutes": 60}}, "horizon is 5 slots of 60"),
    ({"plan_id": "abc"}, "the plan was changed after it was made"),
])
def test_a_plan_that_states_something_false_is_told_so(folder: Path, done: Planned, tmp_path: Path,
                                                       changes: dict[str, Any], sentence: str) -> None:
    """Every figure in the file is checked against one computed from the scenario."""
    check = verify_plan(folder, reread(done, tmp_path / "plan.json", **changes))
    assert any(sentence in violation for violation in check.violations), check.violations


@pytest.mark.parametrize(("workload", "change", "sentence"), [
    ("serve", {"cluster": "aws-sp", "pool": "m6i"}, "serve for users in azure/westeurope: may not run on aws-sp/m6i"),
    ("claims", {"cluster": "own-lis", "pool": "h100"}, "pool own-lis/h100 runs 0 machines"),
    ("night", {"start_slot": 9}, "night: start_slot 9: a run of 1 slots"),
    ("claims", {"pool": "nowhere"}, "claims: no pool nowhere in cluster"),
])
def test_a_unit_in_a_wrong_place_is_told_by_name(folder: Path, done: Planned, tmp_path: Path, workload: str,
                                                 change: dict[str, Any], sentence: str) -> None:
    """Wrong pool, no machines there, wrong start: the sentence has the workload's or the pool's name."""
    moved = [unit.model_dump(by_alias=True) | (change if unit.workload == workload else {})
             for unit in done.plan.assignments]
    check = verify_plan(folder, reread(done, tmp_path / "plan.json", assignments=moved))
    assert any(sentence in violation for violation in check.violations), check.violations


def test_a_workload_left_out_of_a_plan_is_missed(folder: Path, done: Planned, tmp_path: Path) -> None:
    """Nothing that is not droppable may quietly go."""
    rest = [unit.model_dump(by_alias=True) for unit in done.plan.assignments if unit.workload != "claims"]
    check = verify_plan(folder, reread(done, tmp_path / "plan.json", assignments=rest))
    assert any("workload claims has a stream without a unit" in violation for violation in check.violations)


def test_a_replica_too_large_for_any_machine_makes_the_scenario_infeasible(folder: Path, tmp_path: Path) -> None:
    """Status infeasible, the workload's name and the reason; the others are not blamed."""
    words = yaml.safe_load((folder / "scenario.yaml").read_text())
    words["workloads"][0]["request"]["vcpu"] = 96.0
    done = planned(written(words, tmp_path))
    (row,) = done.plan.unplaced
    assert (done.plan.status, row.workload) == ("infeasible", "claims")
    assert row.reasons[0].startswith("6 pools: a replica needs 96 vCPU, the largest machine has room for 16")
    assert verify_plan(tmp_path, done.plan).holds


def test_demand_beyond_all_machines_names_who_has_no_room(folder: Path, tmp_path: Path) -> None:
    """Each workload would fit alone, but not so many replicas: infeasible, and the reason counts pools without room."""
    words = yaml.safe_load((folder / "scenario.yaml").read_text())
    words["workloads"][0]["replicas"] = [10_000] * 4
    done = planned(written(words, tmp_path))
    assert done.plan.status == "infeasible"
    assert [row.workload for row in done.plan.unplaced] == ["claims"]
    assert "4 pools are legal, 4 of them without room" in done.plan.unplaced[0].reasons[0]


def test_a_budget_leaves_out_what_it_does_not_pay_and_says_what_it_would_cost(folder: Path, tmp_path: Path) -> None:
    """Owned machines cost 4 USD in any case; for 6 USD not all can be attained, and the bound says so."""
    done = planned(folder, mode="max_sla", budget_usd=6.0)
    plan = done.plan
    assert plan.cost_usd <= 6.0
    assert 0 < plan.sla_attainment < 1
    assert plan.bound >= plan.sla_attainment
    assert any("of the budget are left" in reason for row in plan.unplaced for reason in row.reasons)
    done.write(tmp_path / "plan.json")
    assert verify_plan(folder, tmp_path / "plan.json").violations == ()


def test_packings_lie_beside_the_plan_and_are_named_in_it(folder: Path, done: Planned, tmp_path: Path) -> None:
    """Asked for, the table shows every replica of every slot, and the id does not depend on it."""
    plan = done.write(tmp_path / "plan.json")
    table = pq.read_table(tmp_path / "plan.packings.parquet").to_pandas()
    assert plan.tables == {"packings": "plan.packings.parquet"}
    assert table[table.workload == "serve"].groupby("slot").replicas.sum().tolist() == [1, 3, 3, 1]
    assert content_id(plan.to_dict()) == plan.plan_id == done.plan.plan_id
    assert verify_plan(folder, tmp_path / "plan.json").violations == ()


@pytest.mark.parametrize(("asked", "problem"), [
    ({"sla_floor": 99.9}, "sla_floor: 99.9: a fraction from 0 to 1 is allowed; did you mean 0.999?"),
    ({"budget_usd": float("nan")}, "budget_usd: nan: USD over the horizon"),
    ({"time_limit_s": 0.0}, "time_limit_s: 0: seconds, more than 0"),
    ({"solver": "hihgs"}, "solver: hihgs: allowed are"),
    ({"mode": "max_sla"}, "scenario.yaml: objective.budget_usd: not given: max_sla needs a budget"),
    ({"budget_usd": 5.0}, "budget_usd: 5.0: mode min_cost has none"),
    ({"mode": "max_sla", "budget_usd": 5.0, "sla_floor": 0.9}, "sla_floor: 0.9: mode max_sla has none"),
])
def test_a_request_that_cannot_be_is_an_input_error(folder: Path, asked: dict[str, Any], problem: str) -> None:
    """One line says which value, what is allowed, and the nearest."""
    with pytest.raises(InputError) as caught:
        planned(folder, **asked)
    assert any(line.startswith(problem) for line in caught.value.problems), caught.value.problems


def test_stopping_before_there_is_a_plan_says_so(folder: Path) -> None:
    """An interrupted solve without a plan is no proof that there is none."""
    with pytest.raises(NoPlanFound, match="nor proven that there is none"):
        make_plan(folder, PlanRequest(solver=EXACT, time_limit_s=90.0), interrupted=lambda: True)
