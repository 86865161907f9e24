"""Tables of recorded demand: both forms give the same numbers, and every mistake is one line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from planner.errors import InputError
from planner.recorded import read_demand
from planner.scenario.model import Horizon, Period

START = datetime(2026, 11, 2, tzinfo=UTC)
HORIZON = Horizon(start=START, slots=3, slot_minutes=60)
NAMES = ("web", "etl")
WANTED = np.array([[1, 2, 3], [0, 5, 0]])
WIDE = "workload,0,1,2\netl,0,5,0\nweb,1,2,3\n"
LONG = ("workload,ts,replicas\n" + "".join(
    f"{name},2026-11-02T0{t}:00:00Z,{WANTED[w, t]}\n" for t in range(3) for w, name in enumerate(NAMES)))


def read(folder: Path, text: str, horizon: Horizon = HORIZON, names: Sequence[str] = NAMES) -> np.ndarray:
    path = folder / "demand.csv"
    path.write_text(text, encoding="utf-8")
    return read_demand(path, names, horizon)


@pytest.mark.parametrize("text", [
    WIDE, LONG, LONG.replace("ts", "slot").replace("2026-11-02T0", "").replace(":00:00Z", ""),
    LONG.replace(":00:00Z", ":30:00+00:30")])
def test_every_form_gives_the_same(tmp_path: Path, text: str) -> None:
    """Wide, by time, by slot and by time in another zone: the same replicas, in the order asked for."""
    assert read(tmp_path, text).tolist() == WANTED.tolist()


def test_parquet_times(tmp_path: Path) -> None:
    """Parquet with times of a zone is read; without a zone it is refused."""
    times = [START + timedelta(hours=t) for t in range(3)] * 2
    table = {"workload": ["web"] * 3 + ["etl"] * 3, "replicas": WANTED.reshape(-1).tolist()}
    path = tmp_path / "demand.parquet"
    pq.write_table(pa.table({**table, "ts": pa.array(times, pa.timestamp("ms", tz="Europe/Lisbon"))}), path)
    assert read_demand(path, NAMES, HORIZON).tolist() == WANTED.tolist()
    naive = [time.replace(tzinfo=None) for time in times]
    pq.write_table(pa.table({**table, "ts": pa.array(naive, pa.timestamp("ms"))}), path)
    with pytest.raises(InputError, match="ts: times without a zone"):
        read_demand(path, NAMES, HORIZON)


def test_windows_of_a_horizon(tmp_path: Path) -> None:
    """Times of a horizon of several windows find their slots."""
    horizon = Horizon(start=START, slots=3, slot_minutes=60, periods=(
        Period(start=START, slots=2, stands_for_days=1), Period(start=START + timedelta(days=7), slots=1,
                                                                stands_for_days=1)))
    text = LONG.replace("2026-11-02T02", "2026-11-09T00")
    assert read(tmp_path, text, horizon).tolist() == WANTED.tolist()


@pytest.mark.parametrize(("text", "line"), [
    (WIDE.replace("web", "wep"), "workload: wep: not in the scenario: did you mean web?"),
    (WIDE.replace("etl,0,5,0\n", ""), "workload: etl: no row"),
    (WIDE.replace(",3", ",-3"), "web: slot 2: -3: a whole number"),
    (WIDE.replace(",3", ",3.5"), "web: slot 2: 3.5: a whole number"),
    (WIDE.replace("0,1,2", "0,1,3"), "columns: 2 missing"),
    (WIDE + "web,1,2,3\n", "workload: web: given twice"),
    ("workload,now\nweb,1\n", "columns: workload, now: needed are"),
    (LONG.replace("ts", "time"), "columns: workload, time, replicas: needed are"),
    (LONG.replace(":00:00Z", ":00:00"), "'2026-11-02T00:00:00' has no zone"),
    (LONG.replace("T01:00:00Z", "T01:10:00Z"), "2026-11-02T01:10:00Z and 1 more rows: not the begin of a slot"),
    (LONG.replace("2026-11-02T02", "2026-11-02T05"), "not the begin of a slot: the horizon has 3 of 60 minutes"),
    (LONG.replace("2026-11-02T01:00:00Z,2", "soon,2"), "'soon' is no time"),
    (LONG.replace("2026-11-02T02:00:00Z,3", "2026-11-02T01:00:00Z,3"), "web: slot 1: given twice"),
    (LONG.replace("etl,2026-11-02T02:00:00Z,0\n", ""), "etl: slot 2: missing"),
    (LONG.replace("Z,5", "Z,-5"), "etl: row 4: replicas: -5: a whole number"),
    (LONG.replace("Z,5", "Z,"), "etl: row 4: replicas: not a number"),
    (LONG.replace("ts", "slot").replace("2026-11-02T0", "").replace(":00:00Z", "") + "web,7,1\n",
     "web: row 7: slot: 7: the horizon has slots 0 to 2")])
def test_mistakes_are_one_line(tmp_path: Path, text: str, line: str) -> None:
    """What is wrong is said with file, place, what was found and what is allowed."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert any(line in problem for problem in caught.value.problems), caught.value.problems
    assert all(problem.startswith("demand.csv: ") and "\n" not in problem for problem in caught.value.problems)


def test_files_that_are_none(tmp_path: Path) -> None:
    """A file that is not there, of another kind or not what its name says is refused."""
    with pytest.raises(InputError, match="there is no such file"):
        read_demand(tmp_path / "no.csv", NAMES, HORIZON)
    (tmp_path / "demand.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"\.csv or \.parquet is wanted"):
        read_demand(tmp_path / "demand.json", NAMES, HORIZON)
    (tmp_path / "demand.parquet").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="is not readable"):
        read_demand(tmp_path / "demand.parquet", NAMES, HORIZON)
