"""How long room lasts: dates, orders, commitments, growth, and what is refused by name."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.catalog import builtin_catalog
from planner.cli import run
from planner.commands.capacity import without_history
from planner.errors import InputError
from planner.growth import Growth
from planner.plan import Assignment, Costs, Plan, write_plan
from planner.profiles import profile
from planner.remaining import Asked, Left, Remaining, remaining
from planner.report.capacity import render_capacity
from planner.resolve import resolve
from planner.scenario import read_scenario

START = datetime.fromisoformat("2026-11-02T00:00:00+00:00")
FAR = START + timedelta(days=10_000)


def history(folder: Path, growth: float = 0.0, weeks: int = 8, missing: bool = False) -> None:
    """Two workloads that move together; with `missing`, a hole in the second."""
    hours = np.arange(-168 * weeks, 0)
    shape = 100 + 40 * np.sin(hours * np.pi / 12) + np.random.default_rng(1).normal(0, 3, hours.size)
    rows = ["ts,web,jobs"]
    for hour, value in zip(hours.tolist(), (shape * np.exp(growth * hours / 24)).tolist(), strict=True):
        jobs = "" if missing and -120 <= hour < -50 else f"{value / 2:.2f}"
        rows.append(f"{START + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ},{value:.2f},{jobs}")
    (folder / "history.csv").write_text("\n".join(rows) + "\n")


def fleet(**changes: Any) -> dict[str, Any]:
    """A hall with own machines that take 30 days to get, and a cloud."""
    def work(name: str, pin: str, kind: str = "serving") -> dict[str, Any]:
        return {"name": name, "kind": kind, "request": {"vcpu": 4, "memory_gib": 8}, "clusters": {"pin": pin},
                "replicas": {"history": {"file": "history.csv", "metric": name, "per_replica": 10}}}
    return {"name": "f", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 24, "slot_minutes": 60},
            "objective": {"mode": "min_cost"},
            "clusters": [
                {"name": "hall", "provider": "onprem", "region": "here", "country": "DE", "pools": [
                    {"name": "own", "machine": {"name": "m16", "vcpu": 16, "memory_gib": 64}, "max": 12,
                     "lead_time_days": 30,
                     "offers": [{"purchase": "committed", "price_usd_per_hour": 1.0, "owned": 5, "max": 12}]}]},
                {"name": "cloud", "provider": "elsewhere", "region": "there", "country": "IE", "pools": [
                    {"name": "vm", "machine": {"name": "m8", "vcpu": 8, "memory_gib": 32}, "max": 40,
                     "offers": [{"purchase": "on_demand", "price_usd_per_hour": 0.4},
                                {"purchase": "committed", "price_usd_per_hour": 0.2, "max": 20, "owned": 2}]}]}],
            "workloads": [work("web", "hall/own"), work("jobs", "cloud", "etl")], **changes}


def look(folder: Path, scenario: dict[str, Any] | None = None, **asked: Any) -> Remaining:
    """Time left of a fleet written to a folder."""
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario or fleet()))
    resolved = resolve(read_scenario(folder), builtin_catalog())
    return remaining(resolved, profile(without_history(resolved)), Asked(**{"days": 120, "paths": 60} | asked))


def row(found: Remaining, what: str, name: str, resource: str = "machines") -> Left:
    """One row of the answer."""
    return next(one for one in found.left if (one.what, one.name, one.resource) == (what, name, resource))


def test_what_grows_runs_out_and_is_ordered_in_time(tmp_path: Path) -> None:
    """Growing demand passes five machines on some date; the order comes a lead time before its P10, for enough."""
    history(tmp_path, growth=0.004)
    found = look(tmp_path)
    left = row(found, "pool", "hall/own")
    assert left.limit == 5
    assert left.p10 is not None
    assert left.p50 is not None
    assert START < left.p10 <= left.p50
    order = next(one for one in found.orders if one.pool == "own")
    assert order.needed_by == left.p10
    assert order.order_by == left.p10 - timedelta(days=30)
    assert 1 <= order.machines <= 7
    assert row(found, "cluster", "hall").first == "own"
    assert row(found, "cluster", "hall").p50 == left.p50


def test_what_stays_does_not_run_out(tmp_path: Path) -> None:
    """Flat demand well under the limit has no dates, no orders, and the answer is yes."""
    history(tmp_path)
    scenario = fleet()
    scenario["clusters"][0]["pools"][0]["offers"][0]["owned"] = 9
    found = look(tmp_path, scenario, days=60)
    assert all(one.p50 is None for one in found.left)
    assert not found.bad


@settings(max_examples=5, deadline=None)
@given(st.floats(0.0, 0.3), st.floats(0.0, 0.3))
def test_more_growth_is_never_a_later_date(tmp_path_factory: pytest.TempPathFactory, one: float, two: float) -> None:
    """Whatever the growth, dates are ordered P10 <= P50 <= P90, and with more of it none is later."""
    folder = tmp_path_factory.mktemp("growth")
    history(folder, weeks=3)
    less, more = (look(folder, days=70, paths=30, growths=(Growth.parse(f"all=+{100 * rate:.4f}%/month"),))
                  for rate in sorted((one, two)))
    later = {(left.what, left.name, left.resource): left for left in more.left}
    for left in less.left:
        dates = [date or FAR for date in (left.p10, left.p50, left.p90)]
        assert dates == sorted(dates)
        sooner = later[left.what, left.name, left.resource]
        assert all((a or FAR) <= (b or FAR) for a, b in zip((sooner.p10, sooner.p50, sooner.p90), dates, strict=True))


def test_commitments_stop_where_machines_run_too_little(tmp_path: Path) -> None:
    """Half the price pays from 365 hours a month on: machines at night too, those of the peak not; owned ones first."""
    history(tmp_path)
    (commit,) = look(tmp_path, days=28).commits
    assert commit.name == "cloud/vm"
    assert commit.break_even_hours == 365
    assert commit.owned == 2
    # 3 to 7 replicas of half a machine: 2 to 4 machines, of which the third runs more than half of the time
    assert 1 <= commit.buy <= 2
    assert commit.last_unit_hours > 365
    assert 0 < commit.saving_p10 <= commit.saving_usd_per_month <= commit.saving_p90


def test_commitment_owned_already_is_not_bought_again(tmp_path: Path) -> None:
    """With as many owned as ever run, there is nothing to buy."""
    history(tmp_path)
    scenario = fleet()
    scenario["clusters"][1]["pools"][0]["offers"][1]["owned"] = 12
    (commit,) = look(tmp_path, scenario, days=28).commits
    assert commit.buy == 0
    assert commit.saving_usd_per_month == 0


def test_what_cannot_be_told_is_named(tmp_path: Path) -> None:
    """A history with a hole, a workload without a place, a pool where nothing runs: each by name, and others go on."""
    history(tmp_path, missing=True)
    scenario = fleet()
    scenario["workloads"].append({"name": "loose", "kind": "etl", "request": {"vcpu": 1, "memory_gib": 1},
                                  "replicas": [1] * 24})
    found = look(tmp_path, scenario, days=14)
    told = {(one.what, one.name): one.why for one in found.untold}
    assert told["workload", "jobs"]
    assert "give --plan" in told["workload", "loose"]
    assert told["pool", "cloud/vm"] == "nothing runs there"
    assert row(found, "pool", "hall/own").limit == 5


def test_stated_work_counts_and_grows_only_as_assumed(tmp_path: Path) -> None:
    """Work without a history is held flat; with growth assumed of it, it runs out of room by arithmetic."""
    history(tmp_path)
    scenario = fleet()
    scenario["workloads"] = [{"name": "fixed", "kind": "etl", "request": {"vcpu": 16, "memory_gib": 64},
                              "replicas": [4] * 24, "clusters": {"pin": "hall/own"}}]
    found = look(tmp_path, scenario)
    assert found.flat == ("fixed",)
    assert found.left == ()
    assert found.bad
    grown = look(tmp_path, scenario, growths=(Growth.parse("fixed=x2/month"),))
    left = row(grown, "pool", "hall/own")  # 4 x 2^(t / month) > 5 after 0.322 months
    assert left.p10 == left.p90
    assert left.p50 is not None
    assert abs((left.p50 - START) / timedelta(days=1) - np.log2(5 / 4) * 365.25 / 12) < 0.1


def test_a_plan_says_where_demand_is(tmp_path: Path) -> None:
    """With a plan, demand is in its pools, copies share the load, and a plan of another fleet is refused."""
    history(tmp_path)
    units = (*(Assignment(workload="web", cluster="cloud", pool="vm", copy=k) for k in range(3)),
             Assignment(workload="jobs", cluster="cloud", pool="vm"))
    plan = Plan(name="f", status="feasible", mode="min_cost", cost_usd=0.0, costs=Costs(), sla_attainment=1.0,
                bound=0.0, gap=0.0, assignments=units, machines=())
    write_plan(plan, tmp_path / "plan.json")
    found = look(tmp_path, days=14, plan=tmp_path / "plan.json")
    alone = look(tmp_path, days=14)
    assert [left.name for left in found.left if left.what == "cluster"] == ["cloud"]
    vcpu = (row(found, "pool", "cloud/vm", "vcpu").used - row(alone, "pool", "cloud/vm", "vcpu").used) * 320
    assert 1.4 < vcpu / (row(alone, "pool", "hall/own", "vcpu").used * 80) < 1.7  # three copies of half of it
    other = plan.model_copy(update={"assignments": (units[0].model_copy(update={"pool": "gone"}),)})
    write_plan(other, tmp_path / "other.json")
    with pytest.raises(InputError, match="pool cloud/gone: not in the scenario"):
        look(tmp_path, days=14, plan=tmp_path / "other.json")


@pytest.mark.parametrize(("text", "words"), [
    ("serving", "SELECTOR=RATE/PERIOD is needed"), ("serving=3%/month", "+3%, -2% or x1.5 is allowed"),
    ("serving=+3%", "a rate and a period are needed"), ("serving=+3%/fortnight", "periods are day, week, month"),
    ("serving=-100%/year", "something must be left")])
def test_growth_that_cannot_be_read(text: str, words: str) -> None:
    """One line that says what is allowed."""
    with pytest.raises(InputError, match="--growth") as error:
        Growth.parse(text)
    assert words in str(error.value)


def test_command_shows_writes_and_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON for machines, a page by itself, exit status 1 where room ends too soon, 2 for a wrong input."""
    history(tmp_path, growth=0.004)
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet()))
    page = tmp_path / "page.html"
    asked = ["--horizon", "90d", "--growth", "web=+40%/month", "-o", str(page), "--json"]
    status = run(["capacity", str(tmp_path), *asked])
    shown = json.loads(capsys.readouterr().out)
    assert status == 1
    assert shown["no"] is True
    assert shown["growth"] == ["web=+40%/month"]
    assert {left["what"] for left in shown["left"]} == {"cluster", "pool"}
    text = page.read_text()
    assert "hall/own" in text
    assert "http://" not in text.replace("http://www.w3.org", "").split("<script id=")[0]
    assert run(["capacity", str(tmp_path), "--horizon", "3h"]) == 2
    assert "whole days from 1d to 730d" in capsys.readouterr().err
    assert run(["capacity", str(tmp_path), "--growth", "nobody=+3%/month"]) == 2
    assert "matches no workload" in capsys.readouterr().err


def test_history_of_the_example_is_made_anew_byte_by_byte(tmp_path: Path) -> None:
    """The script of the example writes the very file that lies beside it."""
    example = Path(__file__).parents[2] / "examples" / "capacity"
    subprocess.run([sys.executable, str(example / "make_history.py"), str(tmp_path)], check=True)
    assert (tmp_path / "history.csv").read_bytes() == (example / "history.csv").read_bytes()


def test_page_is_the_same_bytes(tmp_path: Path) -> None:
    """Same scenario, histories and seed: the same page."""
    history(tmp_path, growth=0.004)
    assert render_capacity(look(tmp_path, days=30)) == render_capacity(look(tmp_path, days=30))


def test_growth_beyond_all_bounds_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Growth of over a million times within the horizon is taken for a mistake, by itself or added up."""
    history(tmp_path, weeks=2)
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet()))
    for growth in (["--growth", "web=x1000000000/day"], ["--growth", "web=x900/month", "--growth", "all=x2000/month"]):
        assert run(["capacity", str(tmp_path), "--horizon", "31d", *growth]) == 2
        assert "over 1,000,000 times as much within 31 days" in capsys.readouterr().err


def test_a_page_is_never_written_over_a_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A page named as a file that is read is refused before anything is looked at."""
    history(tmp_path, weeks=2)
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet()))
    before = (tmp_path / "history.csv").read_bytes()
    assert run(["capacity", str(tmp_path), "--horizon", "7d", "-o", str(tmp_path / "history.csv")]) == 2
    assert "history.csv: what is read would be lost" in capsys.readouterr().err
    assert (tmp_path / "history.csv").read_bytes() == before


def test_the_chart_shows_shared_limits_beside_pools(tmp_path: Path) -> None:
    """A quota that ends before any pool is drawn, and first; notes say that pools do not know of it."""
    history(tmp_path, growth=0.004)
    found = look(tmp_path, fleet(limits=[{"name": "quota", "pools": ["cloud/*"], "measure": "vcpu", "max": 24}]))
    page = render_capacity(found)
    drawn = json.loads(page.split('type="application/json">')[1].split("</script>")[0])["pools"]
    assert drawn[0]["name"] == "quota"
    assert "hall/own" in [row["name"] for row in drawn]
    assert "a shared limit over them may end sooner" in page


def test_orders_that_are_overdue_or_beyond_sight_are_told(tmp_path: Path) -> None:
    """An order whose date has passed says so; a lead time as long as the horizon asks to look further."""
    history(tmp_path, growth=0.004)
    found = look(tmp_path)
    order = next(one for one in found.orders if one.pool == "own")
    soon = replace(found, orders=(replace(order, late=False, order_by=START - timedelta(days=3)),))
    assert "now: that date has passed" in render_capacity(soon)
    assert found.slow == ()
    far = look(tmp_path, days=20)
    assert far.slow == ("hall/own",)
    assert far.to_dict()["horizon_within_lead_time"] == ["hall/own"]
    assert "look further (--horizon)" in render_capacity(far)
