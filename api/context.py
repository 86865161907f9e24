"""What the routes share: the store, the workers and the diagnoses of one running service."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from sqlalchemy.exc import SQLAlchemyError

from api.database import upgrade
from api.directing import Directing
from api.durable import Queue
from api.explaining import Explainer
from api.settings import Settings
from api.store import Store
from api.workers import Workers
from planner.errors import InputError

if TYPE_CHECKING:
    from diagnostics.diagnose import Diagnosis


class Diagnoses:
    """The diagnosis of the service's telemetry, made when first asked for and again when the file has changed."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.telemetry
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._diagnosis: Diagnosis | None = None

    def current(self) -> Diagnosis | None:
        """The diagnosis; None when the service was started without telemetry. Raises InputError for a bad file."""
        if self._path is None:
            return None
        from planner.diagnose import run_diagnose  # pandas and scipy: only who asks waits for them

        with self._lock:
            stat = self._path.stat()
            now = (stat.st_mtime_ns, stat.st_size)
            if now != self._seen:
                self._diagnosis = run_diagnose(self._path)
                self._seen = now
            return self._diagnosis


@dataclass(frozen=True)
class Service:
    """One running service."""

    settings: Settings
    store: Store
    workers: Workers
    diagnoses: Diagnoses
    explainer: Explainer
    directing: Directing


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


ServiceDep = Annotated[Service, Depends(service_of)]


@contextmanager
def owned(settings: Settings) -> Iterator[None]:
    """Hold the data folder, so that no second service takes plans from the same queue.

    Raises:
        InputError: another service holds it, or it cannot be written.

    """
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        lock = (settings.data_dir / "lock").open("w")
    except OSError as error:
        raise InputError([f"data folder: {settings.data_dir}: {error.strerror}; name another"]) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            in_use = f"data folder: {settings.data_dir}: another planner serves from it; end that one or name another"
            raise InputError([in_use]) from None
        yield


@contextmanager
def running(settings: Settings) -> Iterator[Service]:
    """A service whose workers take jobs from the queue, those first that an earlier one left behind.

    Raises:
        InputError: the data folder is another's, or the database cannot be used.

    """
    with owned(settings):
        try:
            upgrade(settings.database)
            queue = Queue(settings.database)
            queue.open()
        except (SQLAlchemyError, RuntimeError) as error:
            raise InputError([f"database: {str(error).splitlines()[0]}"]) from error
        store = Store(settings.database, queue)
        directing = Directing(store)
        directing.start()
        workers = Workers(store, queue, settings)
        workers.start()
        try:
            yield Service(settings, store, workers, Diagnoses(settings), Explainer(settings, store), directing)
        finally:
            workers.stop()
            directing.stop()
            queue.close()
            store.close()
