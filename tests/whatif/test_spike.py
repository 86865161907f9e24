"""The plan in force under other demand: what gives first, when, by how much, and how much growth it holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.needs import unit_needs
from placement.result import Settings
from placement.worker import Stopwatch, solve_here
from planner.build import Proof
from planner.cli import run
from planner.formulate import formulate
from planner.interpret import copies_of, to_solution
from planner.passed import Passed
from planner.plan import Fallback, Plan, write_plan
from planner.planning import Job, PlanRequest, Prepared, make_plan, prepare
from planner.spike import Shortage, in_force, unit_demand
from planner.suppose import suppose
from planner.whatif import Change, apply

New = Callable[..., dict[str, Any]]
Small = Callable[[], dict[str, Any]]

ASKED = PlanRequest(solver="highs", time_limit_s=90.0)


def fleet_of(small: Small, *workloads: dict[str, Any], most: int = 3) -> dict[str, Any]:
    """The small fleet with pools of at most so many machines, four replicas of the plain workload on each."""
    fleet = small()
    for cluster in fleet["clusters"]:
        for pool in cluster["pools"]:
            pool["max"] = most
    return fleet | {"workloads": list(workloads)}


def planned(fleet: dict[str, Any], folder: Path) -> tuple[Path, Prepared, Plan]:
    """The fleet as a folder, prepared, and a plan of it, made in this process."""
    (folder / "scenario.yaml").write_text(yaml.safe_dump(fleet))
    prepared = prepare(folder, ASKED)
    job = Job.on(prepared, ASKED)
    result = solve_here(job.formulation.problem, "first-fit", Settings(), Stopwatch(20.0))
    assert result.solution is not None
    return folder, prepared, job.finish(result.solution, Proof(0.0, "a cost is at least 0")).plan


def at_spike(small: Small, new: New, folder: Path) -> tuple[Path, Prepared, Plan]:
    """Two workloads pinned to one pool of 3 machines: 5 + 2 of 12 replicas fit in slot 2, fewer elsewhere."""
    pin = {"clusters": {"pin": "azure-we/d16"}}
    return planned(fleet_of(small, new("dear", priority=90, replicas=[1, 2, 5, 2], **pin),
                            new("cheap", priority=10, replicas=[1, 1, 2, 1], **pin)), folder)


def changes(*texts: str) -> tuple[Change, ...]:
    """Changes as `Change.read` takes them."""
    return tuple(Change.read(text) for text in texts)


def test_what_gives_first_is_the_pool_the_slot_the_machines_and_the_least_important(small: Small, new: New,
                                                                                     tmp_path: Path) -> None:
    """x3 needs 21 replicas in slot 2: 6 machines where 3 are allowed; the cheap one is hit, and the dear one."""
    _, prepared, plan = at_spike(small, new, tmp_path)
    found = in_force(plan, prepared.scenario, prepared.profiles, changes("demand all:x3"))
    (short,) = found.shortages
    assert (short.cluster, short.pool, short.slot, short.lacking, short.most) == ("azure-we", "d16", 2, 3, 3)
    assert (short.slots, short.worst_slot, short.worst_lacking) == (1, 2, 3)
    assert short.hit == ("cheap", "dear")
    assert not found.holds


def test_the_largest_factor_is_where_the_first_pool_is_full(small: Small, new: New, tmp_path: Path) -> None:
    """ceil(5 f) + ceil(2 f) <= 12 holds up to f = 1.6 (8 + 4); at 1.61 the ninth replica makes it 13."""
    _, prepared, plan = at_spike(small, new, tmp_path)
    found = in_force(plan, prepared.scenario, prepared.profiles, changes("demand all:+10%"))
    assert found.holds
    assert (found.factor, found.factor_sure) == (1.6, True)
    assert isinstance(found.first_beyond, Shortage)
    assert (found.first_beyond.slot, found.first_beyond.lacking, found.first_beyond.hit) == (2, 1, ("cheap",))
    alone = in_force(plan, prepared.scenario, prepared.profiles, changes("demand dear:+10%"))
    assert (alone.factor, alone.scaled) == (2.0, 1)


@pytest.mark.parametrize(("measure", "most"), [("machines", 2), ("usd_per_hour", 2.5)])
def test_a_limit_that_pools_share_may_be_what_gives_first(small: Small, new: New, tmp_path: Path, measure: str,
                                                          most: float) -> None:
    """5 + 2 replicas need two machines of the three there are; at +10 % 6 + 3 need the third, which a limit forbids."""
    pin = {"clusters": {"pin": "azure-we/d16"}}
    fleet = fleet_of(small, new("dear", replicas=[1, 2, 5, 2], **pin), new("cheap", replicas=[1, 1, 2, 1], **pin))
    limit = {"name": "quota", "pools": ["azure-we/d16"], "measure": measure, "max": most}
    _, _, plan = planned(fleet, tmp_path)
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet | {"limits": [limit]}))
    prepared = prepare(tmp_path, ASKED)
    found = in_force(plan, prepared.scenario, prepared.profiles, changes("demand all:+10%"))
    assert not found.shortages
    assert found.passed == (Passed("quota", 2, 1, 1, 2, 1),)
    assert not found.holds
    assert (found.factor, found.factor_sure, found.first_beyond) == (1.0, True, Passed("quota", 2, 1, 1, 2, 1))


def test_growth_is_searched_up_to_a_hundredfold(small: Small, new: New, tmp_path: Path) -> None:
    """Where a hundred times the demand still fits, that is said, and that more was not looked at."""
    tiny = new("tiny", replicas=[1, 1, 1, 1], clusters={"pin": "azure-we/d16"})
    _, prepared, plan = planned(fleet_of(small, tiny, most=30), tmp_path)
    found = in_force(plan, prepared.scenario, prepared.profiles, changes("demand all:x2"))
    assert (found.factor, found.factor_sure, found.first_beyond) == (100.0, False, None)


def test_more_machines_hold_more(small: Small, new: New, tmp_path: Path) -> None:
    """`max` changes are the limits that the plan in force is tried with."""
    _, prepared, plan = at_spike(small, new, tmp_path)
    found = in_force(plan, prepared.scenario, prepared.profiles, changes("demand all:x3", "max azure-we/d16:=6"))
    assert found.holds


def test_a_lost_cluster_displaces_what_has_no_copy_and_no_fallback(small: Small, new: New, tmp_path: Path) -> None:
    """A single copy is displaced by name; with a fallback in the plan it goes there, and room is counted there."""
    pin = {"clusters": {"allow": ["a*"]}}
    _, prepared, plan = planned(fleet_of(small, new("etl", replicas=[9, 9, 9, 9], **pin)), tmp_path)
    (unit,) = plan.assignments
    other = {"azure-we": ("aws-sp", "m6i"), "aws-sp": ("azure-we", "d16")}[unit.cluster]
    lost = changes(f"remove-cluster {unit.cluster}")
    found = in_force(plan, prepared.scenario, prepared.profiles, lost)
    assert found.displaced == (f"etl: runs on {unit.cluster}, which is gone, and has no fallback",)
    fallback = Fallback(lost=unit.cluster, workload="etl", cluster=other[0], pool=other[1])
    mended = plan.model_copy(update={"fallbacks": (fallback,)})
    assert in_force(mended, prepared.scenario, prepared.profiles, lost).holds
    crowded = in_force(mended, prepared.scenario, prepared.profiles, (*lost, *changes("demand all:x2")))
    assert [(row.cluster, row.lacking) for row in crowded.shortages] == [(other[0], 2)]


def test_a_copy_more_stands_in_for_a_lost_cluster(small: Small, new: New, tmp_path: Path) -> None:
    """With two copies, each of which carries the load, losing one cluster displaces nothing."""
    serve = new("serve", kind="serving", slo={"availability": 0.99999}, clusters={"allow": ["a*"]})
    _, prepared, plan = planned(fleet_of(small, serve), tmp_path)
    assert len(plan.assignments) == 2
    found = in_force(plan, prepared.scenario, prepared.profiles, changes("remove-cluster aws-sp"))
    assert not found.displaced or all("availability" in line for line in found.displaced)
    assert not found.shortages


def test_a_stricter_slo_displaces_what_misses_it(small: Small, new: New, tmp_path: Path) -> None:
    """A latency out of reach and an availability out of reach are told by name."""
    serve = new("serve", kind="serving", slo={"availability": 0.9, "latency_ms": 300.0}, clusters={"allow": ["own-*"]},
                users=[{"region": "azure/westeurope", "share": 1.0}])
    _, prepared, plan = planned(fleet_of(small, serve), tmp_path)
    latency = in_force(plan, prepared.scenario, prepared.profiles, changes("latency serve:=100"))
    assert any("serve for users in azure/westeurope: may not run on own-lis" in line for line in latency.displaced)
    nines = in_force(plan, prepared.scenario, prepared.profiles, changes("availability serve:=0.95"))
    assert nines.displaced == ("serve (users in azure/westeurope): has availability 0.9, less than 0.95",)


@settings(deadline=None, max_examples=8, derandomize=True)
@given(factor=st.sampled_from([0.0, 0.3, 1.0, 1.37, 2.0, 5.5]), rows=st.data())
def test_needs_of_units_are_those_of_a_new_formulation(small: Small, new: New, tmp_path_factory: Any, factor: float,
                                                       rows: Any) -> None:
    """Replicas by unit under changed demand equal what formulating the changed scenario says, gangs included."""
    replicas = rows.draw(st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any))
    users = [{"region": "azure/westeurope", "share": 0.7}, {"region": "aws/sa-east-1", "share": 0.3}]
    fleet = fleet_of(small, new("a", replicas=replicas, hardware={"throughput": {"m6i": 1.5, "d16": 0.7}}),
                     new("b", replicas=replicas, batch={"duration_slots": 1, "every_slots": 2}),
                     new("c", kind="serving", users=users, slo={"availability": 0.99999}), most=40)
    _, prepared, plan = planned(fleet, tmp_path_factory.mktemp("needs"))
    scenario, profiles = apply(changes(f"demand all:x{factor}"), prepared.scenario, prepared.profiles)
    now = formulate(prepared.scenario, prepared.profiles, copies_of(plan))
    then = formulate(scenario, profiles, copies_of(plan))
    units = to_solution(plan, now).solution.units
    wanted = to_solution(plan, then)
    assert not wanted.violations
    assert np.array_equal(unit_demand(now, units, profiles.replicas), unit_needs(then.problem, wanted.solution.units))


def test_a_plan_that_holds_is_confirmed_by_planning_in_its_limits(small: Small, new: New, tmp_path: Path) -> None:
    """At the largest factor a plan exists with every workload in the pool it has; a hundredth more has none."""
    folder, prepared, plan = at_spike(small, new, tmp_path)
    factor = in_force(plan, prepared.scenario, prepared.profiles, ()).factor
    assert factor is not None
    for more, status in ((0.0, "optimal"), (0.01, "infeasible")):
        asked = PlanRequest(solver="highs", time_limit_s=90.0, what_if=changes(f"demand all:x{factor + more:.2f}"))
        assert make_plan(folder, asked).plan.status == status


def test_without_a_plan_in_force_the_scenario_is_planned_first(small: Small, new: New, tmp_path: Path) -> None:
    """Both plans are made, and the difference is the price of the change."""
    folder, _, plan = at_spike(small, new, tmp_path)
    found = suppose(folder, PlanRequest(solver="highs", time_limit_s=90.0, what_if=changes("price azure:*:x2")))
    assert found.before.cost_usd == plan.cost_usd
    assert found.plan is not None
    assert found.differs is not None
    assert found.plan.cost_usd == pytest.approx(plan.cost_usd + plan.costs.machines - 4.0)  # 4 USD for owned machines
    assert found.possible


def test_the_command_shows_writes_and_answers(small: Small, new: New, tmp_path: Path,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    """Terminal, Markdown, JSON and plan.json; exit status 1 when nothing is possible; stale plans are said to be."""
    folder, _, plan = at_spike(small, new, tmp_path)
    write_plan(plan, tmp_path / "now.json")
    base = ["what-if", str(folder), "--solver", "highs", "--time-limit", "20", "--against", str(tmp_path / "now.json")]
    done = ["--demand", "all:+50%", "-o", str(tmp_path / "new.json"), "--markdown", str(tmp_path / "new.md")]
    assert run([*base, *done]) == 0
    shown = capsys.readouterr().out
    assert "The plan in force holds" in shown
    assert "It holds up to x1.60 of today's demand; at x1.61 first to give is azure-we/d16 in slot 2" in shown
    assert run(["verify", str(folder), str(tmp_path / "new.json")]) == 0
    assert (tmp_path / "new.md").read_text().startswith("## What if: demand all:+50%\n")
    capsys.readouterr()
    assert run([*base, "--demand", "all:x3", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["plan"]["status"] == "infeasible"
    assert found["in_force"]["shortages"][0]["hit"] == ["cheap", "dear"]
    words = yaml.safe_load((folder / "scenario.yaml").read_text())
    words["workloads"][0]["replicas"] = [1, 1, 1, 1]
    (folder / "scenario.yaml").write_text(yaml.safe_dump(words))
    assert run([*base, "--price", "azure:*:x2"]) == 0
    assert "is stale: it was made from another state" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("options", "line"), [
    ([], "nothing is changed: give --demand"), (["--demand", "all:+40"], "write +40%"),
    (["--remove-cluster", "nowhere"], "matches no cluster"), (["--sla-floor", "99"], "did you mean 0.99?"),
    (["--demand", "all:x2", "--budget", "5"], "mode min_cost has none")])
def test_wrong_questions_are_one_line(small: Small, new: New, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                      options: list[str], line: str) -> None:
    """Exit status 2 and one line."""
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet_of(small, new("etl"))))
    assert run(["what-if", str(tmp_path), *options]) == 2
    shown = capsys.readouterr().err
    assert line in shown
    assert len(shown.splitlines()) == 1
