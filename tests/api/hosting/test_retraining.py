"""Retraining: from drift to a version that serves all, or back to what served; a crash at any step goes on there."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dbos import DBOSClient
from sqlalchemy import Engine, insert

from api.database.tables import drifts
from api.hosting.leases import Leases
from api.hosting.monitoring import compare as compare_months
from api.hosting.results import Said, keep_verdicts
from api.hosting.rollouts import begin_canary, canaries, note, record
from api.hosting.scoring import score
from api.hosting.sealing import Sealing
from api.hosting.steps import GO_ON, Steps
from api.hosting.streams import Reader
from api.settings import Settings
from diagnostics.lifecycle import measure, open_model
from diagnostics.store import ModelStore
from diagnostics.store.compare import compare
from diagnostics.store.skops_file import dump
from planner.hosting import HostedWork

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
NAME = "training-mixed-disk-ie"


def work(clusters: tuple[str, ...] = ("a", "b"), hardware: str = "mixed-disk") -> HostedWork:
    watches = {"hardware_class": hardware, "clusters": clusters, "country": "IE", "purpose": "train"}
    return HostedWork.model_validate({"kind": "training", "watches": watches, "places": [{"cluster": "a"}]},
                                     strict=False)  # fmt: skip


def drifted(engine: Engine, day: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            insert(drifts).values(
                cluster="a", day=day, metric="read_latency_ms", statistic=1.0, threshold=0.1, p=0.0, drifted=1, host="h"
            )
        )


def slower(values: dict[str, float]) -> dict[str, float]:
    return values | {metric: 2 * values[metric] for metric in ("read_latency_ms", "queue_depth")}


@pytest.fixture
def history(fleet: Any, send: Any) -> dict[str, Any]:
    """Thirty days of rows; a and b have become half as fast for good on the third."""
    rows = fleet(30, hosts=4)
    for name in ("a", "b"):
        rows[name] = [(ts, hosts if at < 48 else {host: slower(values) for host, values in hosts.items()})
                      for at, (ts, hosts) in enumerate(rows[name])]
    send(rows)
    return dict(rows)


def scored_by(engine: Engine, version: str, models: Path, rows: list[Any]) -> None:
    """As if the host of a had scored its last rows by a version."""
    lease = Leases(engine, "host", "a")
    lease.beat()
    epochs = lease.hold(["diagnostics-a"])
    reader = Reader(engine, "IE", Sealing())
    reader.begin([("diagnostics-a", "a")])
    store = ModelStore(models)
    model = open_model(store, store.version(version))
    pending = [row for row in reader.pending(["diagnostics-a"])][-len(rows) :]  # noqa: C416
    keep_verdicts(engine, "host", epochs, [Said(one, version) for one in score(model, pending, reader.at)])


@on_sqlite
def test_from_drift_to_a_version_that_serves(engine: Engine, settings: Settings, history: Any, models: Path) -> None:
    """Steps hand on what the next need: rows of those who agreed, hashed; a better candidate; tried on one cluster;
    then it serves. Everything is on record, and a step that is done again changes nothing.
    """
    drifted(engine, 20_000)
    before = ModelStore(models).serving("mixed-disk")
    steps, facts = Steps(engine, settings, NAME, work(), "run-1"), {}
    for name in ("drift", "ingest", "validate", "train", "evaluate"):
        again = steps.named()[name](facts)
        found = steps.done(name, facts)
        assert found["outcome"] == GO_ON, (name, found)
        if name != "train":
            assert found == again
        facts |= found
    frame = pd.read_parquet(facts["data"])
    assert set(frame["country"]) == {"IE"}
    assert len(set(frame["cluster"])) == 1
    assert not {"a", "b", "host-001"} & {*frame["cluster"], *frame["host"]}
    assert facts["serving"] == before.id
    assert facts["losses"]["relative_error"]["verdict"] == "better"
    with_host = threading.Thread(target=scored_by, args=(engine, facts["version"], models, history["a"]))
    with_host.start()
    tried = steps.done("canary", facts)
    with_host.join()
    assert tried["outcome"] == GO_ON, tried
    assert canaries(engine)["mixed-disk"].cluster == "a"
    assert steps.named()["promote"](facts)["outcome"] == GO_ON
    assert steps.done("promote", facts)["outcome"] == GO_ON
    assert ModelStore(models).serving("mixed-disk").id == facts["version"]
    assert canaries(engine) == {}
    assert [one["step"] for one in record(engine, "run-1")] == [*steps.named()]
    later = Steps(engine, settings, NAME, work(), "run-2")
    assert later.done("drift", {})["outcome"] == "no drift since the last look"


@on_sqlite
def test_a_run_goes_on_by_what_is_on_record(engine: Engine, settings: Settings, history: Any) -> None:
    """A crash before the run knows of what is on record: that step is not done again, as it might end otherwise."""
    facts = {"data": "x", "clusters": ["a"]}
    note(engine, ("run-1", NAME, "mixed-disk"), "drift", "no drift since the last look", facts)
    drifted(engine, 20_000)
    assert Steps(engine, settings, NAME, work(), "run-1").done("drift", {}) == {
        "outcome": "no drift since the last look", **facts}  # fmt: skip
    assert Steps(engine, settings, NAME, work(), "run-2").done("drift", {})["outcome"] == GO_ON


@on_sqlite
def test_a_drift_whose_run_failed_is_looked_at_again(
    engine: Engine, settings: Settings, send: Any, fleet: Any, tmp_path: Path
) -> None:
    """The rows cannot be written: the run has no end on record, and the next one sees the same drift."""
    send(fleet(1))
    drifted(engine, 20_000)
    (tmp_path / "file").write_text("no folder")
    broken = settings.model_copy(update={"models": tmp_path / "file"})
    first = Steps(engine, broken, NAME, work(), "run-1")
    assert first.done("drift", {})["outcome"] == GO_ON
    with pytest.raises(OSError, match="file"):
        first.done("ingest", {})
    second = Steps(engine, settings, NAME, work(), "run-2")
    found = second.done("drift", {})
    assert found["outcome"] == GO_ON
    assert second.done("validate", second.done("ingest", found))["outcome"].startswith("1.0 days of rows")
    assert Steps(engine, settings, NAME, work(), "run-3").done("drift", {})["outcome"] == "no drift since the last look"


@on_sqlite
def test_who_alarms_all_the_time_is_neither_better_nor_worse_for_it(
    engine: Engine, settings: Settings, history: Any, models: Path
) -> None:
    """A twin of the candidate with another threshold, as candidate or as what serves, shows no difference."""
    steps, facts = Steps(engine, settings, NAME, work(), "run-1"), {}
    for name in ("ingest", "validate", "train"):
        facts |= steps.done(name, facts)
    store = ModelStore(models)
    candidate = store.version(facts["version"])
    alarming = replace(open_model(store, candidate), threshold=0.0)
    made = replace(candidate.made, predictions_sha256="0" * 64)
    twin = store.register(made, dump(alarming.to_dict()), "test", "alarms all the time")
    measure(store, [candidate.id, twin.id], Path(facts["data"]), "validation", features=settings.feature_sets)
    own = {one.loss: one.verdict for one in compare(store, [candidate.id, twin.id]).differences}
    assert own["false_alarms"] == "worse"
    for version, serving in ((candidate.id, twin.id), (twin.id, candidate.id)):
        found = steps.evaluate({"version": version, "serving": serving})
        assert found["outcome"] == "not shown to be better"
        assert found["losses"].keys() == {"missed_at_budget", "relative_error"}
    free = store.register(replace(made, parameters={**made.parameters, "scenarios": {}}), dump(alarming.to_dict()),
                          "test", "of feature sets without scenarios")  # fmt: skip
    found = steps.evaluate({"version": free.id, "serving": candidate.id})
    assert found["outcome"].startswith("not promoted: scenario slow-disk: not measured: ")


@on_sqlite
def test_a_canary_that_raises_more_alarms_goes_back(
    engine: Engine, settings: Settings, history: Any, models: Path
) -> None:
    """Where the version that is tried alarms more on the same rows than the one that serves, that one goes on."""
    store = ModelStore(models)
    serving = store.serving("mixed-disk").id
    poor = next(one.id for one in store.versions("mixed-disk") if one.id != serving)
    # The one that is tried knew only the latency of before; the one that serves is made to know that of now.
    steps, facts = Steps(engine, settings, NAME, work(), "run-1"), {}
    for name in ("ingest", "validate", "train"):
        facts |= steps.done(name, facts)
    scored_by(engine, poor, models, history["a"][-100:])
    found = steps.done("canary", {"version": poor, "serving": facts["version"]})
    assert found["outcome"] == "more alarms on the cluster that tried it: what served goes on"
    assert found["alarm_share"] > found["alarm_share_of_serving"] + 0.02
    assert canaries(engine) == {}
    assert ModelStore(models).serving("mixed-disk").id == serving


@on_sqlite
@pytest.mark.parametrize(
    ("changes", "clusters", "why"),
    [
        ({"name_key": None}, ("a",), "retraining.name_key is not set"),
        ({"name_key": "short"}, ("a",), "retraining.name_key: key: 5 bytes"),
        ({}, ("b",), "no rows of a cluster that opted in"),
        ({}, ("c",), "no rows of a cluster that opted in"),
    ],
)
def test_rows_that_may_not_be_trained_on_are_not(
    engine: Engine, settings: Settings, send: Any, fleet: Any, changes: Any, clusters: tuple[str, ...], why: str
) -> None:
    """Nothing is pooled without a key for names, of a cluster that did not agree, or from another country."""
    send(fleet(1))
    told = settings.model_copy(
        update={
            "retraining": settings.retraining.model_validate(
                {**json.loads(json.dumps(settings.to_dict()["retraining"])), **changes}
            )
        }
    )
    found = Steps(engine, told, NAME, work(clusters), "run").done("ingest", {})
    assert found["outcome"].startswith(why)
    assert not (settings.model_folder / "rows").exists()


@on_sqlite
def test_rows_are_read_by_the_day_and_trained_on_by_the_step(
    engine: Engine, settings: Settings, send: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that sends more rows takes no more memory: months are read a day at a time, and what is kept of an hour
    of rows is their mean by host and metric, as models have it.
    """
    first = 1_789_948_800 + 3 * 3600
    send({"a": [(first + 900 * at, {"h": {"iops": float(at)}, "g": {"iops": 1.0}}) for at in range(4 * 72)]})
    asked: list[int] = []
    between = Reader.between

    def noted(self: Reader, cluster: str, start: int, after: int) -> Any:
        asked.append(after - start)
        return between(self, cluster, start, after)

    monkeypatch.setattr(Reader, "between", noted)
    frame = pd.read_parquet(Steps(engine, settings, NAME, work(), "run").ingest({})["data"])
    assert len(frame) == 2 * 72
    rising = frame[frame["value"] != 1.0].sort_values("ts")
    assert rising["value"].tolist() == [4 * hour + 1.5 for hour in range(72)]
    assert rising["ts"].tolist() == [pd.Timestamp(first + 3600 * hour, unit="s", tz="UTC") for hour in range(72)]
    compare_months(Reader(engine, "IE", Sealing()), "a", "mixed-disk", (first + 72 * 3600) // 86_400)
    assert max(asked) <= 86_400


@on_sqlite
def test_too_little_is_not_trained_on(engine: Engine, settings: Settings, send: Any, fleet: Any) -> None:
    """A few days of rows end the run with the reason on record."""
    send(fleet(3))
    steps = Steps(engine, settings, NAME, work(), "run")
    found = steps.done("validate", steps.done("ingest", {}))
    assert found["outcome"].startswith("3.0 days of rows: at least")
    assert [one["outcome"] for one in record(engine, "run")] == [GO_ON, found["outcome"]]


def start_loop(
    settings: Settings, epoch: int, name: str = NAME, hardware: str = "mixed-disk"
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", "from api.hosting.loop import main; main()"],
        stdin=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[3],
    )
    order = {"settings": settings.to_dict(), "tenant": "default", "workload": name, "host": "h", "epoch": epoch,
             "work": work(hardware=hardware).model_dump_json()}  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps(order).encode() + b"\n")
    process.stdin.flush()
    return process


@pytest.mark.soak
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_run_that_is_killed_goes_on_at_its_step(
    engine: Engine, settings: Settings, history: Any, models: Path, eventually: Callable[..., Any]
) -> None:
    """Kill -9 while a version is tried: the next process goes on with the same run there, and ends it; nothing
    before is done again.
    """
    drifted(engine, 20_000)
    lease = Leases(engine, "h", "a")
    lease.beat()
    epoch = lease.hold([NAME])[NAME]
    first = start_loop(settings, epoch)
    tried = eventually(lambda: canaries(engine).get("mixed-disk"))
    first.kill()
    first.wait()
    before = record(engine)
    assert [one["step"] for one in before] == ["drift", "ingest", "validate", "train", "evaluate"]
    second = start_loop(settings, epoch)
    scored_by(engine, tried.version, models, history["a"])
    eventually(lambda: len(record(engine)) == 7)
    second.kill()
    second.wait()
    assert record(engine)[:5] == before
    assert {one["run"] for one in record(engine)} == {tried.run}
    assert ModelStore(models).serving("mixed-disk").id == tried.version


@pytest.mark.soak
def test_a_run_that_waits_is_left_to_its_own_class(
    engine: Engine, settings: Settings, history: Any, eventually: Callable[..., Any]
) -> None:
    """Two classes train on one database: a run of one that was cut off waits for the next process of that class; the
    process of the other class takes it neither from the queue nor on record.
    """
    other = "training-all-flash-nvme-ie"
    quick = settings.model_copy(update={"retraining": settings.retraining.model_copy(update={"every_minutes": 0.01})})
    drifted(engine, 20_000)
    lease = Leases(engine, "h", "a")
    lease.beat()
    epochs = lease.hold([NAME, other])
    first = start_loop(settings, epochs[NAME])
    (begun,) = {one["run"] for one in eventually(lambda: record(engine))}
    first.kill()
    first.wait()
    client = DBOSClient(system_database_url=settings.store, application_name="planner")
    client.resume_workflow(f"default/{begun}")  # as every process does with what was cut off, when it starts
    stranger = start_loop(quick, epochs[other], other, "all-flash-nvme")
    eventually(lambda: len({one["run"] for one in record(engine) if one["workload"] == other}) > 2)
    assert client.list_workflows(workflow_ids=[f"default/{begun}"])[0].status == "ENQUEUED"
    second = start_loop(settings, epochs[NAME])
    eventually(lambda: canaries(engine).get("mixed-disk"))
    for process in (stranger, second):
        process.kill()
        process.wait()
    client.destroy()
    assert {one["workload"] for one in record(engine, begun)} == {NAME}


@on_sqlite
def test_a_process_whose_lease_was_taken_ends(engine: Engine, settings: Settings, history: Any) -> None:
    """It changes nothing more: the host that holds the lease now goes on."""
    lease = Leases(engine, "h", "a")
    lease.beat()
    lease.hold([NAME])
    assert start_loop(settings, 99).wait(60) == 4
    assert record(engine) == []


@on_sqlite
def test_a_trial_whose_run_is_gone_ends(
    engine: Engine, settings: Settings, history: Any, eventually: Callable[..., Any]
) -> None:
    """A run of an earlier version of the program tried a version and nobody goes on with it: the next run ends that."""
    note(engine, ("gone", NAME, "mixed-disk"), "drift", GO_ON, {})
    begin_canary(engine, "mixed-disk", "gone", "tried", "a")
    lease = Leases(engine, "h", "a")
    lease.beat()
    process = start_loop(settings, lease.hold([NAME])[NAME])
    eventually(lambda: canaries(engine) == {})
    process.kill()
    process.wait()
