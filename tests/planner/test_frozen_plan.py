"""Planning on from a slot: what ran before stays, what was bought is there, and only what has not begun is planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.checking import verify_plan
from planner.errors import InputError
from planner.in_force import InForce, strays
from planner.opened import open_plan
from planner.plan import Assignment, MachineRow, Plan
from planner.planning import PlanRequest, make_plan
from planner.replan import ReplanRequest, replan


def scenario(folder: Path, *, cheap: str = "north", **changes: Any) -> Path:
    """Two clusters, of which one is cheap; a service, a run of three slots, and one that runs again every six."""
    price = {name: 1.0 if name == cheap else 2.0 for name in ("north", "south")}
    clusters = [{"name": name, "provider": "own", "region": name, "country": "DE", "pools": [
        {"name": "p", "machine": {"name": "m", "vcpu": 4, "memory_gib": 16}, "max": 14, "offers": [
            {"purchase": "on_demand", "price_usd_per_hour": price[name]},
            {"purchase": "committed", "price_usd_per_hour": 0.7 * price[name], "max": 2}]}]}
        for name in ("north", "south")]
    request = {"vcpu": 2, "memory_gib": 4}
    here = {"cluster": "north", "move_cost_usd": 0.5}
    workloads = [
        {"name": "web", "kind": "etl", "request": request, "replicas": [6, 9, 12, 12, 9, 6] * 2, "incumbent": here},
        {"name": "run", "kind": "etl", "request": request, "replicas": [4] * 12, "incumbent": here,
         "batch": {"duration_slots": 3, "earliest_slot": 2, "latest_slot": 2}},
        {"name": "again", "kind": "etl", "request": request, "replicas": [1] * 12,
         "batch": {"duration_slots": 2, "earliest_slot": 0, "latest_slot": 1, "every_slots": 6}},
        {"name": "later", "kind": "etl", "request": request, "replicas": [2] * 12,
         "batch": {"duration_slots": 2, "earliest_slot": 1, "latest_slot": 9}}]
    whole = {"name": "now", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 12, "slot_minutes": 60},
             "objective": {"mode": "min_cost"}, "clusters": clusters, "workloads": workloads,
             "links": [{"from": a, "to": b, "rtt_ms": 5, "egress_usd_per_gb": 0.0}
                       for a in ("own/north", "own/south") for b in ("own/north", "own/south") if a != b]} | changes
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenario.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    return folder


def plan(source: Path, **asked: Any) -> Plan:
    """A plan by the exact solver."""
    return make_plan(source, PlanRequest(solver="highs", time_limit_s=20, **asked)).plan


def unit(made: Plan, name: str) -> Assignment:
    """The unit of a workload."""
    return next(one for one in made.assignments if one.workload == name)


@pytest.fixture(scope="module")
def force(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The plan in force, from when north was cheap; `later` begins late."""
    return plan(scenario(tmp_path_factory.mktemp("old")))


def test_what_has_begun_stays_and_the_rest_is_planned_anew(force: Plan, tmp_path: Path) -> None:
    """South is cheap now: the service moves there, runs in progress do not, and each slot's need is met."""
    source = scenario(tmp_path / "a", cheap="south")
    made = plan(source, in_force=InForce(force, now="4"))
    assert made.horizon.slots == 8
    assert made.horizon.start is not None
    assert made.horizon.start.hour == 4
    assert made.frozen is not None
    assert {row.workload: row.start_slot for row in made.frozen.running}["run"] == 2
    assert unit(made, "run").cluster == unit(force, "run").cluster == "north"
    assert unit(made, "web").cluster == "south"
    assert made.costs.moves == 0.5
    north = next(row for row in made.machines if row.cluster == "north")
    assert north.count[0] >= 2  # the last slot of `run`: four replicas, two on a machine
    assert verify_plan(source, made).violations == ()
    assert open_plan(source, made).plan.assignments == made.assignments


def test_without_moves_only_what_has_not_begun_is_planned(force: Plan, tmp_path: Path) -> None:
    """With no move allowed the service stays; a run that has not begun begins at `now` or later."""
    source = scenario(tmp_path / "b", cheap="south")
    made = plan(source, in_force=InForce(force, 0, "2026-11-02T00:30:00Z"))
    assert made.frozen is not None
    assert made.frozen.slot == 1
    assert unit(made, "web").cluster == "north"
    assert made.costs.moves == 0.0
    assert all(one.start_slot is None or one.start_slot >= 0 for one in made.assignments)
    assert verify_plan(source, made).violations == ()


def test_what_was_bought_is_there(force: Plan, tmp_path: Path) -> None:
    """Committed machines of the plan in force are paid on, wherever work goes."""
    source = scenario(tmp_path / "c", cheap="south")
    made = plan(source, in_force=InForce(force, now="4"))
    assert made.frozen is not None
    bought = {row.purchase: max(row.count) for row in force.machines if row.cluster == "north"}
    assert {(row.cluster, row.count) for row in made.frozen.held} == {("north", bought["committed"])}
    assert made.costs.machines >= 8 * 1.4 * bought["committed"]  # south is cheap: north costs 2, committed 1.4


def test_planning_goes_on_from_a_plan_that_began_later(force: Plan, tmp_path: Path) -> None:
    """A second step keeps what the first froze, and slots of the scenario count throughout."""
    source = scenario(tmp_path / "d", cheap="south")
    first = plan(source, in_force=InForce(force, now="3"))
    second = plan(source, in_force=InForce(first, now="7"))
    assert second.horizon.slots == 5
    assert second.frozen is not None
    starts = {row.workload: row.start_slot for row in second.frozen.running}
    assert starts["run"] == 2
    assert second.parent == first.plan_id
    assert verify_plan(source, second).violations == ()
    with pytest.raises(InputError, match="say when the new one begins"):
        plan(source, in_force=InForce(first))


def test_the_cheapest_rest_of_the_plan_in_force_is_never_beaten_by_less(force: Plan, tmp_path: Path) -> None:
    """Where nothing changed, planning on costs no more than what was left of the plan in force."""
    source = scenario(tmp_path / "e")
    made = plan(source, in_force=InForce(force, now="4"))
    price = {"on_demand": {"north": 1.0, "south": 2.0}, "committed": {"north": 0.7, "south": 1.4}}
    rest = sum(price[row.purchase][row.cluster] * (sum(row.count[4:]) if row.purchase == "on_demand"
                                                   else 8 * max(row.count)) for row in force.machines)
    assert made.cost_usd <= rest + 0.01


def test_what_a_plan_says_of_the_one_in_force_is_checked(force: Plan, tmp_path: Path) -> None:
    """With the plan in force beside it, a wrong parent, less that is frozen and other places before are found."""
    source = scenario(tmp_path / "j", cheap="south")
    made = plan(source, in_force=InForce(force, now="4"))
    assert made.frozen is not None
    assert list(strays(made, force)) == []
    less = made.model_copy(update={"frozen": made.frozen.model_copy(update={"held": ()})})
    assert any("frozen" in what for what in strays(less, force))
    assert any("parent" in what for what in strays(made.model_copy(update={"parent": "x"}), force))
    assert any("where the waves begin" in what for what in strays(made.model_copy(update={"waves": ()}), force))


def test_verify_finds_a_frozen_run_elsewhere(force: Plan, tmp_path: Path) -> None:
    """A plan that has a run in progress in another place than it says it began does not hold."""
    source = scenario(tmp_path / "f", cheap="south")
    made = plan(source, in_force=InForce(force, now="4"))
    rows = tuple(one.model_copy(update={"cluster": "south"}) if one.workload == "run" else one
                 for one in made.assignments)
    moved = made.model_copy(update={"assignments": rows}).with_id()
    assert any("run" in what for what in verify_plan(source, moved).violations)
    less = tuple(MachineRow(cluster=row.cluster, pool=row.pool, purchase=row.purchase, count=(0,) * 8)
                 if row.cluster == "north" else row for row in made.machines)
    assert verify_plan(source, made.model_copy(update={"machines": less}).with_id()).violations


@pytest.mark.parametrize(("now", "why"), [("0", "from 1 to 11"), ("12", "from 1 to 11"), ("soon", "a slot or a time")])
def test_a_moment_outside_the_horizon_is_refused(force: Plan, tmp_path: Path, now: str, why: str) -> None:
    """One line says what is allowed."""
    with pytest.raises(InputError, match=why):
        plan(scenario(tmp_path / "g"), in_force=InForce(force, now=now))


def test_a_run_that_should_have_begun_is_refused(force: Plan, tmp_path: Path) -> None:
    """A workload that the plan in force does not run and that had to begin before is an error, unless droppable."""
    gone = force.model_copy(update={"assignments": tuple(one for one in force.assignments if one.workload != "run")})
    with pytest.raises(InputError, match="run had to begin before"):
        plan(scenario(tmp_path / "h"), in_force=InForce(gone.with_id(), now="6"))


def test_mending_such_a_plan_is_refused(force: Plan, tmp_path: Path) -> None:
    """Replan says what it cannot do yet."""
    source = scenario(tmp_path / "i", cheap="south")
    made = plan(source, in_force=InForce(force, now="4"))
    with pytest.raises(InputError, match="made with --now is not available yet"):
        replan(source, made, ReplanRequest(down=("north",)))
