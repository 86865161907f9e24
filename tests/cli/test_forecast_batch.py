"""`planner forecast` of many series: parts, engines, a run that is stopped, what it says of itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecasting.models import boosting
from planner import batch as batches
from planner import staging
from planner.batch import Asked, Batch, run_batch
from planner.cli import run
from planner.commands import forecast as forecast_command
from planner.errors import InputError
from planner.outlook import pooled_scores
from planner.staging import lay_out

SERIES, HOURS = 12, 24 * 16
DAY = ["--horizon", "1d", "--quantiles", "0.5,0.9"]


def long_frame(seed: int = 0) -> pd.DataFrame:
    """Three weeks of hours of series of different sizes, ordered by name."""
    rng, hours = np.random.default_rng(seed), np.arange(HOURS)
    ds = pd.date_range("2026-10-01", periods=HOURS, freq="h", tz="UTC")
    waves = [rng.uniform(1, 900) * (2 + np.sin(2 * np.pi * hours / 24) + rng.normal(0, 0.2, HOURS))
             for _ in range(SERIES)]
    return pd.concat([pd.DataFrame({"unique_id": f"s{k:02d}", "ds": ds, "y": np.maximum(values, 0)})
                      for k, values in enumerate(waves)], ignore_index=True)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frame as Parquet, and a series that is too short among it."""
    path = tmp_path_factory.mktemp("history") / "history.parquet"
    frame = long_frame()
    pd.concat([frame, frame.head(5).assign(unique_id="young")]).to_parquet(path, index=False)
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of at most five series."""
    monkeypatch.setattr(staging, "SERIES", 5)


def told_nothing(what: str, share: float) -> None:
    """Nobody listens."""


def quantiles(path: Path, folder: Path, engine: str = "serial", **asked: object) -> pd.DataFrame:
    """What a batch says."""
    made = run_batch(path, Asked(1440, (0.5, 0.9), **asked), folder, engine, 2, told_nothing)
    return pd.concat(list(made.quantiles()), ignore_index=True)


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """How well is forecast does not matter here."""
    for name in ("LEAST_TREES", "MOST_TREES", "SPREAD_TREES"):
        monkeypatch.setattr(boosting, name, 8)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("engine", ["processes", pytest.param("ray", marks=pytest.mark.soak)])
def test_engines_agree_to_the_last_bit(history: Path, tmp_path: Path, engine: str) -> None:
    """Serial, processes and Ray write the same bytes."""
    if engine == "ray" and find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    written = []
    for name in ("serial", engine):
        output = tmp_path / f"{name}.parquet"
        assert run(["forecast", str(history), *DAY, "--engine", name, "--workers", "2", "-o", str(output)]) == 0
        written.append(output.read_bytes())
    assert written[0] == written[1]
    assert len(pd.read_parquet(tmp_path / "serial.parquet")) == SERIES * 24


def test_how_parts_are_cut_does_not_matter(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of five series say what one part says; rows by time, CSV and a folder of files are laid out alike."""
    whole = quantiles(history, tmp_path / "one")
    monkeypatch.setattr(staging, "SERIES", 5)
    monkeypatch.setattr(staging, "BATCH", 700)
    pd.testing.assert_frame_equal(quantiles(history, tmp_path / "many"), whole, rtol=1e-9)
    table = pd.read_parquet(history).sort_values(["ds", "unique_id"], ascending=[True, False])
    (tmp_path / "by_time").mkdir()
    for day, rows in table.groupby(table["ds"].dt.dayofyear // 10):
        rows.to_parquet(tmp_path / "by_time" / f"{day}.parquet", index=False)
    pd.testing.assert_frame_equal(quantiles(tmp_path / "by_time", tmp_path / "time"), whole, rtol=1e-9)
    table = table.rename(columns={"unique_id": "workload", "ds": "ts", "y": "value"})
    with pytest.raises(InputError, match=r"ts: row 1: .* has no time zone"):
        quantiles(_csv(table.assign(ts=table["ts"].dt.tz_localize(None)), tmp_path / "naive.csv"), tmp_path / "naive")
    pd.testing.assert_frame_equal(quantiles(_csv(table, tmp_path / "h.csv"), tmp_path / "csv"), whole, rtol=1e-9)


def _csv(table: pd.DataFrame, path: Path) -> Path:
    table.to_csv(path, index=False, float_format="%.17g", date_format="%Y-%m-%dT%H:%M:%S%z")
    return path


def test_a_layout_holds_every_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in any order, read in small batches: all come back, each in the file of its series, names in order."""
    monkeypatch.setattr(staging, "SERIES", 3)
    monkeypatch.setattr(staging, "BATCH", 500)
    frame = long_frame(1).sample(frac=1, random_state=3)
    frame.to_parquet(tmp_path / "h.parquet", index=False)
    shares: list[float] = []
    layout = lay_out(tmp_path / "h.parquet", (), tmp_path / "laid", shares.append)
    parts = [layout.read(k) for k in range(len(layout))]
    assert [len(part["unique_id"].cat.categories) for part in parts] == [3] * 4
    together = pd.concat([part.assign(unique_id=part["unique_id"].astype(str)) for part in parts])
    pd.testing.assert_frame_equal(together.sort_values(["unique_id", "ds"]).reset_index(drop=True), long_frame(1))
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    picked = layout.pick(np.array([0, 7, 8]))
    assert sorted(picked["unique_id"].unique()) == ["s00", "s07", "s08"]


def test_two_name_columns_make_one_name(tmp_path: Path) -> None:
    """Workload and metric are joined by a stroke; where both say the same, once. A row without a name is refused."""
    table = pa.table({"ts": pa.array([0, 0, 0]).cast(pa.timestamp("ns", "UTC")), "metric": ["cpu", "a", "cpu"],
                      "workload": ["a", "a", "b"], "value": [1.0, 2.0, 3.0]})
    pq.write_table(table, tmp_path / "h.parquet")
    assert list(lay_out(tmp_path / "h.parquet", (), tmp_path / "laid", [].append).read(0)["unique_id"]) == [
        "a/cpu", "a", "b/cpu"]
    pa.parquet.write_table(table.set_column(2, "workload", pa.array(["a", None, "b"])), tmp_path / "holes.parquet")
    with pytest.raises(InputError, match=r"holes.parquet: workload: row 2 has no name"):
        lay_out(tmp_path / "holes.parquet", (), tmp_path / "holes", [].append)


KILLED = """
import os, signal, sys
from forecasting.models import boosting
from planner import batch, staging
from planner.cli import main

boosting.LEAST_TREES = boosting.MOST_TREES = boosting.SPREAD_TREES = 8
staging.SERIES, write = 2, batch.write_atomically

def killed(path, content):
    if path.name == "part-00003.json":
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)

batch.write_atomically = killed
main(sys.argv[1:])
"""


def test_a_killed_run_goes_on_to_the_same_file(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After kill -9 amid the parts the same command finishes them, and leaves the parts that were there alone."""
    monkeypatch.setattr(staging, "SERIES", 2)
    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"

    def command(output: Path) -> list[str]:
        return ["forecast", str(history), *DAY, "--engine", "serial", "-o", str(output)]

    child = subprocess.run([sys.executable, "-c", KILLED, *command(cut)], check=False, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert not cut.exists()
    folder = tmp_path / "cut.parquet.parts"
    before = {note.name: note.stat().st_mtime_ns for note in folder.glob("part-*.json")}
    assert len(before) == 3
    assert run(command(whole)) == 0
    monkeypatch.setattr(forecast_command, "clear", str)
    assert run(command(cut)) == 0
    notes = {note.name: note.stat().st_mtime_ns for note in folder.glob("part-*.json")}
    assert len(notes) == 7
    assert {name: notes[name] for name in before} == before
    assert cut.read_bytes() == whole.read_bytes()


@pytest.mark.usefixtures("small")
def test_another_input_or_setting_is_refused_by_name(history: Path, tmp_path: Path) -> None:
    """Parts of one run are never mixed with those of another: what differs is named; the same goes on."""
    folder = tmp_path / "parts"
    first = quantiles(history, folder)
    pd.testing.assert_frame_equal(quantiles(history, folder), first, check_exact=True)
    with pytest.raises(InputError, match="seed was 0, now 7; ask for the same"):
        quantiles(history, folder, seed=7)
    with pytest.raises(InputError, match=r'models was \[\], now \["ets", "theta"\]'):
        quantiles(history, folder, models=("ets", "theta"))
    with pytest.raises(InputError, match="horizon_minutes was 1440, now 2880"):
        run_batch(history, Asked(2880, (0.5, 0.9)), folder, "serial", 1, told_nothing)
    other = tmp_path / "other.parquet"
    long_frame(5).to_parquet(other, index=False)
    with pytest.raises(InputError, match="input_sha256 was"):
        quantiles(other, folder)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "unique_id,ds,y\n", "unique_id,ds,y\na,2026-01-01T00:00:00,1\n"])
def test_a_mended_history_is_forecast_to_the_same_file(tmp_path: Path, text: str) -> None:
    """A history that cannot be read leaves nothing behind that stands in the way of the right one."""
    path, folder = tmp_path / "history.csv", tmp_path / "out.parquet.parts"
    path.write_text(text)
    with pytest.raises(InputError):
        run_batch(path, Asked(24 * 60, (0.5,)), folder, "serial", 1, told_nothing)
    assert not folder.exists()


def test_a_history_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    """No folder of parts is made for a file that does not exist."""
    folder = tmp_path / "out.parquet.parts"
    with pytest.raises(InputError, match="no such history file"):
        run_batch(tmp_path / "none.csv", Asked(24 * 60, (0.5,)), folder, "serial", 1, told_nothing)
    assert not folder.exists()


@pytest.mark.usefixtures("small")
def test_a_full_disk_and_ctrl_c_keep_what_is_done(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """A run that cannot write, or is stopped, says so in a line; the same command goes on from it."""
    output, write = tmp_path / "out.parquet", batches.write_atomically
    arguments = ["forecast", str(history), *DAY, "--engine", "serial", "-o", str(output)]

    def fails(error: BaseException) -> None:
        def failing(path: Path, content: bytes) -> None:
            if path.name.startswith("part-00002"):
                raise error
            write(path, content)
        monkeypatch.setattr(batches, "write_atomically", failing)

    fails(OSError(28, "No space left on device"))
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert "No space left on device; what is done is kept in " in said
    assert "and the same command goes on from it" in said
    fails(KeyboardInterrupt())
    assert run(arguments) == 130
    assert "stopped; what is done is kept in" in capsys.readouterr().err
    assert len(list((tmp_path / "out.parquet.parts").glob("part-*.json"))) == 2
    monkeypatch.setattr(batches, "write_atomically", write)
    assert run(arguments) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "out.report.json"]


@pytest.mark.usefixtures("small")
def test_a_run_holds_its_parts_until_all_is_written(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    """While parts are joined, among themselves, the same command again is refused; a full disk then loses nothing."""
    output, join = tmp_path / "out.parquet", batches._join_parquet
    arguments = ["forecast", str(history), *DAY, "--engine", "serial", "-o", str(output)]
    met: list[object] = []

    def full(batch: Batch, file: Path, what: str) -> None:
        met.extend([file.parent, run(arguments)])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(batches, "_join_parquet", full)
    assert run(arguments) == 2
    assert met == [tmp_path / "out.parquet.parts", 2]
    refused, stopped = capsys.readouterr().err.splitlines()
    assert "another run is at work there" in refused
    assert "No space left on device; what is done is kept" in stopped
    monkeypatch.setattr(batches, "_join_parquet", join)
    assert run(arguments) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "out.report.json"]


def test_a_stopped_run_without_an_output_keeps_nothing(history: Path, monkeypatch: pytest.MonkeyPatch,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody named an output, parts lie nowhere for long, and nobody is told that they do."""
    monkeypatch.setattr(batches, "write_atomically", _no_space)
    assert run(["forecast", str(history), *DAY]) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "kept" not in said


def _no_space(path: Path, content: bytes) -> None:
    raise OSError(28, "No space left on device")


def test_a_history_is_never_written_over(history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An output that is the history, or lies in the folder that it is read from, is refused before any work."""
    before = history.read_bytes()
    assert run(["forecast", str(history), *DAY, "-o", str(history)]) == 2
    assert run(["forecast", str(history), *DAY, "-o", str(tmp_path / "out.parquet"), "--report", str(history)]) == 2
    assert run(["forecast", str(history.parent), *DAY, "-o", str(history.parent / "out.parquet")]) == 2
    first, second, third = capsys.readouterr().err.splitlines()
    assert (first[:2], second[:8], third[:2]) == ("-o", "--report", "-o")
    assert all("what is read would be lost, or read again" in line for line in (first, second, third))
    assert history.read_bytes() == before
    assert [path.name for path in history.parent.iterdir()] == [history.name]


@pytest.mark.usefixtures("small")
def test_a_run_tells_what_it_did(history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the output lie scores of every series and a report: models, back-test, refused, cost; a page shows all.
    """
    output, page = tmp_path / "out.csv", tmp_path / "page.html"
    assert run(["forecast", str(history), *DAY, "--engine", "serial", "--backtest", "-o", str(output), "--report",
                str(page)]) == 0
    assert "Back-test of all series" in capsys.readouterr().out
    told = json.loads((tmp_path / "out.report.json").read_text())
    assert told["series"]["given"] == SERIES + 1
    assert sum(told["models"].values()) == SERIES
    assert [row["unique_id"] for row in told["refused"]] == ["young"]
    assert told["cost"]["cpu_seconds"] > 0
    assert (told["backtest"]["scored"], told["backtest"]["not_scored"]) == (SERIES, [])
    models = told["backtest"]["models"]
    assert models["forecast"]["wql"] < models["seasonal_naive"]["wql"]
    assert 0.7 < models["forecast"]["coverage_q0.9"] < 1
    scores = pd.read_csv(tmp_path / "out.backtest.csv")
    assert set(scores["unique_id"]) == {f"s{k:02d}" for k in range(SERIES)}
    shown = page.read_text()
    assert all(words in shown for words in ("Back-test by model", "Back-test by series", 'id="fan2"', "young"))


def test_series_without_scores_are_counted_with_the_reason(history: Path, tmp_path: Path,
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    """Fifteen days ahead sixteen days hold nothing back: text, JSON, report, page and table say so, with numbers."""
    output, page = tmp_path / "out.parquet", tmp_path / "page.html"
    asked = ["forecast", str(history), "--horizon", "15d", "--backtest", "-o", str(output)]
    assert run([*asked, "--report", str(page)]) == 0
    reason = "history too short to hold back 360 steps and be forecast from what is left"
    said = capsys.readouterr().out
    assert f"not scored: {SERIES} series: {reason}" in said
    assert "Back-test" not in said
    told = json.loads((tmp_path / "out.report.json").read_text())["backtest"]
    assert (told["scored"], told["models"]) == (0, {})
    assert told["not_scored"] == [{"reason": reason, "series": SERIES}]
    assert f"{SERIES} series: {reason}" in page.read_text()
    table = pd.read_parquet(tmp_path / "out.backtest.parquet")
    assert sorted(table["unique_id"]) == [f"s{k:02d}" for k in range(SERIES)]
    assert set(table["note"]) == {reason}
    assert table["coverage_q0.9"].dtype == float
    assert run([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["backtest"]["not_scored"][0]["series"] == SERIES


def test_pooled_scores_are_those_of_all_rows() -> None:
    """Scores by model do not hang on how tables are cut; infinite MASE and rows without scores are left out."""
    rng, rows = np.random.default_rng(0), 40
    table = pd.DataFrame({"unique_id": np.arange(rows).astype(str), "model": ["forecast", "seasonal_naive"] * 20,
                          "pinball": rng.random(rows), "size": 1 + rng.random(rows), "mase": rng.random(rows),
                          "coverage_p90": rng.random(rows), "note": None, "origin": pd.Timestamp(0, tz="UTC")})
    table = table.assign(wql=2 * table["pinball"] / table["size"])
    table.loc[0, "mase"], table.loc[2, "wql"] = np.inf, np.nan
    whole, cut = pooled_scores(iter([table])), pooled_scores(iter([table[:7], table[7:]]))
    pd.testing.assert_frame_equal(cut, whole)
    mine = table[(table["model"] == "forecast") & table["wql"].notna()]
    row = whole.set_index("model").loc["forecast"]
    assert row["wql"] == pytest.approx(mine["wql"].mean())
    assert row["wql_pooled"] == pytest.approx(2 * mine["pinball"].sum() / mine["size"].sum())
    assert row["mase"] == pytest.approx(mine["mase"].drop(0).mean())
    assert row["forecasts"] == 19


def test_models_that_are_named_are_those_that_are_used(history: Path, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    """Each is weighed beside seasonal naive, in every part; the run report has what was asked, and the page too."""
    output, page = tmp_path / "out.parquet", tmp_path / "page.html"
    few = tmp_path / "few.parquet"
    long_frame().query("unique_id < 's03'").to_parquet(few, index=False)
    asked = ["forecast", str(few), *DAY, "--models", "theta, ets,theta", "-o", str(output), "--report", str(page)]
    assert run(asked) == 0
    told = json.loads((tmp_path / "out.report.json").read_text())
    assert told["models_asked"] == ["theta", "ets"]
    assert set(told["backtest"]["models"]) == {"forecast", "theta", "ets", "seasonal_naive"}
    assert "theta, ets" in page.read_text()
    capsys.readouterr()
    assert run(["forecast", str(few), *DAY, "--models", "structural", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["models"].values()) == {"structural"}


@pytest.mark.parametrize(("arguments", "words"), [
    (["--models", "prophett"], "--models: 'prophett': there are seasonal_naive, recent, boosting, ridge, ets, "),
    (["--models", "ets,Theta"], "did you mean theta?"),
    (["--engine", "dask"], "--engine: dask: allowed are serial, processes, ray"),
    (["--workers", "0"], "--workers"), (["-o", "out.json"], "ends with .json; .parquet or .csv is needed"),
    (["--report", "/nowhere/page.html"], "/nowhere"), (["--horizon", "0h"], "above 0"),
    (["--horizon", "99999999999999999999d"], "at most 36500d"), (["--horizon", "40000d"], "at most 36500d"),
    (["--quantiles", "0.5,0.9999999"], "at most six digits of a level are told apart"), (["--seed", "-1"], "--seed"),
])
def test_wrong_options_are_a_line(history: Path, arguments: list[str], words: str,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong option is one line and exit status 2, before any work."""
    assert run(["forecast", str(history), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_columns_known_ahead_are_named_once_and_are_no_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]
                                                              ) -> None:
    """A column or a country that is named twice counts once; what a history is made of is not known ahead."""
    table = long_frame().query("unique_id == 's00'").rename(columns={"unique_id": "workload", "ds": "ts", "y": "value"})
    ahead = table.tail(24).assign(ts=table["ts"].tail(24) + pd.Timedelta(days=1), value=np.nan)
    path = _csv(pd.concat([table, ahead]).assign(sale=0), tmp_path / "h.csv")
    frames = [quantiles(path, tmp_path / f"p{k}", known=("sale",) * k, holidays=("DE",) * k) for k in (1, 2)]
    pd.testing.assert_frame_equal(*frames)
    for name in ("value", "ts"):
        assert run(["forecast", str(path), *DAY, "--known", name]) == 2
        assert f"h.csv: {name}: a history is made of it" in capsys.readouterr().err
    assert run(["forecast", str(path), *DAY, "--holidays", "de"]) == 2
    assert "did you mean DE?" in capsys.readouterr().err
