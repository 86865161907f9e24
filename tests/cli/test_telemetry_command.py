"""`planner telemetry`: from batches of files to a store and out again."""

import json
from pathlib import Path

import pandas as pd
import pytest

from diagnostics.synthetic import Fleet, Site, make_fleet
from diagnostics.training.rows import read_rows
from planner.cli import run
from planner.commands.models import Rights
from planner.watch import Watch, watched

SCENARIO = """
name: t
horizon: {start: 2026-11-02T00:00:00Z, slots: 2, slot_minutes: 60}
objective: {mode: min_cost}
clusters:
  - &c {name: sao-paulo, provider: aws, region: sa-east-1, telemetry_opt_in: true, hardware_class: all-flash-nvme,
        pools: [{name: p, machine: m6i.xlarge, max: 9, offers: [{purchase: on_demand}]}]}
  - {<<: *c, name: quiet, telemetry_opt_in: false}
workloads: [{name: web, kind: serving, request: {vcpu: 1, memory_gib: 2}, replicas: [1, 1]}]
"""


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return make_fleet([Site("sao-paulo", "all-flash-nvme", "BR", 2), Site("quiet", "all-flash-nvme", "BR", 1)], 3, 1,
                      "2026-10-01")


@pytest.fixture
def folder(tmp_path: Path, fleet: Fleet) -> Path:
    """A scenario, a key, and three daily batches of two clusters, one of which did not agree."""
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    (tmp_path / "key").write_text("0123456789abcdef0123456789abcdef\n")
    for day in range(3):
        fleet.frame(24 * day, 24 * day + 24).to_parquet(tmp_path / f"day{day}.parquet")
    return tmp_path


def planner(folder: Path, *arguments: str) -> int:
    names = ["--scenario", str(folder), "--key", str(folder / "key")]
    return run(["telemetry", *arguments, *names, "--json"])


def test_batches_go_in_and_come_out_for_diagnose(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of who agreed are stored once; show and export give them by name to who has the key, diagnose reads them."""
    store, batches = str(folder / "store"), [str(folder / f"day{day}.parquet") for day in range(3)]
    arrived = ["--store", store, "--arrived", "2026-10-04T00:10:00Z"]
    assert planner(folder, "ingest", *batches, *arrived) == 1
    reports = json.loads(capsys.readouterr().out)
    assert [report["stored_rows"] for report in reports] == [2 * 12 * 24] * 3
    assert {refusal["name"] for report in reports for refusal in report["refusals"]} == {"quiet"}
    assert planner(folder, "ingest", *batches, *arrived) == 0
    assert {report["status"] for report in json.loads(capsys.readouterr().out)} == {"duplicate"}

    assert planner(folder, "show", store) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["country"], row["hosts"], row["known"]) == ("sao-paulo", "BR", 2, 1.0)
    out = folder / "out.parquet"
    assert planner(folder, "export", store, "-o", str(out), "--country", "BR") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 12 * 72 - 2
    assert run(["diagnose", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clusters"][0]["cluster"] == "sao-paulo"
    assert planner(folder, "export", store, "-o", str(out), "--by", "host") == 0
    assert run(["models", "train", str(out), "--hardware", "all-flash-nvme", "--store", str(folder / "models")]) == 2
    assert "3.0 days of telemetry: at least 12 are needed" in capsys.readouterr().err  # all else is as it is needed
    assert run(["diagnose", str(out), "--scenario", str(folder), "--by", "host", "--json"]) == 0
    diagnosed = [one["cluster"] for one in json.loads(capsys.readouterr().out)["clusters"]]
    assert [name.split("/")[0] for name in diagnosed] == ["sao-paulo"] * 2

    assert run(["telemetry", "compact", store, "--json"]) == 0
    assert run(["telemetry", "show", store]) == 0
    assert "sao-paulo" not in capsys.readouterr().out
    assert planner(folder, "forget", store, "--cluster", "sao-paulo") == 0
    assert planner(folder, "show", store) == 1


@pytest.fixture
def agreed(folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A store of both clusters, which agreed when they sent."""
    (folder / "scenario.yaml").write_text(SCENARIO.replace("telemetry_opt_in: false", "telemetry_opt_in: true"))
    batches = [str(folder / f"day{day}.parquet") for day in range(3)]
    assert planner(folder, "ingest", *batches, "--store", str(folder / "store"), "--arrived", "2026-10-04T00:10Z") == 0
    capsys.readouterr()
    return folder


def export(folder: Path, *more: str) -> Path:
    out = folder / "rows.parquet"
    assert run(["telemetry", "export", str(folder / "store"), "-o", str(out), "--by", "host", "--json", *more]) == 0
    return out


@pytest.mark.parametrize("opted_out", [("quiet",), ()])
def test_who_opted_out_is_not_trained_on_by_the_way_that_is_documented(
    agreed: Path, capsys: pytest.CaptureFixture[str], opted_out: tuple[str, ...]
) -> None:
    """Ingest, export by host, train: rows of a cluster that is named, or that no longer agrees in the scenario, are
    left out, hosts and all, and countries are those of the scenario.
    """
    known = ("--scenario", str(agreed), "--key", str(agreed / "key"))
    rows = export(agreed, *known)
    frame = pd.read_parquet(rows)
    assert frame.groupby("cluster")["host"].nunique().to_dict() == {"quiet": 1, "sao-paulo": 2}
    if not opted_out:
        (agreed / "scenario.yaml").write_text(SCENARIO)
    frame.drop(columns="country").to_parquet(rows)
    used = read_rows(rows, Rights("BR", opted_out, agreed).allowed)
    assert [(host.cluster, host.country) for host in used.hosts] == [("sao-paulo", "BR")] * 2
    assert used.left_out == {"cluster opted out": int((frame["cluster"] == "quiet").sum())}
    opted = watched(Watch(rows, scenario=agreed, by="host")).telemetry.opted_out
    assert {name.split("/")[0] for name in opted} == (set() if opted_out else {"quiet"})


def test_a_name_that_keeps_nobody_out_is_refused(agreed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt cluster, and rows of hashes beside a scenario of names, end training by name."""
    rows = str(export(agreed, "--scenario", str(agreed), "--key", str(agreed / "key")))
    train = ["models", "train", rows, "--hardware", "all-flash-nvme", "--store", str(agreed / "models")]
    assert run([*train, "--opted-out", "queit"]) == 2
    assert "cluster queit: no row is theirs; rows are of quiet, sao-paulo; did you mean 'quiet'?" in (
        capsys.readouterr().err)
    export(agreed)
    assert run([*train, "--scenario", str(agreed)]) == 2
    assert "clusters quiet, sao-paulo: no row is theirs" in capsys.readouterr().err


def test_rows_of_who_took_consent_back_stay_in_the_store_until_they_are_forgotten(
    agreed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Export by a scenario leaves them out and counts them, also those of a cluster that it has no longer; what forgets
    them takes the name or the hash, and refuses what the store does not have.
    """
    store, key = str(agreed / "store"), ("--key", str(agreed / "key"))
    known = ("--scenario", str(agreed), *key)
    (agreed / "scenario.yaml").write_text(SCENARIO)
    assert set(pd.read_parquet(export(agreed, *known))["cluster"]) == {"sao-paulo"}
    assert json.loads(capsys.readouterr().out)["left_out"] == {"quiet": 12 * 72 - 2}
    gone = SCENARIO.replace("  - {<<: *c, name: quiet, telemetry_opt_in: false}\n", "")
    (agreed / "scenario.yaml").write_text(gone)
    export(agreed, *known)
    (left,) = json.loads(capsys.readouterr().out)["left_out"]

    assert run(["telemetry", "forget", store, "--cluster", "queit", *key]) == 2
    assert f"--cluster: 'queit': {store} has no rows of it; `planner telemetry show`" in capsys.readouterr().err
    assert run(["telemetry", "forget", store, "--cluster", "sao-palo", *known]) == 2
    assert "has no rows of it; did you mean 'sao-paulo'?" in capsys.readouterr().err
    assert run(["telemetry", "forget", store, "--cluster", "quiet"]) == 2
    assert "a name takes --key" in capsys.readouterr().err
    assert run(["telemetry", "forget", store, "--cluster", left]) == 0
    assert run(["telemetry", "forget", store, "--cluster", "quiet", *key]) == 2
    assert run(["telemetry", "forget", store, "--cluster", "sao-paulo", *key]) == 0
    assert planner(agreed, "forget", store, "--cluster", "sao-paulo") == 1  # the scenario has it, the store no more


@pytest.mark.parametrize(("arguments", "message"), [
    (["ingest", "day0.parquet", "--store", "s", "--arrived", "noon"], "--arrived: 'noon': must be ISO-8601"),
    (["ingest", "day0.parquet", "day1.parquet", "--store", "s", "--batch", "b"], "--batch: b: 2 files"),
    (["ingest", "none.csv", "--store", "s"], "none.csv: no such file"),
    (["show", "nowhere"], "nowhere: no telemetry store"),
    (["forget", "nowhere", "--cluster", "sao-palo"], "nowhere: no telemetry store"),
    (["export", "nowhere", "-o", "x.txt"], "nowhere: no telemetry store"),
])  # fmt: skip
def test_wrong_input_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str],
    message: str,
) -> None:
    """Mistakes are named with what is allowed, exit status 2."""
    monkeypatch.chdir(folder)
    assert planner(folder, *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_key_is_needed_and_must_be_long(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a key, or with one that can be guessed, nothing is stored."""
    command = ["telemetry", "ingest", str(folder / "day0.parquet"), "--store", str(folder / "s"),
               "--scenario", str(folder)]
    assert run(command) == 2
    assert "--key: not given" in capsys.readouterr().err
    (folder / "key").write_text("short")
    assert run([*command, "--key", str(folder / "key")]) == 2
    assert "5 bytes: at least 16" in capsys.readouterr().err
    assert not (folder / "s").exists()
