"""Rules and dashboards for hosts: what Prometheus itself says of them, and of a host that it scrapes."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from api.hosting.figures import Answering, Figures
from api.observability.requests import Metrics
from planner.cli import run
from planner.hosting.dashboards import DASHBOARDS, dashboard
from planner.hosting.rules import HOST_RULES

ADDRESS = "127.0.0.1"
HOST = 'instance="h"'


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        message = f"{name} (Debian package prometheus) is not here"
        if os.environ.get("PLANNER_REQUIRE_DATA") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found


def checked(folder: Path, *arguments: str) -> str:
    done = subprocess.run([tool("promtool"), *arguments], cwd=folder, capture_output=True, text=True, timeout=120,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


SERIES: dict[str, list[tuple[str, str]]] = {
    "HostStuck": [("planner_host_last_round_timestamp_seconds", "0x60")],
    "HostBehind": [("planner_host_lag_rows", "5000x60")],
    "VerdictsSlow": [('planner_host_verdict_seconds_bucket{le="2.0"}', "0x60"),
                     ('planner_host_verdict_seconds_bucket{le="5.0"}', "0+60x60"),
                     ('planner_host_verdict_seconds_bucket{le="+Inf"}', "0+60x60")],
    "HostErrors": [('planner_host_errors_total{what="database"}', "0+60x60")],
    "ModelStoreAway": [("planner_host_model_store_up", "0x60")],
    "AlarmFlood": [('planner_host_rows_total{status="alarm"}', "0+60x60"),
                   ('planner_host_rows_total{status="ok"}', "0+60x60")],
    "DataDrifted": [('planner_host_drift_checks_total{drifted="true"}', "0x30 1x30")],
}  # fmt: skip
"""What a host sends when a rule is to fire, minute by minute."""


def test_every_rule_is_valid_and_fires_on_what_hosts_send(tmp_path: Path) -> None:
    """Promtool accepts the exported file, and each rule fires for the host's cluster; none does when all is well."""
    assert run(["export", "rules", "-o", str(tmp_path / "rules.yml")]) == 0
    checked(tmp_path, "check", "rules", "rules.yml")
    assert {rule.name for rule in HOST_RULES} == SERIES.keys()
    cases = []
    for name, series in SERIES.items():
        given = [{"series": 'planner_host_info{cluster="edge", instance="h"}', "values": "1x60"}]
        for one, values in series:
            labels = f"{one[:-1]}, {HOST}}}" if "{" in one else f"{one}{{{HOST}}}"
            given.append({"series": labels, "values": values})
        rule = next(rule for rule in HOST_RULES if rule.name == name)
        shown = [{"exp_labels": {"cluster": "edge", "instance": "h", "severity": rule.severity}}]
        cases.append({"interval": "1m", "input_series": given, "promql_expr_test": [],
                      "alert_rule_test": [{"eval_time": "50m", "alertname": name, "exp_alerts": shown}]})  # fmt: skip
    rules = yaml.safe_load((tmp_path / "rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    (tmp_path / "bare.yml").write_text(yaml.safe_dump(rules))
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["bare.yml"], "tests": cases}))
    assert "SUCCESS" in checked(tmp_path, "test", "rules", "test.yml")
    calm = [{"series": f"{metric}{{{HOST}}}", "values": values} for metric, values in (
        ("planner_host_lag_rows", "3x60"), ("planner_host_model_store_up", "1x60"))]  # fmt: skip
    calm.append({"series": 'planner_host_info{cluster="edge", instance="h"}', "values": "1x60"})
    well = [{"eval_time": "50m", "alertname": name, "exp_alerts": []} for name in SERIES]
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["bare.yml"], "tests": [
        {"interval": "1m", "input_series": calm, "alert_rule_test": well}]}))  # fmt: skip
    assert "SUCCESS" in checked(tmp_path, "test", "rules", "test.yml")


def test_a_real_prometheus_scrapes_a_host(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    """Prometheus reads a host's figures, and its queries answer with the name of the cluster."""
    prometheus = tool("prometheus")
    figures = Figures("edge")
    answering = Answering(figures, ADDRESS, 0)
    answering.start()
    figures.lag.set(7)
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = free.getsockname()[1]
    (tmp_path / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s"},
                "scrape_configs": [
                    {"job_name": "hosts", "static_configs": [{"targets": [f"{ADDRESS}:{answering.port}"]}]}
                ],
            }
        )
    )
    process = subprocess.Popen(
        [prometheus, "--config.file", str(tmp_path / "prometheus.yml"), "--storage.tsdb.path", str(tmp_path / "tsdb"),
         "--web.listen-address", f"{ADDRESS}:{port}"], stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        query = next(rule.promql for rule in HOST_RULES if rule.name == "HostBehind")

        def found() -> Any:
            try:
                return httpx.get(f"http://{ADDRESS}:{port}/api/v1/query", params={"query": query}).json()["data"][
                    "result"
                ]
            except httpx.TransportError:
                return None

        result = eventually(found)
        assert result[0]["metric"]["cluster"] == "edge"
        assert result[0]["value"][1] == "7"
    finally:
        process.terminate()
        process.wait(30)
        answering.stop()


def test_dashboards_ask_for_figures_that_there_are(tmp_path: Path) -> None:
    """Every panel asks for figures that the service or a host has; the files are the same each time; promtool reads
    every query.
    """
    assert run(["export", "dashboards", "-o", str(tmp_path / "one")]) == 0
    assert run(["export", "dashboards", "-o", str(tmp_path / "two")]) == 0
    there = Figures("edge").text().decode() + Metrics().text().decode()
    there += " planner_jobs planner_oldest_queued_seconds planner_last_plan_seconds planner_last_plan_gap"
    queries = []
    for name in DASHBOARDS:
        content = (tmp_path / "one" / f"{name}.json").read_bytes()
        assert content == (tmp_path / "two" / f"{name}.json").read_bytes()
        assert json.loads(content) == dashboard(name)
        assert json.loads(content)["uid"] == f"planner-{name}"
        for panel in json.loads(content)["panels"]:
            queries.append(panel["targets"][0]["expr"])
            for metric in re.findall(r"planner_\w+", queries[-1]):
                assert re.sub(r"_bucket$|_total$", "", metric) in there, metric
    rules = {"groups": [{"name": "g", "rules": [{"record": f"r{at}", "expr": one} for at, one in enumerate(queries)]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    assert f"{len(queries)} rules found" in checked(tmp_path, "check", "rules", "rules.yml")


def test_a_host_that_ends_no_round_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """`/healthz` answers 503 then, and other addresses 404."""
    figures = Figures("edge")
    answering = Answering(figures, ADDRESS, 0)
    answering.start()
    try:
        address = f"http://{ADDRESS}:{answering.port}"
        assert httpx.get(f"{address}/healthz").status_code == 200
        monkeypatch.setattr("api.hosting.figures.STUCK_S", -1.0)
        assert httpx.get(f"{address}/healthz").status_code == 503
        assert httpx.get(f"{address}/other").status_code == 404
    finally:
        answering.stop()
