"""The page of a diagnosis: one file, nothing from outside, alarms where they are."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from diagnostics.alarms import Maintenance, Match, Runbook, utc
from diagnostics.alarms.policy import AlarmPolicy, default_policy
from diagnostics.alarms.recorded import super_alarms
from diagnostics.changes import Change
from diagnostics.diagnose import DiagnosisSettings, diagnose_read, reading_of
from diagnostics.synthetic import Site, make_fleet
from diagnostics.telemetry import Series, Telemetry
from planner.cli import run
from planner.report.diagnosis import diagnosis_view, render_diagnosis, view_of
from planner.watch import Findings, Watched

EVIL = "<script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def telemetry() -> Telemetry:
    """Nine weeks of two clusters; one has an evil name and was slow for ten hours of the last two days."""
    sites = [Site("calm", "mixed-disk", "DE", 2), Site("ill", "mixed-disk", "DE", 2)]
    fleet = make_fleet(sites, days=63, seed=4).by_cluster()
    values = fleet.values.copy()
    row = fleet.series.index(Series("ill", "mixed-disk", "read_latency_ms"))
    values[row, -40:-30] *= 5
    names = tuple(series._replace(cluster={"ill": f"x{EVIL}"}.get(series.cluster, series.cluster))
                  for series in fleet.series)
    return replace(fleet, series=names, values=values)


@pytest.fixture(scope="module")
def page(telemetry: Telemetry) -> str:
    return render_diagnosis("t.parquet", watched_of(telemetry))


def watched_of(telemetry: Telemetry, policy: AlarmPolicy | None = None) -> Watched:
    """Everything that is found in telemetry, by the usual settings."""
    settings, policy = DiagnosisSettings(), policy or default_policy()
    reading = reading_of(telemetry, settings)
    found = diagnose_read(telemetry, settings, reading)
    return Watched(telemetry, reading, Findings(found, super_alarms(found, telemetry, policy), ()))


def data_of(page: str) -> dict[str, list[dict[str, object]]]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_alarm_is_marked_where_it_is(page: str, telemetry: Telemetry) -> None:
    """The chart of the slow reads has its span on the ten hours, with the usual values beside."""
    chart = next(one for one in data_of(page)["charts"] if one["metric"] == "read_latency_ms")
    (span,) = chart["spans"]
    times, values, usual = chart["times"], chart["values"], chart["usual"]
    first, last = (times.index(moment) for moment in ("Sat 31 Oct 08:00", "Sat 31 Oct 17:00"))
    assert span == [first, last]
    assert min(values[first:last]) > 2 * max(usual[first:last])
    assert len(times) == len(values) == len(usual) == 14 * 24


def test_the_page_asks_nobody_for_anything_and_names_stay_names(page: str) -> None:
    """No element loads from elsewhere, the content policy forbids it, and a cluster's name cannot become code."""
    markup = re.sub(r"(<(script|style)[^>]*>).*?</\2>", r"\1", page, flags=re.DOTALL)
    assert not re.search(r"<(?:link|img|iframe|script)[^>]*\s(?:src|href)=", markup)
    assert "default-src 'none'" in page
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/=]{44}'", html.unescape(page))) == 2
    assert EVIL not in page


def test_the_same_diagnosis_is_the_same_page(page: str, telemetry: Telemetry) -> None:
    """Byte by byte."""
    assert render_diagnosis("t.parquet", watched_of(telemetry)) == page


def test_the_page_tells_what_belongs_together_and_drift_by_month(telemetry: Telemetry) -> None:
    """Severity, causes with support and lift, remedies, the metrics that moved, a runbook, maintenance; and months."""
    policy = default_policy()
    match = Match((("cluster", "x*"),))
    window = Maintenance(match, utc("2026-10-30T00:00Z"), utc("2026-11-09T00:00Z"), "new switches")
    policy = replace(policy, life=replace(policy.life, maintenance=(window,)),
                     group=replace(policy.group, runbooks=(Runbook(match, "#storage", ("drain it",)),)))
    values = telemetry.values.copy()
    values[telemetry.series.index(Series("calm", "mixed-disk", "cpu_share")), -20 * 24 :] *= 2
    values[[series.cluster == "calm" and series.metric != "cpu_share" for series in telemetry.series], -4:] *= 6
    whole = watched_of(replace(telemetry, values=values), policy)
    shown = render_diagnosis("t", whole)
    for words in ('<span class="badge log">log</span>', "muted: maintenance: new switches", "Runbook: #storage",
                  "drain it", '<span class="badge ticket">ticket</span>', "support 1.00, lift", "cluster=calm",
                  "Which metric", "read_latency_ms of calm", "Drift by month", "update on 2026-10-13", "resolved"):
        assert words in shown, words


def test_the_command_writes_a_page_and_perturbs(
    telemetry: Telemetry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`planner diagnose --report` writes it; `--perturb` shows expected against observed instead."""
    import pandas as pd

    hours = pd.date_range(pd.Timestamp(telemetry.start), periods=telemetry.values.shape[1], freq="h", tz="UTC")
    pd.concat(
        [pd.DataFrame({**series._asdict(), "ts": hours, "value": telemetry.values[row]})
         for row, series in enumerate(telemetry.series)]).to_parquet(tmp_path / "t.parquet")
    source, output = str(tmp_path / "t.parquet"), tmp_path / "page.html"
    assert run(["diagnose", source, "--report", str(output), "--json"]) == 1
    assert "<h2>calm" not in output.read_text()
    capsys.readouterr()
    assert run(["diagnose", source, "--perturb", "slow_disk,missing_data", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["perturbation"]: one["verdict"] for one in found} == dict.fromkeys(["slow_disk", "missing_data"],
                                                                                   "as expected")
    assert run(["diagnose", source, "--perturb", "flood"]) == 2
    assert "perturb: 'flood': one of level" in capsys.readouterr().err
    assert run(["diagnose", source, "--perturb", "all", "--report", str(output)]) == 2


def test_changes_have_a_table_with_since_and_noticed(telemetry: Telemetry) -> None:
    """Only where something changed: by metric, or by the model whose errors grew."""
    watched = watched_of(telemetry)
    found = watched.findings.diagnosis

    def page_of(*changes: Change) -> str:
        only = replace(found, clusters=(replace(found.clusters[0], changes=changes),))
        return render_diagnosis("t.parquet", replace(watched, findings=replace(watched.findings, diagnosis=only)))

    at, when = ("calm", "mixed-disk", "memory_share"), ("2026-10-30T01:00Z", "2026-10-31T07:00Z", "")
    told = page_of(Change(*at, "level", *when), Change(*at, "model", *when, model="v7"))
    assert "<h2>Changes as they happened</h2>" in told
    assert "<td>memory_share</td><td>level</td><td>2026-10-30T01:00Z</td><td>2026-10-31T07:00Z</td>" in told
    assert "errors of model v7 grew" in told
    assert "Changes as they happened" not in page_of()


def test_of_every_cluster_its_gravest_metric_is_drawn_first(telemetry: Telemetry) -> None:
    """Where not all metrics in alarm can be drawn, no cluster goes without; a view of one has only what is of it."""
    values = telemetry.values.copy()
    for row, series in enumerate(telemetry.series):
        values[row, -9:] *= 9 if series.cluster == "calm" else 5
    watched = watched_of(replace(telemetry, values=values))
    assert {chart["cluster"] for chart in diagnosis_view("t", watched, 2)["metrics"]} == {"calm", f"x{EVIL}"}
    whole = diagnosis_view("t", watched)
    part = view_of(whole, {"calm"}, 1)
    assert len(part["metrics"]) == 1 < len([one for one in whole["metrics"] if one["cluster"] == "calm"])
    for rows in (part["metrics"], part["months"]):
        assert {row["cluster"] for row in rows} <= {"calm"}
    assert {alarm.cluster for alarm in part["alarms"]} == {"calm"}
    assert all("calm" in one["clusters"] for one in part["together"])
    assert [one.cluster for one in part["found"].clusters] == ["calm"]
