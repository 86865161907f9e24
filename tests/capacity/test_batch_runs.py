"""Batch work in capacity: its runs are laid as a plan lays them, as long as the hardware takes, from the start of each
unit.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from planner.catalog import builtin_catalog
from planner.cli import run
from planner.commands.capacity import without_history
from planner.growth import Growth
from planner.plan import Assignment, Costs, Plan, write_plan
from planner.profiles import profile
from planner.remaining import Asked, Remaining, remaining
from planner.resolve import resolve
from planner.scenario import read_scenario

Json = dict[str, Any]
START = datetime.fromisoformat("2026-11-02T00:00:00+00:00")
HELD = "all=-0.1%/year"
"""Growth by which whole replicas stay what they are: pools have rows where something is said to move."""


def work(name: str, pool: str, batch: Json, **changes: Any) -> Json:
    """One replica that fills a machine; in one pool it takes twice as long, in another 2.4 times."""
    return {"name": name, "kind": "training", "request": {"vcpu": 4, "memory_gib": 8}, "replicas": [1] * 24,
            "clusters": {"pin": pool}, "batch": batch, "hardware": {"throughput": {"old": 0.5, "odd": 0.42}}} | changes


def fleet(*workloads: Json, most: int = 4) -> Json:
    """Three pools of machines with 4 vCPU."""
    pools = [{"name": name, "machine": {"name": name, "vcpu": 4, "memory_gib": 8}, "max": most,
              "offers": [{"purchase": "on_demand", "price_usd_per_hour": 1.0}]} for name in ("new", "old", "odd")]
    return {"name": "f", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 24, "slot_minutes": 60},
            "objective": {"mode": "min_cost"}, "workloads": list(workloads),
            "clusters": [{"name": "hall", "provider": "onprem", "region": "here", "country": "DE", "pools": pools}]}


def look(folder: Path, scenario: Json, plan: Path | None = None) -> Remaining:
    """Time left of a fleet within two weeks."""
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    resolved = resolve(read_scenario(folder), builtin_catalog())
    asked = Asked(14, (Growth.parse(HELD),), plan, paths=4)
    return remaining(resolved, profile(without_history(resolved)), asked)


def machines(found: Remaining) -> dict[str, float]:
    """Machines that run in each pool on average, by its name."""
    return {left.name: left.used * left.limit for left in found.left
            if (left.what, left.resource) == ("pool", "machines")}


NIGHT = [work("first", "hall/old", {"duration_slots": 3, "earliest_slot": 2, "latest_slot": 2}),
         work("second", "hall/old", {"duration_slots": 3, "earliest_slot": 5, "latest_slot": 5}),
         work("often", "hall/odd", {"duration_slots": 2, "latest_slot": 4, "every_slots": 12}),
         work("quick", "hall/new", {"duration_slots": 3, "latest_slot": 4})]


def test_runs_take_as_long_as_in_the_plan(tmp_path: Path) -> None:
    """On hardware of throughput 0.5 and 0.42 as many machine hours are needed as a plan pays for, with the plan and
    by pins alone; runs that overlap only because they take longer need two machines, and one is passed at that hour.
    """
    scenario = fleet(*NIGHT)
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    plan = tmp_path / "plan.json"
    assert run(["plan", str(tmp_path), "--solver", "highs", "-o", str(plan)]) == 0
    counts = {f"hall/{one['pool']}": np.array(one["count"]) for one in json.loads(plan.read_text())["machines"]}
    assert counts["hall/old"].tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 1, 1, 1, *[0] * 13]
    assert counts["hall/odd"].sum() == 2 * 5
    wanted = {name: pytest.approx(count.mean(), rel=1e-4) for name, count in counts.items()}
    for given in (plan, None):
        assert machines(look(tmp_path, scenario, given)) == wanted
        one = look(tmp_path, fleet(*NIGHT, most=1), given)
        dates = {left.name: (left.p10, left.p90) for left in one.left if left.resource == "machines"}
        assert dates["hall/old"] == (START + timedelta(hours=5),) * 2
        assert dates["hall/odd"] == (None, None)


def test_every_unit_of_a_workload_starts_when_the_plan_starts_it(tmp_path: Path) -> None:
    """Runs for two user regions, in two pools at two times: each counts where and when it is, as long as it takes."""
    users = [{"region": "aws/eu-west-1", "share": 0.5}, {"region": "aws/us-east-1", "share": 0.5}]
    both = work("both", "hall", {"duration_slots": 4, "latest_slot": 12}, users=users, replicas=[2] * 24)
    steady = work("steady", "hall/old", {}, replicas=[1] * 11 + [0] * 13)
    del steady["batch"]
    units = (Assignment(workload="both", user_region="aws/eu-west-1", cluster="hall", pool="new", start_slot=0),
             Assignment(workload="both", user_region="aws/us-east-1", cluster="hall", pool="old", start_slot=12),
             Assignment(workload="steady", cluster="hall", pool="old"))
    plan = Plan(name="f", status="feasible", mode="min_cost", cost_usd=0.0, costs=Costs(), sla_attainment=1.0,
                bound=0.0, gap=0.0, assignments=units, machines=())
    write_plan(plan, tmp_path / "plan.json")
    found = look(tmp_path, fleet(both, steady, most=2), tmp_path / "plan.json")
    assert machines(found) == pytest.approx({"hall/new": 4 / 24, "hall/old": (8 + 2 * 11) / 24}, rel=1e-4)
    assert all(left.p10 is None for left in found.left)  # never more than two at once: they take turns


def test_a_gang_whose_demand_is_forecast_runs_longer_on_slower_hardware(tmp_path: Path) -> None:
    """Demand from a history says how many run, the batch says when: half the throughput is twice the machine hours."""
    hours = np.arange(-168 * 3, 0)
    rows = [f"{START + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ},{30 + 9 * np.sin(hour * np.pi / 12):.2f}"
            for hour in hours.tolist()]
    (tmp_path / "history.csv").write_text("\n".join(["ts,gang", *rows]) + "\n")
    replicas = {"history": {"file": "history.csv", "metric": "gang", "per_replica": 10}}
    batch = {"duration_slots": 3, "latest_slot": 4}
    new, old = (machines(look(tmp_path, fleet(work("gang", f"hall/{pool}", batch, replicas=replicas))))[f"hall/{pool}"]
                for pool in ("new", "old"))
    assert 3 * 3 / 24 < new < 6 * 3 / 24
    assert old == pytest.approx(2 * new, rel=1e-4)


def test_work_that_cannot_end_in_time_where_it_is_pinned_is_named(tmp_path: Path) -> None:
    """A run that takes longer there than its deadline leaves is told as `planner plan` would tell it."""
    late = work("late", "hall/old", {"duration_slots": 3, "latest_slot": 4}, slo={"deadline_slot": 4})
    found = look(tmp_path, fleet(late, NIGHT[3]))
    told = {one.name: one.why for one in found.untold}
    assert told["late"] == ("hall/old: a run takes at least 6 slots there; earliest_slot is 0, deadline_slot is 4, the "
                            "horizon has 24 slots")
    assert set(machines(found)) == {"hall/new"}
