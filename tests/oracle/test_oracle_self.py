"""The second reading, on a scenario small enough to work out by hand: a good plan, and one test per way to break it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oracle import Verdict, check_plan
from oracle_packing import packs
from oracle_reading import OutOfScopeError, read_scenario
from oracle_world import Stream, Unit, World

Row = dict[str, Any]

# Four slots of six hours: one day, 24 hours.
SCENARIO: Row = {
    "name": "by-hand",
    "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 4, "slot_minutes": 360},
    "objective": {"mode": "min_cost", "sla_floor": 0.7},
    "carbon_usd_per_tonne": 100,
    "links": [
        {"from": "aws/west", "to": "aws/west", "rtt_ms": 1, "egress_usd_per_gb": 0},
        {"from": "aws/west", "to": "own/hall", "rtt_ms": 30, "egress_usd_per_gb": 0.10},
        {"from": "own/hall", "to": "aws/west", "egress_usd_per_gb": 0.02},
    ],
    "clusters": [
        {"name": "cloud", "provider": "aws", "region": "west", "country": "US", "availability": 0.99,
         "storage_usd_per_gb_month": 0.0365, "grid_g_per_kwh": 500, "pue": 1.2, "deploy_minutes": 5,
         "durability": 0.9999,
         "pools": [
             {"name": "m", "machine": {"name": "m.large", "vcpu": 5, "memory_gib": 22, "watts": 200}, "max": 6,
              "headroom": 0.1, "reserved": {"vcpu": 1, "memory_gib": 2}, "lead_time_days": 0.5,
              "offers": [{"purchase": "on_demand", "price_usd_per_hour": 1.0, "owned": 6},
                         {"purchase": "committed", "price_usd_per_hour": 0.5, "max": 3, "owned": 1},
                         {"purchase": "spot", "price_usd_per_hour": 0.3, "owned": 6, "interruption_per_hour": 0.1,
                          "redo_hours": 1}]}]},
        {"name": "hall", "provider": "own", "region": "hall", "country": "DE", "availability": 0.9, "pools": [
            {"name": "g", "machine": {"name": "box", "vcpu": 8, "memory_gib": 64, "gpu_model": "A100", "gpu_count": 2,
                                      "disk_gib": 100}, "max": 3,
             "offers": [{"purchase": "owned", "price_usd_per_hour": 2.0, "owned": 1}]},
            {"name": "arm", "machine": {"name": "arm", "vcpu": 8, "memory_gib": 64, "arch": "arm64"}, "max": 3,
             "offers": [{"purchase": "owned", "price_usd_per_hour": 1.0}]}]},
    ],
    "workloads": [
        # Room of an m machine is (5 - 1) x 0.9 = 3.6 vCPU and (22 - 2) x 0.9 = 18 GiB: one replica of 2 vCPU.
        {"name": "web", "kind": "serving", "request": {"vcpu": 2, "memory_gib": 4}, "replicas": [2, 4, 2, 0],
         "slo": {"availability": 0.98, "latency_ms": 70, "service_ms": 40, "deploy_minutes": 10}, "weight": 2,
         "users": [{"region": "aws/west", "share": 0.5}, {"region": "own/hall", "share": 0.5, "gb_per_day": 10}],
         "clusters": {"allow": ["clo*", "hall"], "deny": []}, "after": [{"workload": "train", "gb_per_day": 4}]},
        {"name": "train", "kind": "training", "request": {"vcpu": 2, "memory_gib": 8, "gpu": 1, "disk_gib": 40},
         "hardware": {"gpu_models": ["A100"], "throughput": {"A100": 0.5}}, "replicas": [0, 3, 1, 0],
         "batch": {"duration_slots": 1, "earliest_slot": 0, "latest_slot": 2}, "slo": {"deadline_slot": 2},
         "data": {"location": "aws/west", "gb_per_day_in": 50, "stored_gb": 1000}, "residency": {"deny": ["US"]}},
        {"name": "sweep", "kind": "etl", "request": {"vcpu": 1.8, "memory_gib": 1}, "replicas": [2, 2, 2, 2],
         "hardware": {"throughput": {"m.*": 2.0}}, "preemptible": True, "droppable": True,
         "data": {"location": "aws/west", "gb_per_day_in": 0, "stored_gb": 100},
         "incumbent": {"cluster": "hall", "pool": "g", "move_cost_usd": 3}},
    ],
}

# web has two streams, each of half the load: 1, 2, 1, 0 replicas. At cloud, users in aws/west wait 1 + 40 = 41 ms,
# those in own/hall 30 (from the reverse link) + 40 = 70 ms: just within the limit.

# Machines, cloud/m: web needs 2, 4, 2, 0 firm machines; sweep (2 replicas at double speed = 1) takes the 1.6 vCPU left
# beside a web replica? No: 1.8 > 1.6, so it needs one more in every slot, on spot.
#   committed 1 in slots 0-2 (owned 1, paid always):  1 x 0.5 x 24                     = 12.00
#   on_demand 1, 3, 1, 0:                              5 x 1.0 x 6                      = 30.00
#   spot 1, 1, 1, 1:                                   4 x 0.3 x 6 x (1 + 0.1 x 1)      =  7.92
# hall/g: train runs 3 replicas for 1 / 0.5 = 2 slots from slot 1, two to a machine: 2 machines.
#   owned 0, 2, 2, 0:                                  2 x 2.0 x 24                     = 96.00
# hall/arm: nothing.                                                         machines    145.92
# Egress, one day: data of train aws/west -> own/hall: 50 x 0.10 = 5.00; web from train (hall -> cloud at 0.02), each
#   stream 4 x 0.5 x 0.02 = 0.04, together 0.08; web to users in own/hall: 10 x 0.10 = 1.00.       egress  6.08
# Storage: sweep 100 GB x 0.0365 x 24 / 730 = 0.12; train sits where storage is free.            storage  0.12
# Moves: sweep is not on hall/g: 3.                                                              moves    3.00
# Carbon, cloud/m only: machines 3, 5, 3, 1 = 12 machine-slots x 6 h x 0.2 kW x 1.2 = 17.28 kWh x 500 g = 8,640 g
#   = 0.00864 t x 100 USD = 0.864.                                                               carbon   0.864


def assigned(workload: str, region: str | None, cluster: str, pool: str, start: int | None = None) -> Row:
    """One row of a plan's assignments."""
    return {"workload": workload, "user_region": region, "copy": 0, "part": 0, "cap": None, "cluster": cluster,
            "pool": pool, "start_slot": start}


COSTS = {"machines": 145.92, "egress": 6.08, "storage": 0.12, "moves": 3.0, "carbon": 0.864}
PLAN: Row = {
    "schema": 1, "name": "by-hand", "status": "feasible", "mode": "min_cost", "cost_usd": 155.984, "costs": COSTS,
    "sla_attainment": 1.0, "bound": 140.3856, "gap": 0.1, "bound_method": "by hand",
    "assignments": [assigned("web", "aws/west", "cloud", "m"), assigned("web", "own/hall", "cloud", "m"),
                    assigned("train", None, "hall", "g", 1), assigned("sweep", None, "cloud", "m")],
    "machines": [
        {"cluster": "cloud", "pool": "m", "purchase": "on_demand", "count": [1, 3, 1, 0]},
        {"cluster": "cloud", "pool": "m", "purchase": "committed", "count": [1, 1, 1, 0]},
        {"cluster": "cloud", "pool": "m", "purchase": "spot", "count": [1, 1, 1, 1]},
        {"cluster": "hall", "pool": "g", "purchase": "owned", "count": [0, 2, 2, 0]}],
    "groups": [{"cluster": "cloud", "pool": "m", "workloads": ["sweep", "web"], "sum_of_peaks": 5, "peak_of_sum": 5,
                "saved_usd": 0}],
    "unplaced": [],
}


def judge(change: Callable[[Row, Row], object] | None = None, folder: Path | None = None) -> Verdict:
    """The verdict on the plan after `change(plan, scenario)`."""
    plan, scenario = copy.deepcopy(PLAN), copy.deepcopy(SCENARIO)
    if change:
        change(plan, scenario)
    return check_plan(World(scenario), plan, folder)


def test_a_good_plan_passes_with_the_costs_worked_out_by_hand() -> None:
    """Every part of the bill agrees with the sums in the comments above."""
    verdict = judge()
    assert verdict.violations == ()
    assert verdict.costs == pytest.approx(COSTS)
    assert verdict.attainment == 1.0


def _put(plan: Row, i: int, **fields: Any) -> None:
    plan["assignments"][i].update(fields)


def _again(plan: Row, **fields: Any) -> None:
    plan["assignments"].append(plan["assignments"][3] | fields)


def _count(plan: Row, i: int, count: list[int]) -> None:
    plan["machines"][i]["count"] = count


def _drop(plan: Row, workload: str) -> None:
    plan["assignments"] = [row for row in plan["assignments"] if row["workload"] != workload]


BROKEN: list[tuple[str, str, Callable[[Row, Row], object]]] = [
    ("wrong pool", "names", lambda plan, _: _put(plan, 0, pool="no-such")),
    ("unknown stream", "names", lambda plan, _: _put(plan, 0, user_region=None)),
    ("offer that does not exist", "names", lambda plan, _: plan["machines"][3].update(purchase="spot")),
    ("offer listed twice", "names", lambda plan, _: plan["machines"].append(plan["machines"][0])),
    ("too few machines", "packing", lambda plan, _: _count(plan, 0, [1, 2, 1, 0])),
    ("serving on spot", "packing", lambda plan, _: (_count(plan, 0, [0, 3, 1, 0]), _count(plan, 2, [2, 1, 1, 1]))),
    ("one count missing", "count", lambda plan, _: _count(plan, 0, [1, 3, 1])),
    ("half a machine", "count", lambda plan, _: _count(plan, 0, [1, 3.5, 1, 0])),
    ("over the offer's max", "max", lambda plan, _: _count(plan, 1, [1, 4, 1, 0])),
    ("over the pool's max", "max", lambda plan, _: _count(plan, 3, [0, 4, 2, 0])),
    ("bought before it comes", "lead_time", lambda plan, _: _count(plan, 1, [1, 2, 1, 0])),
    ("two copies in one cluster", "domains", lambda plan, _: _again(plan, copy=1)),
    ("one copy twice", "copies", lambda plan, _: _again(plan, cluster="hall", pool="g")),
    ("residency", "residency", lambda _, scenario: scenario["workloads"][1].update(residency={"allow": ["US"]})),
    ("denied country", "residency", lambda _, scenario: scenario["workloads"][1].update(residency={"deny": ["DE"]})),
    ("latency", "latency", lambda _, scenario: scenario["workloads"][0]["slo"].update(latency_ms=69)),
    ("denied cluster", "clusters", lambda _, scenario: scenario["workloads"][0].update(clusters={"deny": ["clo*"]})),
    ("pinned elsewhere", "clusters", lambda _, scenario: scenario["workloads"][0].update(clusters={"pin": "hall"})),
    ("wrong GPU", "hardware", lambda _, scenario: scenario["workloads"][1]["hardware"].update(gpu_models=["H100"])),
    ("wrong architecture", "hardware", lambda plan, _: _put(plan, 3, cluster="hall", pool="arm")),
    ("does not fit", "fit", lambda _, scenario: scenario["workloads"][2]["request"].update(vcpu=3.61)),
    ("no GPU there", "fit", lambda _, scenario: scenario["workloads"][2]["request"].update(gpu=1)),
    ("no disk there", "fit", lambda _, scenario: scenario["workloads"][2]["request"].update(disk_gib=1)),
    ("starts too late", "start", lambda plan, _: _put(plan, 2, start_slot=3)),
    ("starts too early", "start", lambda _, scenario: scenario["workloads"][1]["batch"].update(earliest_slot=2)),
    ("batch without a start", "start", lambda plan, _: _put(plan, 2, start_slot=None)),
    ("steady work with a start", "start", lambda plan, _: _put(plan, 3, start_slot=0)),
    ("overlaps itself", "start",
     lambda _, scenario: scenario["workloads"][1]["batch"].update(every_slots=1, latest_slot=1)),
    ("misses its deadline", "sla", lambda _, scenario: scenario["workloads"][1]["slo"].update(deadline_slot=1)),
    ("availability", "sla", lambda _, scenario: scenario["clusters"][0].update(availability=0.97)),
    ("slow to deploy", "sla", lambda _, scenario: scenario["clusters"][0].update(deploy_minutes=11)),
    ("deploy time not stated", "sla", lambda _, scenario: scenario["clusters"][0].pop("deploy_minutes")),
    ("durability", "sla", lambda _, scenario: scenario["workloads"][0]["slo"].update(durability=0.99999)),
    ("throughput", "sla",
     lambda _, scenario: scenario["workloads"][0].update(per_replica=10, slo={"min_throughput": 21})),
    ("dropped, not droppable", "sla", lambda plan, _: _drop(plan, "train")),
    ("dropped, not listed", "unplaced", lambda plan, _: _drop(plan, "sweep")),
    ("listed, not dropped", "unplaced",
     lambda plan, _: plan["unplaced"].append({"workload": "sweep", "reasons": []})),
    ("below the floor", "floor",
     lambda plan, scenario: (_drop(plan, "sweep"), scenario["objective"].update(sla_floor=0.8))),
    ("attainment", "attainment", lambda plan, _: plan.update(sla_attainment=0.99)),
    ("cost", "cost", lambda plan, _: plan.update(cost_usd=155.95)),
    ("one part of the cost", "cost", lambda plan, _: plan.update(costs=COSTS | {"egress": 5.5})),
    ("bound above the cost", "bound", lambda plan, _: plan.update(bound=156.0, gap=0.0)),
    ("gap", "gap", lambda plan, _: plan.update(gap=0.05)),
    ("called optimal", "gap", lambda plan, _: plan.update(status="optimal")),
    ("other mode", "mode", lambda plan, _: plan.update(mode="max_sla")),
    ("over budget", "budget", lambda _, scenario: scenario.update(objective={"mode": "max_sla", "budget_usd": 155.5})),
    ("bound below the attainment", "bound",
     lambda plan, scenario: (scenario.update(objective={"mode": "max_sla", "budget_usd": 200}),
                             plan.update(bound=0.9))),
    ("sum of peaks", "groups", lambda plan, _: plan["groups"][0].update(sum_of_peaks=6)),
    ("peak of sum", "groups", lambda plan, _: plan["groups"][0].update(peak_of_sum=4)),
    ("who shares", "groups", lambda plan, _: plan["groups"][0].update(workloads=["web"])),
    ("split over pools", "parts", lambda plan, _: _put(plan, 0, part=1, cap=2)),
    ("owners pay too much", "owners", lambda plan, _: plan.update(costs_by_owner={"a": 100.0, "b": 60.0})),
]


@pytest.mark.parametrize(("kind", "change"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_broken_plan_is_caught(kind: str, change: Callable[[Row, Row], object]) -> None:
    """Each way to break the plan or tighten the rules is named by its kind."""
    assert kind in judge(change).kinds


def test_a_droppable_workload_may_go() -> None:
    """Without sweep the plan is right: 3/4 of the weight is attained, its spot machines and the rest are saved."""
    def change(plan: Row, _: Row) -> None:
        _drop(plan, "sweep")
        _count(plan, 2, [0, 0, 0, 0])
        # carbon: 8 of 12 machine-slots are left, 0.576; machines 145.92 - 7.92 = 138; egress as before
        plan["costs"] = {"machines": 138.0, "egress": 6.08, "storage": 0, "moves": 0, "carbon": 0.576}
        plan.update(cost_usd=144.656, sla_attainment=0.75, bound=144.656, gap=0, status="optimal", groups=[],
                    unplaced=[{"workload": "sweep", "reasons": []}])
    assert judge(change).violations == ()


def test_copies_share_the_load_and_pay_for_their_data_each() -> None:
    """One of k copies carries 1/(k-1) of its stream's load, rounded up once, and at most one may be down."""
    world = World(copy.deepcopy(SCENARIO))
    stream = Stream("web", "aws/west", 0.5)
    unit = Unit(stream, 0, ("cloud", "m"), None)
    assert [world.need(unit, k) for k in (1, 2, 3)] == [(1, 2, 1, 0), (1, 2, 1, 0), (1, 1, 1, 0)]
    # 0.99 x 0.9 + 0.01 x 0.9 + 0.99 x 0.1 = 0.999
    assert world.availability([unit, Unit(stream, 1, ("hall", "g"), None)]) == pytest.approx(0.999)


def test_runs_repeat_and_stay_within_the_horizon() -> None:
    """With every_slots a gang runs again at the same offset: 1 + floor((12 - 2 - 3) / 4) = 2 times."""
    scenario = copy.deepcopy(SCENARIO)
    scenario["horizon"]["slots"] = 12
    scenario["workloads"][1] |= {"replicas": [1] * 11 + [3], "batch": {
        "duration_slots": 2, "earliest_slot": 1, "latest_slot": 3, "every_slots": 4}}
    world, pool = World(scenario), ("hall", "g")
    assert world.batch_window("train", pool) == (4, 1, 3, 2, 4)
    assert world.need(Unit(Stream("train", None, 1.0), 0, pool, 2), 1) == (0, 0) + (3,) * 8 + (0, 0)
    assert world.whynot_start("train", pool, 3) == []
    scenario["workloads"][1]["hardware"]["throughput"]["A100"] = 0.4  # five slots every four
    assert any("overlap" in reason for reason in World(scenario).whynot_start("train", pool, 3))


def test_the_packing_table_is_read_and_checked(tmp_path: Path) -> None:
    """A table that shows a packing is accepted, one that puts serving on spot or overfills a machine is not."""
    def rows(purchase: str, machines: tuple[int, int, int]) -> list[Row]:
        base = {"lost": None, "cluster": "cloud", "pool": "m", "slot": 0, "copy": 0, "part": 0, "replicas": 1}
        web = base | {"workload": "web", "purchase": "on_demand", "machine": machines[0], "user_region": "aws/west"}
        other = base | {"workload": "web", "purchase": purchase, "machine": machines[1], "user_region": "own/hall"}
        sweep = base | {"workload": "sweep", "purchase": "spot", "machine": machines[2], "user_region": None}
        return [web, other, sweep]

    def kinds(table: list[Row]) -> set[str]:
        pq.write_table(pa.Table.from_pylist(table), tmp_path / "packings.parquet")
        return judge(lambda plan, _: plan.update(tables={"packings": "packings.parquet"}), tmp_path).kinds

    assert kinds(rows("committed", (0, 0, 0))) == set()
    assert kinds(rows("spot", (0, 1, 0))) == {"packings"}
    assert kinds(rows("on_demand", (0, 0, 0))) == {"packings"}
    assert kinds(rows("committed", (0, 0, 0))[:2]) == {"packings"}


def test_packing_is_exact_where_first_fit_is_not() -> None:
    """4 + 3 + 3 and 5 + 5 fill two machines of 10, and 6 + 2 + 2 a third, where biggest-first needs a fourth."""
    sizes = {6.0: 1, 5.0: 2, 4.0: 1, 3.0: 2, 2.0: 2}
    items = tuple(((size,), False, count) for size, count in sizes.items())
    assert packs(items, (10.0,), 3, 0) is True
    assert packs(items, (10.0,), 2, 1) is False
    assert packs((*items, ((0.1,), True, 1)), (10.0,), 3, 0) is False
    assert packs((*items, ((0.1,), True, 1)), (10.0,), 3, 1) is True


def test_tables_say_the_same_as_lists(tmp_path: Path) -> None:
    """A Parquet table of workloads with dotted columns, and a replicas table, read as the nested form."""
    (tmp_path / "scenario.yaml").write_text(
        "horizon: {slots: 2}\nclusters: [{name: a, pools: [{name: p, machine: {vcpu: 1}}]}]\nworkloads: w.parquet\n")
    pq.write_table(pa.table({
        "name": ["x", "y"], "slo.latency_ms": pa.array([None, 5.0]), "replicas.from": ["r.csv"] * 2,
        "users": pa.array([[{"region": "a/b", "share": None}], None])}), tmp_path / "w.parquet")
    (tmp_path / "r.csv").write_text("workload,0,1\ny,3,4\nx,1,2\n")
    x, y = read_scenario(tmp_path)["workloads"]
    assert (x["replicas"], y["replicas"]) == ([1, 2], [3, 4])
    assert (x["users"], y["slo"]) == ([{"region": "a/b"}], {"latency_ms": 5.0})


def test_what_is_not_covered_is_refused(tmp_path: Path) -> None:
    """A scenario that leaves shapes to a catalog, or replicas to a forecast, is named as out of scope."""
    cluster = "clusters: [{name: a, pools: [{name: p, machine: %s}]}]\nhorizon: {slots: 1}\n"
    file = tmp_path / "scenario.yaml"
    file.write_text(cluster % "m6i.large" + "workloads: []\n")
    with pytest.raises(OutOfScopeError, match="not covered by this reading: machine by catalog name"):
        read_scenario(tmp_path)
    file.write_text(cluster % "{vcpu: 1}" + "workloads: [{name: x, replicas: {history: {file: h.csv}}}]\n")
    with pytest.raises(OutOfScopeError, match="replicas of x are not written out"):
        read_scenario(tmp_path)
