"""A worker sees every job to an end, whatever happens to what carries it out."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.jobs.worker import Carrying
from api.settings import Settings
from api.store.jobs import Submission
from api.store.store import Store

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class Nowhere:
    """A queue from which nobody takes."""

    def put(self, *_: object, **__: object) -> None: ...


@pytest.fixture
def settings(database: str, tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, database=database, max_attempts=2, niceness=0, retention={"telemetry_days": 1})


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    made = Store(settings.store, Nowhere())
    yield made
    made.close()


def asked(store: Store) -> str:
    """Id of a job that is over soon."""
    return store.of("default").submit(Submission("purge", {}, None, (), "a", kind="purge"))


@on_sqlite
def test_a_job_whose_files_cannot_be_made_fails(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why, and the worker goes on: it takes the next job, and ends when it is told to."""
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null/no folder")
    carrying = Carrying(store, settings)
    for job_id in (asked(store), asked(store)):
        carrying.carry_out(job_id)
        row = store.job(job_id)
        assert row is not None
        assert (row.status, "could not be carried out: NotADirectoryError" in row.errors) == ("failed", True), row
    ending = threading.Thread(target=carrying.stop, daemon=True)
    ending.start()
    ending.join(20)
    assert not ending.is_alive()
