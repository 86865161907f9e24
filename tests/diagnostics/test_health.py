"""Health rules: our evaluation, and the same rules through the real promtool."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.health import (
    CLUSTER_RULES,
    JOB_RULES,
    HealthRule,
    evaluate,
    firing,
    prometheus_rules,
    service_rules,
    unmeasured,
)
from diagnostics.telemetry import Series, Telemetry

START = np.datetime64("2026-11-02T00:00", "m")
RULES = (*CLUSTER_RULES, *JOB_RULES, *service_rules("web", 0.999, 250.0, "#web-oncall: 1. roll back"))


def rule(**changes: object) -> HealthRule:
    base = {"name": "R", "measure": "m", "promql": "m", "side": "above", "threshold": 0.5, "for_minutes": 15,
            "severity": "ticket", "summary": "s"}
    return HealthRule(**(base | changes))


def by_hand(one: HealthRule, values: list[float], step: int) -> list[bool]:
    """The states of Prometheus, step by step."""
    found, since = [], None
    for number, value in enumerate(values):
        if one.side == "absent":
            met = np.isnan(value)
        else:
            met = value > one.threshold if one.side == "above" else value < one.threshold
        since = (number if since is None else since) if met else None
        found.append(since is not None and (number - since) * step >= one.for_minutes)
    return found


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.1, 0.5, 0.9, np.nan]), min_size=1, max_size=40), st.sampled_from([0, 1, 10, 15, 60]),
       st.sampled_from(["above", "below", "absent"]), st.sampled_from([1, 5, 10]))
def test_a_rule_fires_as_prometheus_says(values: list[float], minutes: int, side: str, step: int) -> None:
    """Pending from the first step that meets it, firing after so long without a break."""
    one = rule(side=side, for_minutes=minutes)
    assert firing(one, np.array(values), step).tolist() == by_hand(one, values, step)


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.1, 0.9, np.nan]), min_size=1, max_size=40), st.integers(0, 39))
def test_rules_do_not_read_the_future(values: list[float], cut: int) -> None:
    """Cutting off what comes later changes nothing before it."""
    one = rule(for_minutes=10, window_minutes=20)
    whole = firing(one, np.array(values), 5)
    assert firing(one, np.array(values[:cut]), 5).tolist() == whole[:cut].tolist()


def test_a_window_averages_what_is_known() -> None:
    """The mean of the last steps that have a value is compared."""
    one = rule(for_minutes=0, window_minutes=15)
    fires = firing(one, np.array([0.0, 1.0, 1.0, np.nan, np.nan, np.nan]), 5)
    assert fires.tolist() == [False, False, True, True, True, False]


def telemetry(rows: dict[tuple[str, str], list[float]], step: int = 5) -> Telemetry:
    keys = sorted(rows)
    return Telemetry(tuple(Series(name, "x", metric) for name, metric in keys), np.array([rows[key] for key in keys]),
                     START, step)


def test_an_outage_is_told_with_since_and_until() -> None:
    """A service that was down for half an hour, and a cluster that is overloaded still."""
    up = [1.0] * 6 + [0.0] * 6 + [1.0] * 12
    busy = [0.5] * 12 + [0.95] * 12
    found = evaluate(telemetry({("web", "up_share"): up, ("c1", "cpu_share"): busy}), RULES)
    by_rule = {one.rule: one for one in found}
    assert set(by_rule) == {"ClusterOverloaded", "ServiceDown", "ServiceUptimeBurning"}
    down = by_rule["ServiceDown"]
    assert (down.since, down.until, down.worst) == ("2026-11-02T00:35Z", "2026-11-02T01:00Z", 0.0)
    assert down.severity == "page"
    busy_one = by_rule["ClusterOverloaded"]
    assert (busy_one.since, busy_one.until, busy_one.severity) == ("2026-11-02T01:15Z", None, "ticket")
    assert "c1: ClusterOverloaded: processors are busy" in busy_one.sentence


def test_a_short_peak_of_latency_wakes_nobody() -> None:
    """Five minutes over the objective are no alert, a quarter of an hour is."""
    slow = [100.0] * 4 + [400.0] + [100.0] * 4 + [400.0] * 4
    found = evaluate(telemetry({("web", "latency_p95_ms"): slow, ("web", "up_share"): [1.0] * 13}), RULES)
    assert [(one.rule, one.since) for one in found] == [("ServiceSlow", "2026-11-02T00:55Z")]


def test_one_device_is_not_the_cluster() -> None:
    """Rules are of all devices together: what one of them measures fires none."""
    one = rule(measure="cpu_share")
    found = telemetry({("a", "cpu_share"): [9.0] * 20})
    assert evaluate(found, [one])
    assert not evaluate(replace(found, series=(found.series[0]._replace(device="tv"),)), [one])


def test_silence_is_an_alert_too() -> None:
    """A service whose measure stops is not taken for healthy."""
    found = evaluate(telemetry({("web", "up_share"): [1.0] * 4 + [np.nan] * 8}), RULES)
    assert [(one.rule, one.until, one.worst) for one in found] == [("ServiceSilent", None, None)]


def test_who_never_sent_a_measure_is_named_and_wakes_nobody() -> None:
    """Telemetry without probes says nothing about up-time: that is told, and is no outage."""
    some = telemetry({("c1", "cpu_share"): [0.1] * 12, ("web", "latency_p95_ms"): [20.0] * 12})
    assert evaluate(some, RULES) == ()
    assert unmeasured(some, RULES) == (("web", "up_share"),)


def test_objectives_make_rules_only_where_they_can_be_missed() -> None:
    """No latency objective, no rule for it; an up-time of 0.9 cannot burn 14 times as fast."""
    assert [one.name for one in service_rules("w", None, None)] == ["ServiceDown", "ServiceSilent"]
    assert "ServiceUptimeBurning" not in [one.name for one in service_rules("w", 0.9, 100)]
    with pytest.raises(ValueError, match="name: 'a b'"):
        rule(name="a b")


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found:
        return found
    message = "promtool (Debian package prometheus) is not here: rules are not checked by it"
    if os.environ.get("PLANNER_REQUIRE_DATA") == "1":
        pytest.fail(message + " (PLANNER_REQUIRE_DATA=1 asks for it)")
    pytest.skip(message)


def run(promtool: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run([promtool, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_accepts_every_rule(promtool: str, tmp_path: Path) -> None:
    """All rules are valid, with names that try to break out of their quotes too."""
    rules = (*RULES, *service_rules('we"b\\', 0.99, 10))
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(prometheus_rules(rules)))
    assert f"{len(rules)} rules found" in run(promtool, tmp_path, "check", "rules", "rules.yml")


def expected(name: str, minute: int, fires: bool, labels: dict[str, str], notes: dict[str, str]) -> dict[str, object]:
    alerts = [{"exp_labels": labels, "exp_annotations": notes}] if fires else []
    return {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": alerts}


@pytest.mark.parametrize("seed", range(3))
def test_promtool_fires_when_we_do(promtool: str, tmp_path: Path, seed: int) -> None:
    """Random measures with holes through our evaluation and through Prometheus: the same alerts at every step."""
    generator, step, steps = np.random.default_rng(seed), 10, 60
    # Rules whose measure a single gauge gives; steps of ten minutes, since Prometheus looks back for five.
    tested = [rule(name="High", for_minutes=30), rule(name="Low", side="below", for_minutes=20),
              rule(name="Now", for_minutes=0), rule(name="Gone", side="absent", for_minutes=20)]
    values = np.repeat(generator.choice([0.25, 0.5, 0.75, np.nan], steps // 2, p=[0.3, 0.1, 0.45, 0.15]), 2)
    text = " ".join("_" if np.isnan(value) else f"{value:g}" for value in values)
    checks = []
    for one in tested:
        fires = firing(one, values, step)
        for number in range(steps):
            notes = {"summary": "s" if one.side == "absent" else "c: s"}
            labels = {"severity": "ticket"} | ({} if one.side == "absent" else {"cluster": "c"})
            if one.side == "absent":
                notes["summary"] = ": s"
            else:
                notes["description"] = f"m is {values[number]:g}, {one.side} 0.5"
            checks.append(expected(one.name, number * step, bool(fires[number]), labels, notes))
    assert any(check["exp_alerts"] for check in checks)
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(prometheus_rules(tested)))
    (tmp_path / "test.yml").write_text(json.dumps({
        "rule_files": ["rules.yml"], "evaluation_interval": f"{step}m",
        "tests": [{"interval": f"{step}m", "input_series": [{"series": 'm{cluster="c"}', "values": text}],
                   "alert_rule_test": checks}]}))
    assert "SUCCESS" in run(promtool, tmp_path, "test", "rules", "test.yml")


def test_promtool_runs_the_rules_on_what_exporters_send(promtool: str, tmp_path: Path) -> None:
    """Busy processors, failing probes, slow requests, pending pods, long jobs: each rule fires in Prometheus."""
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(prometheus_rules(RULES)))
    series = {
        'node_cpu_seconds_total{cluster="c", mode="idle", cpu="0"}': "0+3x240",
        'node_memory_MemAvailable_bytes{cluster="c"}': "5x240", 'node_memory_MemTotal_bytes{cluster="c"}': "100x240",
        'kube_pod_status_unschedulable{cluster="c", pod="p"}': "1x240",
        'kube_pod_status_phase{cluster="c", namespace="n", pod="p", phase="Pending"}': "1x240",
        'kube_job_status_start_time{cluster="c", namespace="n", job_name="j"}': "-180000x240",
        'kube_job_status_active{cluster="c", namespace="n", job_name="j"}': "1x240",
        'probe_success{service="web", instance="a"}': "0x240",
        'http_request_duration_seconds_bucket{service="web", le="0.2"}': "0+1x240",
        'http_request_duration_seconds_bucket{service="web", le="0.4"}': "0+100x240",
        'http_request_duration_seconds_bucket{service="web", le="+Inf"}': "0+100x240",
    }  # fmt: skip
    fires_by = {"ClusterOverloaded": 30, "ClusterMemoryFull": 30, "ClusterFull": 40, "JobPendingForHours": 130,
                "JobRunningForDays": 10, "ServiceDown": 5, "ServiceUptimeBurning": 10, "ServiceSlow": 20}
    checks = [{"expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}})', "eval_time": f"{minute}m",
               "exp_samples": [{"labels": "{}", "value": 1}]} for name, minute in fires_by.items()]
    checks += [{"expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}})', "eval_time": "1m",
                "exp_samples": []} for name in fires_by if name != "JobRunningForDays"]
    (tmp_path / "test.yml").write_text(json.dumps({
        "rule_files": ["rules.yml"], "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": [{"series": name, "values": values}
                                                      for name, values in series.items()],
                   "promql_expr_test": checks}]}))
    assert "SUCCESS" in run(promtool, tmp_path, "test", "rules", "test.yml")
