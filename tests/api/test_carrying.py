"""A worker sees every job to an end, whatever happens to what carries it out."""

import json
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from api.jobs import worker
from api.jobs.worker import Carrying
from api.settings import Settings
from api.store.jobs import Submission
from api.store.store import Store

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
REFUSE = """
CREATE SEQUENCE refused;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('refused') <= %d THEN RAISE EXCEPTION 'not now' USING ERRCODE = '%s'; END IF; RETURN NEW;
END $$;
CREATE TRIGGER refusing BEFORE UPDATE ON documents FOR EACH ROW EXECUTE FUNCTION refuse()
"""


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


def ended(store: Store, settings: Settings, refusals: int, state: str) -> tuple[str, int, str]:
    """Status, attempt and errors of a job after a server refused so many results."""
    engine = create_engine(settings.store)
    with engine.begin() as connection:
        connection.exec_driver_sql(REFUSE % (refusals, state))
    engine.dispose()
    job_id = asked(store)
    Carrying(store, settings).carry_out(job_id)
    row = store.job(job_id)
    assert row is not None
    return row.status, row.attempt, row.errors


@on_postgresql
def test_a_database_that_is_away_costs_no_attempt(store: Store, settings: Settings) -> None:
    """It may be away (here it only reads) for the results of more attempts than a job has."""
    assert ended(store, settings, settings.max_attempts, "25006") == ("done", 1, "[]")


@on_postgresql
def test_a_job_that_the_database_cannot_take_is_not_begun_for_ever(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A time limit of statements, say, which ends what it writes each time."""
    monkeypatch.setattr(worker, "MOST_AWAY", 3)
    monkeypatch.setattr(worker, "AWAY_S", 0.01)
    status, attempt, errors = ended(store, settings, 9, "57014")
    assert (status, attempt, json.loads(errors)) == ("failed", 1, [worker.GIVEN_UP])


@on_postgresql
def test_a_disk_without_room_for_what_a_job_made_is_the_reason(store: Store, settings: Settings) -> None:
    """It is not made again, and nothing else is said to be at fault."""
    status, attempt, errors = ended(store, settings, 9, "53100")
    assert (status, attempt, json.loads(errors)) == ("failed", 1, [worker.NO_ROOM])
