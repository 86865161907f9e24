"""Workloads split over pools: planner, brute force and the second reading on scenarios where a split pays."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from brute import TooManyError, optimum
from oracle import check
from oracle_reading import read_plan, read_scenario
from oracle_world import World
from tiny import write

import planner.planning
from placement.problem import Problem
from placement.result import Result, Settings
from placement.worker import Stopwatch, solve_here
from planner.checking import verify_plan
from planner.plan import read_plan as read_as_planner
from planner.planning import PlanRequest, make_plan

Row = dict[str, Any]


@pytest.fixture(autouse=True)
def _in_this_process() -> Iterator[None]:
    """The same solver without a process of its own."""
    def here(problem: Problem, solver: str, settings: Settings, *_: object) -> Result:
        return solve_here(problem, solver, settings, Stopwatch(settings.time_limit_s))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner.planning, "solve", here)
        yield


def burst(seed: int) -> Row:
    """A hall with owned machines, one or two clouds, and one or two workloads with peaks."""
    rng = random.Random(seed)
    slots = rng.choice([2, 3])

    def cluster(name: str, provider: str, offers: list[Row], vcpu: int, most: int) -> Row:
        pool = {"name": "m", "machine": {"name": f"box{vcpu}", "vcpu": vcpu, "memory_gib": 16}, "max": most,
                "offers": offers}
        return {"name": name, "provider": provider, "region": "r", "country": "DE",
                "availability": rng.choice([0.99, 0.999, 1]), "storage_usd_per_gb_month": rng.choice([0, 0.1]),
                "pools": [pool]}

    clusters = [cluster("hall", "own", [{"purchase": "owned", "price_usd_per_hour": 0.5, "owned": 1, "max": 2}], 2, 2)]
    clusters += [cluster(f"cloud{i}", "web", [{"purchase": "on_demand", "price_usd_per_hour": rng.choice([1, 1.5])}],
                         rng.choice([2, 4]), 4) for i in range(rng.choice([1, 2]))]
    workloads = []
    for i in range(rng.choice([1, 2])):
        workload: Row = {
            "name": f"w{i}", "kind": "etl", "request": {"vcpu": rng.choice([1, 2]), "memory_gib": 1},
            "replicas": [rng.choice([0, 1, 2, 3]) for _ in range(slots)], "max_parts": rng.choice([1, 2, 2, 3]),
            "hardware": {"throughput": {"box4*": rng.choice([1, 1.5])}},
            "slo": {"availability": rng.choice([0.98, 0.99])} if rng.random() < 0.5 else {}}
        if rng.random() < 0.4:
            workload["data"] = {"location": "own/r", "gb_per_day_in": rng.choice([0, 30]), "stored_gb": 100}
        if rng.random() < 0.3:
            workload["incumbent"] = {"cluster": "hall", "pool": "m", "move_cost_usd": 0.5}
        workloads.append(workload)
    if len(workloads) > 1 and rng.random() < 0.5:
        workloads[1]["after"] = [{"workload": "w0", "gb_per_day": 40}]
    links = [{"from": a, "to": b, "rtt_ms": 10, "egress_usd_per_gb": 0.05} for a in ("own/r", "web/r")
             for b in ("own/r", "web/r") if a != b]
    return {"name": f"burst-{seed}", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": slots, "slot_minutes": 180},
            "objective": {"mode": "min_cost"}, "survive": rng.choice(["none", "none", "cluster"]), "links": links,
            "clusters": clusters, "workloads": workloads}


def made(folder: Path, scenario: Row, solver: str) -> Row:
    """The plan as written to disk."""
    file = write(folder, scenario) / "plan.json"
    make_plan(folder, PlanRequest(solver=solver, time_limit_s=20)).write(file)
    return read_plan(file)


@pytest.mark.parametrize("block", range(2))
def test_brute_force_and_the_second_reading_agree_on_the_best_split(block: int, tmp_path: Path) -> None:
    """The cheapest plan over all caps costs the same by both, to the cent, and many of the plans do split."""
    split = 0
    for seed in range(block * 8, block * 8 + 8):
        folder = write(tmp_path / str(seed), burst(seed))
        try:
            best = optimum(World(read_scenario(folder)), limit=20_000)
        except TooManyError:
            continue
        plan = made(folder, burst(seed), "brute")
        assert (seed, check(folder, folder / "plan.json").violations) == (seed, ())
        assert (seed, verify_plan(folder, folder / "plan.json").violations) == (seed, ())
        assert plan["status"] == ("infeasible" if best.plan is None else "optimal")
        assert best.plan is None or plan["cost_usd"] == pytest.approx(best.cost_usd, abs=0.01), seed
        split += any(row["part"] for row in plan["assignments"])
    assert split >= 2


def test_the_planner_finds_splits_and_never_claims_too_much(tmp_path: Path) -> None:
    """Its plans hold by both readings, cost at most what whole workloads would, and bounds stay below the optimum."""
    split, found, true = 0, 0.0, 0.0
    for seed in range(9):
        scenario = burst(seed)
        best = made(tmp_path / f"{seed}-brute", scenario, "brute")
        if best["status"] == "infeasible":
            continue
        plan = made(tmp_path / str(seed), scenario, "planner")
        whole = {**scenario, "workloads": [row | {"max_parts": 1} for row in scenario["workloads"]]}
        alone = made(tmp_path / f"{seed}-whole", whole, "planner")
        assert (seed, check(tmp_path / str(seed), tmp_path / str(seed) / "plan.json").violations) == (seed, ())
        assert plan["bound"] <= best["cost_usd"] + 0.01, seed
        assert best["cost_usd"] - 0.01 <= plan["cost_usd"], seed
        if alone["status"] != "infeasible":
            assert plan["cost_usd"] <= alone["cost_usd"] + 0.01, seed
        split += any(row["part"] for row in plan["assignments"])
        if scenario["survive"] == "none":
            found, true = found + plan["cost_usd"], true + best["cost_usd"]
    assert split >= 2
    assert found <= 1.02 * true


def _cap(plan: Row, _: random.Random) -> None:
    row = next(row for row in plan["assignments"] if row["cap"] is not None)
    row["cap"] += 1


def _uncapped(plan: Row, _: random.Random) -> None:
    next(row for row in plan["assignments"] if row["cap"] is not None)["cap"] = None


def _no_last(plan: Row, _: random.Random) -> None:
    plan["assignments"].remove(next(row for row in plan["assignments"] if row["part"]))


def _elsewhere(plan: Row, rng: random.Random) -> None:
    rng.choice([row for row in plan["assignments"] if row["part"]]).update(cluster="cloud0", pool="m")


def _two_copies(plan: Row, _: random.Random) -> None:
    plan["assignments"] += [row | {"copy": 1} for row in plan["assignments"] if row["part"] or row["cap"]]


@pytest.mark.parametrize("tamper", [_cap, _uncapped, _no_last, _elsewhere, _two_copies])
def test_both_readings_judge_changed_splits_alike(tamper: Callable[[Row, random.Random], None], tmp_path: Path) -> None:
    """A cap, a part or a place changed by hand is found wrong by both, or by neither."""
    rng, judged = random.Random(1), 0
    for seed in range(8):
        folder = tmp_path / str(seed)
        plan = made(folder, burst(seed), "brute")
        if not any(row["part"] for row in plan["assignments"]):
            continue
        tamper(plan, rng)
        file = folder / "tampered.json"
        file.write_text(json.dumps(plan | {"plan_id": ""}), encoding="utf-8")
        plan["plan_id"] = read_as_planner(file).with_id().plan_id
        file.write_text(json.dumps(plan), encoding="utf-8")
        ours, theirs = check(folder, file), verify_plan(folder, file)
        assert theirs.holds == (not ours.violations), (seed, ours.violations, theirs.violations)
        judged += 1
    assert judged >= 2


def test_more_parts_than_allowed_are_refused(tmp_path: Path) -> None:
    """A plan split where the scenario allows no parts is wrong, and says what max_parts is."""
    for seed in range(8):
        plan = made(tmp_path / str(seed), burst(seed), "brute")
        if any(row["part"] for row in plan["assignments"]):
            break
    scenario = burst(seed)
    for workload in scenario["workloads"]:
        workload["max_parts"] = 1
    folder = write(tmp_path / "one", scenario)
    (folder / "plan.json").write_text((tmp_path / str(seed) / "plan.json").read_text(encoding="utf-8"))
    assert any("max_parts is 1" in line for line in verify_plan(folder, folder / "plan.json").violations)
    assert "parts" in check(folder, folder / "plan.json").kinds
