"""The planner against a second, independent reading of the same files, on random tiny scenarios.

One misreading cannot pass both: needs, legality, packing, costs and attainment are worked out here by code that knows
nothing of the planner's, and the optimum by trying every assignment.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from brute import Optimum, TooManyError, optimum
from oracle import Verdict, check, check_plan
from oracle_reading import read_plan, read_scenario
from oracle_world import World
from tiny import tiny_scenario, write

import planner.no_plan
import planner.planning
from placement.problem import Problem
from placement.result import Result, Settings
from placement.worker import Stopwatch, solve_here
from planner.checking import verify_plan
from planner.export import export_scenario
from planner.plan import read_plan as read_as_planner
from planner.planning import NoPlanFound, PlanRequest, make_plan

Row = dict[str, Any]
MEDICAL = Path(__file__).parents[2] / "examples" / "medical"
BLOCK = 20
BLOCKS = 10
QUICK = 4
"""Blocks that are compared in every run; the rest in `make soak`."""


@pytest.fixture
def in_this_process() -> Iterator[None]:
    """The same solver without a process of its own, which for hundreds of scenarios would take minutes to start.

    Why there is no plan is not what these tests ask: rules are not tried out, which takes processes and seconds, too.
    """
    def here(problem: Problem, solver: str, settings: Settings, *_: object) -> Result:
        return solve_here(problem, solver, settings, Stopwatch(settings.time_limit_s))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner.planning, "solve", here)
        patch.setattr(planner.no_plan, "MOST_S", 0.0)
        yield


def cases(first: int, count: int, folder: Path) -> Iterator[tuple[int, Path, World, Optimum]]:
    """Scenarios on disk with their optimum; those with too many assignments are left out."""
    for seed in range(first, first + count):
        scenario = write(folder / str(seed), tiny_scenario(seed))
        world = World(read_scenario(scenario))
        try:
            yield seed, scenario, world, optimum(world, limit=5_000)
        except TooManyError:
            continue


def planned(scenario: Path, solver: str, seconds: float = 20) -> tuple[Row, Verdict]:
    """The plan as written to disk, and the second reading's verdict on it."""
    file = scenario / "plan.json"
    make_plan(scenario, PlanRequest(solver=solver, time_limit_s=seconds)).write(file)
    return read_plan(file), check(scenario, file)


def disagreement(plan: Row, verdict: Verdict, best: Optimum) -> str | None:
    """What is wrong with a plan that was made for a scenario with this optimum; None when nothing is."""
    if verdict.violations:
        return str(verdict.violations)
    if (plan["status"] == "infeasible") != (best.plan is None):
        return f"status {plan['status']}, though the best plan costs {best.cost_usd}"
    if best.plan is None:
        return None
    by_cost = plan["mode"] == "min_cost"
    value, true = (plan["cost_usd"], best.cost_usd) if by_cost else (plan["sla_attainment"], best.attainment)
    sign = 1 if by_cost else -1
    if sign * value < sign * true - 0.01 * (by_cost or 1e-4) or sign * plan["bound"] > sign * true + 0.01:
        return f"value {value} or bound {plan['bound']} is better than possible: {true}"
    if plan["status"] == "optimal" and abs(value - true) > max(0.01 if by_cost else 1e-6, 1.1e-4 * abs(true)):
        return f"called optimal at {value}; the optimum is {true}"
    return None


@pytest.mark.parametrize("block", [pytest.param(block, marks=pytest.mark.soak if block >= QUICK else [])
                                   for block in range(BLOCKS)])
@pytest.mark.usefixtures("in_this_process")
def test_two_readings_agree_on_the_optimum(block: int, tmp_path: Path) -> None:
    """Exact plans pass the second reading, and cost what the best of all assignments costs, to the cent."""
    wrong = {}
    for seed, scenario, _, best in cases(block * BLOCK, BLOCK, tmp_path):
        plan, verdict = planned(scenario, "brute")
        wrong[seed] = disagreement(plan, verdict, best)
        if best.plan is not None and wrong[seed] is None and abs(plan["cost_usd"] - best.cost_usd) > 0.01:
            wrong[seed] = f"costs {plan['cost_usd']}, the best costs {best.cost_usd}"
    assert {seed: why for seed, why in wrong.items() if why} == {}


def test_every_rule_is_among_the_scenarios(tmp_path: Path) -> None:
    """Of the scenarios compared first, some that have a plan ask for each of the rules that are drawn."""
    seen: set[str] = set()
    for _, _, world, best in cases(0, 2 * BLOCK, tmp_path):
        if best.plan is not None:
            seen |= {world.scenario["objective"]["mode"], world.scenario.get("sizing", "each")}
            seen |= {name for name, value in (world.scenario | world.scenario["horizon"]).items() if value}
            for kind, rows in (("workload", world.workloads), ("pool", world.pools)):
                seen |= {f"{kind}.{name}" for row in rows.values() for name, value in row.items()
                         if value is True or value not in (1, 0)}
    assert seen >= {
        "min_cost", "max_sla", "pooled", "each", "survive", "survive_priority", "limits", "commitments", "domains",
        "periods", *(f"pool.{name}" for name in ("headroom", "reserved", "lead_time_days", "min", "zone")),
        *(f"workload.{name}" for name in ("batch", "users", "after", "data", "residency", "clusters", "incumbent",
                                          "max_parts", "probability", "droppable", "preemptible"))}


def test_the_default_solver_keeps_to_the_second_reading(tmp_path: Path) -> None:
    """The planner's own method, in its own process: legal plans, honest bounds, and "optimal" only at the optimum."""
    wrong = {}
    for seed, scenario, _, best in cases(1000, 2, tmp_path):
        try:
            wrong[seed] = disagreement(*planned(scenario, "planner", 5), best)
        except NoPlanFound:
            continue  # it says so, which is honest
    assert {seed: why for seed, why in wrong.items() if why} == {}


# ---------------------------------------------------------------- plans that were tampered with


def _pick(rng: random.Random, rows: list[Row]) -> Row:
    return rng.choice(rows) if rows else {}


def _move(plan: Row, scenario: Row, rng: random.Random) -> None:
    cluster = rng.choice(scenario["clusters"])
    _pick(rng, plan["assignments"]).update(cluster=cluster["name"], pool=rng.choice(cluster["pools"])["name"])


def _shift(plan: Row, _: Row, rng: random.Random) -> None:
    row = _pick(rng, plan["assignments"])
    row["start_slot"] = rng.choice([None, 0, 1, 2, 5])


def _forget(plan: Row, _: Row, rng: random.Random) -> None:
    if plan["assignments"]:
        plan["assignments"].remove(rng.choice(plan["assignments"]))


def _copy(plan: Row, scenario: Row, rng: random.Random) -> None:
    if plan["assignments"]:
        row = dict(rng.choice(plan["assignments"]))
        cluster = rng.choice(scenario["clusters"])
        row |= {"copy": rng.choice([0, 1, 2]), "cluster": cluster["name"], "pool": cluster["pools"][0]["name"]}
        plan["assignments"].append(row)


def _fewer(plan: Row, _: Row, rng: random.Random) -> None:
    _machines(plan, rng, -1)


def _more(plan: Row, _: Row, rng: random.Random) -> None:
    _machines(plan, rng, 1)


def _machines(plan: Row, rng: random.Random, by: int) -> None:
    if plan["machines"]:
        count = rng.choice(plan["machines"])["count"]
        slot = rng.randrange(len(count))
        count[slot] = max(0, count[slot] + by)


def _swap(plan: Row, _: Row, rng: random.Random) -> None:
    _pick(rng, plan["machines"])["purchase"] = rng.choice(["on_demand", "spot", "owned", "committed"])


def _list(plan: Row, scenario: Row, rng: random.Random) -> None:
    plan["unplaced"] = [{"workload": rng.choice(scenario["workloads"])["name"], "reasons": []}]


def _cost(plan: Row, _: Row, rng: random.Random) -> None:
    plan[rng.choice(["cost_usd", "bound", "sla_attainment", "gap"])] += rng.choice([-0.5, 0.5, 0.02])


def _status(plan: Row, _: Row, rng: random.Random) -> None:
    plan["status"] = "optimal"
    plan["bound"] *= rng.choice([0.5, 0.9])


def _no_fallback(plan: Row, _: Row, rng: random.Random) -> None:
    if plan["fallbacks"]:
        plan["fallbacks"].remove(rng.choice(plan["fallbacks"]))


def _other_fallback(plan: Row, scenario: Row, rng: random.Random) -> None:
    cluster = rng.choice(scenario["clusters"])
    _pick(rng, plan["fallbacks"]).update(cluster=cluster["name"], pool=rng.choice(cluster["pools"])["name"])


TAMPERINGS: list[Callable[[Row, Row, random.Random], None]] = [
    _move, _shift, _forget, _copy, _fewer, _more, _swap, _list, _cost, _status, _no_fallback,
    _other_fallback]


def _as_stated_anew(plan: Row, world: World) -> None:
    """Give the plan the figures that its assignments and machines have, so that only rules can be broken."""
    verdict = check_plan(world, plan)
    plan.update(costs=verdict.costs, cost_usd=verdict.cost_usd, sla_attainment=verdict.attainment, groups=[],
                costs_by_owner={}, status="feasible")
    if plan["mode"] == "min_cost":
        plan["gap"] = (verdict.cost_usd - plan["bound"]) / verdict.cost_usd if verdict.cost_usd else 0.0
    else:
        plan["gap"] = (plan["bound"] - verdict.attainment) / plan["bound"] if plan["bound"] else 0.0


def _stated(plan: Row, file: Path) -> None:
    """Write the plan with the id that belongs to its content, so that the id alone does not give it away."""
    file.write_text(json.dumps(plan | {"plan_id": ""}), encoding="utf-8")
    plan["plan_id"] = read_as_planner(file).with_id().plan_id
    file.write_text(json.dumps(plan), encoding="utf-8")


@pytest.mark.parametrize("restate", [False, True], ids=["as it is", "figures restated"])
@pytest.mark.parametrize("block", range(2))
@pytest.mark.usefixtures("in_this_process")
def test_both_readings_judge_tampered_plans_alike(block: int, restate: bool, tmp_path: Path) -> None:
    """`planner verify` and the second reading call the same plans broken, whatever was done to them."""
    rng, wrong, judged = random.Random(block), [], [0, 0]
    for seed, scenario, world, best in cases(500 + block * 12, 12, tmp_path):
        if best.plan is None:
            continue
        plan, _ = planned(scenario, "brute")
        for tamper in TAMPERINGS:
            broken = json.loads(json.dumps(plan))
            tamper(broken, world.scenario, rng)
            if restate:
                _as_stated_anew(broken, world)
            file = scenario / "tampered.json"
            _stated(broken, file)
            ours, theirs = check(scenario, file), verify_plan(scenario, file)
            judged[theirs.holds] += 1
            if theirs.holds == bool(ours.violations):
                wrong.append((seed, tamper.__name__, ours.violations, theirs.violations))
    assert wrong == []
    assert judged[0] > 10


# ---------------------------------------------------------------- written out


@pytest.mark.usefixtures("in_this_process")
def test_scenarios_written_out_mean_the_same(tmp_path: Path) -> None:
    """Inputs by slot, windows, minimums, domains and zones are exported so that both readings find the plan right."""
    seen = set()
    for seed, scenario, world, best in cases(300, 24, tmp_path):
        if best.plan is None:
            continue
        made = make_plan(scenario, PlanRequest(solver="brute"))
        made.write(scenario / "plan.json")
        out = tmp_path / f"{seed}-out"
        export_scenario(made.scenario, made.profiles, out)
        assert (seed, check(out, scenario / "plan.json").violations) == (seed, ())
        assert (seed, verify_plan(out, scenario / "plan.json").violations) == (seed, ())
        seen |= {name for name in ("periods",) if world.scenario["horizon"].get(name)}
        seen |= {"domains"} if world.scenario.get("domains") else set()
        for pool in world.pools.values():
            seen |= {name for name in ("min", "zone") if name in pool}
            seen |= {name for offer in pool["offers"] for name, value in offer.items() if isinstance(value, list)}
    assert seen >= {"periods", "domains", "min", "zone", "owned", "max", "price_usd_per_hour"}


def test_the_medical_example_written_out_reads_the_same(tmp_path: Path) -> None:
    """The exported scenario has all that the second reading needs, and the example's plan passes it there."""
    made = make_plan(MEDICAL, PlanRequest(time_limit_s=15))
    made.write(tmp_path / "plan.json")
    export_scenario(made.scenario, made.profiles, tmp_path / "medical")
    verdict = check(tmp_path / "medical", tmp_path / "plan.json")
    assert verdict.violations == ()
    assert verdict.cost_usd > 0
