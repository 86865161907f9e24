"""The database behind the store: SQLite in a file of the data folder, or PostgreSQL by its address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError

from api.database.one_writer import let_one_write
from api.database.recording import keep_record
from api.database.tenancy import keep_apart
from planner.errors import InputError

POOL_SIZE, MORE = 10, 10
BUSY_S = 30
"""How long one writer of a SQLite file waits for another."""
LOG_PAGES = 20_000
"""Pages in the log of a SQLite file from which on a writer carries them into the file itself, while others wait: far
more than gather between two calls of `carry_over`, for which nobody waits.
"""
_MIGRATIONS = Path(__file__).with_name("migrations")
_FIRST = "0001"
"""The version of SQLite files from before versions were noted in a table."""


def checked_url(text: str) -> str:
    """An address of a database as SQLAlchemy reads it, with the driver that is installed. Raises InputError."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise InputError(["not an address; postgresql://USER@HOST/NAME is one"]) from None
    backend = url.get_backend_name()
    if backend not in ("postgresql", "sqlite"):
        raise InputError([f"{backend}: allowed are postgresql and sqlite"])
    driver = "postgresql+psycopg" if backend == "postgresql" else "sqlite"
    return url.set(drivername=driver).render_as_string(hide_password=False)


def engine_of(url: str, frozen_s: float | None = None) -> Engine:
    """An engine that keeps tenants apart, with connections that survive a restart of the server, and SQLite in
    write-ahead mode. A server ends the transaction of who says nothing in it for `frozen_s`, as a process that was
    stopped, and gives others what it had locked; SQLite cannot.
    """
    engine = _connecting(url)
    if frozen_s is not None and engine.dialect.name == "postgresql":

        @event.listens_for(engine, "connect")
        def _limit(connection: Any, _: object) -> None:  # noqa: ANN401 - whichever driver it is
            connection.execute(f"SET idle_in_transaction_session_timeout = {1000 * frozen_s:.0f}")
            connection.commit()

    keep_apart(engine)
    keep_record(engine)
    return engine


def _connecting(url: str, foreign_keys: str = "ON") -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, hide_parameters=True, pool_pre_ping=True, pool_size=POOL_SIZE, max_overflow=MORE)
    engine = create_engine(url, hide_parameters=True, pool_size=POOL_SIZE, max_overflow=MORE,
                           connect_args={"timeout": BUSY_S})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:  # noqa: ANN401 - whichever driver it is
        for setting in ("journal_mode = WAL", "synchronous = NORMAL", f"foreign_keys = {foreign_keys}",
                        f"wal_autocheckpoint = {LOG_PAGES}"):
            connection.execute(f"PRAGMA {setting}")

    let_one_write(engine, BUSY_S)
    return engine


def carry_over(engine: Engine) -> None:
    """Carry what is in the log of a SQLite file into the file, as far as no reader needs it; writers go on."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")


def alone_in(connection: Connection, table: str) -> None:
    """Let no other transaction read and write a table like this one until it ends; others may read."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")


def upgrade(url: str) -> None:
    """Make the tables, or bring those of an older version to this one. Raises RuntimeError for a newer version's."""
    from alembic import command  # a third of a second to load
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError
    from dbos import DBOS

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    engine = _connecting(url, foreign_keys="OFF")  # SQLite changes a table by writing it anew
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            if _unnoted(connection):
                command.stamp(config, _FIRST)
            try:
                command.upgrade(config, "head")
            except CommandError:
                known = ScriptDirectory.from_config(config).get_current_head()
                newer = f"the store is of a newer version than this program, which knows {known}: update it"
                raise RuntimeError(newer) from None
    finally:
        engine.dispose()
    DBOS.migrate(url)


def _unnoted(connection: Connection) -> bool:
    """Whether the tables are those of the first version, which noted none."""
    names = inspect(connection).get_table_names()
    return "plans" in names and "alembic_version" not in names
