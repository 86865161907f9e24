"""Who may read what hosts keep, and how long it is kept."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Engine, delete, func, select, update

from api.database.tables import files, stream_rows, verdicts
from api.hosting.models import Models
from api.hosting.retention import purge
from api.hosting.sealing import Sealing, sealer_of
from api.hosting.steps import Steps
from api.hosting.streams import Given, push
from api.jobs.job import Task
from api.kinds.purge import carry_out
from api.settings import Retention, Settings
from api.store.jobs import Submission
from api.store.store import Store
from diagnostics.sealing import Sealer
from diagnostics.store import ChangedFileError, ModelStore
from planner.errors import InputError
from planner.hosting import Hosted, HostedWork

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
DAY_S = 86_400


def sealed_again(models: Path, keys: str) -> None:
    """Encrypt the files of a store of models, as they are when they were registered with keys."""
    for path in (models / "files").glob("*.skops"):
        path.chmod(0o600)
        path.write_bytes(Sealer(keys).seal(path.read_bytes()))


def test_model_files_are_sealed_and_checked_after_they_were_opened(models: Path) -> None:
    """With a key nothing of a model can be read from its file; a changed file or a lost key passes to no model."""
    keys = Fernet.generate_key().decode()
    plain = ModelStore(models)
    version = plain.serving("mixed-disk")
    content = plain.content(version)
    path = plain.files.path(version.file_sha256)
    path.unlink()
    store = ModelStore(models, sealer=Sealer(keys))
    assert store.files.put(content) == version.file_sha256
    assert b"PK" not in path.read_bytes()[:4]
    assert b"io_size_kib" not in path.read_bytes()
    assert store.content(version) == content
    before = path.read_bytes()
    assert store.files.put(content) == version.file_sha256
    assert path.read_bytes() == before
    with pytest.raises(ChangedFileError, match=f"version {version.id}: .*sealed with a key that is not among them"):
        plain.content(version)
    path.chmod(0o600)
    path.write_bytes(before[:-8] + b"AAAAAA==")
    assert store.serve("mixed-disk").version.id != version.id
    path.write_bytes(Sealer(keys).seal(content[:-1] + b"x"))
    with pytest.raises(ChangedFileError, match="was changed on disk"):
        store.content(version)


def test_hosts_load_sealed_models_with_the_key_and_no_others(models: Path) -> None:
    """A host without the key serves nothing rather than something else."""
    keys = Fernet.generate_key().decode()
    sealed_again(models, keys)
    loaded = Models(models, sealer=Sealer(keys)).of("mixed-disk")
    assert loaded is not None
    assert loaded.version == ModelStore(models).serving("mixed-disk").id
    assert Models(models).of("mixed-disk") is None


@on_sqlite
def test_rows_to_train_on_are_sealed_at_rest(
    engine: Engine, settings: Settings, send: Callable[..., Any], fleet: Callable[..., Any]
) -> None:
    """The file that a run pools can be read with the key only, by the steps after it too."""
    sealed = settings.model_copy(update={"encryption_keys": SecretStr(Fernet.generate_key().decode())})
    send(fleet(12))
    watches = {"hardware_class": "mixed-disk", "clusters": ("a",), "country": "IE", "purpose": "train"}
    work = HostedWork.model_validate({"kind": "training", "watches": watches, "places": [{"cluster": "a"}]},
                                     strict=False)  # fmt: skip
    steps = Steps(engine, sealed, "training-mixed-disk-ie", work, "run")
    facts = steps.done("ingest", {})
    with pytest.raises(Exception, match="Parquet magic bytes"):
        pd.read_parquet(facts["data"])
    assert b"read_latency_ms" not in Path(facts["data"]).read_bytes()
    assert steps.done("validate", facts)["days"] == 12
    assert sealer_of(sealed).unseal(Path(facts["data"]).read_bytes()).startswith(b"PAR1")
    without = Steps(engine, settings, "training-mixed-disk-ie", work, "other").done("validate", facts)
    assert "was changed, or sealed with a key that is not among them" in without["outcome"]


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)], indirect=True)
def test_what_is_older_than_it_may_be_is_removed_but_no_row_that_waits(
    engine: Engine,
    start_thread: Callable[[str], Any],
    in_force: Callable[[Hosted], str],
    made_up: Callable[..., Hosted],
    fleet: Callable[..., Any],
    send: Callable[..., Any],
    eventually: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Rows go when they are old and have their verdict, verdicts when they are old, files of rows by their age."""
    in_force(made_up())
    rows = fleet(5)
    send({"a": rows["a"], "c": rows["c"]})
    host = start_thread("a")
    count = select(func.count()).select_from(verdicts)

    def scored() -> int:
        with engine.connect() as connection:
            return int(connection.execute(count).scalar_one())

    eventually(lambda: scored() == len(rows["a"]))
    host.stop()
    old, new = tmp_path / "old.parquet", tmp_path / "new.parquet"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 40 * DAY_S,) * 2)
    newest = rows["a"][-1][0]
    days = (time.time() - newest) / DAY_S + 2  # all but the last two of five days
    gone = purge(engine, Retention(telemetry_days=days, verdicts_days=days + 1, training_days=30), tmp_path)
    assert gone == ({"rows": 72, "verdicts": 48, "drifts": 0, "files": 1}, ())
    with engine.connect() as connection:
        by_cluster = select(stream_rows.c.cluster, func.count()).group_by(stream_rows.c.cluster)
        kept = {row[0]: row[1] for row in connection.execute(by_cluster)}
    assert kept == {"a": 48, "c": 120}  # nobody has scored c yet
    assert not old.exists()
    assert new.exists()
    assert purge(engine, Retention(telemetry_days=days), tmp_path).removed["rows"] == 0


class Nowhere:
    """A queue from which nobody takes."""

    def put(self, *_: object, **__: object) -> None: ...


@on_sqlite
def test_one_tenants_plan_stops_nobodys_retention(
    database: str, in_force: Callable[..., str], made_up: Callable[..., Hosted], tmp_path: Path
) -> None:
    """A plan that says nothing of diagnostics lets no row wait, and is told; one that cannot be read fails the job, but
    rows of other tenants are removed all the same.
    """
    settings = Settings(data=tmp_path, database=database, retention={"telemetry_days": 1})
    everyone = Store(database, Nowhere())
    store, plans = everyone.of("default"), {name: in_force(made_up(), name) for name in ("acme", "bad")}
    rows = [Given("a", ts, {"host": {"iops": 1.0}}) for ts in (1000, 2000)]
    for tenant in ("acme", "bad", "zeta"):
        push(everyone.of(tenant).engine, rows, made_up().clusters, Sealing())
    file = files.c.name == "hosted.json"
    with everyone.engine.begin() as connection:
        connection.execute(delete(files).where(file, files.c.job_id == plans["acme"]))
        connection.execute(update(files).where(file, files.c.job_id == plans["bad"]).values(content=b"{"))

    def purged() -> dict[str, Any]:
        job = store.begin(store.submit(Submission("purge", {}, None, (), "a", kind="purge")), 3)
        assert job is not None
        carry_out(Task(job, store, settings, tmp_path))
        made: dict[str, Any] = json.loads(store.result(job.id) or "")
        return made

    with pytest.raises(InputError, match=f"^tenant bad: plan {plans['bad']}"):
        purged()
    with everyone.engine.begin() as connection:
        left = connection.execute(select(stream_rows.c.tenant, func.count()).group_by(stream_rows.c.tenant)).all()
        connection.execute(delete(files).where(file))
    made = purged()
    everyone.close()
    assert [tuple(row) for row in left] == [("bad", 2)]
    assert {tenant: one["rows"] for tenant, one in made["removed"].items()} == {
        "acme": 0, "bad": 2, "default": 0, "zeta": 0}  # fmt: skip
    assert made["silent"] == {name: [f"plan {plans[name]}: says nothing of diagnostics: plan again"] for name in plans}
