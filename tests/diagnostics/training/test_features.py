"""The experts' file: strict, with every mistake a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from diagnostics.training.errors import TrainingError
from diagnostics.training.features import BUILTIN, parse_feature_sets, read_feature_sets


def told(**changes: object) -> dict[str, object]:
    return {"schema": 1, "targets": ["health"], "feature_sets": {"some": {"metrics": ["a*"]}}} | changes


def test_the_file_that_comes_with_the_package_is_right() -> None:
    """It parses, and its families do not claim one class twice for the hardware that telemetry is made of."""
    sets = read_feature_sets(BUILTIN)
    assert set(sets.feature_sets) == {"io", "io-and-host", "everything"}
    assert sets.covers("flash")


def test_patterns_choose_metrics_that_are_there() -> None:
    """Globs, less what is to be left out."""
    sets = parse_feature_sets(told(feature_sets={"some": {"metrics": ["a*", "b"], "without": ["*_total"]}}))
    assert sets.feature_sets["some"].choose(["a1", "a_total", "b", "c"]) == ("a1", "b")


@pytest.mark.parametrize(("change", "message"), [
    ({"feature_sets": {"some": {"metrcs": ["a"]}}}, "feature_sets.some.metrcs: is not known; did you mean 'metrics'"),
    ({"targets": []}, "targets: "),
    ({"schema": 2}, "schema: "),
    ({"feature_sets": {"screened": {"metrics": ["a"]}}}, "the set that the search makes"),
    ({"feature_sets": {"some": {"metrics": ["a"], "lags_hours": [0]}}}, "lags_hours: .0.: whole hours back"),
    ({"scenarios": {"s": {"expect": "calm"}}}, "scenarios.s: a scenario has a file"),
    ({"scenarios": {"s": {"expect": "calm", "multiply": {"a": float("nan")}}}}, "scenarios.s.multiply.a: nan"),
    ({"scenarios": {"s": {"expect": "odd", "multiply": {"a": 2}}}}, "scenarios.s.expect: 'odd'"),
    ({"scenarios": {"s": {"expect": "calm", "multiply": {"a": 2}, "hosts": 0}}}, "scenarios.s.hosts: 0"),
])
def test_mistakes_are_named(change: dict[str, object], message: str) -> None:
    """File, field, value and what is allowed."""
    with pytest.raises(TrainingError, match=message):
        parse_feature_sets(told(**change))


def test_a_set_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """Only one of them would count; the line and the name are told. A key of another set may be the same."""
    (tmp_path / "sets.yaml").write_text("schema: 1\ntargets: [a]\nfeature_sets:\n  io: {metrics: [b]}\n"
                                        "  past: {metrics: [b]}\n  io: {metrics: [c]}\n")
    with pytest.raises(TrainingError, match=r"sets\.yaml: .*line 4: 'io' is there twice"):
        read_feature_sets(tmp_path / "sets.yaml")


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    """Missing, no YAML, empty, or a list."""
    with pytest.raises(TrainingError, match="No such file"):
        read_feature_sets(tmp_path / "none.yaml")
    for text, message in (("a: [", "is no YAML"), ("", "found NoneType"), ("- a", "found list")):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(TrainingError, match=message):
            read_feature_sets(tmp_path / "x.yaml")
    with pytest.raises(TrainingError, match=r"family 'flsh'.*did you mean 'flash'"):
        read_feature_sets().covers("flsh")
