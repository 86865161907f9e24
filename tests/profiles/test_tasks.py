"""Descriptions of tasks: what is understood, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest

from planner.errors import InputError
from planner.profiles import predict_profile
from planner.profiles.schema import is_tabular, read_schema, row_bytes
from planner.profiles.tasks import latency_of, read_task, runtime_of

CLAIMS = """
CREATE TABLE IF NOT EXISTS hospital.claims (
    claim_id  bigint PRIMARY KEY,
    "patient" varchar(40) NOT NULL,
    amount    numeric(10, 2),
    PRIMARY KEY (claim_id)
);
"""


@pytest.mark.parametrize(
    ("kind", "task", "line"),
    [
        ("training", {"data": {"rows": "400M"}}, "task: data.rows: 400M: text for a number; write 400000000"),
        ("etl", {"volume_gb": "3 TB"}, "task: volume_gb: 3 TB: text for a number of GB; write 3000"),
        ("serving", {"latency_ms": 0}, "task: latency_ms: 0: more than 0"),
        ("serving", {"latency": "fast"}, "task: latency: fast: says no time; write latency_ms, or one of: real-time"),
        ("training", {"modle": "xgboost"}, "task: modle: unknown field: did you mean model?"),
        ("training", {"model": "xgbost"}, "did you mean xgboost?"),
        ("training", {"data": {"rows": -5}}, "task: data.rows: -5: at least 1"),
        ("etl", {"volume_gb": 1e30}, "task: volume_gb: 1e+30: at most 1,000,000,000,000"),
        ("etl", {"keep_runs": 1.5}, "task: keep_runs: 1.5: a whole number"),
        ("etl", {"labels": {"team": [1]}}, "task: labels.team: a list of 1: text or a number"),
        ("etl", {"cadence": ["daily"]}, "task: cadence: a list of 1: a number"),
        ("serving", {"latency": 50}, "task: latency: 50: a number for words; write latency_ms: 50"),
        ("training", {"model": []}, "task: model: a list of 0: at least one item: add one"),
        ("training", {"model": 5}, "task: model: 5: model '5' is not known: "),
        ("training", {"data": "lots"}, "task: data: lots: a mapping of fields"),
        ("training", {"data": {"rowz": 3}}, "task: data.rowz: unknown field: did you mean rows?"),
        ("etl", {"source_schema": "SELECT 1"}, "text that is no CREATE TABLE statement"),
        ("etl", {"source_schema": {"id": "biggint"}}, "column id: type 'biggint' is not known"),
        ("etl", {"cadence": "often"}, "task: cadence: often: once, hourly, daily, weekly, monthly"),
        (
            "trainning",
            {},
            "task: kind: 'trainning': tasks are described for etl, feature, training, serving; did you mean",
        ),
        ("drift_monitor", {}, "give `request` and `replicas` instead"),
    ],
)
def test_mistakes_are_named(kind: str, task: dict[str, Any], line: str) -> None:
    """Each mistake is a line with field, value, and how to mend it."""
    with pytest.raises(InputError) as caught:
        read_task(kind, task, "task")
    assert line in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    """Two mistakes make two lines."""
    with pytest.raises(InputError) as caught:
        read_task("serving", {"latency_ms": 0, "requests_per_s": "many"}, "task")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("kind", "task", "line"),
    [
        ("etl", {}, "task: volume_gb: not known, nor are rows: not enough evidence"),
        ("training", {"model": "unknown", "data": "unknown"}, "task: data: neither rows nor volume_gb is known"),
        ("training", {"model": "cnn", "data": {"rows": 10}}, "a network needs its number of parameters"),
        ("serving", {"concurrent_requests": "unknown"}, "task: requests_per_s: not known"),
        ("serving", {"requests_per_s": 1, "machine": "toaster"}, "task: machine: 'toaster': CPU, one of T4, L4"),
        (
            "serving",
            {"requests_per_s": 1, "latency_ms": 4, "model": "llm", "hyperparameters": {"parameters": 7e9}},
            "allow more time or a smaller model",
        ),
        ("etl", {"volume_gb": 1e6, "cadence": "hourly", "keep_runs": 1, "window_hours": 2000}, "again after 1 h"),
    ],
)
def test_not_enough_evidence_is_an_answer(kind: str, task: dict[str, Any], line: str) -> None:
    """Where a size would be a guess, or nothing can do the job, that is said."""
    if line == "again after 1 h":  # workers are added until a run ends within its cadence
        assert max(predict_profile(kind, task).replicas) > 1000
        return
    with pytest.raises(InputError) as caught:
        predict_profile(kind, task)
    assert line in str(caught.value)


def test_unknown_is_allowed_wherever_a_person_may_not_know() -> None:
    """A description full of unknowns is read; only what a size cannot do without is asked for."""
    task = {
        "data": {"rows": 1e6, "columns": "unknown"},
        "model": "unknown",
        "hyperparameters": "unknown",
        "cadence": "unknown",
        "window_hours": "unknown",
    }
    profile = predict_profile("training", task)
    assumed = str(profile.figure("assumed").value)
    assert "boosted trees" in assumed
    assert "daily" in assumed
    assert profile.figure("cores").confidence < predict_profile("serving", {
        "requests_per_s": 5, "model": "xgboost", "hyperparameters": {"trees": 10, "max_depth": 3}, "latency_ms": 100,
    }).figure("cores").confidence  # fmt: skip


def test_schemas_are_read_from_sql_text_and_from_mappings() -> None:
    """A pasted CREATE TABLE gives the same columns as a mapping, constraints left out."""
    columns = read_schema(CLAIMS)
    assert columns == {"claim_id": "bigint", "patient": "varchar(40)", "amount": "numeric(10)"}
    assert row_bytes(columns) == 8 + 20 + 16
    assert read_schema("unknown") is None
    assert is_tabular(columns)
    assert not is_tabular({"id": "bigint", "page": "json", "scan": "blob"})


def test_words_for_latency_and_runtimes() -> None:
    """Words imply milliseconds by their longest phrase; Triton is a runtime wherever it is written."""
    assert latency_of("near real-time scoring") == 1000
    assert latency_of("Real-time replies for doctors") == 100
    assert latency_of("whenever") is None
    assert runtime_of("nvidia triton 24.05") == "NVIDIA Triton"
    assert runtime_of("H100") is None


def test_cadences() -> None:
    """Any cadence can be said: a word, "every 6 hours", or hours."""
    for said, hours in (("weekly", 168), ("every 6 hours", 6), ("every 2 days", 48), (12, 12), ("once", float("inf"))):
        assert read_task("etl", {"cadence": said}, "task").cadence == hours
