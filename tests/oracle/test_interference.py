"""Workloads that slow each other down: planner, brute force and the second reading on tiny scenarios."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
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
from planner.errors import InputError
from planner.plan import read_plan as read_as_planner
from planner.planning import PlanRequest, make_plan
from planner.scenario import read_scenario as scenario_in
from planner.scenario.checks import Names, findings

Row = dict[str, Any]


@pytest.fixture(autouse=True)
def _in_this_process() -> Iterator[None]:
    """The same solver without a process of its own."""
    def here(problem: Problem, solver: str, settings: Settings, *_: object) -> Result:
        return solve_here(problem, solver, settings, Stopwatch(settings.time_limit_s))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner.planning, "solve", here)
        yield


def neighbours(seed: int) -> Row:
    """Two or three pools, two or three workloads, and pairs of them that slow each other down."""
    rng = random.Random(seed)
    slots = rng.choice([2, 3])
    clusters = [{"name": f"c{i}", "provider": "own", "region": "r", "country": "DE", "availability": 0.999,
                 "pools": [{"name": "m", "max": 6, "machine": {"name": "box", "vcpu": 4, "memory_gib": 8,
                                                               "gpu_model": rng.choice(["T4", "A100"]), "gpu_count": 2},
                            "offers": [{"purchase": "on_demand", "price_usd_per_hour": rng.choice([1, 1.5, 2])}]}]}
                for i in range(rng.choice([2, 3]))]
    workloads = [{"name": f"{rng.choice(['train', 'tune'])}-{i}", "kind": "training",
                  "request": {"vcpu": rng.choice([1, 2, 3]), "memory_gib": 1},
                  "replicas": [rng.choice([0, 1, 2]) for _ in range(slots)]} for i in range(rng.choice([2, 3]))]
    if rng.random() < 0.4:
        workloads[0]["batch"] = {"duration_slots": 1, "earliest_slot": 0, "latest_slot": 1}
    names = [row["name"] for row in workloads]
    pairs: list[Row] = [{"workload": names[0], "other": names[1], "throughput": rng.choice([0.3, 0.6, 0.9]),
                         "other_throughput": rng.choice([0.5, 1.0])}]
    if rng.random() < 0.5:
        pairs.append({"workload": "t*", "other": names[-1], "throughput": 0.7, "gpu_model": "T4"})
    return {"name": f"pairs-{seed}", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": slots, "slot_minutes": 60},
            "objective": {"mode": "min_cost"}, "links": [], "clusters": clusters, "workloads": workloads,
            "interference": pairs}


def made(folder: Path, scenario: Row, solver: str) -> Row:
    """The plan as written to disk."""
    file = write(folder, scenario) / "plan.json"
    make_plan(folder, PlanRequest(solver=solver, time_limit_s=20)).write(file)
    return read_plan(file)


def test_brute_force_and_the_second_reading_agree(tmp_path: Path) -> None:
    """The cheapest plan costs the same by both; in some somebody is slowed down, in others pairs are kept apart."""
    slowed = apart = 0
    for seed in range(9):
        folder = write(tmp_path / str(seed), neighbours(seed))
        try:
            best = optimum(World(read_scenario(folder)), limit=5_000)
        except TooManyError:
            continue
        plan = made(folder, neighbours(seed), "brute")
        assert (seed, check(folder, folder / "plan.json").violations) == (seed, ())
        assert (seed, verify_plan(folder, folder / "plan.json").violations) == (seed, ())
        assert plan["status"] == ("infeasible" if best.plan is None else "optimal")
        assert best.plan is None or plan["cost_usd"] == pytest.approx(best.cost_usd, abs=0.01), seed
        slowed += any(row["replicas_more"] for row in plan.get("interference", {}).get("slowed", []))
        apart += plan.get("interference", {}).get("kept_apart", 0) > 0
    assert slowed >= 2
    assert apart >= 2


def test_the_planner_comes_near_and_its_bounds_hold(tmp_path: Path) -> None:
    """Its plans hold by both readings; bounds stay below the optimum, and costs come near it."""
    found = true = 0.0
    for seed in range(8):
        best = made(tmp_path / f"{seed}-brute", neighbours(seed), "brute")
        if best["status"] == "infeasible":
            continue
        plan = made(tmp_path / str(seed), neighbours(seed), "planner")
        assert (seed, check(tmp_path / str(seed), tmp_path / str(seed) / "plan.json").violations) == (seed, ())
        assert plan["bound"] <= best["cost_usd"] + 0.01, seed
        assert best["cost_usd"] - 0.01 <= plan["cost_usd"], seed
        found, true = found + plan["cost_usd"], true + best["cost_usd"]
    assert found <= 1.03 * true


def test_a_plan_that_ignores_interference_is_refused(tmp_path: Path) -> None:
    """The cheapest plan of the same fleet without pairs lacks machines once they are counted, and both say so."""
    refused = 0
    for seed in range(14):
        scenario = neighbours(seed)
        ignored = made(tmp_path / f"{seed}-without", {**scenario, "interference": []}, "brute")
        if ignored["status"] == "infeasible":
            continue
        ignored.pop("tables", None)
        folder = write(tmp_path / str(seed), scenario)
        file = folder / "plan.json"
        file.write_text(json.dumps(ignored | {"plan_id": ""}), encoding="utf-8")
        ignored["plan_id"] = read_as_planner(file).with_id().plan_id
        file.write_text(json.dumps(ignored), encoding="utf-8")
        ours, theirs = check(folder, file), verify_plan(folder, file)
        assert theirs.holds == (not ours.violations), (seed, ours.violations, theirs.violations)
        refused += not theirs.holds
    assert refused >= 2


@pytest.mark.parametrize(("change", "line"), [
    ({"interference": [{"workload": "trian", "other": "t*", "throughput": 0.5}]},
     "interference[0].workload: trian: matches no workload"),
    ({"interference": [{"workload": "t*", "other": "t*", "throughput": 1.5}]}, "interference"),
    ({"survive": "cluster"}, "survive: cluster: not available yet together with interference"),
    ({"interference": "pairs.csv"}, "interference: pairs.csv: there is no file"),
])
def test_mistakes_in_pairs_are_one_line_each(change: Row, line: str, tmp_path: Path) -> None:
    """Names that match nothing, factors above 1, and what interference does not go with yet."""
    with pytest.raises(InputError) as told:
        made(tmp_path, neighbours(0) | change, "planner")
    assert line in told.value.problems[0]


def test_pooled_sizing_goes_with_neither_pairs_nor_parts(tmp_path: Path) -> None:
    """Both are named, each by its own field, where sample paths of demand are asked for."""
    scenario = scenario_in(write(tmp_path, neighbours(0)))
    first = scenario.workloads[0].model_copy(update={"batch": None, "max_parts": 2})
    both = scenario.model_copy(update={"sizing": "pooled", "workloads": (first, *scenario.workloads[1:])})
    found = [field for field, _, allowed, _ in findings(both, Names({}, ()))
             if allowed == "not available yet with sizing: pooled"]
    assert found == [f"workloads.{first.name}.max_parts", "interference"]


def test_pairs_may_lie_in_a_table(tmp_path: Path) -> None:
    """A CSV of pairs gives the same plan as the list."""
    scenario = neighbours(1)
    plan = made(tmp_path / "list", scenario, "brute")
    rows = ["workload,other,throughput,other_throughput,gpu_model"]
    rows += [",".join(str(row.get(name, "")) for name in rows[0].split(",")) for row in scenario["interference"]]
    folder = write(tmp_path / "table", scenario | {"interference": "pairs.csv"})
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    make_plan(folder, PlanRequest(solver="brute")).write(folder / "plan.json")
    again = read_plan(folder / "plan.json")
    assert again["cost_usd"] == plan["cost_usd"]
    assert again["assignments"] == plan["assignments"]
    assert check(folder, folder / "plan.json").violations == ()
