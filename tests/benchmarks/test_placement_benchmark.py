"""The placement benchmark: what is measured, what counts as a plan, and the form of its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import yaml

from benchmarks.measure import Usage, run_measured
from benchmarks.placement import METHODS, Run, rows_of

USAGE = Usage(0, 10.0, 12.0, 300.0)
PLANNER = Run("a", "planner", {"packed": True, "mode": "min_cost", "status": "feasible", "bound": 90.0,
                               "cost_usd": 100.0, "attainment": 1.0, "gap": 0.1}, USAGE)
PEER = Run("a", "highs", {"packed": False, "mode": "min_cost", "bound": 95.0, "why": "late"}, USAGE)


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
    failed = replace(PLANNER, instance="b", figures={"packed": False, "why": "ended"})
    means = {row.metric: row.value for row in rows_of([PLANNER, failed]) if row.instance == "all"}
    assert means == {"packed": 0.5}


def test_processes_are_measured_together_and_ended_at_the_limit() -> None:
    """Memory of a child counts, and a command that goes on beyond its limit is killed with all it started."""
    child = "import time; x = bytearray(150 << 20); time.sleep({})"
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"
    usage = run_measured([sys.executable, "-c", parent.format(child.format(0.5))], 20)
    assert usage.exit_status == 0
    assert 150 < usage.peak_mib < 400
    assert run_measured([sys.executable, "-c", parent.format(child.format(60))], 1).seconds < 5


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
    command = [sys.executable, "-m", "benchmarks.placement", "--data", str(tmp_path / "data"), "--seconds", "10",
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


def test_our_method_is_called_planner() -> None:
    """The first method is our own, the others are peers."""
    assert METHODS[0] == "planner"
