"""`planner replan`: a plan after a loss, a second loss, a restoration; its waves; what it says and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.checking import verify_plan
from planner.errors import InputError
from planner.plan import Plan, read_plan, write_plan
from planner.planning import PlanRequest, make_plan
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
    assert any("no legal place left" in row.reasons[0] for row in new.unplaced if row.workload == "nordic")
    assert any("not droppable" in line for line in verify_plan(folder, new).violations)


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


def test_a_bound_that_counted_survival_is_not_passed_on(folder: Path) -> None:
    """After a loss nothing else has to be survived, so that the old plan's bound may be too high."""
    asked = SCENARIO.replace("clusters: {pin: south}", "clusters: {deny: [east]}")
    (folder / "scenario.yaml").write_text(f"{asked}survive: cluster\nsurvive_priority: 90\n", encoding="utf-8")
    plan = make_plan(folder, PlanRequest(solver="highs", time_limit_s=60)).plan
    assert plan.bound > 0
    assert mended(folder, plan, "north").bound == 0
