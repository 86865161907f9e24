"""No plan: conflicts that are irreducible by trying everything, and relaxations that hold and cost what they say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from placement.result import Result, Settings
from placement.solvers import brute
from placement.standby import Standby
from placement.worker import Stopwatch
from planner.catalog import builtin_catalog
from planner.cli import run
from planner.conflict import Conflict, find_conflict
from planner.formulate import formulate
from planner.loosen import ladders
from planner.planning import Planned, PlanRequest, make_plan
from planner.profiles import profile
from planner.relax import relaxations
from planner.resolve import resolve
from planner.rules import KINDS, Rule, only, rules_of, without
from planner.scenario import read_scenario
from planner.scenario.model import Scenario
from planner.trial import Trials

Small = Callable[[], dict[str, Any]]
New = Callable[..., dict[str, Any]]


def written(fleet: dict[str, Any], folder: Path) -> Path:
    """A fleet in plain words as a scenario folder."""
    (folder / "scenario.yaml").write_text(yaml.safe_dump(fleet))
    return folder


def planned(fleet: dict[str, Any], folder: Path, **asked: Any) -> Planned:
    """The plan of a fleet, or why there is none."""
    return make_plan(written(fleet, folder), PlanRequest(**({"time_limit_s": 40.0} | asked)))


@pytest.fixture(scope="module")
def standby() -> Iterator[Standby]:
    """One solver process for all tests."""
    with Standby() as one:
        yield one


def opened(fleet: dict[str, Any], folder: Path, standby: Standby) -> tuple[Scenario, Trials]:
    """A resolved and profiled scenario, and somebody to ask about it."""
    scenario = resolve(read_scenario(written(fleet, folder)), builtin_catalog())
    profiles = profile(scenario, 0)
    return profiles.fill(scenario), Trials(profiles, builtin_catalog(), standby, 0, time.monotonic() + 60,
                                           lambda: False)


def by_brute(scenario: Scenario, trials: Trials) -> Result | None:
    """Everything tried; None where that is too much."""
    formulation = trials.formulated(scenario)
    assert formulation is not None
    if brute.supports(formulation.problem) is not None:
        return None
    return brute.solve(formulation.problem, Settings(), Stopwatch())


def random_fleet(small: Small, new: New, seed: int) -> dict[str, Any]:
    """A small fleet with little room and many rules."""
    rng = np.random.default_rng(seed)
    fleet = small()
    for cluster in fleet["clusters"]:
        for pool in cluster["pools"]:
            pool["max"] = int(rng.integers(0, 3))
            for offer in pool["offers"]:
                offer.pop("max", None)
                offer.pop("owned", None)
    fleet["horizon"]["slots"] = 2
    fleet["objective"] = {"mode": "min_cost", "sla_floor": float(rng.choice([1.0, 0.7]))}
    fleet["workloads"] = []
    for i in range(3):
        row = new(f"w{i}", replicas=rng.integers(1, 4, 2).tolist(), droppable=bool(rng.random() < 0.3),
                  request={"vcpu": float(rng.choice([5, 8, 9])), "memory_gib": 8.0},
                  preemptible=bool(rng.random() < 0.3))
        if rng.random() < 0.6:
            row["residency"] = {"allow": rng.choice(["BR", "NL", "PT"], 1).tolist()}
        if rng.random() < 0.3:
            row["slo"] = {"availability": float(rng.choice([0.95, 0.995, 0.99995]))}
        if rng.random() < 0.3:
            row["clusters"] = {"deny": ["aws-*"]}
        if rng.random() < 0.3:
            row |= {"kind": "serving", "users": [{"region": "azure/westeurope", "share": 1.0}]}
            row["slo"] = {"latency_ms": 50.0}
        fleet["workloads"].append(row)
    return fleet


@pytest.mark.parametrize("seed", [pytest.param(0, marks=pytest.mark.soak), 3])
def test_conflicts_are_irreducible(seed: int, small: Small, new: New, tmp_path: Path, standby: Standby) -> None:
    """No plan keeps the rules of a conflict, and without any one of them there is a plan, by trying everything."""
    scenario, trials = opened(random_fleet(small, new, seed), tmp_path, standby)
    formulation = trials.formulated(scenario)
    assert formulation is not None
    whole = by_brute(scenario, trials)
    if whole is None or whole.status != "infeasible":
        pytest.skip("this fleet has a plan")
    conflict = find_conflict(scenario, formulation, trials)
    assert conflict.proven
    assert conflict.irreducible
    kept = kept_only(conflict)
    alone = by_brute(kept, trials)
    assert alone is None or alone.status == "infeasible"
    for rule in conflict.rules:
        rest = kept_only(conflict, leave_out=rule)
        found = by_brute(rest, trials) if rest.workloads else None
        assert found is None or found.solution is not None, rule.words


def kept_only(conflict: Conflict, leave_out: Rule | None = None) -> Scenario:
    """The scenario with the rules of a conflict and no others."""
    kept = set(conflict.rules) - {leave_out}
    dropped = [rule for rule in rules_of(conflict.scenario) if rule not in kept and rule.kind != "request"]
    gone = {rule.subject for rule in dropped if rule.kind == "must"}
    rest = without(conflict.scenario, [rule for rule in dropped if rule.subject not in gone])
    left = [workload.name for workload in rest.workloads if workload.name not in gone]
    return only(rest, left) if left else rest.model_copy(update={"workloads": ()})


@pytest.mark.parametrize("seed", [3])
def test_relaxations_hold_and_cost_the_least(seed: int, small: Small, new: New, tmp_path: Path,
                                             standby: Standby) -> None:
    """Every single loosening is the least of its kind, and its plan costs what trying everything says."""
    scenario, trials = opened(random_fleet(small, new, seed), tmp_path, standby)
    formulation = trials.formulated(scenario)
    assert formulation is not None
    whole = by_brute(scenario, trials)
    if whole is None or whole.status != "infeasible":
        pytest.skip("this fleet has a plan")
    conflict = find_conflict(scenario, formulation, trials)
    told = {row.what: row.cost_usd for row in relaxations(scenario, conflict, trials)}
    assert told
    assert list(told.values()) == sorted(told.values())
    for rule in conflict.rules:
        for ladder in islice(ladders(rule, scenario, 40), 6):
            for step in range(ladder.steps):
                if ladder.words(step) in told:
                    loosened = ladder.apply(scenario, step)
                    if not loosened.workloads:
                        continue
                    best = by_brute(loosened, trials)
                    assert best is None or best.bound == pytest.approx(told[ladder.words(step)], rel=1e-3)
                    if step:
                        less = by_brute(ladder.apply(scenario, step - 1), trials)
                        assert less is None or less.status == "infeasible"


def test_rules_of_one_workload(small: Small, new: New, tmp_path: Path) -> None:
    """Residency and latency of one workload exclude each other: these are named, with what each way out costs."""
    fleet = small()
    fleet["workloads"] = [new("etl"), new("serve", kind="serving", slo={"latency_ms": 50.0},
                                          residency={"allow": ["BR"]},
                                          users=[{"region": "azure/westeurope", "share": 1.0}])]
    done = planned(fleet, tmp_path)
    assert done.plan.status == "infeasible"
    assert done.plan.conflict == ("serve must be placed (it is not droppable)",
                                  "serve may run in BR only (residency)",
                                  "serve answers within 50 ms (slo.latency_ms)")
    assert [row.what for row in done.plan.relaxations] == [
        "leave out serve", "let serve answer within 186 ms", "let serve run in NL"]
    fleet["workloads"][1]["residency"]["allow"] = ["BR", "NL"]
    assert planned(fleet, tmp_path).plan.cost_usd == pytest.approx(done.plan.relaxations[2].cost_usd)


def test_room_that_lacks(small: Small, new: New, tmp_path: Path) -> None:
    """Three that may run in one pool only are in conflict with its maximum; others are not blamed."""
    fleet = small()
    fleet["clusters"][0]["pools"] = fleet["clusters"][0]["pools"][:1]
    fleet["clusters"][0]["pools"][0]["max"] = 2
    fleet["workloads"] = [*(new(f"b{i}", replicas=[3, 3, 3, 3], residency={"allow": ["BR"]}) for i in range(3)),
                          new("free")]
    done = planned(fleet, tmp_path)
    assert "pool aws-sp/m6i has at most 2 machines (max)" in done.plan.conflict
    assert not any("free" in words for words in done.plan.conflict)
    assert {"b0 must be placed (it is not droppable)", "b2 may run in BR only (residency)"} <= set(done.plan.conflict)
    raised = [row for row in done.plan.relaxations if row.what == "raise max of pool aws-sp/m6i from 2 to 3"]
    assert len(raised) == 1


def test_a_budget_below_what_is_owned(small: Small, tmp_path: Path) -> None:
    """Own machines are paid for whatever runs: budget and machines are in conflict, and the least budget is named."""
    fleet = small()
    fleet["objective"] = {"mode": "max_sla", "budget_usd": 3.0}
    done = planned(fleet, tmp_path)
    assert done.plan.conflict == ("2 owned machines of own-lis/cpu are paid for, 4.00 USD (owned)",
                                  "the plan costs at most 3.00 USD (budget_usd)")
    assert [row.what for row in done.plan.relaxations] == [
        "hold 1 owned machines of own-lis/cpu instead of 2", "raise budget_usd from 3.00 to 4.00"]


def test_two_conflicts_are_loosened_together(small: Small, new: New, tmp_path: Path) -> None:
    """One loosening is not enough where two workloads are impossible for reasons of their own."""
    fleet = small()
    fleet["workloads"] = [new("huge", request={"vcpu": 96.0, "memory_gib": 64.0}), new("ok"),
                          new("nowhere", clusters={"allow": ["gone-*"]})]
    done = planned(fleet, tmp_path)
    assert any("96 vCPU (request)" in words or "nowhere" in words for words in done.plan.conflict)
    assert any("; and " in row.what for row in done.plan.relaxations)


def test_the_answer_comes_in_time(small: Small, new: New, tmp_path: Path) -> None:
    """With hardly any time there is still an answer, which does not claim what was not seen."""
    fleet = small()
    fleet["workloads"] = [new(f"b{i:02}", replicas=[9, 9, 9, 9], residency={"allow": ["BR"]}) for i in range(30)]
    began = time.monotonic()
    done = planned(fleet, tmp_path, time_limit_s=0.5)
    assert time.monotonic() - began < 40  # a process is started on a machine that may be busy; a search takes 45
    assert done.plan.status == "infeasible"
    assert "time was too short" in done.plan.conflict[-1]


def test_the_command_shows_it_and_says_no(small: Small, new: New, tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    """`planner plan` prints conflict and relaxations, exit status 1."""
    fleet = small()
    fleet["workloads"] = [new("far", residency={"allow": ["US"]})]
    assert run(["plan", str(written(fleet, tmp_path)), "-o", str(tmp_path / "plan.json")]) == 1
    shown = capsys.readouterr().out
    assert "In conflict: far may run in US only (residency)" in shown
    assert "Would help: let far run in BR" in shown
    assert run(["explain", str(tmp_path), str(tmp_path / "plan.json"), "--workload", "far"]) == 0
    assert "in BR, NL, PT; residency allows US only" in " ".join(capsys.readouterr().out.split())


def test_without_a_rule_more_is_allowed(small: Small, new: New, tmp_path: Path, standby: Standby) -> None:
    """Every kind of rule that a scenario has can be left out, and is then no longer found."""
    fleet = small()
    fleet["clusters"][0]["pools"][0] |= {"lead_time_days": 1}
    fleet["clusters"][1]["pools"][0]["offers"].append({"purchase": "spot", "price_usd_per_hour": 0.1, "max": 3})
    fleet["objective"]["sla_floor"] = 0.5
    fleet["workloads"] = [
        new("a", kind="serving", users=[{"region": "azure/westeurope", "share": 1.0}], residency={"deny": ["BR"]},
            slo={"latency_ms": 200.0, "availability": 0.9, "deploy_minutes": 5, "durability": 0.9,
                 "min_throughput": 1}, clusters={"allow": ["*"]}, hardware={"gpu_models": ["H100"]}),
        new("b", batch={"duration_slots": 1, "earliest_slot": 1, "latest_slot": 2}, slo={"deadline_slot": 0},
            clusters={"pin": "own-lis"}, droppable=True, request={"vcpu": 99.0, "memory_gib": 1.0})]
    scenario, _ = opened(fleet, tmp_path, standby)
    rules = rules_of(scenario)
    absent = {"survive", "survive_own", "limit", "budget", "owned", "min"}
    assert {rule.kind for rule in rules} == set(KINDS) - absent
    for rule in rules:
        if rule.kind != "must":
            assert rule.words not in {left.words for left in rules_of(without(scenario, [rule]))
                                      if rule.kind != "pool"} | {None}
        assert rule not in rules_of(without(scenario, [rule]))
    formulate(scenario, profile(scenario, 0))
