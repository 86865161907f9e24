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

from api.database.tenancy import DEFAULT
from api.hosting.answering import Answering
from api.hosting.figures import Figures
from api.observability.requests import Metrics
from api.security.keys import Keys
from api.settings import Settings
from diagnostics.health.prometheus import expression
from planner.cli import run
from planner.hosting import Hosted
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
    "HostDown": [("up", "0x60")],
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
        ("planner_host_lag_rows", "3x60"), ("planner_host_model_store_up", "1x60"), ("up", "1x60"))]  # fmt: skip
    calm.append({"series": 'planner_host_info{cluster="edge", instance="h"}', "values": "1x60"})
    well = [{"eval_time": "50m", "alertname": name, "exp_alerts": []} for name in SERIES]
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["bare.yml"], "tests": [
        {"interval": "1m", "input_series": calm, "alert_rule_test": well}]}))  # fmt: skip
    assert "SUCCESS" in checked(tmp_path, "test", "rules", "test.yml")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_real_prometheus_scrapes_real_hosts(
    start_thread: Callable[[str], Any], in_force: Callable[[Hosted], str], made_up: Callable[..., Hosted], fleet: Any,
    send: Callable[..., Any], eventually: Callable[..., Any], settings: Settings, tmp_path: Path,
) -> None:  # fmt: skip
    """Two hosts score rows: Prometheus has how many, by the name of their cluster; of the one that ends, and of no
    other, it knows that it is down. It has a key, as there are some.
    """
    prometheus = tool("prometheus")
    in_force(made_up())
    hosts = {name: start_thread(name).host for name in ("a", "c")}
    keys = Keys(settings.store, "test")
    key = keys.create("prometheus", ["sre"], DEFAULT, None)[1]
    keys.close()
    answering = {name: Answering(host.figures, settings, ADDRESS, 0) for name, host in hosts.items()}
    for one in answering.values():
        one.start()
    rows = fleet(1)
    send({name: rows[name] for name in ("a", "c")})
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = free.getsockname()[1]
    targets = [one.address.removeprefix("http://") for one in answering.values()]
    jobs = [{"job_name": "hosts", "authorization": {"credentials": key}, "static_configs": [{"targets": targets}]}]
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    process = subprocess.Popen(
        [prometheus, "--config.file", str(tmp_path / "prometheus.yml"), "--storage.tsdb.path", str(tmp_path / "tsdb"),
         "--web.listen-address", f"{ADDRESS}:{port}"], stderr=subprocess.DEVNULL)  # fmt: skip

    def asked(query: str) -> dict[str, float]:
        """Values by cluster."""
        try:
            found = httpx.get(f"http://{ADDRESS}:{port}/api/v1/query", params={"query": query}).raise_for_status()
        except httpx.HTTPError:  # it is not there, or not ready, yet
            return {}
        answer = found.json()
        return {one["metric"]["cluster"]: float(one["value"][1]) for one in answer["data"]["result"]}

    try:
        scored = "sum by (instance) (planner_host_rows_total) * on (instance) group_left (cluster) planner_host_info"
        eventually(lambda: asked(scored) == {"a": len(rows["a"]), "c": len(rows["c"])})
        down = expression(next(rule for rule in HOST_RULES if rule.name == "HostDown"))
        assert asked(down) == {}
        hosts["a"].stop()
        answering.pop("a").stop()
        eventually(lambda: asked(down) == {"a": 1.0})
    finally:
        process.terminate()
        process.wait(30)
        for one in answering.values():
            one.stop()


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


def test_figures_name_the_versions_that_are_in_memory() -> None:
    """Those that are not any more are not named, and at no moment is none."""
    figures = Figures("edge")
    for versions in ({"flash": "v1", "disk": "v2"}, {"flash": "v3", "disk": "v2"}, {"disk": "v2"}):
        figures.loaded(versions)
        told = re.findall(r'model_info\{hardware_class="(\w+)",version="(\w+)"\} 1', figures.text().decode())
        assert dict(told) == versions
