"""Past tasks: what a library may hold, how runs are added, and how they change a profile."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError, NotEnoughEvidenceError
from planner.profiles import predict_profile
from planner.profiles.library import AMOUNTS, NAMES, Library, add_row, parse_run, read_library
from planner.profiles.tasks import TASKS

HEAD = "application,kind,finished,description,times,task.volume_gb,task.cadence,used.vcpu,used.replicas,used.gpu\n"
MINIMAL = {
    "etl": {"volume_gb": 100}, "feature": {"volume_gb": 100},
    "training": {"data": {"rows": 1e6, "columns": 20}, "model": "xgboost"},
    "serving": {"requests_per_s": 100, "model": "xgboost"},
}  # fmt: skip


def run_of(application: int, kind: str, task: dict[str, Any], **used: float | str) -> Any:
    row = {"application": f"app-{application}", "kind": kind, "description": "nightly claims"}
    flat = {f"task.{name}": value for name, value in task.items()}
    return parse_run(row | flat | {f"used.{name}": value for name, value in used.items()}, "run")


def library_of(kind: str, task: dict[str, Any], count: int, **used: float | str) -> Library:
    return Library(tuple(run_of(i, kind, task, **used) for i in range(count)))


def test_a_library_is_read_in_order_of_time(tmp_path: Path) -> None:
    """Rows come out oldest first, with numbers as numbers and what is empty left out."""
    path = tmp_path / "runs.csv"
    path.write_text(HEAD + "b,etl,2026-10-02T00:00:00Z,,3,800,daily,4,12,\na,etl,2026-10-01T00:00:00Z,x,,4e2,,8,,1\n")
    first, second = read_library(path).runs
    assert (first.application, first.times, dict(first.used)) == ("a", 1.0, {"vcpu": 8.0, "gpu": "1"})
    assert (second.times, second.task.volume_gb, second.task.cadence) == (3.0, 800, 24)


@pytest.mark.parametrize(
    ("head", "row", "line"),
    [
        (HEAD, "a,etl,,,,800,daily,eight,,", "row 1: used.vcpu: 'eight': no number"),
        (HEAD, "a,etl,,,,800,daily,-1,,", "row 1: used.vcpu: '-1': a number from 0"),
        (HEAD, "a,etl,2026-10-01,,,800,,4,,", "row 1: finished: '2026-10-01' has no time zone"),
        (HEAD, "a,etl,,,0,800,,4,,", "row 1: times: '0': a number above 0"),
        (HEAD, "a,elt,,,,800,,4,,", "row 1: task: kind: 'elt'"),
        (HEAD, "a,etl,,,,3 TB,,4,,", "row 1: task: volume_gb: 3 TB: text for a number of GB; write 3000"),
        (HEAD, "a,etl,,,,800,,,,", "row 1: used: nothing measured"),
        (HEAD, ",etl,,,,800,,4,,", "row 1: application: missing"),
        ("application,kind,used.vcpus\n", "a,etl,4", "used.vcpus: no column of a library; did you mean used.vcpu?"),
        ("application,kind,task.volum_gb\n", "a,etl,4", "did you mean task.volume_gb?"),
    ],
)
def test_mistakes_in_a_library_are_named(tmp_path: Path, head: str, row: str, line: str) -> None:
    """File, row, field, value, and what is allowed."""
    path = tmp_path / "runs.csv"
    path.write_text(head + row + "\n")
    with pytest.raises(InputError) as caught:
        read_library(path)
    assert line in str(caught.value)
    assert str(caught.value).startswith("runs.csv: ")


def test_a_library_without_a_run_is_refused_until_it_has_one(tmp_path: Path) -> None:
    """Names of columns alone teach nothing, which is said; a finished run may be added to them."""
    path = tmp_path / "runs.csv"
    path.write_text(HEAD)
    with pytest.raises(InputError, match=r"runs\.csv: no runs, only names of columns: add finished ones"):
        read_library(path)
    add_row(path, {"application": "a", "kind": "etl", "task.volume_gb": 800, "used.vcpu": 4})
    assert len(read_library(path).runs) == 1
    path.write_text("application,kind,used.vcpus\n")
    with pytest.raises(InputError, match=r"did you mean used\.vcpu"):
        add_row(path, {"application": "a", "kind": "etl", "task.volume_gb": 800, "used.vcpu": 4})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_finished_run_is_added(tmp_path: Path, suffix: str) -> None:
    """Two runs with different columns make a library of two; a wrong one changes nothing."""
    path = tmp_path / f"runs{suffix}"
    add_row(path, {"application": "a", "kind": "etl", "task.volume_gb": 800, "used.vcpu": 4,
                   "task.target_schema": {"id": "bigint", "at": "timestamp"}})
    grown = add_row(path, {"application": "b", "kind": "serving", "task.requests_per_s": 5, "used.memory_gib": 3.5,
                           "task.labels.team": "claims"})
    assert [run.application for run in grown.runs] == ["a", "b"]
    assert grown.runs[0].task.target_schema == {"id": "bigint", "at": "timestamp"}
    assert grown.runs[1].task.labels == {"team": "claims"}
    before = path.read_bytes()
    with pytest.raises(InputError, match="requests_per_s"):
        add_row(path, {"application": "c", "kind": "serving", "task.requests_per_s": "many", "used.vcpu": 1})
    assert path.read_bytes() == before


def test_evidence_corrects_the_formula_as_it_grows() -> None:
    """Past tasks that used twice the storage pull the prediction towards twice, more of them further."""
    task = {"volume_gb": 800, "cadence": "daily", "window_hours": 4}
    alone = predict_profile("etl", task)
    assert alone.storage_gb is not None
    storage = []
    for count in (1, 4, 30):
        library = library_of("etl", task, count, storage_gb=2 * alone.storage_gb)
        found = predict_profile("etl", task, library=library)
        figure = found.figure("storage_gb")
        assert figure.source == "both"
        storage.append(found.storage_gb)
    assert alone.storage_gb < storage[1] <= storage[2] == pytest.approx(2 * alone.storage_gb)
    assert storage[0] < storage[2]


def test_the_past_tasks_that_count_are_shown() -> None:
    """Neighbours are named with what they used, one for each application, and stand in the reasons."""
    found = predict_profile("etl", MINIMAL["etl"], library=library_of("etl", MINIMAL["etl"], 5, vcpu=8))
    assert [near.application for near in found.neighbours] == ["app-0", "app-1", "app-2"]
    assert found.neighbours[0].used == {"vcpu": 8.0}
    assert "app-0" in found.why


def test_past_tasks_answer_where_formulas_cannot() -> None:
    """A task of unknown volume is sized by others with its label; with one of them it is not, and each gap is named."""
    unknown = {"labels": {"source": "claims"}}
    known = {"labels.source": "claims", "volume_gb": 700}
    used = {"vcpu": 4.0, "memory_gib": 20.0, "replicas": 6, "run_hours": 2, "gpu": 0}
    found = predict_profile("etl", unknown, library=library_of("etl", known, 12, **used))
    assert (found.request.vcpu, found.request.memory_gib, max(found.replicas)) == (4, 20, 6)
    assert found.figure("vcpu").source == "library"
    assert found.figure("storage_gb").value is None
    assert "Not enough evidence" in found.figure("storage_gb").why
    with pytest.raises(NotEnoughEvidenceError) as caught:
        predict_profile("etl", unknown, library=library_of("etl", known, 1, **used))
    assert "vcpu: not enough evidence" in str(caught.value)
    assert "run_hours: not enough evidence" in str(caught.value)
    with pytest.raises(NotEnoughEvidenceError, match="volume_gb"):
        predict_profile("etl", unknown, library=Library(()))


def test_past_tasks_of_another_kind_change_nothing() -> None:
    """A library of serving says nothing of ETL."""
    library = library_of("serving", MINIMAL["serving"], 10, vcpu=64)
    assert predict_profile("etl", MINIMAL["etl"], library=library) == predict_profile("etl", MINIMAL["etl"])


@pytest.mark.parametrize("kind", sorted(TASKS))
def test_every_kind_keeps_the_same_promises(kind: str) -> None:
    """With a library or without: values lie in their intervals, every figure has a reason and a source, same twice."""
    used: dict[str, float | str] = dict.fromkeys(AMOUNTS, 3.0) | dict.fromkeys(NAMES, "x")
    used |= {"gpu": 1, "gpu_model": "T4", "run_hours": 1, "utilisation": 0.5}
    flat = {"data.rows": 1e6, "data.columns": 20, "model": "xgboost"} if kind == "training" else MINIMAL[kind]
    library = library_of(kind, flat, 9, **used)
    for past in (None, library):
        found = predict_profile(kind, MINIMAL[kind], library=past)
        assert found == predict_profile(kind, MINIMAL[kind], library=past)
        assert type(found).model_validate_json(found.model_dump_json()) == found
        for figure in found.figures:
            assert figure.why.endswith(".")
            assert 0 <= figure.confidence <= 1
            if figure.low is not None:
                assert figure.low <= figure.value * (1 + 1e-9)
                assert figure.value <= figure.high * (1 + 1e-9)
    assert {figure.source for figure in found.figures} >= {"both"}
    assert found.request.gpu == 1
    assert "T4" in (found.hardware.gpu_models or ())


NOISY = Library(tuple(
    run_of(i, "etl", {"volume_gb": 100 * (i + 1), "cadence": "daily"}, storage_gb=40.0 * (i + 1) * (1 + i % 3),
           replicas=1 + i) for i in range(10)))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(1, 50_000), min_size=2, max_size=3))
def test_more_volume_never_needs_less(volumes: list[float]) -> None:
    """Storage and replicas rise with the volume, whatever past tasks used."""
    found = [predict_profile("etl", {"volume_gb": gb, "cadence": "daily"}, library=NOISY) for gb in sorted(volumes)]
    for less, more in pairwise(found):
        assert less.storage_gb is not None
        assert more.storage_gb is not None
        assert less.storage_gb <= more.storage_gb * (1 + 1e-9)
        assert max(less.replicas) <= max(more.replicas)
