"""Plans that start from a plan in force, against the second reading: moves counted and paid, waves that have room."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from brute import TooManyError, optimum
from oracle import check_plan
from oracle_reading import read_plan, read_scenario
from oracle_world import Unit, World, at
from tiny import tiny_scenario, write

import planner.planning
from placement.problem import Problem
from placement.result import Result, Settings
from placement.worker import Stopwatch, solve_here
from planner.checking import verify_plan
from planner.in_force import InForce
from planner.plan import Assignment, Plan
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
TOGETHER = {"parts": False, "pooled": False}
"""What does not go together with a plan in force yet."""


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory, in_this_process: None) -> list[tuple[int, Path, Plan]]:
    """Scenarios whose plan in force was best at other prices; each workload has a price for moving."""
    found, folder = [], tmp_path_factory.mktemp("in-force")
    for seed in SEEDS:
        scenario, rng = tiny_scenario(seed, **TOGETHER), random.Random(seed)
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


def left_of(scenario: Row, force: Plan, now: int) -> Row | None:
    """The scenario from slot `now` on beside a plan in force, by this reading; None for cases it leaves out."""
    world, units = World(copy.deepcopy(scenario)), {}
    for one in force.assignments:
        units.setdefault(one.workload, []).append(one)
    if scenario["horizon"].get("periods"):
        return None
    minutes = now * scenario["horizon"]["slot_minutes"]
    start = datetime.fromisoformat(scenario["horizon"]["start"]) + timedelta(minutes=minutes)
    scenario["horizon"] |= {"start": start.isoformat(), "slots": world.slots - now}
    for cluster in scenario["clusters"]:
        _cut(cluster, "grid_g_per_kwh", now)
        for pool in cluster["pools"]:
            _cut(pool, "max", now), _cut(pool, "min", now)
            pool["lead_time_days"] = max(0.0, pool.get("lead_time_days", 0) - minutes / 1440)
            for offer in pool["offers"]:
                for name in ("price_usd_per_hour", "max", "owned", "assured_max"):
                    _cut(offer, name, now)
                _hold(force, cluster, pool, offer, world.slots - now)
    for plan in scenario.get("commitments", []):
        more = next((one.bought for one in force.commitments if one.name == plan["name"]), 0.0)
        plan["owned"], plan["max_buy"] = plan.get("owned", 0) + more, plan.get("max_buy", 0) - more
    rest = [_rest(world, row, units.get(row["name"], []), now) for row in scenario["workloads"]]
    return scenario if all(rest) else None


def _rest(world: World, row: Row, mine: list[Assignment], now: int) -> bool:
    """Make what is left of a workload of it; False for cases left out."""
    begun = [one for one in mine if one.start_slot is not None and one.start_slot < now]
    if begun and len(mine) > 1:
        return False
    if begun:
        pool = (begun[0].cluster, begun[0].pool)
        unit = Unit(world.streams[row["name"], begun[0].user_region], 0, pool, begun[0].start_slot)
        row["replicas"] = world.need(unit, 1)[now:]
        del row["batch"]
        row["slo"].pop("deadline_slot", None)
        row["hardware"].pop("throughput", None)
        row |= {"survive": "none", "clusters": {"pin": "/".join(pool)}}
        return True
    row["replicas"] = row["replicas"][now:]
    if "batch" in row and min(row["batch"]["latest_slot"], row["slo"].get("deadline_slot", now)) < now:
        return False
    for name in ("earliest_slot", "latest_slot") if "batch" in row else ():
        row["batch"][name] = max(0, row["batch"][name] - now)
    if "deadline_slot" in row["slo"]:
        row["slo"]["deadline_slot"] -= now
    return True


def _cut(row: Row, name: str, now: int) -> None:
    if isinstance(row.get(name), list):
        row[name] = row[name][now:]


def _hold(force: Plan, cluster: Row, pool: Row, offer: Row, slots: int) -> None:
    """What the plan in force has bought for the horizon is owned."""
    for one in force.machines:
        if (one.cluster, one.pool, one.purchase) == (cluster["name"], pool["name"], offer["purchase"]) and (
                one.purchase in ("owned", "committed")):
            most = offer.get("max", pool["max"])
            offer["owned"] = [max(at(offer.get("owned", 0), t), min(max(one.count), at(most, t))) for t in range(slots)]


def test_two_readings_agree_on_what_is_left(cases: list[tuple[int, Path, Plan]]) -> None:
    """Planned on from slot 1, the plan costs what the best for the rest of the scenario costs, and holds."""
    compared = 0
    for seed, path, force in cases:
        rest = left_of(read_scenario(path), force, 1)
        if rest is None:
            continue
        world = World(rest)
        for one in force.assignments:
            world.in_force.setdefault((one.workload, one.user_region), []).append((one.cluster, one.pool))
        file = path / "left.json"
        request = PlanRequest(solver="brute", time_limit_s=4, in_force=InForce(force, now="1"))
        made = make_plan(path, request).write(file)
        best = optimum(world, limit=5_000)
        assert (made.status == "infeasible") == (best.plan is None), seed
        if best.plan is None:
            continue
        assert check_plan(world, read_plan(file), path).violations == (), seed
        assert verify_plan(path, file).violations == (), seed
        if made.mode == "min_cost":
            assert made.cost_usd == pytest.approx(best.cost_usd, abs=0.01), seed
        assert made.sla_attainment == pytest.approx(best.attainment), seed
        compared += 1
    assert compared >= 3
