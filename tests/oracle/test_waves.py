"""Waves against the second reading: every state between the plan in force and the next one has room, whoever orders it.

Waves are read as `plan.json` has them, by code that knows nothing of the planner's.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from oracle_reading import read_scenario
from oracle_waves import State, _apply, check_waves, state_of
from oracle_world import World
from test_in_force import TOGETHER, before, left_of
from tiny import tiny_scenario, write

import planner.planning
from placement.complete import complete
from placement.problem import Problem
from placement.result import Result, Settings, Solution
from placement.worker import Stopwatch, solve_here
from planner.build import Proof
from planner.checking import verify_plan
from planner.in_force import InForce
from planner.interpret import read_assignments
from planner.plan import Assignment, Plan
from planner.planning import Job, PlanRequest, make_plan, prepare
from planner.roll_back import made_so_far, way_back

Row = dict[str, Any]
LONG_S = 600


@pytest.fixture(autouse=True, scope="module")
def in_this_process() -> Iterator[None]:
    """The same solver without a process of its own."""
    def here(problem: Problem, solver: str, settings: Settings, *_: object) -> Result:
        return solve_here(problem, solver, settings, Stopwatch(settings.time_limit_s))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner.planning, "solve", here)
        yield


def crowd(rng: random.Random) -> Row:
    """Three or four halls with little room, whose tenants are moved around: swaps, rings, detours."""
    halls = [f"h{i}" for i in range(rng.choice([2, 3, 4]))]
    machine = {"name": "m", "vcpu": 4, "memory_gib": 16}
    clusters = [{"name": hall, "provider": "own", "region": hall, "country": "DE", "pools": [
        {"name": "p", "machine": machine, "max": rng.choice([1, 2, 2, 3]), "offers": [
            {"purchase": "on_demand", "price_usd_per_hour": 1.0}]}]} for hall in halls]
    links = [{"from": f"own/{a}", "to": f"own/{b}", "rtt_ms": 1, "egress_usd_per_gb": 0.0}
             for a in halls for b in halls if a != b]
    workloads = [{"name": f"w{i}", "kind": "etl", "request": {"vcpu": rng.choice([1, 2, 4]), "memory_gib": 1},
                  "replicas": [rng.choice([1, 1, 2]) for _ in range(2)]} for i in range(rng.choice([2, 3, 4]))]
    scenario = {"name": "crowd", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 2, "slot_minutes": 60},
                "objective": {"mode": "min_cost"}, "links": links, "clusters": clusters, "workloads": workloads}
    if rng.random() < 0.3:
        scenario["limits"] = [{"name": "cap", "pools": ["*"], "measure": "machines", "max": rng.choice([3, 4, 6])}]
    return scenario


def anywhere(folder: Path, scenario: Row, rng: random.Random) -> Plan | None:
    """A plan that has every workload in a hall drawn at random; None where these have no room."""
    prepared = prepare(folder, PlanRequest())
    job = Job.on(prepared, PlanRequest())
    units = [Assignment(workload=row["name"], cluster=rng.choice(scenario["clusters"])["name"], pool="p")
             for row in scenario["workloads"]]
    reading, _ = read_assignments(units, job.formulation)
    found = complete(job.formulation.problem, reading)
    return job.finish(found, Proof(0.0, "a cost is at least 0")).plan if isinstance(found, Solution) else None


def pinned(scenario: Row, plan: Plan) -> Row:
    """The scenario in which every workload must be where a plan has it, but may have been elsewhere before."""
    where = {unit.workload: f"own/{unit.cluster}" for unit in plan.assignments}
    changed = copy.deepcopy(scenario)
    for link in changed["links"]:
        link["egress_usd_per_gb"] = 1.0
    for row in changed["workloads"]:
        row["data"] = {"location": where[row["name"]], "gb_per_day_in": 1000}
    return changed


def turns(folder: Path, seeds: range) -> Iterator[tuple[int, Path, Plan, Plan]]:
    """Crowded halls, a plan in force, and the plan that data pulls elsewhere."""
    for seed in seeds:
        rng = random.Random(f"crowd {seed}")
        scenario = crowd(rng)
        plans = [anywhere(write(folder / f"{seed}", scenario), scenario, rng) for _ in range(6)]
        here = [plan for plan in plans if plan is not None]
        if len(here) < 2:
            continue
        path = write(folder / f"{seed}-next", pinned(scenario, here[1]))
        asked = PlanRequest(solver="highs", time_limit_s=LONG_S, in_force=InForce(here[0]))
        made = make_plan(path, asked).plan
        if made.status != "infeasible" and made.waves:
            yield seed, path, here[0], made


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, in_this_process: None) -> list[tuple[int, Path, Plan, Plan]]:
    """Turns in crowded halls."""
    return list(turns(tmp_path_factory.mktemp("crowd"), range(14)))


def faults(path: Path, force: Plan, made: Plan) -> list[str]:
    """What the second reading finds wrong with a plan's waves."""
    return list(check_waves(World(read_scenario(path)), state_of(force.to_dict()), made.to_dict()))


def test_waves_have_room_where_there_is_little(crowded: list[tuple[int, Path, Plan, Plan]]) -> None:
    """Swaps and rings in full halls: several waves, third places and stops, each with room by both readings."""
    wrong = {seed: found for seed, path, force, made in crowded if (found := faults(path, force, made))}
    assert wrong == {}
    assert all(verify_plan(path, made).violations == () for _, path, _, made in crowded)
    waves = [wave for *_, made in crowded for wave in made.waves]
    assert max(len(made.waves) for *_, made in crowded) >= 3
    assert any(wave.stops for wave in waves)
    assert any("third place" in wave.note for wave in waves)


def midway(world: World, force: Plan, made: Plan, done: int, some: list[int]) -> State:
    """Where units are when so many waves and moves were made."""
    state = state_of(force.to_dict())
    for wave in made_so_far(made, done, some):
        after = dict(state)
        assert list(_apply(world, wave.model_dump(mode="json", by_alias=True), state, after, {})) == []
        state = after
    return state


def moments(made: Plan, rng: random.Random) -> Iterator[tuple[int, list[int]]]:
    """Every number of waves, with none, some and all but one of the next one's moves."""
    for done, wave in enumerate(made.waves):
        count = len(wave.moves)
        yield done, []
        yield done, rng.sample(range(count), rng.randint(1, count))
    yield len(made.waves), []


def test_the_way_back_has_room_and_leads_back(crowded: list[tuple[int, Path, Plan, Plan]]) -> None:
    """From every wave, begun, half made or done: each step back has room, and the last one is the plan in force."""
    looked, stops = 0, 0
    for seed, path, force, made in crowded:
        world, rng = World(read_scenario(path)), random.Random(f"back {seed}")
        for done, some in moments(made, rng):
            back = way_back(made, done, some)
            plan = {"assignments": force.to_dict()["assignments"],
                    "waves": [wave.model_dump(mode="json", by_alias=True) for wave in back]}
            assert list(check_waves(world, midway(world, force, made, done, some), plan)) == [], (seed, done, some)
            looked, stops = looked + 1, stops + any(wave.stops for wave in back)
    assert looked > 30
    assert stops > 0


def _swap(waves: list[Row], rng: random.Random) -> None:
    if len(waves) > 1:
        a, b = rng.sample(range(len(waves)), 2)
        waves[a]["moves"], waves[b]["moves"] = waves[b]["moves"], waves[a]["moves"]


def _merge(waves: list[Row], _: random.Random) -> None:
    if len(waves) > 1:
        waves[0]["moves"] += waves.pop(1)["moves"]
        for number, wave in enumerate(waves, 1):
            wave["wave"] = number


def _forget(waves: list[Row], rng: random.Random) -> None:
    moves = rng.choice(waves)["moves"]
    moves.remove(rng.choice(moves))


def _elsewhere(waves: list[Row], rng: random.Random) -> None:
    move = rng.choice(rng.choice(waves)["moves"])
    if move["to"] is not None and move["from"] is not None:
        move["to"], move["from"] = move["from"], move["to"]


def _go_on(waves: list[Row], _: random.Random) -> None:
    for wave in waves:
        wave["stops"] = False


def test_both_readings_judge_tampered_waves_alike(crowded: list[tuple[int, Path, Plan, Plan]]) -> None:
    """Waves in another order, merged, with a move less or to another place, or that do not stop, are found by both."""
    rng, wrong, judged = random.Random(1), [], [0, 0]
    for seed, path, force, made in crowded:
        for tamper in (_swap, _merge, _forget, _elsewhere, _go_on):
            plan = json.loads(json.dumps(made.to_dict()))
            tamper(plan["waves"], rng)
            broken = Plan.model_validate_json(json.dumps(plan | {"plan_id": ""}))
            ours = faults(path, force, broken)
            theirs = [line for line in verify_plan(path, broken).violations if "wave" in line]
            theirs += [] if state_before(broken) == state_of(force.to_dict()) else ["begins elsewhere"]
            judged[not ours] += 1
            if bool(ours) != bool(theirs):
                wrong.append((seed, tamper.__name__, ours, theirs))
    assert wrong == []
    assert min(judged) > 5


def state_before(plan: Plan) -> State:
    """Where the units of a plan were before its waves, by the moves alone: all of them undone."""
    state = {key: {*spots} for key, (spots, _) in state_of(plan.to_dict()).items()}
    for wave in reversed(plan.to_dict()["waves"]):
        for end, do in (("to", "discard"), ("from", "add")):
            for move in wave["moves"]:
                if (place := move[end]) is not None:
                    spots = state.setdefault((move["workload"], move.get("user_region")), set())
                    getattr(spots, do)(((place["cluster"], place["pool"]), place.get("start_slot")))
    return {key: (frozenset(spots), len(spots)) for key, spots in state.items() if spots}


@pytest.mark.parametrize("most", [0, 1, None])
@pytest.mark.parametrize("seed", [436])
def test_waves_from_a_slot_on(seed: int, most: int | None, tmp_path: Path) -> None:
    """With few moves and from slot 1 on, what is frozen stays in every state, and all that moves has room."""
    scenario, rng = tiny_scenario(seed, **TOGETHER), random.Random(seed)
    path = write(tmp_path / "now", scenario)
    force = make_plan(write(tmp_path / "old", before(read_scenario(path), rng)),
                      PlanRequest(solver="highs", time_limit_s=LONG_S)).plan
    rest = left_of(read_scenario(path), force, 1)
    if rest is None or not force.assignments:
        pytest.skip("nothing of this scenario is left by the other reading")
    asked = PlanRequest(solver="highs", time_limit_s=LONG_S, in_force=InForce(force, most, now="1"))
    made = make_plan(path, asked).plan
    if made.status == "infeasible":
        assert made.conflict
        return
    began = {row.workload for row in (made.frozen.running if made.frozen else ())}
    state = {key: (frozenset((pool, None if start is None or key[0] in began else start - 1)
                             for pool, start in spots), copies)
             for key, (spots, copies) in state_of(force.to_dict()).items()}
    assert list(check_waves(World(rest), state, made.to_dict())) == []
    assert not any(move.workload in began for wave in made.waves for move in wave.moves)
    assert verify_plan(path, made).violations == ()


def test_the_second_reading_knows_a_wave_without_room() -> None:
    """By hand: two tenants of two full halls cannot change places at once, nor one after the other."""
    scenario = yaml.safe_load("""
name: two
horizon: {start: 2026-11-02T00:00:00Z, slots: 1}
objective: {mode: min_cost}
clusters:
- {name: a, provider: own, region: a, country: DE, pools: [{name: p, machine: {name: m, vcpu: 4, memory_gib: 16},
   max: 1, offers: [{purchase: on_demand, price_usd_per_hour: 1}]}]}
- {name: b, provider: own, region: b, country: DE, pools: [{name: p, machine: {name: m, vcpu: 4, memory_gib: 16},
   max: 1, offers: [{purchase: on_demand, price_usd_per_hour: 1}]}]}
workloads:
- {name: x, kind: etl, request: {vcpu: 4, memory_gib: 1}, replicas: [1]}
- {name: y, kind: etl, request: {vcpu: 4, memory_gib: 1}, replicas: [1]}
""")

    def at(x: str, y: str) -> Row:
        return {"assignments": [{"workload": name, "cluster": cluster, "pool": "p", "start_slot": None}
                                for name, cluster in (("x", x), ("y", y))]}

    def wave(number: int, *moves: tuple[str, str | None, str | None], stops: bool = False) -> Row:
        return {"wave": number, "stops": stops, "moves": [
            {"workload": name, "from": a and {"cluster": a, "pool": "p"}, "to": b and {"cluster": b, "pool": "p"}}
            for name, a, b in moves]}

    world, force, end = World(scenario), state_of(at("a", "b")), at("b", "a")
    both = [wave(1, ("x", "a", "b"), ("y", "b", "a"))]
    assert {"wave 1: a/p has no room in slot 0", "wave 1: b/p has no room in slot 0"} == {
        *check_waves(world, force, {**end, "waves": both})}
    stop = [wave(1, ("x", "a", None), stops=True), wave(2, ("y", "b", "a")), wave(3, ("x", None, "b"))]
    assert list(check_waves(world, force, {**end, "waves": stop})) == []
    unsaid = [{**stop[0], "stops": False}, *stop[1:]]
    assert any("not in between" in text for text in check_waves(world, force, {**end, "waves": unsaid}))
    assert any("do not end" in text for text in check_waves(world, force, {**end, "waves": stop[:2]}))
