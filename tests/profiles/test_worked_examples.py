"""The three worked examples, each fed by the one before: medical ETL, cancer-odds training, cancer-odds serving."""

from __future__ import annotations

from itertools import pairwise

import pytest

from planner.errors import InputError
from planner.profiles import Dataset, Profile, Slots, Stated, TrainedModel, predict_profile
from planner.scenario.model import Hardware

FEATURES = {"patient_id": "bigint", **{f"feature_{k}": "float" for k in range(62)}, "has_cancer": "bool"}
NAMES = {
    "replicas", "device", "cores", "storage_tb", "storage_kind", "working_data", "structure",
    "memory_bandwidth_gb_per_s",
}  # fmt: skip


@pytest.fixture(scope="module")
def etl() -> Profile:
    return predict_profile(
        "etl",
        {
            "volume_gb": 800, "rows": 400_000_000, "source_schema": "unknown", "target_schema": FEATURES,
            "cadence": "daily", "window_hours": 4, "keep_runs": 30,
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def training(etl: Profile) -> Profile:
    task = {
        "model": "xgboost", "hyperparameters": {"trees": 500, "max_depth": 8}, "trials": 20, "cadence": "daily",
        "window_hours": 8,
    }  # fmt: skip
    return predict_profile("training", task, upstream=etl)


@pytest.fixture(scope="module")
def serving(training: Profile) -> Profile:
    task = {"requests_per_s": 300, "latency": "real-time", "machine": "NVIDIA Triton"}
    return predict_profile("serving", task, upstream=training)


def test_etl_says_storage_warehouse_units_and_when(etl: Profile) -> None:
    """Storage in TB in a warehouse with memory in between, and units scaled up for the run and paused after."""
    assert etl.storage_gb == pytest.approx((800 + 400e6 * (8 + 62 * 4 + 1) / 1e9) * 30 / 3)
    assert etl.figure("storage_tb").value == pytest.approx(etl.storage_gb / 1000)
    assert (etl.storage_kind, etl.working_kind, etl.structure) == ("data warehouse", "memory", "SQL tables")
    assert set(etl.warehouse_dwu) == {0, 300}
    assert [slot for slot, units in enumerate(etl.warehouse_dwu) if units] == list(range(0, 168, 24))
    busy = etl.figure("warehouse_utilisation")
    assert (busy.value, busy.low, busy.high) == (pytest.approx(160 / 180), pytest.approx(80 / 180), 1)  # a share
    assert etl.figure("device").value == "CPU"


def test_etl_run_ends_within_its_window(etl: Profile) -> None:
    """13 workers hold 160 GB in flight and need an hour; the run may start in any slot that ends within four."""
    assert etl.batch is not None
    assert (etl.batch.duration_slots, etl.batch.latest_slot, etl.batch.every_slots) == (1, 3, 24)
    assert max(etl.replicas) == 13


def test_training_reads_what_etl_wrote(etl: Profile, training: Profile) -> None:
    """Rows and columns come from the first example; out come H100s, how many, and the hours in which they are used."""
    assert isinstance(etl.produces, Dataset)
    assert "4e+08 rows of 64 columns" in training.figure("device").why
    assert training.figure("machine").value == "NVIDIA H100"
    assert training.hardware.gpu_models == ("H100",)
    assert training.request.gpu == 1
    assert max(training.replicas) == 7
    assert sum(count > 0 for count in training.replicas) == 7 * 7
    assert training.figure("device").value == "GPU"


def test_serving_serves_what_training_made(training: Profile, serving: Profile) -> None:
    """The model comes from the second example; CPUs do, Triton is a runtime, and real time bounds the distance."""
    assert isinstance(training.produces, TrainedModel)
    assert serving.storage_gb == training.produces.size_gb
    assert serving.runtime == "NVIDIA Triton"
    assert serving.figure("machine").value == "CPU"
    assert "a serving runtime, not a machine" in serving.figure("machine").why
    assert (serving.latency_ms, serving.service_ms) == (100, 50)
    assert serving.figure("location").value == "within 50 ms of the users"
    assert set(serving.replicas) == {2}


def test_every_profile_explains_itself(etl: Profile, training: Profile, serving: Profile) -> None:
    """All outputs asked for are there, numbers with an interval around them, each with a sentence."""
    for profile in (etl, training, serving):
        assert {figure.name for figure in profile.figures} >= NAMES
        for figure in profile.figures:
            assert figure.why.endswith(".")
            assert 0 < figure.confidence < 1
            if not isinstance(figure.value, str):
                assert figure.low <= figure.value <= figure.high
        assert Profile.model_validate_json(profile.model_dump_json()) == profile


def test_model_unknown_is_an_input_like_any_other() -> None:
    """Not knowing the model means a search over boosted trees, said in the reasons."""
    task = {"model": "unknown", "data": {"rows": 4e8, "columns": 60}, "cadence": "weekly", "window_hours": 12}
    profile = predict_profile("training", task, Slots(336, 60))
    assert "20 fits of xgboost" in profile.figure("device").why
    assert profile.batch is not None
    assert profile.batch.every_slots == 168


def test_the_least_hardware_is_taken() -> None:
    """Few rows are trained on cores, more on a small GPU, many on the largest; a large network is served on a GPU."""

    def machine(rows: float) -> str:
        task = {
            "model": "xgboost", "data": {"rows": rows, "columns": 50}, "hyperparameters": {"trees": 500, "max_depth":
            6}, "window_hours": 4, "cadence": "daily",
        }  # fmt: skip
        return str(predict_profile("training", task).figure("machine").value)

    assert [machine(rows) for rows in (1e5, 1.7e8, 1e10)] == ["CPU", "NVIDIA A10G", "NVIDIA H100"]
    network = {
        "model": "transformer", "hyperparameters": {"parameters": 3e8}, "requests_per_s": 50, "latency_ms": 50,
        "tokens_per_request": 10,
    }  # fmt: skip
    assert predict_profile("serving", network).figure("device").value == "GPU"


def test_faster_hardware_is_allowed_with_its_speed() -> None:
    """A job sized for a small GPU may run on a faster one, and the plan knows how much shorter it gets."""
    task = {
        "model": "xgboost", "data": {"rows": 1.7e8, "columns": 50}, "hyperparameters": {"trees": 500, "max_depth": 6},
        "window_hours": 4, "cadence": "daily",
    }  # fmt: skip
    hardware = predict_profile("training", task).hardware
    assert hardware.throughput["A10G"] == 1
    assert hardware.throughput["H100"] > hardware.throughput["A100"] > 1
    assert hardware.gpu_models == tuple(hardware.throughput)


@pytest.mark.parametrize("kind", ["etl", "serving"])
def test_more_never_needs_less(kind: str) -> None:
    """More volume, or more requests, never needs fewer replicas, less storage or a lower warehouse level."""
    field = {"etl": "volume_gb", "serving": "requests_per_s"}[kind]
    profiles = [predict_profile(kind, {field: amount}) for amount in (1, 7, 50, 400, 3_000, 20_000)]
    for less, more in pairwise(profiles):
        assert max(less.replicas) <= max(more.replicas)
        assert less.storage_gb <= more.storage_gb
        assert max(less.warehouse_dwu, default=0) <= max(more.warehouse_dwu, default=0)


def test_a_workload_that_allows_one_gpu_is_sized_for_it(etl: Profile) -> None:
    """Allowing A100 alone gives more of them than H100s; allowing only what is not known is said."""
    task = {"model": "xgboost", "hyperparameters": {"trees": 500}, "trials": 20, "cadence": "daily", "window_hours": 8}
    sized = {
        name: predict_profile("training", task, upstream=etl, stated=Stated(hardware=Hardware(gpu_models=(name,))))
        for name in ("A100", "H100")
    }
    assert sized["A100"].hardware.gpu_models == ("A100",)
    gpus = {name: max(profile.replicas) * profile.request.gpu for name, profile in sized.items()}
    assert gpus["A100"] > gpus["H100"]
    with pytest.raises(InputError, match="MI300X: tasks are sized for T4"):
        predict_profile("training", task, upstream=etl, stated=Stated(hardware=Hardware(gpu_models=("MI300X",))))
