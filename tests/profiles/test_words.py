"""Descriptions in words: what is understood, what is left alone, and how words and fields go together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import NotEnoughEvidenceError
from planner.profiles import Profile, Stated, predict_profile
from planner.profiles.heard import hear
from planner.profiles.library import parse_run
from planner.profiles.phrases import latency_phrase, phrases
from planner.profiles.tasks import read_task

DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("about 300 GB a night", [("gb", 300, DAY_S)]),
        ("2 TB/day", [("gb", 2000, DAY_S)]),
        ("1.5 terabytes of logs per week", [("gb", 1500, 7 * DAY_S)]),
        ("1,200 GB nightly", [("gb", 1200, DAY_S)]),
        ("40 million rows", [("rows", 40e6, None)]),
        ("40M patient records", [("rows", 40e6, None)]),
        ("5,000 events per second", [("rows", 5000, 1)]),
        ("400 million rows of 64 columns", [("rows", 400e6, None), ("columns", 64, None)]),
        ("between 200 and 300 GB", [("gb", 300, None)]),
        ("200-300 GB", [("gb", 300, None)]),
        ("200 requests per second", [("requests", 200, 1)]),
        ("300 rps", [("requests", 300, 1)]),
        ("5 million predictions a day", [("requests", 5e6, DAY_S)]),
        ("30 doctors at once", [("at_once", 30, None)]),
        ("30 concurrent users", [("at_once", 30, None)]),
        ("runs every 6 hours", [("every", 6 * 3600, None)]),
        ("twice a day", [("every", DAY_S / 2, None)]),
        ("within 4 hours", [("window", 4 * 3600, None)]),
        ("a 2 hour window", [("window", 2 * 3600, None)]),
    ],
)
def test_amounts_in_words(text: str, expected: list[tuple[str, float, float | None]]) -> None:
    """Volumes, rows, loads and times are read as people write them, each with the time it comes in."""
    assert [(found.quantity, found.value, found.per_s) for found in phrases(text)] == [
        (quantity, pytest.approx(value), per_s) for quantity, value, per_s in expected]


@pytest.mark.parametrize("text", [
    "", "machines with 64 GB of memory", "an 80GB GPU", "a 10 Gb/s link", "200 MB/s of disk", "4 KB per request",
    "5 events each", "claims of 2 hospitals' records", "2 hospitals send records", "not nightly", "version 2.5 of GB",
    "who comes back in 30 days",
])  # fmt: skip
def test_what_only_looks_like_an_amount_is_left_alone(text: str) -> None:
    """Sizes of machines, rates of networks, amounts of one thing and what is denied say nothing of the task."""
    assert phrases(text) == ()


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("real-time", 100), ("in real time", 100), ("interactive dashboards", 100), ("near real-time", 1000),
        ("within 50 ms", 50), ("p99 below 2 seconds", 2000), ("an 80 ms latency", 80), ("sub-second", 1000),
        ("scores are ready overnight", 28_800_000), ("scored nightly", 28_800_000), ("not real-time", None),
        ("no need for real-time answers", None), ("retrained nightly", None), ("for each instance", None),
        ("real-time, at most 30 ms", 30), ("who comes back within 30 hours", None),
    ],
)  # fmt: skip
def test_how_soon_in_words(text: str, milliseconds: float | None) -> None:
    """The shortest time that is asked for counts; what is denied, or said of the model, does not."""
    said = latency_phrase(text)
    assert (None if said is None else 1000 * said.value) == (None if milliseconds is None else
                                                             pytest.approx(milliseconds))


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    """No text is an error, and what is read from it stands in it."""
    for found in phrases(text):
        assert found.words in text
        assert found.value >= 0


@given(st.integers(1, 999), st.sampled_from(["MB", "GB", "TB"]), st.sampled_from(["a night", "per day", "/day"]))
def test_words_and_fields_mean_the_same(amount: int, unit: str, rate: str) -> None:
    """A volume in words is sized as the same volume in a field."""
    gb = amount * {"MB": 1e-3, "GB": 1.0, "TB": 1e3}[unit]
    words = predict_profile("etl", {}, stated=Stated(words=f"Load {amount} {unit} {rate}"))
    fields = predict_profile("etl", {"volume_gb": gb, "cadence": "daily"})
    assert words.replicas == fields.replicas
    assert words.storage_gb == pytest.approx(fields.storage_gb)


def test_what_words_were_taken_for_is_a_reason() -> None:
    """The profile says which words became which fields."""
    found = predict_profile("etl", {}, stated=Stated(words="Loads about 300 GB a night, 40 million rows"))
    assert found.figure("description").value == "cadence daily; volume_gb 300; rows 4e+07"
    assert 'The words "300 GB a night" are taken for volume_gb 300.' in found.figure("description").why
    assert found.figure("description").why in found.why


def test_a_field_counts_more_than_words() -> None:
    """What is given as a field is not read again from the description."""
    heard = hear(read_task("etl", {"volume_gb": 800, "cadence": "weekly"}, "task"), "300 GB a night, 40 million rows")
    assert (heard.task.volume_gb, heard.task.cadence) == (800, 168)  # type: ignore[union-attr]
    assert heard.taken == ("rows 4e+07",)


def test_a_rate_is_reckoned_for_a_run() -> None:
    """2 TB a day are 500 GB a run where runs are 6 hours apart; events a second add up to the next run."""
    heard = hear(read_task("etl", {}, "task"), "2 TB/day, every 6 hours, 5000 events a second")
    assert (heard.task.volume_gb, heard.task.rows) == (500, 108_000_000)  # type: ignore[union-attr]
    assert any("what comes between two runs, every 6 h" in why for why in heard.why)


@pytest.mark.parametrize(
    ("kind", "task", "words", "field"),
    [
        ("etl", {}, "Read 2 TB and write 300 GB", "volume_gb"),
        ("etl", {"cadence": "once"}, "2 TB/day", "volume_gb"),
        ("serving", {}, "10,000 requests", "requests_per_s"),
    ],
)
def test_two_meanings_are_not_guessed_at(kind: str, task: dict[str, Any], words: str, field: str) -> None:
    """Words that could mean two things are not taken; the refusal says which, and what to write."""
    with pytest.raises(NotEnoughEvidenceError) as caught:
        predict_profile(kind, task, stated=Stated(words=words))
    assert f"mean for {field} is not guessed: write {field}." in str(caught.value)


def test_past_tasks_are_read_in_words_too() -> None:
    """A run of a library that is described in words has the fields that these state."""
    row = {"application": "a", "kind": "etl", "description": "Loads 300 GB a night", "used.vcpu": "4"}
    assert parse_run(row, "row 1").task.volume_gb == 300  # type: ignore[union-attr]


def test_worked_examples_chain_in_words_alone() -> None:
    """ETL, training and serving described in words: each works on what the one before it makes."""
    etl = predict_profile("etl", {"target_schema": {"patient": "bigint", "age": "smallint", "odds": "double"}},
                          stated=Stated(words="Claims of two hospitals, about 800 GB a night, 400 million rows"))
    training = predict_profile("training", {}, upstream=etl, stated=Stated(words="Retrained daily within 8 hours"))
    serving = predict_profile("serving", {}, upstream=training, stated=Stated(
        words="30 doctors at once get interactive answers from a model that is retrained nightly"))
    assert "4e+08 rows of 3 columns" in training.figure("device").why
    assert training.batch is not None
    assert (training.batch.every_slots, training.batch.latest_slot + training.batch.duration_slots) == (24, 8)
    assert serving.latency_ms == 100
    assert 'The words "interactive" are taken for 100 ms.' in serving.figure("latency_ms").why
    assert isinstance(serving, Profile)
    assert serving.figure("description").value == "concurrent_requests 30"
