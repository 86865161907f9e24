"""Diagnosis of recorded telemetry: what is wrong is named, what is calm stays silent."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diagnostics.diagnose import Diagnosis, DiagnosisSettings, diagnose
from diagnostics.experts import ExpertRule
from diagnostics.feedback import Feedback
from diagnostics.telemetry import Series, Telemetry, read_telemetry

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "hybrid"
START = np.datetime64("2026-08-31T00:00", "m")


def telemetry(values: np.ndarray, names: list[tuple[str, str]]) -> Telemetry:
    """Hourly telemetry of (cluster, metric) pairs, hardware class nvme."""
    return Telemetry(tuple(Series(cluster, "nvme", metric) for cluster, metric in names), values, START, 60)


def calm(rows: int, hours: int = 9 * 168, seed: int = 5) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return 50 + 10 * np.sin(2 * np.pi * np.arange(hours) / 24) + generator.normal(size=(rows, hours))


@pytest.fixture(scope="module")
def hybrid() -> Diagnosis:
    return diagnose(read_telemetry(EXAMPLE / "telemetry.parquet"))


def test_the_example_has_one_alarm_and_one_drift(hybrid: Diagnosis) -> None:
    """In the hybrid example the slow disk and the new customer are found, and nothing else."""
    statuses = {cluster.cluster: cluster.status for cluster in hybrid.clusters}
    assert statuses.pop("onprem-ashburn") == "alarm"
    assert statuses.pop("azure-northeurope") == "drift"
    assert set(statuses.values()) == {"ok"}
    assert len(statuses) == 6
    assert hybrid.found


def test_an_alarm_says_since_when_what_and_how_unlikely(hybrid: Diagnosis) -> None:
    """The alarm carries metric, start, z, chance and a sentence with all of them."""
    (alarm,) = hybrid.cluster("onprem-ashburn").alarms
    assert (alarm.metric, alarm.since, alarm.until) == ("read_latency_ms", "2026-11-01T19:00Z", None)
    assert alarm.z > 8
    assert alarm.p < 1e-6
    assert "read_latency_ms was 20.66 where 6.4" in alarm.sentence
    assert "since 2026-11-01T19:00Z" in alarm.sentence


def test_a_diagnosis_is_json(hybrid: Diagnosis) -> None:
    """A diagnosis is plain JSON without NaN, and the same each time."""
    text = json.dumps(hybrid.to_dict(), allow_nan=False)
    again = diagnose(read_telemetry(EXAMPLE / "telemetry.parquet"))
    assert json.dumps(again.to_dict(), allow_nan=False) == text


def test_the_example_telemetry_comes_from_its_script(tmp_path: Path) -> None:
    """The committed telemetry is what the committed script writes, and is small."""
    subprocess.run([sys.executable, str(EXAMPLE / "make_telemetry.py"), str(tmp_path)], check=True)
    made, committed = read_telemetry(tmp_path / "telemetry.parquet"), read_telemetry(EXAMPLE / "telemetry.parquet")
    assert made.series == committed.series
    np.testing.assert_allclose(made.values, committed.values, rtol=1e-9)
    assert (EXAMPLE / "telemetry.parquet").stat().st_size < 200_000


def test_the_first_week_has_no_baseline() -> None:
    """With a week of history a cluster is told that there is no baseline yet, and how much is missing."""
    diagnosis = diagnose(telemetry(calm(1, 7 * 24), [("a", "cpu")]))
    (cluster,) = diagnosis.clusters
    assert cluster.status == "no_baseline"
    assert cluster.sentence == "no baseline yet: 9 days of history come first, 7.0 are here"
    assert "7 days are here" in cluster.drifts[0].sentence
    assert not diagnosis.found


def test_a_cluster_that_stopped_sending_is_not_called_ok() -> None:
    """A day without values is told as silence, with the last time heard."""
    values = calm(2)
    values[0, -30:] = np.nan
    diagnosis = diagnose(telemetry(values, [("a", "cpu"), ("b", "cpu")]))
    assert diagnosis.found
    first, second = diagnosis.clusters
    assert (first.status, first.last_value) == ("silent", "2026-10-31T18:00Z")
    assert "nothing received since 2026-10-31T18:00Z: look whether it is up" in first.sentence
    assert second.status == "ok"


def test_metrics_that_never_came_or_stopped_are_named_though_others_go_on() -> None:
    """A sensor that died is no calm: its cluster is told so, and one that only pauses as it used to is not."""
    values = calm(4)
    values[1] = np.nan
    values[2, -30:] = np.nan
    values[3, np.arange(values.shape[1]) % 24 > 0] = np.nan  # once a day
    names = [("a", metric) for metric in ("cpu", "disk", "queue", "runs")]
    (cluster,) = diagnose(telemetry(values, names)).clusters
    assert cluster.note == "no value ever came of disk; nothing came of queue since 2026-10-31T18:00Z"


def test_rows_from_a_clock_that_is_ahead_are_pointed_out() -> None:
    """Two hours stamped five days late make the others look silent; the cluster they are of is told so."""
    values = calm(2)
    values[0, -120:-2] = np.nan
    values[1, -120:] = np.nan
    first, second = diagnose(telemetry(values, [("a", "cpu"), ("b", "cpu")])).clusters
    assert first.note == ("nothing came from 2026-10-28T00:00Z to 2026-11-01T22:00Z: it was away, or the clock that "
                          "stamped the rows after that is ahead")
    assert (second.status, second.note) == ("silent", "")


def test_a_cluster_without_any_value() -> None:
    """A cluster whose metrics are all missing is silent, not an error."""
    (cluster,) = diagnose(telemetry(np.full((1, 100), np.nan), [("a", "cpu")])).clusters
    assert (cluster.status, cluster.last_value) == ("silent", None)


def test_neighbouring_alarms_are_one() -> None:
    """Hours of alarm with short breaks between them are one alarm with a start, an end and its worst hour."""
    values = calm(1)
    values[0, -50:-40] += 20
    values[0, -45] = 50
    values[0, -42] += 20
    ((alarm,),) = [cluster.alarms for cluster in diagnose(telemetry(values, [("a", "cpu")])).clusters]
    assert alarm.since == "2026-10-30T22:00Z"
    assert alarm.until == "2026-10-31T08:00Z"
    assert alarm.z == pytest.approx(40, rel=0.3)


def test_old_alarms_are_not_reported_again() -> None:
    """An alarm before the reported days is left out, and the window is stated."""
    values = calm(1)
    values[0, -400:-395] += 30
    narrow = diagnose(telemetry(values, [("a", "cpu")]))
    assert narrow.clusters[0].alarms == ()
    assert narrow.reported_from == "2026-10-26T00:00Z"
    wide = diagnose(telemetry(values, [("a", "cpu")]), DiagnosisSettings(report_days=30))
    assert len(wide.clusters[0].alarms) == 1
    assert wide.expected_false_alarms == pytest.approx(0.3)


def test_other_clusters_and_row_order_do_not_change_a_verdict() -> None:
    """A cluster is told the same whether it is diagnosed alone or among others, first or last."""
    values = calm(6)
    values[2, -5:] += 15
    values[4, -28 * 24 :] += 8
    names = [(cluster, metric) for cluster in "abc" for metric in ("cpu", "latency")]
    whole = diagnose(telemetry(values, names))
    assert [cluster.status for cluster in whole.clusters] == ["ok", "alarm", "drift"]
    for position, name in enumerate("abc"):
        rows = slice(2 * position, 2 * position + 2)
        (alone,) = diagnose(telemetry(values[rows], names[rows])).clusters
        assert alone == whole.cluster(name)


def test_false_alarms_of_a_calm_fleet_are_within_the_stated_budget() -> None:
    """Forty calm clusters raise no more alarms in four weeks than three times what was stated to be expected."""
    names = [(f"cluster-{number:02}", metric) for number in range(40) for metric in ("cpu", "latency", "requests")]
    settings = DiagnosisSettings(false_alarms_per_day=0.02, report_days=28)
    diagnosis = diagnose(telemetry(calm(120), names), settings)
    raised = sum(len(cluster.alarms) for cluster in diagnosis.clusters)
    assert diagnosis.expected_false_alarms == pytest.approx(22.4)
    assert raised <= 3 * diagnosis.expected_false_alarms
    assert not any(drift.drifted for cluster in diagnosis.clusters for drift in cluster.drifts)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"detector": "magic"}, "detector: 'magic': one of auto, seasonal_z, surprise"),
        ({"drift_test": "adwin"}, "drift_test: 'adwin': one of kl_monthly, psi, ks, wasserstein"),
        ({"report_days": 0}, "report_days"),
        ({"report_days": float("nan")}, "report_days"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, says: str) -> None:
    """Unknown names and empty windows are refused with what is allowed."""
    with pytest.raises(ValueError, match=says):
        DiagnosisSettings(**settings)


def test_the_engine_needs_none_of_the_others(tmp_path: Path) -> None:
    """The diagnostics package works in a folder of its own, without planner, placement, forecasting or api."""
    shutil.copytree(EXAMPLE.parents[1] / "diagnostics", tmp_path / "diagnostics")
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from diagnostics.diagnose import diagnose\n"
        "assert not {'planner', 'placement', 'forecasting', 'api', 'pandas'} & {m.split('.')[0] for m in sys.modules}"
    )
    subprocess.run([sys.executable, "-I", "-c", code], check=True, cwd=tmp_path)


def test_what_an_expert_calls_normal_raises_no_alarm_and_is_counted() -> None:
    """A spike above a limit that is normal is silent, and the rule says how many alarms it silenced."""
    values = calm(1)
    values[0, -30] += 20
    rule = ExpertRule("batch night", "normal", metric="cpu", above=60)
    settings = DiagnosisSettings(rules=(rule,))
    assert diagnose(telemetry(values, [("a", "cpu")])).found
    silent = diagnose(telemetry(values, [("a", "cpu")]), settings)
    assert not silent.found
    (use,) = silent.rules
    assert (use.rule, use.silenced, use.raised) == ("batch night", 1, 0)
    assert use.values >= 1


def test_what_an_expert_calls_not_normal_alarms_without_a_baseline() -> None:
    """In its first days a cluster alarms on what a rule forbids, before what is only unlikely, as JSON without NaN."""
    values = np.full((2, 72), 0.5)
    values[1, 60:64] = 0.97
    rule = ExpertRule("disk nearly full", "not_normal", metric="disk", above=0.9, reason="writes stop")
    found = diagnose(telemetry(values, [("a", "cpu"), ("a", "disk")]), DiagnosisSettings(rules=(rule,)))
    (alarm,) = found.clusters[0].alarms
    assert (alarm.metric, alarm.rule, alarm.z, alarm.p) == ("disk", "disk nearly full", None, None)
    assert alarm.sentence == ("disk was 0.97; not normal, says disk nearly full: writes stop, since 2026-09-02T12:00Z"
                              " until 2026-09-02T16:00Z")
    assert found.rules[0].raised == 4
    json.dumps(found.to_dict(), allow_nan=False)


def test_an_alarm_called_false_is_not_raised_again() -> None:
    """Feedback on an alarm silences its like on that metric of that cluster, and nothing else."""
    values = calm(2)
    values[:, -30] += 9
    names = [("a", "cpu"), ("b", "cpu")]
    first, second = diagnose(telemetry(values, names)).clusters
    judged = Feedback("a", "cpu", first.alarms[0].p, "false_positive")
    after = diagnose(telemetry(values, names), DiagnosisSettings(feedback=(judged,))).clusters
    assert not after[0].alarms
    assert after[1].alarms == second.alarms


def test_an_alarm_called_false_stays_so_while_others_are_ill() -> None:
    """What is wrong with other metrics of a cluster at the same time does not bring a false alarm back."""
    values = calm(4)
    values[:, -30:-20] += 12
    names = [("a", metric) for metric in ("cpu", "latency", "queue", "rate")]
    (first,) = diagnose(telemetry(values, names)).clusters
    judged = tuple(Feedback("a", "cpu", alarm.p, "false_positive") for alarm in first.alarms if alarm.metric == "cpu")
    (after,) = diagnose(telemetry(values, names), DiagnosisSettings(feedback=judged)).clusters
    assert {alarm.metric for alarm in first.alarms} == {"cpu", "latency", "queue", "rate"}
    assert {alarm.metric for alarm in after.alarms} == {"latency", "queue", "rate"}


def test_metrics_that_are_ill_together_are_found_together() -> None:
    """Four metrics of five, each a little too likely for a fifth of the budget, alarm together; one alone does not."""
    def alarms(ill: int) -> int:
        values = calm(5, seed=11)
        values[:ill, -30] += 4.9
        settings = DiagnosisSettings(false_alarms_per_day=0.02, report_days=2)
        names = [("a", f"m{row}") for row in range(5)]
        return len(diagnose(telemetry(values, names), settings).clusters[0].alarms)

    assert alarms(4) > 4 * alarms(1)


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan"), 11.0])
def test_budgets_that_are_none_are_refused(budget: float) -> None:
    """Nothing, less and more than ten false alarms a day are refused by name."""
    with pytest.raises(ValueError, match="false_alarms_per_day"):
        DiagnosisSettings(false_alarms_per_day=budget)
