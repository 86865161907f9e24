"""Tables of sample paths: what is read, and one line for each mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from planner.errors import InputError
from planner.scenario.path_tables import read_paths
from planner.scenario.sample_paths import SamplePaths

GOOD = ["workload,path,0,1", "b,7,5,1", "a,7,1,2", "a,3,3,4", "b,3,0,9"]


def read(folder: Path, lines: list[str], readers: tuple[str, ...] = ("a", "b")) -> SamplePaths:
    """What the lines of a table give the workloads that name it."""
    (folder / "p.csv").write_text("\n".join(lines) + "\n")
    return read_paths({"p.csv": folder / "p.csv"}, {"p.csv": {name: f"here: {name}" for name in readers}}, 2)


def test_paths_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Rows come in any order; path i of every workload stands at the same place."""
    found = read(tmp_path, GOOD)
    assert found.path == (3, 7)
    assert found.counts.tolist() == [[[3, 4], [1, 2]], [[0, 9], [5, 1]]]
    assert found.counts.dtype == np.int16
    assert len(found.files[0].sha256) == 64


def test_large_numbers_are_kept_whole(tmp_path: Path) -> None:
    """Short integers are used only where all fit."""
    found = read(tmp_path, ["workload,path,0,1", "a,0,40000,1"], ("a",))
    assert found.counts.tolist() == [[[40000, 1]]]


def test_the_quantile_is_enough_on_that_share_of_paths() -> None:
    """Of ten paths nine tenths are nine: the second largest."""
    counts = np.arange(10, dtype=np.int16)[::-1].reshape(1, 10, 1).copy()
    paths = SamplePaths({"a": 0}, tuple(range(10)), counts)
    assert [int(paths.quantile(level)[0, 0]) for level in (0.9, 0.91, 0.05)] == [8, 9, 0]


@pytest.mark.parametrize(("change", "line"), [
    (lambda rows: [*rows, "a,3,1,1"], "p.csv: a: path 3: given twice: keep one row"),
    (lambda rows: rows[:-1], "path 3: a has it and b has not"),
    (lambda rows: [rows[0], *rows[1:3], rows[3].replace("a,3", "a,4"), rows[4]], "needs the same paths"),
    (lambda rows: [*rows, "c,3,1,1"], "p.csv: workload: c: no workload of that name reads this table"),
    (lambda rows: [row for row in rows if row[0] != "b"], "here: b: p.csv has no path for b: add its rows"),
    (lambda rows: [*rows[:-1], "b,3,0,-9"], "p.csv: b: slot 1: -9: a whole number of at least 0 is needed"),
    (lambda rows: [*rows[:-1], "b,3.5,0,9"], "p.csv: row 4: path: a whole number of at least 0 is needed"),
    (lambda rows: [row.rsplit(",", 1)[0] for row in rows], "columns: 1 missing: a column workload and path"),
    (lambda rows: [row.replace(",path", ",way") for row in rows], "columns: path missing"),
])
def test_a_mistake_is_told_with_its_place(tmp_path: Path, change: object, line: str) -> None:
    """Every wrong table says where and what is needed."""
    assert callable(change)
    with pytest.raises(InputError) as wrong:
        read(tmp_path, change(GOOD))
    assert any(line in problem for problem in wrong.value.problems), wrong.value.problems
