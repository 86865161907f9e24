"""`planner explain`: every figure against a plan that was really changed, every place with its price or its rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from planner.cli import run
from planner.errors import InputError
from planner.explain import explain
from planner.explain_view import explanation_view
from planner.opened import Opened, open_plan
from planner.planning import PlanRequest, make_plan

New = Callable[..., dict[str, Any]]


def fleet_of(small: Callable[[], dict[str, Any]], new: New) -> dict[str, Any]:
    """The small fleet with four workloads; the own pool has room for little."""
    fleet = small()
    fleet["workloads"] = [
        new("claims", data={"location": "aws/sa-east-1", "gb_per_day_in": 60.0}, residency={"allow": ["BR", "NL"]}),
        new("serve", kind="serving", replicas=[1, 3, 3, 1], slo={"latency_ms": 50.0, "availability": 0.98},
            users=[{"region": "azure/westeurope", "share": 1.0}]),
        new("twice", slo={"availability": 0.9995}, replicas=[1, 1, 1, 1]),
        new("night", preemptible=True, batch={"duration_slots": 1, "earliest_slot": 0, "latest_slot": 3})]
    return fleet


@pytest.fixture(scope="module")
def folder(small: Callable[[], dict[str, Any]], new: New, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scenario with its plan beside it."""
    folder = tmp_path_factory.mktemp("explained")
    (folder / "scenario.yaml").write_text(yaml.safe_dump(fleet_of(small, new)))
    make_plan(folder, PlanRequest(solver="highs", time_limit_s=90.0)).write(folder / "plan.json")
    return folder


@pytest.fixture(scope="module")
def opened(folder: Path) -> Opened:
    """The plan, read back."""
    return open_plan(folder, folder / "plan.json")


def test_every_pool_is_the_place_or_priced_or_forbidden(opened: Opened) -> None:
    """For each unit: where it is, and every other pool once, with a price or with the rule that forbids it."""
    pools = {"/".join(pool) for pool in opened.formulation.names.pools}
    for name in opened.formulation.names.workloads:
        found = explain(opened, name)
        for unit in found.units:
            names = [place.name for place in unit.places]
            assert len(set(names)) == len(names)
            assert {*names, f"{unit.cluster}/{unit.pool}"} == pools
            for place in unit.places:
                assert (place.extra_usd is None) == bool(place.why_not)
            assert unit.why
        assert found.cost_usd == pytest.approx(sum(sum(unit.costs_usd.values()) for unit in found.units))


def test_shares_of_all_workloads_and_idle_machines_are_the_whole_cost(opened: Opened) -> None:
    """What explanations say that workloads cost adds up to the plan, machines that nobody uses apart."""
    total = sum(explain(opened, name).cost_usd for name in opened.formulation.names.workloads)
    idle = opened.plan.costs_by_owner.get("(idle)", 0.0)
    assert total + idle == pytest.approx(opened.plan.cost_usd, abs=1e-4)


def test_the_runner_up_costs_what_a_plan_pinned_there_costs(folder: Path, opened: Opened, tmp_path: Path) -> None:
    """Forced by a pin and solved exactly, the plan costs no more than the price of the move says, and no less than now.
    """
    unit = explain(opened, "claims").units[0]
    assert unit.runner_up is not None
    assert unit.runner_up.exact
    assert unit.runner_up.extra_usd is not None
    content = yaml.safe_load((folder / "scenario.yaml").read_text())
    content["workloads"][0]["clusters"] = {"pin": unit.runner_up.name}
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(content))
    pinned = make_plan(tmp_path, PlanRequest(solver="highs", time_limit_s=90.0)).plan
    extra = pinned.cost_usd - opened.plan.cost_usd
    assert -1e-6 <= extra <= unit.runner_up.extra_usd + 1e-6
    solved = explain(opened, "claims", unit.runner_up.name, resolve_s=20.0).resolved
    assert solved is not None
    assert solved.extra_usd == pytest.approx(extra, abs=1e-4)


def test_rules_say_what_they_take_and_leave(opened: Opened) -> None:
    """Rules narrow the pools one after the other, in words."""
    found = explain(opened, "claims")
    assert [(step.rule, step.left) for step in found.rules][-1][1] >= 1
    lisbon = next(place for place in found.units[0].places if place.name == "own-lis/cpu")
    assert lisbon.rules == ("residency",)
    assert lisbon.why_not == "in PT; residency allows BR, NL only"
    assert any(line.startswith("residency: alone forbids own-lis/cpu") for line in found.binding)


def test_copies_keep_apart(opened: Opened) -> None:
    """A copy has no price in a cluster that holds another copy, and availability is what binds."""
    found = explain(opened, "twice")
    assert len(found.units) > 1
    clusters = {unit.cluster for unit in found.units}
    for unit in found.units:
        for place in unit.places:
            if place.cluster in clusters - {unit.cluster}:
                assert place.why_not
    assert any("availability" in line for line in found.binding)


def test_one_place_is_asked_about(opened: Opened) -> None:
    """`--at` answers for that pool, or all pools of a cluster, with the exact price; an unknown one names the nearest.
    """
    places = explain(opened, "night", "azure-we").units[0].places
    assert {place.cluster for place in places} == {"azure-we"}
    assert all(place.exact for place in places if not place.why_not)
    assert all(place.start_slot is not None for place in places if not place.why_not)
    with pytest.raises(InputError, match="did you mean 'azure-we/d16'"):
        explain(opened, "night", "azure-we/d61")
    with pytest.raises(InputError, match="did you mean 'night'"):
        explain(opened, "nihgt")


def test_a_workload_left_out_is_explained(small: Callable[[], dict[str, Any]], new: New, tmp_path: Path) -> None:
    """Within a budget for one of two: the other's places with what they would cost, and what is left."""
    fleet = small()
    fleet["clusters"] = fleet["clusters"][:1]
    fleet["objective"] = {"mode": "max_sla", "budget_usd": 5.0}
    fleet["workloads"] = [new("dear", replicas=[9, 9, 9, 9]), new("first")]
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet))
    make_plan(tmp_path, PlanRequest(solver="highs", time_limit_s=90.0)).write(tmp_path / "plan.json")
    found = explain(open_plan(tmp_path, tmp_path / "plan.json"), "dear")
    assert found.units[0].cluster is None
    assert any("of the budget are left" in reason for reason in found.not_placed)
    assert any(place.extra_usd is not None and not place.exact for place in found.units[0].places)


@pytest.mark.parametrize("width", [40, 80, 160])
def test_it_shows_in_any_terminal(opened: Opened, width: int) -> None:
    """No line is wider than the terminal, and nothing that matters is cut off."""
    for name in opened.formulation.names.workloads:
        console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
        console.print(explanation_view(explain(opened, name)))
        text = console.export_text()
        assert max(len(line) for line in text.splitlines()) <= width
        assert name in text
        assert "…" not in text


def test_the_command_answers_in_words_and_in_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`planner explain` prints a table, `--json` the same for machines; a wrong workload is exit status 2."""
    asked = ["explain", str(folder), str(folder / "plan.json"), "--workload"]
    assert run([*asked, "claims"]) == 0
    shown = capsys.readouterr().out
    assert all(words in shown for words in ("Runs on", "runner-up", "Forbidden places", "residency"))
    assert run([*asked, "claims", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["units"][0]["runner_up"]["extra_usd"] >= 0
    assert run([*asked, "claim"]) == 2
    assert capsys.readouterr().err == "workload: 'claim' is not in the scenario; did you mean 'claims'?\n"


def test_another_scenarios_plan_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan that names what the scenario does not have is the input's mistake, told by name."""
    content = yaml.safe_load((folder / "scenario.yaml").read_text())
    del content["workloads"][1]
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(content))
    assert run(["explain", str(tmp_path), str(folder / "plan.json"), "--workload", "claims"]) == 2
    assert "no such workload in the scenario" in capsys.readouterr().err


def test_limits_that_bind_are_told_with_their_price(small: Callable[[], dict[str, Any]], new: New,
                                                    tmp_path: Path) -> None:
    """A pool that is full and the cheapest: one machine more saves what the next one costs more; others are not told.
    """
    fleet = small()
    fleet["clusters"] = fleet["clusters"][:2]
    cheap, dear = fleet["clusters"][0]["pools"][0], fleet["clusters"][1]["pools"][0]
    fleet["clusters"][0]["pools"], fleet["clusters"][1]["pools"] = [cheap], [dear]
    cheap["max"], dear["offers"][0]["price_usd_per_hour"] = 2, 3.0
    fleet["workloads"] = [new(f"w{i}", replicas=[4, 4, 4, 4]) for i in range(4)]
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet))
    plan = make_plan(tmp_path, PlanRequest(time_limit_s=30.0)).plan
    assert [row.what for row in plan.scarce] == ["max of pool aws-sp/m6i (2): one machine more"]
    assert plan.scarce[0].price_usd == pytest.approx(8.0, abs=0.01)
    cheap["max"] = 3
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet))
    more = make_plan(tmp_path, PlanRequest(time_limit_s=30.0)).plan
    assert plan.cost_usd - more.cost_usd == pytest.approx(8.0)


def test_it_is_said_where_needs_come_from(opened: Opened, small: Callable[[], dict[str, Any]], new: New,
                                          tmp_path: Path) -> None:
    """Replicas that are given are said to be; those of a described task come with the formulas' reasons."""
    assert explain(opened, "claims").needs == "Replicas are given."
    fleet = small()
    described = new("etl", kind="etl", replicas={"task": {"volume_gb": 1, "cadence": "once", "window_hours": 4}})
    fleet["workloads"] = [{name: value for name, value in described.items() if name != "batch"}]
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet))
    make_plan(tmp_path, PlanRequest(solver="highs", time_limit_s=60.0)).write(tmp_path / "plan.json")
    found = explain(open_plan(tmp_path, tmp_path / "plan.json"), "etl")
    assert "workers turn 1 GB" in found.needs
    assert found.to_dict()["needs"] == found.needs
