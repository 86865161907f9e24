"""`planner replan`: a plan after a loss, a second loss, a restoration; its waves; what it says and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from placement.complete import complete
from placement.result import Solution
from planner.build import Proof
from planner.checking import verify_plan
from planner.errors import InputError
from planner.in_force import strays
from planner.interpret import read_assignments
from planner.plan import Assignment, Plan, read_plan, write_plan
from planner.planning import Job, PlanRequest, make_plan, prepare
from planner.replan import ReplanRequest, replan

SCENARIO = """
name: three
horizon: {start: 2026-11-02T00:00:00Z, slots: 3, slot_minutes: 60}
objective: {mode: min_cost}
clusters:
- {name: north, provider: own, region: oslo, country: NO, pools: [{name: p, machine: {name: a, vcpu: 8, memory_gib: 32},
   max: 4, offers: [{purchase: on_demand, price_usd_per_hour: 1.0}]}]}
- {name: south, provider: own, region: rome, country: IT, pools: [{name: p, machine: {name: a, vcpu: 8, memory_gib: 32},
   max: 6, offers: [{purchase: on_demand, price_usd_per_hour: 2.0}]}]}
- {name: east, provider: far, region: kyiv, country: UA, pools: [{name: p, machine: {name: a, vcpu: 8, memory_gib: 32},
   max: 2, offers: [{purchase: on_demand, price_usd_per_hour: 3.0}]}]}
workloads:
- {name: big, kind: etl, priority: 80, request: {vcpu: 4, memory_gib: 4}, replicas: [6, 6, 6]}
- {name: small, kind: etl, priority: 20, request: {vcpu: 4, memory_gib: 4}, replicas: [1, 2, 1],
   clusters: {deny: [south]}}
- {name: nordic, kind: etl, priority: 90, request: {vcpu: 2, memory_gib: 4}, replicas: [1, 1, 1],
   clusters: {pin: south}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    return tmp_path


@pytest.fixture
def plan(folder: Path) -> Plan:
    return make_plan(folder, PlanRequest(solver="brute", time_limit_s=60)).plan


def places(plan: Plan) -> dict[str, str]:
    return {unit.workload: unit.cluster for unit in plan.assignments}


def mended(folder: Path, plan: Plan, *down: str, **rest: object) -> Plan:
    found = replan(folder, plan, ReplanRequest(down=down, **rest))  # type: ignore[arg-type]
    assert found is not None
    return found.planned.plan


def test_what_is_lost_goes_elsewhere_and_the_rest_stays(folder: Path, plan: Plan) -> None:
    """The new plan names its parent and what is down, holds, and moves nothing that was not lost."""
    assert places(plan) == {"big": "north", "small": "north", "nordic": "south"}
    found = replan(folder, plan, ReplanRequest(down=("north",)))
    assert found is not None
    new = found.planned.plan
    assert (new.parent, new.provenance.down) == (plan.plan_id, ("north",))
    assert "north" not in places(new).values()
    assert (found.lost, found.moved, found.kept, found.shed) == (2, 0, 1, ())
    assert verify_plan(folder, new).violations == ()
    assert new.bound == plan.bound
    assert [[(m.workload, m.from_.cluster, m.to.cluster) for m in w.moves if m.from_ and m.to] for w in new.waves]


def test_the_lowest_priority_goes_when_room_lacks(folder: Path, plan: Plan) -> None:
    """After two losses the small one has no room: it is shed, in words, and the plan says that it does not hold."""
    first = mended(folder, plan, "north")
    found = replan(folder, first, ReplanRequest(down=("south",)))
    assert found is not None
    new = found.planned.plan
    assert new.provenance.down == ("north", "south")
    assert new.parent == first.plan_id
    assert new.status == "infeasible"
    assert "nordic" in found.shed
    assert new.shed == found.shed
    assert any("no legal place left" in row.reasons[0] for row in new.unplaced if row.workload == "nordic")
    check = verify_plan(folder, new)
    assert any("not droppable" in line for line in check.violations)
    assert set(check.stated) == set(check.violations)


def test_only_what_a_plan_says_that_it_sheds_is_stated(folder: Path, plan: Plan) -> None:
    """A plan that keeps quiet of shed work, or names work that it places, is wrong beyond what it says."""
    new = mended(folder, mended(folder, plan, "north"), "south")
    quiet = new.model_copy(update={"shed": (), "plan_id": ""})
    assert verify_plan(folder, quiet).stated == ()
    placed = new.assignments[0].workload
    check = verify_plan(folder, new.model_copy(update={"shed": (*new.shed, placed), "plan_id": ""}))
    assert any(f"shed lists {placed}" in line and line not in check.stated for line in check.violations)


def test_losing_what_is_down_changes_nothing(folder: Path, plan: Plan) -> None:
    """A cluster that flaps causes no second plan."""
    assert replan(folder, mended(folder, plan, "north"), ReplanRequest(down=("north",))) is None


def test_restoring_moves_only_what_is_worth_it(folder: Path, plan: Plan) -> None:
    """With a high price on moving, everything stays where the loss put it; with none, what is cheaper moves back."""
    lost = mended(folder, plan, "north")
    stays = mended(folder, lost, restore=("north",), worth=1e6, max_moves=0)
    back = mended(folder, lost, restore=("north",))
    assert places(stays) == places(lost)
    assert back.cost_usd < lost.cost_usd
    assert back.provenance.down == ()
    assert verify_plan(folder, back).violations == ()


def test_a_region_or_a_provider_may_be_lost(folder: Path, plan: Plan) -> None:
    """Both mean all their clusters."""
    assert mended(folder, plan, "own/oslo").provenance.down == ("north",)
    assert mended(folder, plan, "own").provenance.down == ("north", "south")


def test_verify_refuses_waves_and_places_that_cannot_be(folder: Path, plan: Plan) -> None:
    """A unit in a cluster that is down, and waves that lead elsewhere, are found."""
    new = mended(folder, plan, "north")
    back = tuple(unit.model_copy(update={"cluster": "north"}) if unit.workload == "big" else unit
                 for unit in new.assignments)
    assert any("which is down" in line for line in verify_plan(folder, new.model_copy(
        update={"assignments": back, "plan_id": ""})).violations)
    wave = new.waves[0]
    false = tuple(move.model_copy(update={"from_": move.to, "to": move.from_}) for move in wave.moves)
    wrong = new.model_copy(update={"waves": (wave.model_copy(update={"moves": false}),), "plan_id": ""})
    assert any("wave" in line for line in verify_plan(folder, wrong).violations)


@pytest.mark.parametrize(("request_", "says"), [
    ({"down": ("nort",)}, "did you mean north"), ({}, "--down: missing"),
    ({"restore": ("south",)}, "is not down"), ({"down": ("own", "far")}, "every cluster would be lost"),
    ({"down": ("north",), "max_moves": -1}, "0 or more")])
def test_wrong_requests_are_refused(folder: Path, plan: Plan, request_: dict[str, object], says: str) -> None:
    """One line says what was found and what is allowed."""
    with pytest.raises(InputError, match=says):
        replan(folder, plan, ReplanRequest(**request_))  # type: ignore[arg-type]


def test_plans_are_read_back_as_written(folder: Path, plan: Plan) -> None:
    """Waves and what is down survive the file, and the id is that of the content."""
    new = mended(folder, plan, "north")
    write_plan(new, folder / "new.json")
    assert read_plan(folder / "new.json") == new
    assert "down" not in json.loads((folder / "new.json").read_text())["provenance"] or new.provenance.down


def shared(folder: Path, row: str) -> Plan:
    """The plan of the scenario with a limit or a commitment."""
    (folder / "scenario.yaml").write_text(f"{SCENARIO}{row}\n", encoding="utf-8")
    return make_plan(folder, PlanRequest(solver="highs", time_limit_s=60)).plan


@pytest.mark.parametrize(("most", "shed"), [(9, ()), (5, ()), (4, ("small",))])
def test_shared_limits_hold_after_a_loss(folder: Path, most: int, shed: tuple[str, ...]) -> None:
    """What is lost goes where limits leave room; where they leave too little, the lowest priority is shed."""
    plan = shared(folder, f'limits: [{{name: quota, pools: ["south/p", "east/p"], measure: machines, max: {most}}}]')
    found = replan(folder, plan, ReplanRequest(down=("north",)))
    assert found is not None
    assert found.shed == shed
    new = found.planned.plan
    running = [sum(row.count[slot] for row in new.machines if row.cluster in ("south", "east")) for slot in range(3)]
    assert max(running) <= most
    broken = verify_plan(folder, new).violations
    assert bool(broken) == bool(shed)
    assert not any("quota" in line for line in broken)


def test_a_limit_in_usd_holds_after_a_loss(folder: Path) -> None:
    """Of a budget by hour for the dear clusters no more is spent than it allows."""
    plan = shared(folder, 'limits: [{name: purse, pools: ["south/p", "east/p"], measure: usd_per_hour, max: 10}]')
    new = mended(folder, plan, "north")
    assert places(new) == {"big": "south", "nordic": "south"}
    assert "shed at priority 20" in new.unplaced[0].reasons[0]
    assert not any("purse" in line for line in verify_plan(folder, new).violations)


def test_what_is_bought_of_a_commitment_stays_bought(folder: Path) -> None:
    """A commitment is never given back; what the new plan covers by it is paid out of it."""
    plan = shared(folder, 'commitments: [{name: saver, covers: ["*/*"], unit: usd_per_hour, discount: 0.2, '
                          'max_buy: 9}]')
    bought = plan.commitments[0].bought
    assert bought > 0
    new = mended(folder, plan, "north")
    assert new.commitments[0].bought >= bought
    assert verify_plan(folder, new).violations == ()
    assert mended(folder, new, restore=("north",)).commitments[0].bought >= bought


def test_what_comes_back_is_made_ready_for_losses(folder: Path) -> None:
    """While something is down no further loss need be survived; once all is up again the plan has its fallbacks."""
    plan = survivor(folder)
    lost = mended(folder, plan, "north")
    assert lost.fallbacks == ()
    back = replan(folder, lost, ReplanRequest(restore=("north",)))
    assert back is not None
    assert (back.exposed, back.holds) == ("", True)
    new = back.planned.plan
    assert {row.lost for row in new.fallbacks} == {places(new)["nordic"]}
    assert verify_plan(folder, new).violations == ()


def test_a_loss_that_would_find_no_room_is_told(folder: Path) -> None:
    """Where what came back cannot be made ready for the next loss, the plan says for which and does not hold."""
    lost = mended(folder, survivor(folder), "north")
    less = folder / "scenario.yaml"
    sure = less.read_text(encoding="utf-8")
    for price in ("price_usd_per_hour: 1.0", "price_usd_per_hour: 2.0"):
        sure = sure.replace(price, f"{price}, assured_max: 0")
    less.write_text(sure, encoding="utf-8")
    back = replan(folder, lost, ReplanRequest(restore=("north",), worth=0.0))
    assert back is not None
    assert "after the loss of" in back.exposed
    assert not back.holds
    new = back.planned.plan
    assert (new.status, new.exposed) == ("infeasible", back.exposed)
    check = verify_plan(folder, new)
    assert check.violations
    assert set(check.stated) == set(check.violations)
    assert verify_plan(folder, new.model_copy(update={"exposed": "", "plan_id": ""})).stated == ()


def budgeted(folder: Path, budget_usd: float) -> Plan:
    """The plan that attains most for so many USD."""
    return make_plan(folder, PlanRequest("max_sla", None, budget_usd, solver="brute", time_limit_s=60)).plan


@pytest.mark.parametrize(("budget_usd", "stays", "leaves"), [
    (100.0, {"big", "nordic", "small"}, ()), (25.0, {"big", "nordic"}, ("small",)),
    (20.0, {"nordic", "small"}, ("big",)), (18.0, {"nordic", "small"}, ("big",))])
def test_after_a_loss_the_budget_decides_who_stays(folder: Path, budget_usd: float, stays: set[str],
                                                   leaves: tuple[str, ...]) -> None:
    """Elsewhere is dearer: the lowest priority leaves first, and what left in vain comes back."""
    plan = budgeted(folder, budget_usd)
    found = replan(folder, plan, ReplanRequest(down=("north",)))
    assert found is not None
    new = found.planned.plan
    assert set(places(new)) == stays
    assert (found.left_out, found.shed, found.holds) == (leaves, (), True)
    assert new.cost_usd <= budget_usd
    assert new.bound >= new.sla_attainment
    assert verify_plan(folder, new).violations == ()


def test_what_the_budget_left_out_stays_out_until_something_is_back(folder: Path) -> None:
    """A loss takes nobody in; a restoration takes in who fits the budget again."""
    plan = budgeted(folder, 9.5)
    assert set(places(plan)) == {"small", "nordic"}
    lost = mended(folder, plan, "north")
    assert set(places(lost)) == {"nordic"}
    back = replan(folder, lost, ReplanRequest(restore=("north",)))
    assert back is not None
    assert set(places(back.planned.plan)) == {"small", "nordic"}
    assert verify_plan(folder, back.planned.plan).violations == ()


def test_a_cluster_that_flaps_moves_less_each_time(folder: Path, plan: Plan) -> None:
    """With every loss of what is back a move must save twice as much: in the end nothing goes back there."""
    moved, now = [], plan
    for _ in range(8):
        for kind in ("down", "restore"):
            found = replan(folder, now, ReplanRequest(**{kind: ("north",)}))  # type: ignore[arg-type]
            assert found is not None
            now = found.planned.plan
            assert verify_plan(folder, now).violations == ()
        moved.append(found.moved)
    assert moved[0] > 0
    assert moved == sorted(moved, reverse=True)
    assert moved[-3:] == [0, 0, 0]
    assert now.provenance.losses == {"north": 8}
    assert "north" not in places(now).values()


def test_a_loss_between_two_waves_is_mended_from_where_things_are(folder: Path, plan: Plan) -> None:
    """What the waves so far have moved is where they put it; what they have not is where it was, lost or not."""
    first = mended(folder, plan, "north")
    (wave,) = first.waves
    assert {move.workload for move in wave.moves} == {"big", "small"}
    for done, lost in ((0, {"big", "small"}), (1, {"small"}), (None, {"small"})):
        found = replan(folder, first, ReplanRequest(down=("east",), waves_done=done))
        assert found is not None
        new = found.planned.plan
        assert {m.workload for w in new.waves for m in w.moves} == lost
        assert new.provenance.waves_done == done
        assert (found.lost, found.shed) == (len(lost), ("small",))
        assert places(new) == {"big": "south", "nordic": "south"}
        assert not any("wave" in line for line in verify_plan(folder, new).violations)
        assert list(strays(new, first)) == []
    with pytest.raises(InputError, match="the plan has 1 waves"):
        replan(folder, first, ReplanRequest(down=("east",), waves_done=2))


@given(priority=st.permutations(range(6)), most=st.integers(1, 3), size=st.sampled_from([2, 4]))
@settings(max_examples=8, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
def test_of_equals_the_lowest_priority_is_shed(tmp_path_factory: pytest.TempPathFactory, priority: list[int], most: int,
                                               size: int) -> None:
    """Six workloads alike lose their cluster; the other has room for some: those first in priority have it."""
    machine = {"name": "a", "vcpu": 8, "memory_gib": 32}
    offers = [{"purchase": "on_demand", "price_usd_per_hour": 1.0}]
    clusters = [{"name": name, "provider": "own", "region": name, "country": "NO", "pools": [
        {"name": "p", "machine": machine, "max": count, "offers": offers}]} for name, count in (("a", 9), ("b", most))]
    alike = [{"name": f"w{i}", "kind": "etl", "priority": 10 * rank, "request": {"vcpu": size, "memory_gib": 1},
              "replicas": [1, 1]} for i, rank in enumerate(priority)]
    folder = tmp_path_factory.mktemp("equals")
    (folder / "scenario.yaml").write_text(yaml.safe_dump(
        {"name": "equals", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 2, "slot_minutes": 60},
         "objective": {"mode": "min_cost"}, "clusters": clusters, "workloads": alike}))
    units = [Assignment(workload=row["name"], cluster="a", pool="p") for row in alike]
    prepared = prepare(folder, PlanRequest())
    job = Job.on(prepared, PlanRequest())
    names, problem = job.formulation.names, job.formulation.problem
    reading, _ = read_assignments(units, job.formulation)
    bought = complete(problem, reading)
    assert isinstance(bought, Solution)
    plan = job.finish(bought, Proof(0.0, "a cost is at least 0")).plan
    found = replan(folder, plan, ReplanRequest(down=("a",)))
    assert found is not None
    room = min(6, most * (8 // size))
    lowest = sorted(names.workloads, key=lambda name: priority[int(name[1:])])[:6 - room]
    assert list(found.shed) == lowest


def survivor(folder: Path) -> Plan:
    """The plan of a scenario in which the one of highest priority survives the loss of a cluster."""
    asked = SCENARIO.replace("clusters: {pin: south}", "clusters: {deny: [east]}")
    (folder / "scenario.yaml").write_text(f"{asked}survive: cluster\nsurvive_priority: 90\n", encoding="utf-8")
    return make_plan(folder, PlanRequest(solver="highs", time_limit_s=60)).plan


def test_a_bound_that_knows_no_losses_holds_after_one(folder: Path) -> None:
    """The Lagrangian bound counts nothing for losses to be survived, so it holds where none need be survived now."""
    plan = survivor(folder)
    told = plan.model_copy(update={"bound": 17.0, "gap": (plan.cost_usd - 17.0) / plan.cost_usd, "status": "feasible",
                                   "bound_method": "Lagrangian bound on packing rows (accelerated ascent)"}).with_id()
    new = mended(folder, told, "north")
    assert new.bound == 17.0
    assert new.bound_method.startswith("of the plan it mends")
    again = mended(folder, new, restore=("north",))
    assert again.bound_method == new.bound_method
    assert verify_plan(folder, again).violations == ()


def test_a_bound_pays_for_what_moves_may_cost(folder: Path) -> None:
    """Moves count from the plan in force: the old bound, which counted them from elsewhere, holds less all of them."""
    text = SCENARIO.replace("priority: 20, ", "priority: 20, incumbent: {cluster: east, move_cost_usd: 0.25}, ")
    (folder / "scenario.yaml").write_text(text, encoding="utf-8")
    plan = make_plan(folder, PlanRequest(solver="highs", time_limit_s=60)).plan
    new = mended(folder, plan, "north")
    assert 0 < new.bound < plan.bound
    assert "less the USD" in new.bound_method
    assert verify_plan(folder, new).violations == ()


def test_a_bound_that_counted_survival_is_not_passed_on(folder: Path) -> None:
    """After a loss nothing else has to be survived, so that the old plan's bound may be too high."""
    plan = survivor(folder)
    assert plan.bound > 0
    new = mended(folder, plan, "north")
    assert new.bound == 0
    assert "counts room for losses" in new.bound_method
