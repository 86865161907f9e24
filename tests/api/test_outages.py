"""What a database could not do may be asked again; what it was wrongly asked is a fault. On each kind of database."""

import asyncio
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, create_engine, text

from api.database import engine as engines
from api.database.engine import engine_of
from api.jobs.job import run
from api.settings import Settings
from api.store.jobs import Submission
from api.store.store import Store
from api.web.problems import install

MANY = 300_000
"""Values in one statement; neither database takes so many."""


@pytest.fixture
def engine(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine that waits for a lock for a moment only."""
    monkeypatch.setattr(engines, "BUSY_S", 0.1)
    made = engine_of(database)
    yield made
    made.dispose()


def ask(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def too_many_values(engine: Engine) -> None:
    mark = "?" if engine.dialect.name == "sqlite" else "%s"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT 1 WHERE 1 IN ({', '.join([mark] * MANY)})", (1,) * MANY)


def held(engine: Engine) -> None:
    """Write while another program does."""
    lock = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "LOCK TABLE jobs"}[engine.dialect.name]
    wait = [] if engine.dialect.name == "sqlite" else ["SET LOCAL lock_timeout = '100ms'"]
    other = create_engine(engine.url)
    with other.connect() as connection:
        connection.exec_driver_sql(lock)
        try:
            ask(engine, *wait, "UPDATE jobs SET name = ''")
        finally:
            connection.rollback()
            other.dispose()


def nowhere(engine: Engine) -> None:
    url = engine.url.set(database="/nowhere/planner.sqlite") if engine.dialect.name == "sqlite" else engine.url.set(
        host=None, port=1, query={"host": "/nowhere"})
    with create_engine(url).connect():
        pass


def another_writer_here(engine: Engine) -> None:
    """Write while this process does."""
    with engine.connect() as first:
        first.execute(text("UPDATE jobs SET name = ''"))
        ask(engine, "UPDATE jobs SET name = ''")


def full(engine: Engine) -> None:
    if engine.dialect.name == "postgresql":
        ask(engine, "DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.exec_driver_sql("CREATE TABLE filling (content BLOB)")
        connection.exec_driver_sql("INSERT INTO filling VALUES (zeroblob(1000000))")


def ended_by_the_server(engine: Engine) -> None:
    ask(engine, "SELECT pg_terminate_backend(pg_backend_pid())")


def raised(engine: Engine, state: str) -> None:
    """What a server says by a state of its own."""
    ask(engine, f"DO $$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '{state}'; END $$")


CASES: dict[str, tuple[int, Callable[[Engine], None]]] = {
    "no such column": (500, lambda engine: ask(engine, "SELECT nothing FROM jobs")),
    "no such table": (500, lambda engine: ask(engine, "SELECT 1 FROM nothing")),
    "no statement": (500, lambda engine: ask(engine, "SELEKT 1")),
    "too many values": (500, too_many_values),
    "locked by others": (503, held),
    "not to be reached": (503, nowhere),
    "full": (507, full),
}
ON_ONE: dict[str, tuple[str, int, Callable[[Engine], None]]] = {
    "locked by ourselves": ("sqlite", 503, another_writer_here),
    "too deep": ("postgresql", 500, lambda engine: ask(engine, f"SELECT {'(' * 60_000}1{')' * 60_000}")),
    "ended by the server": ("postgresql", 503, ended_by_the_server),
    "only reads": ("postgresql", 503, lambda engine: ask(engine, "SET TRANSACTION READ ONLY",
                                                         "UPDATE jobs SET name = ''")),
    "ended who was silent": ("postgresql", 503, lambda engine: raised(engine, "25P03")),
    "broken inside": ("postgresql", 500, lambda engine: raised(engine, "XX000")),
    "took too long": ("postgresql", 503, lambda engine: ask(engine, "SET LOCAL statement_timeout = 50",
                                                            "SELECT pg_sleep(9)")),
}  # fmt: skip
"""What happens on one kind only."""


def test_what_may_be_asked_again_and_what_is_a_fault(engine: Engine) -> None:
    """Locked, away: 503. No room: 507. All else, whatever class of error the driver has for it: 500."""
    own = {name: one[1:] for name, one in ON_ONE.items() if one[0] == engine.dialect.name}
    cases = own | CASES
    app = FastAPI()
    install(app)
    app.get("/{name}")(lambda name: cases[name][1](engine))

    async def asked() -> dict[str, int]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return {name: (await client.get(f"/{name}")).status_code for name in cases}

    assert asyncio.run(asked()) == {name: status for name, (status, _) in cases.items()}


def test_a_job_fails_by_a_statement_that_is_wrong(database: str, tmp_path: Path) -> None:
    """It is not begun again and again, as one is whose database was away."""
    settings = Settings(data=tmp_path, database=database, retention={"telemetry_days": 1})

    class Nowhere:
        def put(self, *_: object, **__: object) -> None:
            """Nobody takes from it."""

    everyone = Store(settings.store, Nowhere())
    store = everyone.of("default")
    job = store.begin(store.submit(Submission("purge", {}, None, (), "a", kind="purge")), 3)
    assert job is not None
    ask(create_engine(database), "ALTER TABLE telemetry_streams RENAME TO elsewhere")
    order = {"settings": settings.to_dict(), "id": job.id, "tenant": job.tenant, "kind": job.kind,
             "attempt": job.attempt, "request": {}, "folder": str(tmp_path), "log": str(tmp_path / "log")}
    process = multiprocessing.get_context("forkserver").Process(target=run, args=(order,))
    process.start()
    process.join()
    row = store.job(job.id)
    everyone.close()
    assert (process.exitcode, row and row.status) == (0, "failed"), (tmp_path / "log").read_text()
    assert "a fault of the planner" in str(row)
