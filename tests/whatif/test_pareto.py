"""The price of nines: every point is a checked plan with its bound, and the curves say what they cannot show."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.checking import verify_plan
from planner.cli import run
from planner.errors import InputError
from planner.pareto import Pareto, Point, _share, _Solved, pareto
from planner.planning import Job, PlanRequest, prepare
from planner.report.curve import render_curve, write_curve
from planner.scenario.model import Objective
from planner.shrink import shrink
from planner.whatif import Amount, Change, apply, exactly

New = Callable[..., dict[str, Any]]
ASKED = PlanRequest(solver="highs")
SOME = (0.999, 0.9995, 0.99999)
EVIL = "</script><b>shop</b>"


@pytest.fixture(scope="module")
def folder(small: Callable[[], dict[str, Any]], new: New, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two droppable workloads (weights 1 and 2), one of weight 3, and serving of weight 4 that states 0.99."""
    fleet = small()
    fleet["workloads"] = [
        new("a", droppable=True, weight=1.0, replicas=[30] * 4),
        new("b", droppable=True, weight=2.0, replicas=[20] * 4),
        new("c", weight=3.0, replicas=[8] * 4),
        new("serve", kind="serving", weight=4.0, replicas=[5, 9, 9, 5], slo={"availability": 0.99})]
    folder = tmp_path_factory.mktemp("nines")
    (folder / "scenario.yaml").write_text(yaml.safe_dump(fleet))
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> Pareto:
    """The curves with four floors, at most four budgets, and three of the availabilities."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.pareto.TARGETS", SOME)
        return pareto(folder, ASKED, points=4, time_limit_s=200.0)


def rows(found: Pareto, sweep: Any) -> list[tuple[Any, ...]]:
    """asked, attained, cost, who is left out."""
    return [(round(point.asked, 3), point.attainment, point.cost_usd, point.left_out) for point in found.of(sweep)]


def test_floors_drop_the_droppable_where_that_is_cheapest(found: Pareto) -> None:
    """From 0.7 (both may go) to 1: 14, 34 and 62 USD; c and serve are never dropped."""
    assert rows(found, "floor") == [(0.7, 0.7, 14.0, ("a", "b")), (0.8, 0.9, 34.0, ("a",)),
                                    (0.9, 0.9, 34.0, ("a",)), (1.0, 1.0, 62.0, ())]


def test_budgets_buy_the_most_weight_and_skip_what_is_known(found: Pareto) -> None:
    """Any workload may go; a plan proven best for its budget answers every budget down to its cost."""
    budgets = found.of("budget")
    assert [(point.attainment, point.cost_usd) for point in budgets] == [
        (0.3, 4.0), (0.7, 14.0), (0.9, 34.0), (1.0, 62.0)]
    assert budgets[-1].taken_from == "floor 1"
    for dearer, cheaper in zip(budgets[::-1], budgets[-2::-1], strict=False):
        assert cheaper.asked < (dearer.cost_usd or 0.0) <= dearer.asked


def test_both_modes_agree(found: Pareto) -> None:
    """A floor's plan that drops what a budget's drops costs the same, and no budget attains more than it proves."""
    least = {point.attainment: point.cost_usd for point in found.of("floor")}
    for point in found.of("budget"):
        assert point.attainment is not None
        assert point.bound is not None
        assert point.attainment <= point.bound + 1e-9
        assert least.get(point.attainment, point.cost_usd) == point.cost_usd


def test_availability_costs_more_with_every_nine_or_as_much(found: Pareto) -> None:
    """One cluster of 0.999 is enough for 99.9 %; beyond, a second copy is paid for."""
    points = found.of("availability")
    assert tuple(point.asked for point in points) == SOME
    assert [point.cost_usd for point in points] == [62.0, 72.0, 72.0]
    assert all(point.meet == point.stating == 1 for point in points)


def test_every_point_is_a_plan_that_verifies_with_a_bound(found: Pareto, folder: Path) -> None:
    """All plans hold in the scenario with the objective and the what-if that they name; bounds are not above costs."""
    for plan_id, planned in found.plans.items():
        assert verify_plan(folder, planned.plan).violations == (), plan_id
    for point in (*found.of("floor"), *found.of("availability")):
        assert point.bound is not None
        assert point.cost_usd is not None
        assert point.bound <= point.cost_usd + 1e-6
        assert point.plan_id in found.plans


def test_a_cheaper_plan_that_is_allowed_takes_the_place_of_a_dearer_one_and_says_so(found: Pareto,
                                                                                    folder: Path) -> None:
    """A floor whose own plan is dear takes a stricter floor's cheaper one; a looser floor's bound is taken over."""
    job = Job.on(prepare(folder, ASKED), ASKED)
    plans = {point.asked: found.plans[point.plan_id] for point in found.of("floor")}
    full, some = plans[1.0], plans[max(asked for asked in plans if asked < 0.95)]

    def solved(floor: float, planned: Any, bound: float) -> _Solved:
        return _Solved(Point("floor", floor), job.asking(Objective(mode="min_cost", sla_floor=floor)), planned, bound)

    points = [solved(0.7, full, 14.0), solved(0.85, some, 5.0), solved(1.0, full, 6.0), solved(0.99, None, 0.0)]
    _share(points[:3], [])
    assert [point.planned for point in points[:3]] == [some, some, full]
    assert [point.point.taken_from for point in points[:3]] == ["floor 0.85", "", ""]
    assert [point.bound for point in points[:3]] == [14.0, 14.0, 14.0]
    _share([points[3], points[2]], [])
    assert points[3].planned is full
    assert points[3].point.taken_from == "floor 1"


def test_what_no_clusters_can_give_is_said_and_the_rest_is_planned(small: Callable[[], dict[str, Any]], new: New,
                                                                   tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """A workload pinned to a cluster of 0.9 keeps what it states; a flat line of floors is explained, not drawn."""
    fleet = small()
    fleet["workloads"] = [new("all", kind="serving", slo={"availability": 0.9}, clusters={"pin": "own-lis"}),
                          new("free", kind="serving", slo={"availability": 0.9})]
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet))
    monkeypatch.setattr("planner.pareto.TARGETS", (0.9999,))
    found = pareto(tmp_path, ASKED, points=2, time_limit_s=200.0)
    assert [(point.cannot, point.meet) for point in found.of("availability")] == [(("all",), 1)]
    assert all(point.cost_usd is not None for point in found.of("availability"))
    assert [point.asked for point in found.of("floor")] == [1.0]
    assert any("no workload is droppable" in note for note in found.notes)
    assert any("give it to all; they keep what they state" in note for note in found.notes)
    for planned in found.plans.values():
        assert verify_plan(tmp_path, planned.plan).violations == ()


@pytest.mark.parametrize("name", ["all", "serving", "a[b]*", "owner:me", "plain"])
def test_a_workload_is_named_exactly_whatever_its_name(small: Callable[[], dict[str, Any]], new: New, tmp_path: Path,
                                                       name: str) -> None:
    """Names that are words or patterns of the grammar select that workload only."""
    fleet = small()
    fleet["workloads"] = [new(name), new("ab"), new("other", kind="serving", owner="me")]
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet))
    prepared = prepare(tmp_path, PlanRequest())
    change = Change.read(str(Change("demand", exactly(name), Amount(factor=3.0))))
    after = apply([change], prepared.scenario, prepared.profiles)[1].replicas
    assert after[:, 0].tolist() == [6, 2, 2]


def test_too_little_time_is_said_at_every_point(folder: Path) -> None:
    """Points without their turn have no plan and say why; nothing is drawn for them."""
    found = pareto(folder, ASKED, points=2, time_limit_s=0.01)
    with pytest.raises(InputError, match="time_limit_s: 0: seconds, more than 0"):
        pareto(folder, ASKED, points=2, time_limit_s=0.0)
    assert found.plans == {}
    assert all(point.why and point.cost_usd is None for point in found.points)


def test_the_command_writes_page_plans_and_json(folder: Path, tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str],
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """`planner pareto` in all its forms; a wrong number of points is one line."""
    monkeypatch.setattr("planner.pareto.TARGETS", (0.9999,))
    page, plans = tmp_path / "curve.html", tmp_path / "plans"
    plans.mkdir()
    base = ["pareto", str(folder), "--solver", "highs", "--points", "2", "--time-limit", "100"]
    assert run([*base, "-o", str(page), "--plans", str(plans), "--json"]) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert {f"{point['sweep']}-{point['asked']:.12g}.json" for point in points} == {
        file.name for file in plans.iterdir() if file.suffix == ".json"}
    assert run(["verify", str(folder), str(plans / "availability-0.9999.json")]) == 0
    assert page.read_text().startswith("<!doctype html>")
    capsys.readouterr()
    assert run([*base[:4], "--points", "1"]) == 2
    assert capsys.readouterr().err == "--points: 1: from 2 to 100 are allowed\n"


def test_a_browser_draws_both_curves_without_errors(found: Pareto, tmp_path: Path) -> None:
    """Two canvases, no error in the console, names as text, the same bytes again, and nothing from outside."""
    named = replace(found, name=EVIL)
    write_curve(tmp_path / "curve.html", named)
    page = (tmp_path / "curve.html").read_text()
    assert page == render_curve(named)
    assert EVIL not in page
    bare = re.sub(r"(<(script|style)[^>]*>).*?</\2>", r"\1", page, flags=re.DOTALL)
    assert not re.search(r"<(?:link|img|iframe|script)[^>]*\s(?:src|href)=", bare)
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed: the page is not drawn")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
         "--virtual-time-budget=3000", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
         (tmp_path / "curve.html").as_uri()], capture_output=True, text=True, timeout=240, check=False)
    assert re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL).count("_echarts_instance_=") == 2
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_what_remains_of_the_whole_plan_keeps_to_a_budget(folder: Path, found: Pareto) -> None:
    """The dearest for their weight go first: a (28 USD for 1), then b (10 for 1), then c or serve; the rest holds."""
    base = Job.on(prepare(folder, ASKED), ASKED)
    full = found.plans[found.of("floor")[-1].plan_id]
    for budget, attained in ((61.9, 0.9), (33.9, 0.7), (62.0, 1.0)):
        plain = shrink(base.asking(Objective(mode="max_sla", budget_usd=budget)), full)
        assert plain is not None
        assert plain.plan.cost_usd <= budget
        assert plain.plan.sla_attainment == pytest.approx(attained)
        assert verify_plan(folder, plain.plan).violations == ()
    assert shrink(base.asking(Objective(mode="max_sla", budget_usd=3.9)), full) is None
