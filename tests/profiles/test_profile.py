"""Profiles of whole scenarios: replicas given, from history files, and from described pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.profiles import Profiles, profile
from planner.scenario.model import Horizon, Scenario
from planner.scenario.replica_rows import ReplicaRows

SHAPE = {"vcpu": 2, "memory_gib": 8}
CLUSTER = {
    "name": "onprem", "provider": "onprem", "region": "berlin", "country": "DE",
    "pools": [{"name": "std", "machine": {"name": "std", "vcpu": 32, "memory_gib": 128}, "max": 100}],
}  # fmt: skip


def scenario(
    workloads: list[dict[str, Any]], folder: Path = Path(), slots: int = 24, slot_minutes: int = 60, level: float = 0.9
) -> Scenario:
    read = Scenario.model_validate(
        {
            "name": "test",
            "horizon": {"start": "2026-11-02T00:00:00Z", "slots": slots, "slot_minutes": slot_minutes},
            "objective": {"mode": "min_cost"},
            "service_level": level,
            "clusters": [CLUSTER],
            "workloads": [{"kind": "serving", "request": SHAPE} | workload for workload in workloads],
        }
    )
    given_rows = {w.name: w.replicas for w in read.workloads if isinstance(w.replicas, tuple)}
    counts = np.array(list(given_rows.values()), np.int32).reshape(len(given_rows), slots)
    return read.with_source(folder, "", ReplicaRows({name: k for k, name in enumerate(given_rows)}, counts))


def demand(days: int, freq: str = "h", end: str = "2026-11-02T00:00:00Z") -> pd.Series:
    times = pd.date_range(end=end, start=pd.Timestamp(end) - pd.Timedelta(days=days), freq=freq, inclusive="left")
    shape = 100 + 60 * np.sin(2 * np.pi * (times.hour + times.minute / 60) / 24)
    return pd.Series(np.round(shape + np.random.default_rng(1).normal(0, 4, len(times)), 3), index=times)


def write_long(path: Path, series: pd.Series, workload: str = "web", metric: str = "requests_per_s") -> None:
    stamps = series.index.strftime("%Y-%m-%dT%H:%M:%SZ")
    pd.DataFrame({"ts": stamps, "workload": workload, "metric": metric, "value": series.to_numpy()}).to_csv(
        path, index=False
    )


def from_history(**history: object) -> dict[str, Any]:
    fields = {"file": "history.csv", "metric": "requests_per_s", "per_replica": 20} | history
    return {"name": "web", "replicas": {"history": fields}}


def lines(workloads: list[dict[str, Any]], folder: Path, **horizon: int) -> str:
    with pytest.raises(InputError) as caught:
        profile(scenario(workloads, folder, **horizon))
    return str(caught.value)


def test_given_replicas_stay_as_they_are() -> None:
    """A list of numbers comes out as it went in, in the order of the scenario."""
    done = profile(scenario([{"name": "a", "replicas": list(range(24))}, {"name": "b", "replicas": [3] * 24}]))
    assert isinstance(done, Profiles)
    assert done.replicas.dtype == np.int32
    assert done.replicas.tolist() == [list(range(24)), [3] * 24]
    assert done.why == ("Replicas are given.",) * 2
    assert [request.vcpu for request in done.request] == [2, 2]


def test_history_is_forecast_at_the_service_level(tmp_path: Path) -> None:
    """Replicas follow the daily shape, a little above its mean, and a higher level never asks for fewer."""
    write_long(tmp_path / "history.csv", demand(28))
    rows = {level: profile(scenario([from_history()], tmp_path, level=level)).replicas[0] for level in (0.5, 0.9, 0.99)}
    expected = np.ceil((100 + 60 * np.sin(2 * np.pi * np.arange(24) / 24)) / 20)
    assert np.abs(rows[0.5] - expected).max() <= 1
    assert (rows[0.5] <= rows[0.9]).all()
    assert (rows[0.9] <= rows[0.99]).all()
    assert "0.9 quantile of a forecast by" in profile(scenario([from_history()], tmp_path)).why[0]


def test_long_wide_and_parquet_files_say_the_same(tmp_path: Path) -> None:
    """A long CSV, a wide CSV and a wide Parquet of the same demand give the same replicas."""
    series = demand(14)
    write_long(tmp_path / "history.csv", series)
    stamps = series.index.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    pd.DataFrame({"ts": stamps, "web": series.to_numpy(), "other": 1}).to_csv(tmp_path / "wide.csv", index=False)
    pd.DataFrame({"ts": series.index, "web": series.to_numpy()}).to_parquet(tmp_path / "wide.parquet")
    rows = [
        profile(scenario([from_history(file=name)], tmp_path)).replicas.tolist()
        for name in ("history.csv", "wide.csv", "wide.parquet")
    ]
    assert rows[0] == rows[1] == rows[2]


def test_windows_are_forecast_for_their_own_dates(tmp_path: Path) -> None:
    """Two windows have what one long horizon has at their hours: night first, then noon two days later."""
    write_long(tmp_path / "history.csv", demand(28))
    whole = scenario([from_history()], tmp_path, slots=72)
    night, noon = range(3), range(60, 64)
    periods = [{"start": "2026-11-02T00:00:00Z", "slots": 3, "stands_for_days": 100},
               {"start": "2026-11-04T12:00:00Z", "slots": 4, "stands_for_days": 265}]  # fmt: skip
    horizon = Horizon.model_validate({"slot_minutes": 60, "periods": periods})
    windows = whole.model_copy(update={"horizon": horizon}).with_source(tmp_path, "", whole.given_replicas)
    long = profile(whole).replicas[0]
    assert profile(windows).replicas[0].tolist() == [int(long[t]) for t in (*night, *noon)]


def test_same_scenario_same_answer(tmp_path: Path) -> None:
    """Rows of a history in another order change nothing."""
    write_long(tmp_path / "history.csv", demand(14))
    first = profile(scenario([from_history()], tmp_path))
    write_long(tmp_path / "history.csv", demand(14).sample(frac=1, random_state=3))
    second = profile(scenario([from_history()], tmp_path))
    assert first.replicas.tobytes() == second.replicas.tobytes()
    assert first.why == second.why


def test_what_lies_in_the_horizon_is_not_looked_at(tmp_path: Path) -> None:
    """A history that goes on into the horizon gives the same as one that ends where it begins."""
    series = demand(14)
    write_long(tmp_path / "history.csv", series)
    before = profile(scenario([from_history()], tmp_path)).replicas
    write_long(tmp_path / "history.csv", pd.concat([series, demand(2, end="2026-11-04T00:00:00Z") * 50]))
    assert np.array_equal(profile(scenario([from_history()], tmp_path)).replicas, before)


def test_fine_steps_count_with_their_busiest(tmp_path: Path) -> None:
    """Quarters of an hour in hourly slots: a spike of 15 minutes sets the replicas of its hour."""
    series = demand(10, "15min")
    spike = (series.index.hour == 9) & (series.index.minute == 30)
    write_long(tmp_path / "history.csv", series.where(~spike, 1000.0))
    row = profile(scenario([from_history()], tmp_path)).replicas[0]
    assert row[9] >= 48
    assert row[8] <= 10


def test_coarse_steps_hold_for_all_their_slots(tmp_path: Path) -> None:
    """Hours in slots of 15 minutes: four slots in a row are alike."""
    write_long(tmp_path / "history.csv", demand(14))
    row = profile(scenario([from_history()], tmp_path, slots=90, slot_minutes=15)).replicas[0]
    assert all(len(set(row[k : k + 4])) == 1 for k in range(0, 88, 4))


def test_serving_with_a_latency_slo_is_sized_by_waiting(tmp_path: Path) -> None:
    """A latency SLO asks for more replicas than throughput alone, and says so."""
    write_long(tmp_path / "history.csv", demand(14))
    quick = from_history() | {"slo": {"latency_ms": 200, "service_ms": 60}}
    plain, tight = profile(scenario([from_history()], tmp_path)), profile(scenario([quick], tmp_path))
    assert (tight.replicas >= plain.replicas).all()
    assert tight.replicas.sum() > plain.replicas.sum()
    assert "Erlang C" in tight.why[0]
    batch = quick | {"kind": "etl"}
    assert np.array_equal(profile(scenario([batch], tmp_path)).replicas, plain.replicas)


@settings(deadline=None, max_examples=8, derandomize=True)
@given(st.floats(1.0, 20.0))
def test_more_demand_never_needs_fewer_replicas(tmp_path_factory: pytest.TempPathFactory, factor: float) -> None:
    """A history multiplied by a factor above 1 never gives fewer replicas in any slot."""
    folder = tmp_path_factory.mktemp("demand")
    rows = []
    for name, series in (("less.csv", demand(8)), ("more.csv", demand(8) * factor)):
        write_long(folder / name, series)
        rows.append(profile(scenario([from_history(file=name)], folder)).replicas[0])
    assert (rows[0] <= rows[1]).all()


@pytest.mark.parametrize(
    ("days", "end", "slots", "line"),
    [
        (
            14,
            "2026-10-31T00:00:00Z",
            24,
            "history ends at 2026-10-31T00:00:00Z, before the horizon begins at 2026-11-02T",
        ),
        (1, "2026-11-02T00:00:00Z", 24, "workload web: 24 points of history in steps of 60 min; at least 48"),
        (3, "2026-11-02T00:00:00Z", 168, "horizon of 168 steps is longer than the history of 72 points"),
        (
            3,
            "2026-11-30T00:00:00Z",
            24,
            "history.csv: workload web: no history before the horizon begins at 2026-11-02T",
        ),
        (3, "2026-11-02T00:30:00Z", 24, "steps of 60 min do not begin where the horizon begins"),
    ],
)
def test_histories_that_do_not_reach(tmp_path: Path, days: int, end: str, slots: int, line: str) -> None:
    """A history that is too old, too short or out of step is refused by file, workload and reason."""
    write_long(tmp_path / "history.csv", demand(days, end=end))
    said = lines([from_history()], tmp_path, slots=slots)
    assert said.startswith("history.csv: workload web: ")
    assert line in said


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("ts,", "time,", "history.csv: no column ts: found time, workload, metric, value"),
        ("T05:00:00Z", "T05:00:00", "history.csv: ts: row 6: '2026-10-19T05:00:00' has no time zone"),
        ("2026-10-19T05", "2026-19-19T05", "history.csv: ts: row 6: '2026-19-19T05:00:00Z' is no ISO 8601 time"),
        (",requests_per_s,", ',requests_per_s,"1,5"#', "is not readable CSV in UTF-8"),
        ("web", "wob", "history.csv: workload: no rows for 'web'; did you mean wob?"),
        ("requests_per_s", "requests", "history.csv: metric: no rows for 'requests_per_s'; did you mean requests?"),
        (",requests_per_s,", ",requests_per_s,-", "values are negative"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, old: str, new: str, line: str) -> None:
    """A mistake in a file is told with file, column, row and value."""
    write_long(tmp_path / "history.csv", demand(14))
    text = (tmp_path / "history.csv").read_text()
    (tmp_path / "history.csv").write_text(text.replace(old, new))
    assert line in lines([from_history()], tmp_path)


def test_files_that_are_none(tmp_path: Path) -> None:
    """A folder, a missing, an empty and a binary file are input errors, not tracebacks."""
    (tmp_path / "folder").mkdir()
    assert "folder: a folder; name a history file" in lines([from_history(file="folder")], tmp_path)
    assert "there is no such history file" in lines([from_history()], tmp_path)
    (tmp_path / "history.csv").write_text("")
    assert "history.csv: is empty: a line of column names is needed" in lines([from_history()], tmp_path)
    (tmp_path / "x.parquet").write_bytes(b"PAR?")
    assert "x.parquet: cannot be read as .parquet" in lines([from_history(file="x.parquet")], tmp_path)


def test_a_need_that_nobody_states(tmp_path: Path) -> None:
    """Missing per_replica and missing request are asked for by field."""
    write_long(tmp_path / "history.csv", demand(14))
    assert "workloads[web].replicas.history.per_replica: missing" in lines([from_history(per_replica=None)], tmp_path)
    assert "workloads[a].request: missing" in lines([{"name": "a", "replicas": [1] * 24, "request": None}], tmp_path)


PIPELINE = [
    {
        "name": "serve", "kind": "serving", "request": None, "after": [{"workload": "train"}],
        "description": "Real-time odds for doctors", "replicas": {"task": {"requests_per_s": 200, "runtime": "Triton"}},
    },
    {
        "name": "train", "kind": "training", "request": None, "after": [{"workload": "etl"}],
        "replicas": {"task": {"model": "xgboost", "cadence": "daily", "trials": 5, "hyperparameters": {"trees": 300}}},
    },
    {
        "name": "etl", "kind": "etl", "request": None,
        "replicas": {"task": {"volume_gb": 500, "rows": 2e8, "target_schema": {"a": "float", "b": "float"},
                              "cadence": "daily"}},
    },
]  # fmt: skip


def test_a_described_pipeline_is_chained_whatever_its_order() -> None:
    """Serving is listed first and still gets the model of training, which gets the rows of ETL."""
    done = profile(scenario(PIPELINE, slots=72))
    assert list(done.predicted) == ["etl", "train", "serve"]
    assert "2e+08 rows of 2 columns" in done.predicted["train"].figure("device").why
    assert done.predicted["serve"].storage_gb == done.predicted["train"].produces.size_gb
    serve, train, _ = done.workloads
    assert (serve.slo.latency_ms, serve.slo.service_ms) == (100, 50)
    assert train.batch is not None
    assert train.batch.every_slots == 24
    assert len(done.request) == 3
    filled = done.fill(scenario(PIPELINE, slots=72))
    assert filled.workloads == done.workloads


def test_what_the_scenario_states_wins_over_what_is_predicted() -> None:
    """A request, batch or SLO of the scenario's own is kept."""
    own = PIPELINE[2] | {"request": SHAPE, "batch": {"duration_slots": 3, "latest_slot": 5}}
    done = profile(scenario([own], slots=72))
    assert done.workloads[0].request.vcpu == 2
    assert done.workloads[0].batch.duration_slots == 3


@pytest.mark.parametrize(
    ("task", "line"),
    [
        ({"input_from": "nobody"}, "workloads[train].replicas.task.input_from: 'nobody' is no workload"),
        ({"input_from": "serve"}, "serve, train: each waits for another's result"),
        ({"data": {"rows": "1k"}}, "workloads[train].replicas.task: data.rows: 1k: text for a number; write 1000"),
    ],
)
def test_mistakes_in_a_pipeline_name_the_workload(task: dict[str, Any], line: str) -> None:
    """A source that is not there, a circle, and a mistake in a description are told with the workload's name."""
    with pytest.raises(InputError) as caught:
        profile(scenario([PIPELINE[0], PIPELINE[1] | {"replicas": {"task": task}}, PIPELINE[2]]))
    assert line in str(caught.value)


def test_input_from_must_make_what_is_needed() -> None:
    """Serving cannot serve the rows of an ETL."""
    serve = PIPELINE[0] | {"replicas": {"task": {"requests_per_s": 1, "input_from": "etl"}}}
    with pytest.raises(InputError, match="input_from: 'etl' trains no model"):
        profile(scenario([serve, PIPELINE[1], PIPELINE[2]]))


def test_history_and_description_go_together(tmp_path: Path) -> None:
    """The history says how many requests come, the description what one replica is and how many it answers."""
    write_long(tmp_path / "history.csv", demand(28) * 20)
    task = {"model": "xgboost", "requests_per_s": 5, "latency": "real-time"}
    both = {"name": "web", "request": None, "replicas": {"history": {"file": "history.csv"}, "task": task}}
    done = profile(scenario([both], tmp_path))
    predicted = done.predicted["web"]
    assert done.request == (predicted.request,)
    assert done.workloads[0].slo.latency_ms == 100
    assert len(set(done.replicas[0])) > 1
    assert done.replicas[0].max() * predicted.per_replica >= demand(28).max() * 20
    assert "forecast" in done.why[0]
    assert "Erlang C" in done.why[0]


def test_a_scenario_names_its_library(tmp_path: Path) -> None:
    """Described workloads are corrected by the past tasks of the file that the scenario names."""
    head = "application,kind,task.volume_gb,used.vcpu,used.replicas\n"
    rows = "".join(f"app-{i},etl,{100 + i},4,{20 + i}\n" for i in range(12))
    (tmp_path / "runs.csv").write_text(head + rows)
    etl = {"name": "etl", "kind": "etl", "request": None, "replicas": {"task": {"volume_gb": 105}}}
    plain = scenario([etl], tmp_path)
    named = plain.model_copy(update={"library": "runs.csv"})
    assert profile(plain).replicas.max() < 10
    found = profile(named)
    assert 15 <= found.replicas.max() <= 40
    assert found.predicted["etl"].replicas_low
    assert max(found.predicted["etl"].replicas_low) <= found.replicas.max()
    assert "Past tasks most like it" in found.why[0]
