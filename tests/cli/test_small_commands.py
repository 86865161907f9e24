"""Commands that need no solver: forecast, where, runs, diagnose, and the check of output files."""

import csv
import json
import math
from pathlib import Path

import pytest

from diagnostics.store import ModelStore
from planner.cli import run
from planner.errors import InputError
from planner.outputs import check_outputs, writing
from planner.plan import Assignment, Costs, MachineRow, Plan, Unplaced, write_plan


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Three weeks of hours of one workload, and five points of another."""
    path = tmp_path / "history.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["ts", "workload", "value"])
        for hour in range(21 * 24):
            moment = f"2026-10-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z"
            rows.writerow([moment, "web", round(100 + 50 * math.sin(hour * math.pi / 12) + hour % 7, 3)])
            if hour < 5:
                rows.writerow([moment, "young", 1])
    return path


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A plan of two workloads, one of which has no place."""
    path = tmp_path / "plan.json"
    write_plan(Plan(
        name="p", status="feasible", mode="min_cost", cost_usd=1.0, costs=Costs(machines=1.0), sla_attainment=0.5,
        bound=1.0, gap=0.0, assignments=(Assignment(workload="web", cluster="aws", pool="m6i"),),
        machines=(MachineRow(cluster="aws", pool="m6i", purchase="on_demand", count=(1, 2)),),
        unplaced=(Unplaced(workload="big", reasons=("fits no machine",)),)), path)
    return path


def test_forecast_writes_quantiles_and_refuses_by_name(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A forecast has a row for each step ahead; a series that is too short is named with the reason."""
    output = history.parent / "out.csv"
    options = ["--horizon", "1d", "--quantiles", "0.5,0.9", "-o", str(output), "--json"]
    assert run(["forecast", str(history), *options]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert set(shown["models"]) == {"web"}
    assert "5 points" in shown["refused"]["young"]
    rows = list(csv.DictReader(output.open()))
    assert [row["ds"] for row in (rows[0], rows[-1])] == ["2026-10-22T00:00:00Z", "2026-10-22T23:00:00Z"]
    assert all(float(row["q0.5"]) <= float(row["q0.9"]) for row in rows)


def test_forecast_of_a_promotion_known_ahead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A column that goes on over the horizon lifts the forecast where it is on, and what was mended is told."""
    path = tmp_path / "history.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["ts", "value", "sale"])
        for hour in range(22 * 24):
            moment, sale = f"2026-10-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z", hour // 24 in {4, 9, 15, 21}
            demand = 100 + 50 * math.sin(hour * math.pi / 12) + hour % 7 + 200 * sale
            rows.writerow([moment, "" if hour >= 21 * 24 or hour == 30 else round(demand, 3), int(sale)])
    middles = []
    for options in (["--known", "sale", "--holidays", "BR"], []):
        assert run(["forecast", str(path), "--horizon", "1d", "--quantiles", "0.5", "--json", *options]) == 0
        shown = json.loads(capsys.readouterr().out)
        middles.append(sum(row["q0.5"] for row in shown["quantiles"]) / 24)
        assert any("1 step has no value, the first at 2026-10-02T06:00:00Z" in row["note"] for row in shown["notes"])
    assert middles[0] > middles[1] + 100
    assert run(["forecast", str(path), "--known", "sales"]) == 2
    assert "history.csv: no column sales: found ts, value, sale" in capsys.readouterr().err
    assert run(["forecast", str(path), "--holidays", "XX"]) == 2
    assert "history.csv: holidays 'XX': Country XX not available" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "words"), [
    (["--horizon", "soon"], "--horizon: 'soon'"), (["--horizon", "0h"], "--horizon: '0h'"),
    (["--quantiles", "0.5,2"], "--quantiles: '0.5,2'"), (["--quantiles", "x"], "--quantiles: 'x'"),
    (["-o", "/nowhere/out.csv"], "/nowhere"),
])
def test_forecast_refuses_wrong_options_in_a_line(history: Path, arguments: list[str], words: str,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong option of forecast is one line and exit status 2."""
    assert run(["forecast", str(history), *arguments]) == 2
    shown = capsys.readouterr().err
    assert words in shown
    assert len(shown.splitlines()) == 1


def test_a_history_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A missing history is exit status 2 with its name."""
    assert run(["forecast", "/nowhere/history.csv"]) == 2
    assert "/nowhere/history.csv" in capsys.readouterr().err


def test_where_a_workload_runs(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`where` shows the units of a workload; the answer for one without a place is no."""
    assert run(["where", "web", "--plan", str(plan), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["assignments"][0]["pool"] == "m6i"
    assert run(["where", "big", "--plan", str(plan)]) == 1
    assert "fits no machine" in capsys.readouterr().out


def test_what_runs_on_a_cluster(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`runs` shows units and machines of a cluster."""
    assert run(["runs", "aws", "--plan", str(plan), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["machines"][0]["count"] == [1, 2]
    assert run(["runs", "aws", "--plan", str(plan)]) == 0
    assert "web" in capsys.readouterr().out


@pytest.mark.parametrize(("command", "near"), [(["where", "wbe"], "web"), (["runs", "asw"], "aws")])
def test_unknown_names_get_the_nearest(command: list[str], near: str, plan: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is not in the plan is exit status 2 with the nearest one."""
    assert run([*command, "--plan", str(plan)]) == 2
    assert f"did you mean '{near}'?" in capsys.readouterr().err


def test_outputs_are_looked_at_before_the_work(tmp_path: Path) -> None:
    """A missing folder, a folder in place of a file, a device, and one file named twice are each refused."""
    (tmp_path / "folder").mkdir()
    same = tmp_path / "a.json"
    with pytest.raises(InputError) as caught:
        check_outputs({"-o": tmp_path / "no" / "a", "--report": tmp_path / "folder", "--table": Path("/dev/null"),
                       "--x": same, "--y": same})
    text = str(caught.value)
    assert all(words in text for words in ("there is no folder", "not a regular file", "same file as --x"))
    assert len(caught.value.problems) == 4
    check_outputs({"-o": same, "--report": None})


def test_a_full_disk_is_a_clear_error() -> None:
    """What cannot be written names the option, the file and the reason."""
    with pytest.raises(InputError, match=r"-o: plan\.json: not written: No space left"), \
            writing("-o", Path("plan.json")), open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
        full.write(b"x")


def test_the_catalog_can_be_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    """Machine types over all regions, or prices in one; a name that matches nothing gets the nearest."""
    assert run(["catalog", "p5*", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["as_of"] >= "2026"
    assert any(row["machine"] == "p5.48xlarge" and row["gpus"] == "8 x H100" for row in shown["rows"])
    assert run(["catalog", "m6i.xlarge", "--region", "aws/sa-east-1"]) == 0
    assert "0.306" in capsys.readouterr().out
    assert run(["catalog", "--region", "aws/sa-east1"]) == 2
    assert "did you mean aws/sa-east-1?" in capsys.readouterr().err


def test_full_catalogs_are_read_from_files(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--catalog` takes the gathered price lists, which know far more machine types."""
    assert run(["catalog", "--json"]) == 0
    own = len(json.loads(capsys.readouterr().out)["rows"])
    assert run(["catalog", "--catalog", str(shared / "data/catalog"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) > 5 * own


def test_profiles_show_where_numbers_come_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A described task is sized with reasons; a mistake in it is one line."""
    task = tmp_path / "task.yaml"
    task.write_text("volume_gb: 800\ncadence: daily\n")
    assert run(["profile", str(task), "--kind", "etl"]) == 0
    assert "DWU" in capsys.readouterr().out
    task.write_text("volume_gb: 3 TB\n")
    assert run(["profile", str(task), "--kind", "etl"]) == 2
    assert "write 3000" in capsys.readouterr().err


def test_diagnose_hears_experts_and_feedback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rule is counted in the answer; files that cannot be used and a budget that is none are wrong input."""
    telemetry = Path(__file__).parents[2] / "examples" / "hybrid" / "telemetry.parquet"
    rules, feedback = tmp_path / "rules.yaml", tmp_path / "feedback.csv"
    rules.write_text("rules:\n  - {name: any latency, verdict: normal, metric: read_latency_ms}\n")
    feedback.write_text("cluster,metric,p,verdict\nazure-northeurope,iops,0.5,true_positive\n")
    asked = ["diagnose", str(telemetry), "--rules", str(rules), "--feedback", str(feedback), "--json"]
    run(asked)
    found = json.loads(capsys.readouterr().out)
    assert found["rules"][0]["silenced"] > 0
    assert not any(cluster["alarms"] for cluster in found["clusters"])
    assert run([*asked, "--false-alarms-per-day", "0"]) == 2
    assert run([*asked, "--perturb", "all"]) == 2
    rules.write_text("rules: none")
    assert run(asked) == 2
    assert "one key 'rules'" in capsys.readouterr().err


def test_diagnose_by_one_detector_or_by_stored_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A detector may be forced, also to see what it notices; one that is none, and a store that is none, are told."""
    telemetry = str(Path(__file__).parents[2] / "examples" / "hybrid" / "telemetry.parquet")
    assert run(["diagnose", telemetry, "--detector", "rolling_z", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {alarm["detector"] for cluster in found["clusters"] for alarm in cluster["alarms"]} <= {"rolling_z"}
    assert found["misses"] == []  # it knows no direction
    assert run(["diagnose", telemetry, "--detector", "surprize"]) == 2
    assert "--detector: 'surprize': one of auto, seasonal_z, surprise" in capsys.readouterr().err
    store = ModelStore(tmp_path / "models")
    store.close()
    assert run(["diagnose", telemetry, "--models", str(tmp_path / "models")]) == 1
    told = capsys.readouterr().out
    assert "hardware 'mixed-disk': read without a model: no stable model" in told
    assert "budget 0.01 false alarms a day and cluster" in told
    assert run(["diagnose", telemetry, "--models", str(tmp_path / "nothing")]) == 2
    assert "--models" in capsys.readouterr().err


def test_diagnose_tells_drift_by_the_budgets_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Test, budgets and days may be set; what is none of them, or would be ignored, is wrong input and says so."""
    telemetry = str(Path(__file__).parents[2] / "examples" / "hybrid" / "telemetry.parquet")
    run(["diagnose", telemetry, "--drift-test", "ks", "--false-drifts-per-month", "0.1", "--false-changes-per-month",
         "0.5", "--report-days", "28", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["drift_test"] == "ks"
    assert found["expected_false_alarms"] == pytest.approx(0.01 * 28 * len(found["clusters"]))
    for wrong, words in ((["--drift-test", "adwin"], "--drift-test: 'adwin': one of kl_monthly"),
                         (["--false-drifts-per-month", "1"], "--false-drifts-per-month: 1.0: above 0, at most 0.5"),
                         (["--false-changes-per-month", "nan"], "--false-changes-per-month: nan"),
                         (["--report-days", "inf"], "--report-days: inf: above 0"),
                         (["--report-days", "3", "--perturb", "all"], "--report-days: not with --perturb"),
                         (["--perturb", "all", "--step-minutes", "7"], "step_minutes: 7"),
                         (["--models-database", "postgresql://x/y"], "--models-database: its files are in a folder")):
        assert run(["diagnose", telemetry, *wrong]) == 2
        assert words in capsys.readouterr().err


def test_diagnose_says_what_belongs_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Super alarms are in the answer, with attributes of the scenario; a policy that cannot be used is wrong input."""
    example = Path(__file__).parents[2] / "examples" / "hybrid"
    policy = tmp_path / "alarms.yaml"
    policy.write_text("users: [{match: {metric: '*latency*', cluster: 'onprem-*'}, affected: 0.4}]\n"
                      "runbooks: [{match: {provider: onprem}, contact: '#disks', steps: [look at the disks]}]\n")
    asked = ["diagnose", str(example / "telemetry.parquet"), "--alarms", str(policy), "--scenario", str(example)]
    assert run([*asked, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    (one,) = answer["super_alarms"]
    assert answer["compression"] == 1.0
    assert (one["severity"], one["users_affected"], one["runbook"]["contact"]) == ("page", 0.4, "#disks")
    assert one["alarms"][0]["attributes"]["provider"] == "onprem"
    assert run(asked) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 alarm at cluster=onprem-ashburn" in shown
    assert "1 alarm in 1 super alarm, 1 to 1; 1 of them pages" in shown
    assert "runbook: call #disks; look at the disks" in shown
    policy.write_text("user: []")
    assert run(asked) == 2
    assert "'user' is not known; did you mean 'users'?" in capsys.readouterr().err
    assert run([*asked, "--perturb", "all"]) == 2
