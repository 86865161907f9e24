"""Recorded demand against plans small enough to follow by hand; every figure is added up again from the tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.cli import run
from planner.errors import InputError
from planner.plan import Plan, write_plan
from planner.replay import Asked, Replayed, replay
from planner.replay_tables import replay_tables
from planner.report.replay import render_replay

Counts = dict[str, list[int]]
SP, LIS = "aws-sp/m6i", "own-lis/cpu"
HELD_USD = 2 * 0.5 * 4
"""Two owned machines of the fleet, used or not."""


@pytest.fixture
def files(tmp_path: Path, fleet: dict[str, Any], new: Callable[..., dict[str, Any]], plan_of: Callable[..., Plan]
          ) -> Callable[..., tuple[Path, Path, Path]]:
    """Write a scenario, a plan for it and recorded demand; return their paths."""
    def write(places: dict[str, str], machines: dict[tuple[str, str], list[int]], actual: Counts,
              starts: dict[str, int] | None = None, **workloads: Any) -> tuple[Path, Path, Path]:
        fleet["workloads"] = [new(name, **workloads.get(name, {})) for name in actual]
        (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet), encoding="utf-8")
        plan = plan_of(places, machines, **(starts or {}))
        write_plan(plan, tmp_path / "plan.json")
        with (tmp_path / "actual.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["workload", 0, 1, 2, 3], *([name, *row] for name, row in actual.items())])
        return tmp_path, tmp_path / "plan.json", tmp_path / "actual.csv"
    return write


def rows(found: Replayed, table: str) -> list[dict[str, Any]]:
    """A table as dictionaries."""
    listed: list[dict[str, Any]] = replay_tables(found)[table].to_pylist()
    return listed


def recounted(found: Replayed) -> None:
    """Cost, slots, moves and evictions are what the tables add up to."""
    figures, machines, pools = found.to_dict(), rows(found, "machines"), rows(found, "pools")
    assert sum(row["usd"] for row in machines) == pytest.approx(figures["costs"]["realised"]["machines"])
    for row in machines:
        if row["purchase"] in ("on_demand", "spot"):
            assert row["paid"] == row["ran"]
        assert row["usd"] == pytest.approx(row["paid"] * row["price_usd"])
    assert sum(row["carbon_usd"] for row in pools) == pytest.approx(figures["costs"]["realised"]["carbon"])
    assert sum(row["waited"] for row in pools) == figures["replica_slots"]["waited"] == sum(figures["pending"])
    events = rows(found, "events")
    for kind, figure in (("moved", "moves"), ("evicted", "evictions")):
        assert sum(row["replicas"] for row in events if row["event"] == kind) == figures[figure]
        assert sum(row[kind] for row in pools) == figures[figure]
    missed = {(row["workload"], row["slot"]) for row in rows(found, "missed")}
    assert len(missed) == figures["slots"]["missed"]
    for service in rows(found, "workloads"):
        assert service["missed_slots"] == sum(name == service["workload"] for name, _ in missed)
        assert service["kept"] == (service["missed_slots"] <= 0.05 * service["asked_slots"])
    assert figures["cost_usd"]["realised"] == pytest.approx(sum(figures["costs"]["realised"].values()))


def test_planned_demand_misses_nothing(files: Callable[..., Any]) -> None:
    """What was planned runs on the planned machines: the plan's cost, no misses, no moves."""
    found = replay(*files({"etl": SP}, {(SP, "on_demand"): [1, 1, 2, 1]}, {"etl": [2, 4, 8, 1]}), Asked("fixed"))
    recounted(found)
    assert found.missed == (0, 4)
    assert found.realised.machines == 5.0 + HELD_USD
    assert found.replicas("moved") == 0
    assert "would have cost USD 9.00" in found.sentence
    assert "missed 0.00 % of slots and needed 0 moves" in found.sentence


def test_more_demand_starts_machines_or_waits(files: Callable[..., Any]) -> None:
    """Nine replicas where four were planned: five wait, or an autoscaler starts two machines more."""
    asked = files({"etl": SP}, {(SP, "on_demand"): [1, 1, 1, 1]}, {"etl": [4, 9, 4, 4]})
    fixed, grown = replay(*asked, Asked("fixed")), replay(*asked)
    recounted(fixed)
    recounted(grown)
    assert fixed.run.short.tolist() == [[0, 5, 0, 0]]
    assert [(row["slot"], row["asked"], row["ran"], row["cause"]) for row in rows(fixed, "missed")] == [
        (1, 9, 4, "demand")]
    assert not fixed.services[0].kept
    assert grown.missed == (0, 4)
    assert grown.run.machines.max(axis=0).tolist() == [1, 3, 1, 1]
    assert grown.realised.machines - fixed.realised.machines == pytest.approx(2.0)


def test_what_is_left_on_a_machine_keeps_it(files: Callable[..., Any]) -> None:
    """An autoscaler stops only empty machines: the newest leave first, so the older of two others' machines stays."""
    asked = files({"a": SP, "b": SP}, {(SP, "on_demand"): [2, 2, 1, 1]}, {"a": [4, 4, 2, 2], "b": [4, 4, 2, 2]})
    grown, fixed = replay(*asked), replay(*asked, Asked("fixed"))
    assert grown.run.machines[0].tolist() == [2, 2, 2, 2]
    assert grown.to_dict()["machine_slots"] == {"planned": 6, "ran": 8, "beyond_plan": 2, "used": 8, "packed_anew": 6}
    assert fixed.run.machines[0].tolist() == [2, 2, 1, 1]
    assert (fixed.replicas("evicted"), fixed.replicas("moved"), fixed.missed[0]) == (2, 2, 0)
    recounted(grown)
    recounted(fixed)


def test_says_when_repacking_is_why(files: Callable[..., Any]) -> None:
    """Two halves left on two machines leave no room for a whole one; packed anew there would have been: it says so."""
    half, whole = {"request": {"vcpu": 8, "memory_gib": 8}}, {"request": {"vcpu": 16, "memory_gib": 8}}
    found = replay(*files({"a": SP, "b": SP, "c": SP}, {(SP, "on_demand"): [2, 2, 2, 2]},
                          {"a": [2, 1, 1, 0], "b": [2, 1, 1, 1], "c": [0, 1, 1, 1]}, a=half, b=half, c=whole),
                   Asked("fixed"))
    recounted(found)
    assert [(row["workload"], row["slot"], row["cause"]) for row in rows(found, "missed")] == [
        ("c", 1, "packing"), ("c", 2, "packing")]
    assert found.to_dict()["pool_slots_by_cause"] == {"packing": 2}


def test_says_when_late_gangs_are_why(files: Callable[..., Any]) -> None:
    """A gang that had to wait for want of repacking takes another's place later: that is said to be its backlog."""
    half, whole = {"request": {"vcpu": 8, "memory_gib": 8}}, {"request": {"vcpu": 16, "memory_gib": 8}}
    gang = whole | {"batch": {"duration_slots": 2, "earliest_slot": 1, "latest_slot": 1}}
    found = replay(*files({"a": SP, "b": SP, "g": SP, "w": SP}, {(SP, "on_demand"): [2, 2, 2, 2]},
                          {"a": [2, 1, 0, 0], "b": [2, 1, 0, 0], "g": [1, 1, 1, 1], "w": [0, 0, 0, 2]}, {"g": 1},
                          a=half, b=half, g=gang, w=whole), Asked("fixed"))
    recounted(found)
    assert [(row["workload"], row["slot"], row["cause"]) for row in rows(found, "missed")] == [
        ("g", 1, "packing"), ("w", 3, "backlog")]


def test_held_machines_are_paid_and_used(files: Callable[..., Any]) -> None:
    """Owned machines are paid in every slot; an autoscaler runs them beyond the plan's count without paying twice."""
    found = replay(*files({"etl": LIS}, {(LIS, "owned"): [1, 2, 1, 1]}, {"etl": [8, 8, 8, 12]}))
    recounted(found)
    assert found.run.machines.max(axis=0).tolist() == [2, 2, 2, 2]
    assert found.realised.machines == pytest.approx(HELD_USD)
    assert found.run.short.tolist() == [[0, 0, 0, 4]]


def test_gangs_wait_for_all(files: Callable[..., Any]) -> None:
    """A gang that does not fit waits as a whole, runs its full length late, and its deadline is missed."""
    gang = {"batch": {"duration_slots": 2, "latest_slot": 1}, "slo": {"deadline_slot": 2}}
    found = replay(*files({"run": SP, "web": SP}, {(SP, "on_demand"): [1, 1, 1, 1]},
                          {"web": [2, 2, 1, 1], "run": [3, 3, 0, 0]}, {"run": 0}, run=gang, web={"priority": 90}),
                   Asked("fixed"))
    recounted(found)
    by_name = {service.workload: service for service in found.services}
    assert by_name["run"].missed_slots == 2
    assert by_name["run"].asked_slots == 4
    assert by_name["run"].deadline_missed
    assert by_name["web"].kept
    row = next(u for u, ran in enumerate(found.run.ran.tolist()) if 3 in ran)
    assert found.run.ran[row].tolist() == [0, 0, 3, 3]


def test_need_follows_throughput(files: Callable[..., Any]) -> None:
    """Recorded replicas are before throughput: half the speed needs twice the replicas."""
    found = replay(*files({"etl": SP}, {(SP, "on_demand"): [2, 2, 2, 2]}, {"etl": [1, 2, 3, 3]},
                          etl={"hardware": {"throughput": {"m6i": 0.5}}}), Asked("fixed"))
    assert found.run.ran.tolist() == [[2, 4, 6, 6]]


def test_interruptions_are_drawn_from_the_seed(files: Callable[..., Any]) -> None:
    """The same seed interrupts the same machines; what waits for want of them is said to; another seed differs."""
    spot = "aws-sp/spot"
    asked = files({"etl": spot}, {(spot, "spot"): [2, 2, 2, 2]}, {"etl": [8, 8, 8, 8]}, etl={"preemptible": True})
    text = (asked[0] / "scenario.yaml").read_text(encoding="utf-8")
    often = text.replace("purchase: spot", "purchase: spot\n      interruption_per_hour: 0.7")
    (asked[0] / "scenario.yaml").write_text(often, encoding="utf-8")
    runs = [replay(*asked, Asked("fixed", seed)) for seed in (1, 1, 2, 3)]
    assert runs[0].to_dict() == runs[1].to_dict()
    assert len({json.dumps(found.to_dict()["pending"]) for found in runs}) > 1
    assert any(found.to_dict()["pool_slots_by_cause"].get("interruption") for found in runs)
    for found in runs:
        recounted(found)
        lost = found.to_dict()["interrupted_machines"]
        assert found.realised.machines == pytest.approx(HELD_USD + 0.25 * (8 - lost))
    assert replay(*asked, Asked("fixed")).to_dict()["interrupted_machines"] == 0


def test_what_the_plan_left_out_is_missed(files: Callable[..., Any]) -> None:
    """A workload without a place misses every slot in which it asks for anything."""
    found = replay(*files({"etl": SP}, {(SP, "on_demand"): [1, 1, 1, 1]}, {"etl": [1, 1, 1, 1], "extra": [0, 2, 2, 0]},
                          extra={"droppable": True}))
    recounted(found)
    assert found.missed == (2, 6)
    assert [(row["workload"], row["cause"], row["cluster"]) for row in rows(found, "missed")] == [
        ("extra", "not placed", None)] * 2


def test_beside_the_bill(files: Callable[..., Any], tmp_path: Path) -> None:
    """The bill stands in the sentence and beside the cost of its provider."""
    asked = files({"etl": SP}, {(SP, "on_demand"): [1, 1, 1, 1]}, {"etl": [1, 1, 1, 1]})
    focus = tmp_path / "focus.csv"
    focus.write_text("BilledCost,EffectiveCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ChargePeriodEnd,"
                     "ProviderName\n9,9,USD,Usage,2026-11-02T00:00:00Z,2026-11-02T04:00:00Z,AWS\n", encoding="utf-8")
    found = replay(*asked, Asked("fixed"), focus)
    assert "the bill says USD 9.00" in found.sentence
    assert found.to_dict()["bill"]["by_provider"] == {"aws": 9.0}
    assert found.by_provider["aws"] == pytest.approx(4.0)
    assert sum(found.by_provider.values()) == pytest.approx(found.cost_usd)


def test_command_line_writes_what_it_shows(files: Callable[..., Any], tmp_path: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    """JSON on the screen and in the file agree, the same again gives the same bytes, tables and report are there."""
    scenario, plan, actual = map(str, files({"etl": SP}, {(SP, "on_demand"): [1, 1, 1, 1]}, {"etl": [1, 9, 1, 1]}))
    wanted = [str(tmp_path / name) for name in ("out.json", "tables", "replay.html")]
    ask = ["replay", scenario, plan, "--actual", actual, "--policy", "fixed", "-o", wanted[0], "--tables", wanted[1],
           "--report", wanted[2]]
    assert run([*ask, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    before = [path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert shown == json.loads(Path(wanted[0]).read_text(encoding="utf-8"))
    assert {path.stem for path in Path(wanted[1]).iterdir()} == set(shown["tables"])
    assert run(ask) == 0
    assert before == [path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert "1 of 1 workloads missed slots" in capsys.readouterr().out
    assert "missed 25.00 % of slots" in Path(wanted[2]).read_text(encoding="utf-8")


def test_report_shows_no_foreign_markup(files: Callable[..., Any]) -> None:
    """A workload's name is text in the page, whatever it holds."""
    found = replay(*files({"<b>x</b>": SP}, {(SP, "on_demand"): [1, 1, 1, 1]}, {"<b>x</b>": [1, 1, 1, 1]}))
    page = render_replay(found)
    assert "<b>x" not in page
    assert "&lt;b&gt;x" in page


def test_plans_that_do_not_fit_are_refused(files: Callable[..., Any], plan_of: Callable[..., Plan]) -> None:
    """No plan, or one of another scenario, is one line and not a figure."""
    scenario, plan, actual = files({"etl": SP}, {(SP, "on_demand"): [1, 1, 1, 1]}, {"etl": [1, 1, 1, 1]})
    write_plan(plan_of({}, {}).model_copy(update={"status": "infeasible"}), plan)
    with pytest.raises(InputError, match="there is no plan to replay"):
        replay(scenario, plan, actual)
    write_plan(plan_of({"other": SP}, {}), plan)
    with pytest.raises(InputError, match="other: no such workload"):
        replay(scenario, plan, actual)
