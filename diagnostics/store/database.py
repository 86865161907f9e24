"""The rows of the store, on SQLite (write-ahead log) or PostgreSQL: written by one short transaction each."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
from sqlalchemy import Connection, Engine, bindparam, create_engine, event, func, insert, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError

from diagnostics.store.errors import StoreAwayError, StoreError
from diagnostics.store.records import Evaluation, Event, Kind, MeasuredCost, NewVersion, Stage, Version
from diagnostics.store.tables import SCHEMA_VERSION, costs, evaluations, history, metadata, schema, stages, versions

_BUSY_S = 30
_TAKEN = "55P03"
"""What PostgreSQL says where a lock could not be had in time."""
_MAKING = 0x6D6F64656C73
"""Name of the lock that is held while tables are made."""
_ADDRESSES = "sqlite:///FILE or postgresql://HOST/NAME"


class Taken(Exception):  # noqa: N818 - no error: the next revision was taken by somebody else, try again
    """Somebody wrote the same row first."""


class Database:
    """Reading and adding rows. Safe to use from several threads and processes."""

    def __init__(self, url: str) -> None:
        """Open `url` (sqlite:///... or postgresql://...) and make the tables that are not there.

        Raises:
            StoreError: the database is of another kind, or of a newer version.
            StoreAwayError: it does not answer.

        """
        self._engine = _engine(url)
        try:
            known = self._made()
        except Taken:  # another process is making it
            known = SCHEMA_VERSION
        if known > SCHEMA_VERSION:
            raise StoreError(f"{self.where}: the store has version {known}, this program knows {SCHEMA_VERSION}: "
                             f"update the program")

    def _made(self) -> int:
        """Make the tables that are not there, and tell the version of the store."""
        with self.reading() as connection:
            missing = set(metadata.tables) - set(inspect(connection).get_table_names())
            if not missing:
                return int(connection.execute(select(func.max(schema.c.version))).scalar_one())
        with self.writing() as connection:
            if connection.dialect.name == "postgresql":  # two that make the same table are both refused
                connection.execute(select(func.pg_advisory_xact_lock(_MAKING)))
            metadata.create_all(connection)
            known = connection.execute(select(func.max(schema.c.version))).scalar_one()
            if known is None:
                connection.execute(insert(schema).values(version=SCHEMA_VERSION))
            return known or SCHEMA_VERSION

    @property
    def where(self) -> str:
        """The address, without a password."""
        return self._engine.url.render_as_string()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read from. Raises StoreAwayError."""
        with self._answering(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction. Raises Taken when a row is there already: nothing was written then; and StoreAwayError: all of
        it was written, or nothing.
        """
        with self._answering(), self._engine.execution_options(writes=True).begin() as connection:
            yield connection

    @contextmanager
    def unchanging(self, wait_s: float, frozen_s: float) -> Iterator[Connection | None]:
        """A connection to read from, while nobody writes; None where somebody else does for longer than `wait_s`.

        On PostgreSQL several may hold it at once, and one that says nothing for `frozen_s` loses it: whoever asks next
        on its connection is told. On SQLite one has it at a time, however long. Raises StoreAwayError.
        """
        with ExitStack() as held:
            with self._answering():
                connection = held.enter_context(self._engine.execution_options(writes=True).connect())
                still = _keep_still(connection, wait_s, frozen_s)
            yield connection if still else None

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise Taken(_first_line(error)) from error
        except DBAPIError as error:
            raise StoreAwayError(f"{self.where}: the database does not answer: {_first_line(error)}: ask again when it "
                                 "does; a change that was cut off was made in full or not at all, which history tells"
                                 ) from error


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(f"{url}: is not the address of a database; {_ADDRESSES}") from error
    kind = parsed.get_backend_name()
    if kind == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if kind != "sqlite":
        raise StoreError(f"{kind}: is not a database for models; {_ADDRESSES}")
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_S})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:  # noqa: ANN401 - whichever driver it is
        connection.isolation_level = None  # begin by ourselves: a reader that turns writer would be refused
        for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {setting}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")

    return engine


def _keep_still(connection: Connection, wait_s: float, frozen_s: float) -> bool:
    """Begin a transaction during which nobody writes; False where somebody does for too long."""
    try:
        if connection.dialect.name == "sqlite":
            _begin_soon(connection, wait_s)
            return True
        for setting, seconds in (("lock_timeout", wait_s), ("idle_in_transaction_session_timeout", frozen_s)):
            connection.exec_driver_sql(f"SET LOCAL {setting} = {1000 * seconds:.0f}")
        connection.exec_driver_sql(f"LOCK TABLE {history.name} IN SHARE MODE")
    except OperationalError as error:
        said = error.orig
        if getattr(said, "sqlite_errorcode", 0) != sqlite3.SQLITE_BUSY and getattr(said, "sqlstate", "") != _TAKEN:
            raise
        connection.invalidate()
        return False
    return True


def _begin_soon(connection: Connection, wait_s: float) -> None:
    """Begin a transaction that writes, on SQLite, and wait less than others do."""
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute(f"PRAGMA busy_timeout = {1000 * wait_s:.0f}")
    try:
        connection.begin()
    finally:
        driver.execute(f"PRAGMA busy_timeout = {1000 * _BUSY_S}")


def sqlite_url(file: Path) -> str:
    """Address of a SQLite file."""
    return f"sqlite:///{file}"


def _first_line(error: Exception) -> str:
    return str(error.__cause__ or error).strip().splitlines()[0]


# Rows -----------------------------------------------------------------------------------------------------------------


def add_version(connection: Connection, version: Version) -> None:
    """Keep a version."""
    connection.execute(insert(versions).values(
        id=version.id, hardware=version.made.hardware, created_at=version.created_at, created_by=version.created_by,
        file_sha256=version.file_sha256, file_bytes=version.file_bytes,
        made=json.dumps(asdict(version.made), sort_keys=True)))


def add_event(connection: Connection, told: Event, changed: dict[str, Stage]) -> None:
    """Write a line of history and the stages that it changed."""
    connection.execute(_ADD_LINE, vars(told))
    if changed:
        connection.execute(_ADD_STAGE, [
            {"hardware": told.hardware, "revision": told.revision, "version": version, "stage": stage}
            for version, stage in changed.items()])


_LATER = stages.alias()
_NEWER = select(_LATER.c.version).where(
    _LATER.c.version == stages.c.version, _LATER.c.revision > stages.c.revision).exists()
# Built once: making these anew takes as long as asking them.
_ADD_LINE, _ADD_STAGE = insert(history), insert(stages)
_FILE = select(versions.c.file_sha256).where(versions.c.id == bindparam("version"))
_STABLE = select(stages.c.version).where(stages.c.hardware == bindparam("hardware"), stages.c.stage == "stable",
                                         ~_NEWER).order_by(stages.c.revision)
_SERVING = (select(history.c.after).where(history.c.hardware == bindparam("hardware"))
            .order_by(history.c.revision.desc()).limit(1))
_LAST_REVISION = select(func.max(history.c.revision)).where(history.c.hardware == bindparam("hardware"))


def last_revision(connection: Connection, hardware: str) -> int:
    """How many lines the history of a hardware has."""
    return int(connection.execute(_LAST_REVISION, {"hardware": hardware}).scalar_one() or 0)


def serving_version(connection: Connection, hardware: str) -> str | None:
    """Id of the version that serves: the last line of the history says so, however many versions are stable."""
    return cast(str | None, connection.execute(_SERVING, {"hardware": hardware}).scalar_one_or_none())


def stable_versions(connection: Connection, hardware: str) -> list[str]:
    """Ids of the stable versions, the one that serves last."""
    rows = connection.execute(_STABLE, {"hardware": hardware})
    return [row.version for row in rows]


def stages_of(connection: Connection, version: str) -> list[Stage]:
    """Every stage a version was in, the newest last."""
    rows = connection.execute(select(stages.c.stage).where(stages.c.version == version).order_by(stages.c.revision))
    return [cast(Stage, row.stage) for row in rows]


def events(connection: Connection, hardware: str | None) -> list[Event]:
    """The history of one hardware or of all, the oldest first."""
    asked = select(history).order_by(history.c.at, history.c.hardware, history.c.revision)
    if hardware is not None:
        asked = asked.where(history.c.hardware == hardware)
    return [Event(**row) for row in connection.execute(asked).mappings()]


def count_events(connection: Connection) -> int:
    """How many lines all histories have."""
    return int(connection.execute(select(func.count()).select_from(history)).scalar_one())


def file_of(connection: Connection, version: str) -> str:
    """Hash of a version's file."""
    return str(connection.execute(_FILE, {"version": version}).scalar_one())


def read_versions(connection: Connection, hardware: str | None = None, start: str | None = None) -> list[Version]:
    """Versions of one hardware or of all, whose id begins so; the oldest first."""
    asked = select(versions).order_by(versions.c.created_at, versions.c.id)
    if hardware is not None:
        asked = asked.where(versions.c.hardware == hardware)
    if start is not None:
        asked = asked.where(versions.c.id.startswith(start, autoescape=True))
    rows = connection.execute(asked).all()
    stage = {row.version: row.stage for row in connection.execute(
        select(stages.c.version, stages.c.stage).where(stages.c.version.in_([row.id for row in rows]))
        .order_by(stages.c.revision))} if rows else {}
    serving = {name: serving_version(connection, name) for name in {row.hardware for row in rows}}
    return [Version(row.id, _made(row.made), row.file_sha256, row.file_bytes, row.created_at, row.created_by,
                    stage[row.id], serving[row.hardware] == row.id) for row in rows]


def _made(text: str) -> NewVersion:
    told = json.loads(text)
    return NewVersion(**told | {"covers": tuple(told["covers"]), "trials": tuple(told["trials"])})


def add_cost(connection: Connection, cost: MeasuredCost) -> None:
    """Keep what a version takes."""
    connection.execute(insert(costs).values(version=cost.version, at=cost.at, machine=cost.machine,
                                            content=json.dumps(dict(cost.figures), sort_keys=True)))


def read_costs(connection: Connection) -> list[tuple[str, MeasuredCost]]:
    """What was measured, by hardware, the oldest first."""
    asked = select(versions.c.hardware, costs).join(versions, versions.c.id == costs.c.version).order_by(costs.c.id)
    return [(row.hardware, MeasuredCost(row.version, row.machine, json.loads(row.content), row.at))
            for row in connection.execute(asked)]


def add_evaluation(connection: Connection, evaluation: Evaluation) -> None:
    """Keep the losses of a version."""
    names = sorted(evaluation.sums)
    kept = io.BytesIO()
    np.savez_compressed(
        kept, allow_pickle=False, blocks=np.array(evaluation.blocks, dtype=np.str_),
        names=np.array(names, dtype=np.str_),
        sums=np.array([evaluation.sums[name] for name in names]).reshape(len(names), len(evaluation.blocks)),
        weights=np.array([evaluation.weights[name] for name in names]).reshape(len(names), len(evaluation.blocks)))
    connection.execute(insert(evaluations).values(
        version=evaluation.version, kind=evaluation.kind, data_sha256=evaluation.data_sha256, at=evaluation.at,
        blocks=kept.getvalue()))


def read_evaluations(connection: Connection, version: str, kind: Kind | None = None) -> list[Evaluation]:
    """What is known of a version's losses, the oldest first."""
    asked = select(evaluations).where(evaluations.c.version == version).order_by(evaluations.c.id)
    if kind is not None:
        asked = asked.where(evaluations.c.kind == kind)
    found = []
    for row in connection.execute(asked):
        with np.load(io.BytesIO(row.blocks), allow_pickle=False) as kept:
            names = [str(name) for name in kept["names"]]
            sums, weights = (dict(zip(names, kept[part], strict=True)) for part in ("sums", "weights"))
            blocks = tuple(map(str, kept["blocks"]))
        found.append(Evaluation(row.version, row.kind, row.data_sha256, blocks, sums, weights, row.at))
    return found


