"""YAML is read as people mean it, and what cannot be read is told by line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.scenario import read_scenario
from planner.scenario.yaml_file import MAX_VALUES, dump_yaml, parse_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True))


def error_of(text: str) -> str:
    """The one line that reading a text gives."""
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "s.yaml")
    (line,) = caught.value.problems
    return line


@pytest.mark.parametrize(("text", "value"), [
    ("NO", "NO"), ("yes", "yes"), ("true", True), ("~", None), ("1e-3", 0.001), ("1_000", 1000), ("010", "010"),
    ("12:30", "12:30"), ("2026-11-02T00:00:00Z", "2026-11-02T00:00:00Z"), ("'5'", "5"), ("1.2.3", "1.2.3"), ("-7", -7),
    ("0x10", "0x10"), (".5", 0.5), ("nano", "nano"), ("-", None)])
def test_plain_words_mean_what_they_look_like(text: str, value: object) -> None:
    """Norway stays text, a time stays text for its field to judge, and 1e-3 is a number."""
    if text == "-":
        assert parse_yaml("- \n", "s.yaml") == [None]
    else:
        assert parse_yaml(f"key: {text}", "s.yaml") == {"key": value}


@pytest.mark.parametrize(("text", "line"), [
    ("", "s.yaml: is empty: a mapping of fields is needed"),
    ("# only a comment\n", "s.yaml: is empty: a mapping of fields is needed"),
    ("a:\n\tb: 3", "s.yaml: line 2: a tab: YAML is indented with spaces only: replace every tab by two spaces"),
    ("a: 1\na: 2", "s.yaml: line 2: a: given twice in one mapping: keep one"),
    ("a: {b: 1, b: 1}", "s.yaml: line 1: b: given twice in one mapping: keep one"),
    ("a: &x [*x]", "s.yaml: line 1: an alias to what it is part of: write the values out"),
    ("a: !!python/object/apply:os.system [ls]",
     "s.yaml: line 1: the tag python/object/apply:os.system: plain values only"),
    ("a: 1\n---\nb: 1", "s.yaml: line 2: a second document: one file holds one: remove everything from '---' on"),
    ("? [1]\n: 2", "s.yaml: line 1: a list or mapping as a key: keys are words"),
    ("[" * 60 + "]" * 60, "s.yaml: is not YAML: nested deeper than 50 levels"),
])
def test_what_is_not_plain_yaml_is_told_by_line(text: str, line: str) -> None:
    """Each mistake of YAML itself is one line that names the place."""
    assert error_of(text) == line


def test_deep_nesting_is_refused_and_does_not_crash() -> None:
    """A hundred thousand brackets end in a line, not in a full stack."""
    assert error_of("[" * 100_000).startswith("s.yaml: ")


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    """Nine lines that stand for a billion values are refused in no time."""
    began = time.process_time()
    assert f"more than {MAX_VALUES:,} values" in error_of(BOMB)
    assert time.process_time() - began < 2


def test_merged_mappings_are_read() -> None:
    """Keys of a mapping win over those that `<<` brings in."""
    assert parse_yaml("a: &a {x: 1, y: 1}\nb: {<<: *a, x: 2}", "s.yaml")["b"] == {"x": 2, "y": 1}


def test_a_file_of_a_gigabyte_is_refused_at_once(tmp_path: Path) -> None:
    """Size is looked at before a byte is read, and the line says to use tables."""
    file = tmp_path / "scenario.yaml"
    with file.open("wb") as sparse:
        sparse.truncate(2**30)
    began = time.process_time()
    with pytest.raises(InputError, match=r"scenario\.yaml: 1,074 MB: at most .* tables, such as workloads: "):
        read_scenario(tmp_path)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(("content", "words"), [
    (b"name: \xff\xfe", "byte 6 is not UTF-8 text"), (b"- 1\n- 2", "a list of 2: a mapping of fields is needed"),
    (b"just words", "just words: a mapping of fields is needed"), (b"", "is empty")])
def test_a_file_that_is_no_scenario_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    """Bytes, lists and empty files are told apart."""
    (tmp_path / "scenario.yaml").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_scenario(tmp_path)


def test_a_folder_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    """A typo in the path is met with the folder that is there."""
    (tmp_path / "medical").mkdir()
    with pytest.raises(InputError, match=r"medcal: no such file or folder.*did you mean .*medical\?"):
        read_scenario(tmp_path / "medcal")
    with pytest.raises(InputError, match=r"scenario\.yaml: not there"):
        read_scenario(tmp_path / "medical")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
    | st.sampled_from(["NO", "1e-3", "nan", "010", "=", "<<", "2026-11-02", "null", "1_0", ".5", "- a", "#", "0x1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.dictionaries(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C"]), max_size=5), VALUES))
def test_what_is_dumped_reads_the_same(value: dict[str, Any]) -> None:
    """Every value that is written is read back as the same value of the same type."""
    assert repr(parse_yaml(dump_yaml(value), "s.yaml")) == repr(value)
