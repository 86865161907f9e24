"""`planner jobs stuck`, `planner health` and `planner export rules`."""

import json
from pathlib import Path

import pytest
import yaml

from planner.cli import run

JOBS = """job,workload,cluster,submitted,started,finished,reason
etl-1,etl,c1,2026-11-01T00:00:00Z,2026-11-01T00:05:00Z,2026-11-01T01:00:00Z,
train-1,train,c1,2026-11-01T20:00:00Z,,,0/5 nodes are available: 5 Insufficient nvidia.com/gpu.
"""
SCENARIO = """
name: t
horizon: {start: 2026-11-02T00:00:00Z, slots: 1, slot_minutes: 60}
objective: {mode: min_cost}
clusters: [{name: c1, provider: aws, region: eu-west-1,
            pools: [{name: p, machine: m6i.xlarge, max: 9, offers: [{purchase: on_demand}]}]}]
workloads: [{name: web, kind: serving, request: {vcpu: 1, memory_gib: 2}, replicas: [1],
             slo: {latency_ms: 200, availability: 0.999}, runbook: {contact: "#web", steps: [roll back, call]}}]
"""


def test_stuck_jobs_are_shown_with_cause_and_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 1 and the cause when a job is stuck, 0 an hour after it was sent."""
    (tmp_path / "jobs.csv").write_text(JOBS)
    command = ["jobs", "stuck", str(tmp_path / "jobs.csv"), "--at"]
    assert run([*command, "2026-11-02T00:00:00Z", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["job"], found["hours"], found["hints"][0]["cause"]) == ("train-1", 4.0, "capacity")
    assert run([*command, "2026-11-01T21:00:00Z"]) == 0
    assert run([*command, "2026-11-02T00:00:00Z", "--pending-hours", "5"]) == 0
    capsys.readouterr()
    assert run([*command, "2026-11-02T00:00:00Z"]) == 1
    assert "capacity" in capsys.readouterr().out
    assert run([*command, "now"]) == 2
    assert "--at: 'now': must be ISO-8601" in capsys.readouterr().err
    assert run([*command, "2026-11-02T00:00:00Z", "--pending-hours", "0"]) == 2
    assert "--pending-hours: 0.0: above 0" in capsys.readouterr().err


def test_health_holds_services_to_the_objectives_of_a_scenario(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow for long is told with the runbook's rule; a measure nobody knows is refused."""
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    rows = [f"web,x,{metric},2026-11-02T00:{minute:02d}:00Z,{value}" for minute in range(0, 60, 5)
            for metric, value in (("up_share", 1), ("latency_p95_ms", 300 if minute >= 30 else 100))]
    (tmp_path / "t.csv").write_text("cluster,hardware_class,metric,ts,value\n" + "\n".join(rows) + "\n")
    command = ["health", str(tmp_path / "t.csv")]
    assert run([*command, "--scenario", str(tmp_path), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["rule"], found["since"], found["until"]) == ("ServiceSlow", "2026-11-02T00:40Z", None)
    assert run([*command, "--scenario", str(tmp_path)]) == 1
    assert "1 alert, 1 still firing" in " ".join(capsys.readouterr().out.split())
    assert run(command) == 2
    assert "metric: none that a rule is about" in capsys.readouterr().err


def test_a_service_without_probes_in_the_telemetry_is_named_and_not_called_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No row about its up-time is no outage of it: exit status 0, and a line that says so."""
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    rows = [f"c1,x,cpu_share,2026-11-02T00:{minute:02d}:00Z,0.3" for minute in range(0, 60, 5)]
    (tmp_path / "t.csv").write_text("cluster,hardware_class,metric,ts,value\n" + "\n".join(rows) + "\n")
    command = ["health", str(tmp_path / "t.csv"), "--scenario", str(tmp_path)]
    assert run(command) == 0
    told = capsys.readouterr().out
    assert "0 alerts, 0 still firing" in " ".join(told.split())
    assert "web: latency_p95_ms and up_share: not in the telemetry, so its rules about them say nothing" in told
    assert run([*command, "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == []
    assert "web: latency_p95_ms and up_share: not in the telemetry" in told.err


def test_rules_are_written_for_prometheus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rules of clusters, jobs and services, with runbook and for-durations."""
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    output = tmp_path / "rules.yml"
    assert run(["export", "rules", "-o", str(output), "--scenario", str(tmp_path), "--json"]) == 0
    rules = {rule["alert"]: rule for rule in yaml.safe_load(output.read_text())["groups"][0]["rules"]}
    assert {"ClusterOverloaded", "JobPendingForHours", "JobRunningForDays", "ServiceDown", "ServiceSlow"} <= set(rules)
    assert rules["ServiceSlow"]["annotations"]["runbook"] == "#web: 1. roll back; 2. call"
    assert rules["ServiceSlow"]["for"] == "10m"
    assert rules["ServiceSlow"]["expr"].endswith("> 200.0")
