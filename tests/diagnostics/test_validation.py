"""Claims of data validation: three verdicts, each for its own reason, and clear answers to bad input."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from diagnostics.validation.configuration import (
    Column,
    Configuration,
    ConfigurationError,
    DriftRule,
    configuration_of,
    read_configuration,
    updated,
)
from diagnostics.validation.identify import identify
from diagnostics.validation.validate import DataError, Report, propose, read_table, validate

GOLDEN = Path(__file__).parent / "golden" / "drift.json"
ROWS = 1000


def claims(seed: int, rows: int = ROWS) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.DataFrame({
        "claim": [f"c{seed}-{row}" for row in range(rows)],
        "age": generator.integers(0, 100, rows).astype(float),
        "state": generator.choice(["SP", "RJ", "MG"], rows, p=[0.5, 0.3, 0.2]),
        "cost": generator.lognormal(5, 1, rows) - 100,
        "urgent": generator.random(rows) < 0.1,
        "filed": pd.date_range("2026-01-01", periods=rows, freq="h", tz="UTC"),
        "version": 3,
        "unused": np.full(rows, np.nan),
    })


def rules(**fields: object) -> Configuration:
    return configuration_of({"name": "claims", **fields})


def states(report: Report) -> tuple[str, str, str]:
    told = report.interpretation
    return told.schema.state, told.features.state, told.drift.state


# ---------------------------------------------------------------- configuration


def test_the_format_is_read_and_written_as_it_was() -> None:
    """The golden file keeps its bytes, so files of today can be read tomorrow."""
    assert read_configuration(GOLDEN).text() == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({}, "name: Field required"),
        ({"name": "a", "colums": {}}, "colums: not a known field; .*'columns'"),
        ({"name": "a", "columns": {"x": {"tipe": "number"}}}, "columns.x.tipe: not a known field; .*'type'"),
        ({"name": "a", "columns": {"x": {"type": "float"}}}, "columns.x.type: \"float\": .*'number'"),
        ({"name": "a", "drift": {"accepted_share": 30}}, "drift.accepted_share: 30: .*less than or equal to 1"),
        ({"name": "a", "drift": {"test": "kl"}}, "drift.test: \"kl\": one of psi, kl_monthly, ks, wasserstein"),
        ({"name": "a", "columns": {"x": {"least": 3, "most": 2}}}, "least 3 is above most 2"),
        ({"name": "a", "columns": {"x": {"least": 3, "type": "text"}}}, "for numbers, and type is text"),
        ({"name": "a", "schema": 2}, "schema: 2"),
        ([], r"\(the whole file\)"),
    ],
)
def test_mistakes_are_named(told: object, says: str) -> None:
    """Field, value, what is allowed, and the nearest name."""
    with pytest.raises(ConfigurationError, match=says):
        configuration_of(told)


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "drift.json: no JSON"), ('{"name": "a", "name": "b"}', "field 'name' is there twice"),
     ('{"name": "a", "x": 1, "y": 2}', "drift.json: x.*\ndrift.json: y")],
)
def test_broken_files_are_named(tmp_path: Path, text: str, says: str) -> None:
    """No JSON, a field twice, and several mistakes at once."""
    (tmp_path / "drift.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=says):
        read_configuration(tmp_path / "drift.json")
    with pytest.raises(ConfigurationError, match="no such file"):
        read_configuration(tmp_path / "other.json")


def test_fields_can_be_set_by_their_path() -> None:
    """A field is overruled and checked like any other; the given configuration stays as it is."""
    given = rules(columns={"age": {"most": 120.0}})
    made = updated(given, {"drift.accepted_share": 0.3, "columns.age.most": 99.0, "columns.cost.least": 0.0})
    assert made.drift.accepted_share == 0.3
    assert made.columns["age"].most == 99
    assert made.columns["cost"] == Column(least=0)
    assert given.drift == DriftRule()
    with pytest.raises(ConfigurationError, match=r"drift\.acepted_share"):
        updated(given, {"drift.acepted_share": 0.3})
    with pytest.raises(ConfigurationError, match="name has no fields"):
        updated(given, {"name.first": 1})


# ---------------------------------------------------------------- identification and summary


def test_columns_get_their_category_by_the_thresholds() -> None:
    """Every category, and a threshold or the configuration moves a column to another."""
    found = {one.column: one.category for one in identify(claims(0), rules())}
    assert found == {"claim": "identifier", "age": "numeric", "state": "categorical", "cost": "numeric",
                     "urgent": "boolean", "filed": "time", "version": "constant", "unused": "empty"}
    moved = rules(identify={"categorical_up_to": 200}, columns={"cost": {"category": "text"}})
    found = {one.column: one.category for one in identify(claims(0), moved)}
    assert (found["age"], found["cost"], found["claim"]) == ("categorical", "text", "identifier")


def test_the_summary_counts() -> None:
    """Rows, repeated rows, missing and distinct values, zeros, negatives and the most frequent values."""
    frame = pd.DataFrame({"x": [0.0, -1.5, np.nan, 2.5, 2.5], "k": ["b", "a", "b", None, None]})
    summary = validate(frame, rules(identify={"categorical_up_to": 2})).summary
    assert (summary.records, summary.duplicates) == (5, 1)
    x, k = summary.columns
    assert x.numbers is not None
    assert (x.missing, x.distinct, x.numbers.zeros, x.numbers.negative, x.numbers.mean) == (1, 3, 1, 1, 0.875)
    assert k.top == (("b", 2), ("a", 1))
    assert k.missing_share == 0.4


# ---------------------------------------------------------------- verdicts


def test_calm_data_are_fine() -> None:
    """New data of the same kind: three times ok, and no baseline is no drift but says so."""
    assert states(validate(claims(1), read_rules(), claims(2))) == ("ok", "ok", "ok")
    report = validate(claims(1), read_rules())
    assert states(report) == ("ok", "ok", "no_baseline")
    assert not report.found


def read_rules() -> Configuration:
    return updated(read_configuration(GOLDEN), {"other_columns": "allow"})


def test_each_verdict_has_its_own_reason() -> None:
    """A broken schema, a value out of range and a shifted feature each fail their own verdict only."""
    frame = claims(1)
    frame.loc[[3, 7], "state"] = "XX"
    report = validate(frame, read_rules(), claims(2))
    assert states(report) == ("failed", "ok", "ok")
    (fault,) = report.schema_faults
    assert (fault.column, fault.rule, fault.rows, fault.first_row, fault.value) == ("state", "allowed", 2, 4, "XX")

    frame = claims(1)
    frame.loc[[10, 11], "age"] = [-1, 130]
    assert states(validate(frame, read_rules(), claims(2))) == ("ok", "failed", "ok")

    frame = claims(1)
    frame[["age", "cost"]] = np.c_[frame["age"] * 0.5, frame["cost"] * 3]
    report = validate(frame, read_rules(), claims(2))
    assert states(report) == ("ok", "ok", "drifted")
    assert report.benchmark is not None
    assert report.benchmark.drifted_share == pytest.approx(2 / 5)
    assert {feature.column for feature in report.benchmark.features if feature.drifted} == {"age", "cost"}
    accepted = updated(read_rules(), {"drift.accepted_share": 0.5})
    assert states(validate(frame, accepted, claims(2))) == ("ok", "ok", "ok")


def test_schema_faults_are_told_all_at_once() -> None:
    """Missing and unknown columns, another type, repeated keys and too few rows in one report."""
    frame = claims(1, 50).drop(columns="cost").assign(extra=1.0)
    frame["claim"] = "same"
    frame["age"] = "old"
    frame = frame.drop(columns=["urgent", "filed", "version", "unused"])
    told = {(fault.column, fault.rule) for fault in validate(frame, read_configuration(GOLDEN)).schema_faults}
    assert told == {(None, "records"), ("cost", "missing column"), ("extra", "unknown column"), ("claim", "unique"),
                    ("age", "type")}


def test_changed_shares_of_categories_are_drift() -> None:
    """A category that doubles its share drifts; a new one is seen even without rules."""
    frame = claims(1)
    frame["state"] = np.random.default_rng(0).choice(["SP", "RJ", "XX"], ROWS, p=[0.2, 0.3, 0.5])
    report = validate(frame, rules(), claims(2))
    assert report.benchmark is not None
    assert [feature.column for feature in report.benchmark.features if feature.drifted] == ["state"]


@pytest.mark.parametrize("test", ["psi", "kl_monthly", "ks", "wasserstein"])
def test_odd_columns_get_clear_answers(test: str) -> None:
    """Constants, zeros, negatives, infinities, NaN columns and changed types raise no verdict but what is true."""
    generator = np.random.default_rng(0)
    before = pd.DataFrame({"constant": 0.0, "negative": -5.0, "moved": 3.0, "empty": np.nan, "gone": 1.0,
                           "typed": generator.normal(size=ROWS), "few": np.nan}, index=range(ROWS))
    before.loc[:9, "few"] = 1.0
    now = before.drop(columns="gone").assign(moved=4.0, empty=1.0, typed="a", new=1.0)
    now.loc[5, "negative"] = np.inf
    report = validate(now, rules(drift={"test": test, "accepted_share": 0.0}), before)
    assert report.benchmark is not None
    told = {feature.column: feature for feature in report.benchmark.features}
    assert {name for name, feature in told.items() if feature.drifted} == {"moved"}
    assert told["empty"].why == "no value in the baseline"
    assert told["gone"].why == "not in the new data"
    assert told["new"].why == "not in the baseline"
    assert told["typed"].why == "it is text now and was number in the baseline"
    (fault,) = report.feature_faults
    assert fault.sentence == "negative: 1 values are infinite, the first in row 6"
    assert told["few"].why == "fewer than 30 values are known"
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["found"] is True


def test_rows_that_follow_each_other_are_no_drift() -> None:
    """Of 30 pairs of calm tables whose rows follow each other strongly, at most three are called drifted."""
    from scipy.signal import lfilter

    drifted = 0
    for seed in range(30):
        noise = np.random.default_rng(seed).normal(size=4500)
        values = lfilter([1.0], [1.0, -0.9], noise)[500:]
        report = validate(pd.DataFrame({"x": values[2000:]}), rules(), pd.DataFrame({"x": values[:2000]}))
        drifted += report.found
    assert drifted <= 3


def test_the_order_of_columns_does_not_matter_and_frames_stay() -> None:
    """Reordered columns get the same verdicts, and the input is unchanged."""
    now, before = claims(1), claims(2)
    copies = now.copy(), before.copy()
    one = validate(now, rules(), before)
    other = validate(now[now.columns[::-1]], rules(), before[before.columns[::-1]])
    assert one.benchmark is not None
    assert other.benchmark is not None
    assert set(one.benchmark.features) == set(other.benchmark.features)
    assert one.interpretation.drift == other.interpretation.drift
    pd.testing.assert_frame_equal(now, copies[0])
    pd.testing.assert_frame_equal(before, copies[1])


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_hardly_any_rows_are_an_answer(rows: int) -> None:
    """An empty table fails its schema and drifts nowhere."""
    report = validate(claims(1, rows), rules(), claims(2))
    assert states(report) == ("failed" if rows == 0 else "ok", "ok", "not_compared")


# ---------------------------------------------------------------- files


def test_proposed_rules_hold_for_their_data(tmp_path: Path) -> None:
    """What is proposed from a table passes that table, as CSV and as Parquet, and reads back as written."""
    frame = claims(1)
    frame.loc[:20, "cost"] = np.nan
    made = propose(frame, "claims")
    (tmp_path / "drift.json").write_text(made.text(), encoding="utf-8")
    assert read_configuration(tmp_path / "drift.json") == made
    frame.to_parquet(tmp_path / "claims.parquet")
    assert not validate(read_table(tmp_path / "claims.parquet"), made).found
    frame.to_csv(tmp_path / "claims.csv", index=False)
    in_text = updated(made, {"columns.filed.type": "text"})
    assert not validate(read_table(tmp_path / "claims.csv"), in_text).found


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [("a.txt", "x\n1\n", "'.txt' is not a table's format"), ("a.csv", "x,x\n1,2\n", "column 'x' is there twice"),
     ("a.parquet", "x", "a.parquet: cannot be read"), ("a.csv", "", "cannot be read")],
)
def test_tables_that_cannot_be_read_are_named(tmp_path: Path, name: str, content: str, says: str) -> None:
    """Another format, a name twice and a broken file."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=says):
        read_table(tmp_path / name)
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "none.csv")
