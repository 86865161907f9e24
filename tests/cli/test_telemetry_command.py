"""`planner telemetry`: from batches of files to a store and out again."""

import json
from pathlib import Path

import pytest

from diagnostics.synthetic import Fleet, Site, make_fleet
from planner.cli import run

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

    assert run(["telemetry", "compact", store, "--json"]) == 0
    assert run(["telemetry", "show", store]) == 0
    assert "sao-paulo" not in capsys.readouterr().out
    assert planner(folder, "forget", store, "--cluster", "sao-paulo") == 0
    assert planner(folder, "show", store) == 1


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
