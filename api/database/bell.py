"""Tells at once that somebody has written to the database: PostgreSQL says so itself, a SQLite file is asked often."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing, suppress

import psycopg
from sqlalchemy import Connection, make_url
from sqlalchemy.exc import SQLAlchemyError

from api.database.engine import engine_of

CHANNEL = "planner_directing"
ASK_S = 0.02
"""How often a SQLite file is asked whether it has changed."""
LISTEN_S = 0.5
"""How long it is listened before it is looked whether to stop."""
AGAIN_S = 0.2
"""How long after the database went away it is tried again."""
ANYWAY_S = 1.0
"""After how long without a ring those who wait look anyway."""


def ring(connection: Connection) -> None:
    """Tell every service on the database when the transaction ends. Of SQLite files the file itself tells."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")


class Bell:
    """Rings in this process when another connection has written; any number of threads may wait. Start it once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._rung, self._changed = 0, threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._hear, name="bell")

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more, and let everybody go who waits."""
        self._stopping.set()
        self._ring()
        self._thread.join()

    def wait(self, heard: int) -> int:
        """Wait until it has rung more often than `heard` times, or a second; how often it has rung."""
        with self._changed:
            self._changed.wait_for(lambda: self._rung > heard or self._stopping.is_set(), ANYWAY_S)
            return self._rung

    def _ring(self) -> None:
        with self._changed:
            self._rung += 1
            self._changed.notify_all()

    def _hear(self) -> None:
        listen = self._ask if self._url.startswith("sqlite") else self._listen
        while not self._stopping.is_set():
            with suppress(SQLAlchemyError, psycopg.Error, sqlite3.Error):  # it is away: whoever reads it says so
                listen()
            self._stopping.wait(AGAIN_S)

    def _listen(self) -> None:
        """Ring at every notification; once at first, for what was said before anybody listened."""
        address = make_url(self._url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            self._ring()
            while not self._stopping.is_set():
                for _ in connection.notifies(timeout=LISTEN_S, stop_after=1):
                    self._ring()

    def _ask(self) -> None:
        """Ring whenever the number of changes that others made to the file is another than before."""
        engine, seen = engine_of(self._url), None
        try:
            with closing(engine.raw_connection()) as connection:  # so often, what lies above the driver would count
                cursor = connection.cursor()
                while not self._stopping.is_set():
                    (now,) = cursor.execute("PRAGMA data_version").fetchone()
                    if now != seen:
                        seen = now
                        self._ring()
                    time.sleep(ASK_S)
        finally:
            engine.dispose()
