"""The HTML report: one file, nothing from outside, everything escaped."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from planner.plan import Assignment, Costs, Group, MachineRow, Plan, PlanHorizon, Provenance, Reason, Unplaced
from planner.report.figures import Figures
from planner.report.page import render, write_report

SLOTS = 24
EVIL = "<script>document.title='owned'</script>"


def make_plan(**changes: object) -> Plan:
    """A small plan whose names try to break out of the page."""
    base: dict[str, object] = {
        "name": "medical & <b>more</b>", "status": "optimal", "mode": "min_cost", "cost_usd": 1234.5,
        "costs": Costs(machines=1200.0, egress=34.5), "sla_attainment": 1.0, "bound": 1234.5, "gap": 0.0,
        "bound_method": "enumeration", "plan_id": "abc",
        "horizon": PlanHorizon(start="2026-11-02T00:00:00Z", slots=SLOTS, slot_minutes=60),
        "assignments": (Assignment(workload=EVIL, cluster="aws-saopaulo", pool="m6i"),
                        Assignment(workload="serve", user_region="azure/westeurope", cluster="azure-we", pool="d16")),
        "machines": (MachineRow(cluster="aws-saopaulo", pool="m6i", purchase="on_demand", count=(2,) * SLOTS),
                     MachineRow(cluster="azure-we", pool="d16", purchase="spot", count=tuple(range(SLOTS)))),
        "groups": (Group(cluster="azure-we", pool="d16", workloads=("serve", EVIL), sum_of_peaks=9, peak_of_sum=5,
                         saved_usd=77.0),),
        "reasons": (Reason(workload=EVIL, why="</script><img src=x onerror=alert(1)>"),),
        "provenance": Provenance(catalog_as_of="2026-11-01", version="0.1.0", solver="planner",
                                 versions={"numpy": "2"}),
    }
    return Plan.model_validate(base | changes)


def make_figures() -> Figures:
    """Use and costs of two clusters; the first stands still at night."""
    use = np.full((2, SLOTS), 0.5)
    use[0, :6] = np.nan
    usd = {"machines": np.array([700.0, 500.0]), "egress": np.array([30.0, 4.5]), "moves": np.zeros(2)}
    return Figures(("aws-saopaulo", "azure-we"), use, usd, {EVIL: 900.0, "serve": 334.5})


def markup(page: str) -> str:
    """The page without what its scripts and styles hold."""
    return re.sub(r"(<(script|style)[^>]*>).*?</\2>", r"\1", page, flags=re.DOTALL)


def test_names_cannot_become_code() -> None:
    """A workload called <script> is shown as text, in the tables and in the data of the charts."""
    page = render(make_plan(), make_figures())
    assert EVIL not in page
    assert "&lt;script&gt;document.title" in page
    assert "<img" not in markup(page)


def test_the_page_asks_nobody_for_anything() -> None:
    """No element loads from elsewhere, and the content policy forbids it."""
    page = render(make_plan(), make_figures())
    assert not re.search(r"<(?:link|img|iframe|script)[^>]*\s(?:src|href)=", markup(page))
    assert "default-src 'none'" in page
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/=]{44}'", html.unescape(page))) == 2


def test_the_data_of_the_charts_is_whole() -> None:
    """Machine counts and use come through unchanged; slots where nothing runs are left empty."""
    page = render(make_plan(), make_figures())
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    data = json.loads(found[1])
    assert data["machines"][1]["count"] == list(range(SLOTS))
    assert (data["heat"]["rows"][0][0], data["heat"]["rows"][0][6]) == (None, 50)
    assert data["cost"]["parts"]["machines"] == [700.0, 500.0]
    assert data["slots"][0] == "Mon 02 Nov 00:00"


def test_the_same_plan_gives_the_same_bytes_and_stays_small(tmp_path: Path) -> None:
    """A page is reproducible, under 2 MB, and written whole."""
    write_report(tmp_path / "a.html", make_plan(), make_figures())
    write_report(tmp_path / "b.html", make_plan(), make_figures())
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert (tmp_path / "a.html").stat().st_size < 2_000_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_a_plan_that_is_not_there_says_why() -> None:
    """An infeasible plan shows what is not placed, what conflicts and what would help, and no empty charts."""
    plan = make_plan(status="infeasible", assignments=(), machines=(), groups=(), reasons=(), cost_usd=0.0,
                     unplaced=(Unplaced(workload="big", reasons=("a replica fits no machine",)),),
                     conflict=("big needs 900 GiB",), relaxations=({"what": "a larger machine", "cost_usd": 3.0},))
    page = render(plan, Figures((), np.zeros((0, SLOTS)), {}, {}))
    assert all(words in page for words in ("a replica fits no machine", "big needs 900 GiB", "a larger machine"))
    assert 'id="machines"' not in page


def test_what_a_person_asks_of_a_plan_has_a_section() -> None:
    """Losses, commitments, limits, chances, owners and moves are on the page where a plan has any, else not."""
    titles = ("When something is lost", "Commitments", "What limits this plan", "Chance of a miss", "Cost by owner",
              "Moves, in order")
    assert not [title for title in titles if title in render(make_plan(), make_figures())]
    lost = [{"lost": "aws-saopaulo", "workload": f"etl-{i}", "copy": 0, "cluster": "azure-we", "pool": "d16"}
            for i in range(3)]
    move = {"workload": "serve", "copy": 0, "from": None, "to": {"cluster": "azure-we", "pool": "d16"}}
    plan = make_plan(
        fallbacks=lost, commitments=({"name": "savings", "owned": 40.0, "bought": 2.5, "used_share": 0.5},),
        scarce=({"what": "pool azure-we/d16: max 24", "price_usd": 12.0},),
        misses=({"workload": EVIL, "chance": 0.0123},), costs_by_owner={"claims": 900.0, "": 1.0},
        waves=({"wave": 1, "moves": [move], "stops": True},))
    page = render(plan, make_figures())
    assert not [title for title in titles if title not in page]
    assert "azure-we / d16 ×3" in page
    assert all(words in page for words in ("etl-2", "2.5", "50 %", "max 24", "1.23 %", "nobody named", "not running"))
    assert EVIL not in page


def test_a_browser_draws_the_charts_without_errors(tmp_path: Path) -> None:
    """Headless Chromium draws three canvases, logs no error and runs no injected code."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed: the page is not drawn")
    page = tmp_path / "plan.html"
    write_report(page, make_plan(), make_figures())
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
         "--virtual-time-budget=3000", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=240, check=False)
    assert markup(done.stdout).count("_echarts_instance_=") == 3
    assert "<title>medical &amp; &lt;b&gt;more&lt;/b&gt;: plan</title>" in done.stdout
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
