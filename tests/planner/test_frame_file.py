"""Tables as people keep them: what is read, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from planner.errors import InputError
from planner.profiles.history import read_history
from planner.profiles.library import read_library

HEAD = "ts,workload,metric,value\n"
ROW = "2026-11-02T00:00:00Z,{},rps,{}\n"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "h.csv: is empty: a line of column names is needed"),
        (HEAD.replace(",", ";") + ROW.replace(",", ";"), "columns have semicolons between them: write commas"),
        (HEAD.replace(",", "\t"), "columns have tabs between them"),
        ((HEAD + ROW.format("Köln", 1)).encode("latin-1"), "h.csv: is not readable CSV in UTF-8"),
        ((HEAD + ROW).encode("utf-16"), "h.csv: is not readable CSV in UTF-8"),
        (HEAD.replace("metric", "value") + ROW.format("a", 1), "h.csv: column 'value' is there 2 times: keep one"),
        (HEAD + ROW.format("a", 1).strip() + ",7\n", "h.csv: line 2: 5 cells: 4 columns are named"),
        (HEAD + ROW.format("a", 1) + ROW.format("a", 1).strip() + ",7\n", "Expected 4 fields in line 3, saw 5"),
        (HEAD + ROW.format("a", 1) + ROW.format("", 1) * 2, "h.csv: workload: row 2 (and 1 more) has no name"),
        (HEAD + ROW.format("a", "true"), "h.csv: value: true and false are no numbers"),
        (HEAD + ROW.format("a", '"1,5"'), "h.csv: value: row 1: '1,5' is no number; write a decimal point"),
    ],
)
def test_what_is_wrong_with_a_history_file_is_one_line(tmp_path: Path, content: str | bytes, line: str) -> None:
    """A mistake in a file names the file, the place and how to mend it."""
    file = tmp_path / "h.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        read_history(file)
    assert line in str(caught.value)
    assert len(caught.value.problems) == 1


def test_names_are_text_as_it_stands(tmp_path: Path) -> None:
    """A workload may be called 007 or NA; a byte order mark is no part of a name; an empty number is missing."""
    file = tmp_path / "h.csv"
    file.write_bytes(b"\xef\xbb\xbf" + (HEAD + ROW.format("007", 1) + ROW.format("NA", "")).encode())
    table = read_history(file)
    assert list(table["workload"]) == ["007", "NA"]
    assert table["value"].isna().tolist() == [False, True]


def test_a_parquet_history_of_true_and_false_is_refused(tmp_path: Path) -> None:
    """Truth values are no demand, whatever the format."""
    frame = pd.DataFrame({"ts": pd.to_datetime(["2026-11-02T00:00:00Z"]), "workload": ["a"], "value": [True]})
    frame.to_parquet(tmp_path / "h.parquet")
    with pytest.raises(InputError, match="true and false are no numbers"):
        read_history(tmp_path / "h.parquet")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("application;kind;used.vcpu\na;etl;4\n", "columns have semicolons between them"),
        ("application,kind,used.vcpu,used.vcpu\na,etl,4,5\n", "column 'used.vcpu' is there 2 times: keep one"),
        ("application,kind,used.vcpu\nx,a,etl,4\n", "line 2: 4 cells: 3 columns are named"),
        ("application,kind,used.vcpu\na,etl,1e300\n", "row 1: used.vcpu: '1e300': a number from 0 to 1e+15"),
        ("application,kind,times,used.vcpu\na,etl,lots,4\n", "times: 'lots': a number above 0 is needed"),
        ("application,kind,finished,used.vcpu\na,etl,yesterday,4\n", "'yesterday' is no time of ISO 8601; write it as"),
    ],
)
def test_what_is_wrong_with_a_library_is_told(tmp_path: Path, content: str, line: str) -> None:
    """No row of a library is shifted, cut or taken for something else."""
    (tmp_path / "l.csv").write_text(content)
    with pytest.raises(InputError) as caught:
        read_library(tmp_path / "l.csv")
    assert line in str(caught.value)
