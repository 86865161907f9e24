"""The placement benchmark: what is measured, what counts as a plan, and the form of its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from benchmarks.harness import Run, resumed
from benchmarks.measure import Usage, run_measured
from benchmarks.placement import METHODS, rows_of, size_of

USAGE = Usage(0, 10.0, 12.0, 300.0)
PLANNER = Run("a", "planner", {"holds": True, "mode": "min_cost", "status": "feasible", "bound": 90.0,
                               "cost_usd": 100.0, "attainment": 1.0, "gap": 0.1}, USAGE)
PEER = Run("a", "highs", {"holds": False, "mode": "min_cost", "bound": 95.0, "why": "late"}, USAGE)


def test_a_peer_without_a_plan_has_a_bound_and_no_cost() -> None:
    """A method that found nothing is shown with packed 0; its bound still counts for everyone's distance."""
    rows = {(row.method, row.metric): row.value for row in rows_of([PLANNER, PEER]) if row.instance == "a"}
    assert rows["highs", "packed"] == 0
    assert ("highs", "cost_usd") not in rows
    assert rows["highs", "bound_usd"] == 95
    assert rows["planner", "gap"] == 0.1
    assert rows["planner", "gap_to_best_bound"] == 0.05


def test_a_mean_over_instances_needs_every_instance() -> None:
    """A method that failed on one instance has no mean gap, so that failing does not flatter."""
    failed = replace(PLANNER, instance="b", figures={"holds": False, "why": "ended"})
    means = {row.metric: row.value for row in rows_of([PLANNER, failed]) if row.instance == "all"}
    assert means == {"packed": 0.5}


def test_processes_are_measured_together_and_ended_at_the_limit() -> None:
    """Memory of a child counts, and a command that goes on beyond its limit is killed with all it started."""
    child = "import time; x = bytearray(150 << 20); time.sleep({})"
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"
    usage = run_measured([sys.executable, "-c", parent.format(child.format(0.5))], 20)
    assert usage.exit_status == 0
    assert 150 < usage.peak_mib < 400
    assert run_measured([sys.executable, "-c", parent.format(child.format(60))], 1).seconds < 40


def test_pages_that_processes_share_count_once() -> None:
    """A child that reads what its parent holds adds next to nothing to their peak."""
    forked = "import os, time; x = bytearray(b'1') * (150 << 20); pid = os.fork(); time.sleep(0.6); pid and os.wait()"
    assert 150 < run_measured([sys.executable, "-c", forked], 20).peak_mib < 200


def test_the_command_writes_one_row_a_figure(tmp_path: Path) -> None:
    """On a scenario small enough to see through, the figures are in the documented form and agree with the sums."""
    scenario = {
        "name": "two-boxes", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 2, "slot_minutes": 60},
        "objective": {"mode": "min_cost", "sla_floor": 1.0},
        "clusters": [{"name": "a", "provider": "onprem", "region": "hall", "country": "DE", "pools": [
            {"name": "p", "machine": {"name": "box", "vcpu": 4, "memory_gib": 8}, "max": 3,
             "offers": [{"purchase": "on_demand", "price_usd_per_hour": 2.0}]}]}],
        "workloads": [{"name": "w", "kind": "etl", "request": {"vcpu": 3, "memory_gib": 1}, "replicas": [1, 2]}]}
    (tmp_path / "data" / "two-boxes").mkdir(parents=True)
    (tmp_path / "data" / "two-boxes" / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "benchmarks.placement", "--data", str(tmp_path / "data"), "--seconds", "120",
               "--methods", "first-fit", "--json", str(out)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]).stdout
    assert "first-fit" in shown
    told = json.loads(out.read_text())
    assert told["benchmark"] == "placement"
    assert told["machine"]["python"]
    rows = {row["metric"]: row for row in told["rows"] if row["instance"] == "two-boxes"}
    assert rows["cost_usd"]["value"] == 6.0  # one box, then two, at 2 USD
    assert rows["cost_usd"].keys() == {"instance", "method", "metric", "value", "unit", "seconds", "cpu_seconds",
                                       "peak_mib"}
    assert rows["packed"]["value"] == 1
    assert "gap" not in rows  # first fit proves nothing
    again = [word.replace("first-fit", "first-fit,per-task") for word in command] + ["--resume"]
    subprocess.run(again, check=True, capture_output=True, cwd=Path(__file__).parents[2])
    runs = json.loads(out.read_text())["runs"]
    assert [run["method"] for run in runs] == ["first-fit", "per-task"]
    assert runs[0] == told["runs"][0]  # kept, not run again
    assert runs[1]["figures"]["holds"]


def test_figures_of_another_benchmark_are_not_resumed(tmp_path: Path) -> None:
    """A file without runs of this benchmark is left alone, with one line that says so."""
    out = tmp_path / "other.json"
    out.write_text('{"benchmark": "packing", "rows": []}')
    with pytest.raises(SystemExit, match=r"other\.json: holds no runs of placement"):
        resumed("placement", out, {})


@pytest.mark.parametrize(("many", "size"), [(300, "S"), (301, "M")])
def test_the_size_of_a_scenario_is_its_workloads(tmp_path: Path, many: int, size: str) -> None:
    """Workloads are counted in the scenario, or in its table without reading it whole."""
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump({"workloads": [{"name": f"w{i}"} for i in range(many)]}))
    assert size_of(tmp_path) == size
    pq.write_table(pa.table({"name": [f"w{i}" for i in range(many)]}), tmp_path / "w.parquet")
    (tmp_path / "scenario.yaml").write_text("workloads: w.parquet")
    assert size_of(tmp_path) == size


def test_our_method_is_called_planner() -> None:
    """The first method is our own, the others are peers."""
    assert METHODS[0] == "planner"
