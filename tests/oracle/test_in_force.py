"""Plans that start from a plan in force, against the second reading: moves counted and paid, waves that have room."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from brute import TooManyError, optimum
from oracle import check_plan
from oracle_reading import read_plan, read_scenario
from oracle_world import World
from tiny import tiny_scenario, write

import planner.planning
from placement.problem import Problem
from placement.result import Result, Settings
from placement.worker import Stopwatch, solve_here
from planner.checking import verify_plan
from planner.in_force import InForce
from planner.plan import Plan
from planner.plan import read_plan as read_as_planner
from planner.planning import PlanRequest, make_plan

Row = dict[str, Any]


@pytest.fixture(autouse=True, scope="module")
def in_this_process() -> Iterator[None]:
    """The same solver without a process of its own."""
    def here(problem: Problem, solver: str, settings: Settings, *_: object) -> Result:
        return solve_here(problem, solver, settings, Stopwatch(settings.time_limit_s))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner.planning, "solve", here)
        yield


def before(scenario: Row, rng: random.Random) -> Row:
    """The scenario at other prices, under which the plan in force was made."""
    for cluster in scenario["clusters"]:
        for pool in cluster["pools"]:
            factor = rng.choice([0.2, 1, 5])
            for offer in pool["offers"]:
                price = offer["price_usd_per_hour"]
                offer["price_usd_per_hour"] = ([one * factor for one in price] if isinstance(price, list)
                                               else price * factor)
    scenario["objective"] = {"mode": "min_cost", "sla_floor": 0.0}
    return scenario


SEEDS = (403, 407, 432, 433, 436, 438, 440, 442, 447, 448, 449)
"""Scenarios with several units and few enough assignments to try them all."""


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory, in_this_process: None) -> list[tuple[int, Path, Plan]]:
    """Scenarios whose plan in force was best at other prices; each workload has a price for moving."""
    found, folder = [], tmp_path_factory.mktemp("in-force")
    for seed in SEEDS:
        scenario, rng = tiny_scenario(seed), random.Random(seed)
        for workload in scenario["workloads"]:
            workload.setdefault("incumbent", {"cluster": scenario["clusters"][0]["name"],
                                              "move_cost_usd": rng.choice([0, 0.5, 4])})
        path = write(folder / f"{seed}", scenario)
        old = write(folder / f"{seed}-before", before(read_scenario(path), rng))
        force = make_plan(old, PlanRequest(solver="brute", time_limit_s=3)).plan
        if force.assignments:
            found.append((seed, path, force))
    return found


def in_force(world: World, force: Plan, most: int | None) -> World:
    """The world in which a plan is in force."""
    for unit in force.assignments:
        world.in_force.setdefault((unit.workload, unit.user_region), []).append((unit.cluster, unit.pool))
    world.most_moves = most
    return world


@pytest.mark.parametrize("most", [0, 1, None])
def test_two_readings_agree_near_a_plan_in_force(most: int | None, cases: list[tuple[int, Path, Plan]]) -> None:
    """The exact plan with at most so many moves costs what the best of all such assignments costs, and holds."""
    compared = 0
    for seed, path, force in cases:
        world = in_force(World(read_scenario(path)), force, most)
        try:
            best = optimum(world, limit=5_000)
        except TooManyError:
            continue
        file = path / "plan.json"
        request = PlanRequest(solver="brute", time_limit_s=4, in_force=InForce(force, most))
        made = make_plan(path, request).write(file)
        assert (made.status == "infeasible") == (best.plan is None), seed
        if best.plan is None:
            assert made.conflict, seed
            continue
        verdict = check_plan(world, read_plan(file), path)
        assert verdict.violations == (), seed
        assert verify_plan(path, file).violations == (), seed
        if made.mode == "min_cost":
            assert made.cost_usd == pytest.approx(best.cost_usd, abs=0.01), seed
        assert made.sla_attainment == pytest.approx(best.attainment), seed
        assert made.parent == force.plan_id
        compared += 1
    assert compared >= 5


def test_verify_refuses_more_moves_than_allowed(cases: list[tuple[int, Path, Plan]]) -> None:
    """A plan that says it was allowed fewer moves than its waves make does not hold."""
    caught = 0
    for _, path, force in cases:
        file = path / "plan.json"
        made = make_plan(path, PlanRequest(solver="brute", time_limit_s=20, in_force=InForce(force))).write(file)
        moved = [move for wave in made.waves for move in wave.moves
                 if move.from_ is not None and (move.to is None or move.to.pool != move.from_.pool)]
        if not moved or made.status == "infeasible":
            continue
        lie = made.model_copy(update={"provenance": made.provenance.model_copy(update={"max_moves": 0})}).with_id()
        caught += any("moves are allowed" in what for what in verify_plan(path, lie).violations)
    assert caught > 0
    assert read_as_planner(file).plan_id
