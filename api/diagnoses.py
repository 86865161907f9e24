"""What the service knows of its telemetry: the newest diagnosis, and the store of models that stand behind it."""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

from api.hosting.sealing import sealer_of
from api.marks import Marks
from api.settings import Settings
from api.web.problems import Problem
from planner.watch import Watch

if TYPE_CHECKING:
    from diagnostics.store import ModelStore
    from planner.watch import Findings


def watch_of(settings: Settings) -> Watch | None:
    """What a service watches, None without telemetry."""
    if settings.telemetry is None:
        return None
    by, database = settings.watch, settings.models_database
    return Watch(settings.telemetry, by.step_minutes, by.scenario, by.alarms, by.rules, None,
                 settings.models or settings.data / "models", None if database is None else database.get_secret_value(),
                 by.detector, by.false_alarms_per_day, sealer_of(settings))


class Diagnoses:
    """The diagnosis of what the service watches: made when first asked for, and again when one of its files or what
    people said of alarms has changed.
    """

    def __init__(self, settings: Settings, marks: Marks) -> None:
        self._settings, self._marks = settings, marks
        self._making, self._opening = threading.Lock(), threading.Lock()
        self._seen: object = None
        self._found: Findings | None = None
        self._models: ModelStore | None = None

    def current(self) -> Findings:
        """The newest diagnosis. Raises Problem without telemetry, InputError for a bad file."""
        from planner.watch import watched  # pandas and scipy: only who asks waits for them

        watch = watch_of(self._settings)
        if watch is None:
            raise Problem(HTTPStatus.NOT_FOUND, "no telemetry: start the service with a telemetry file")
        with self._making:
            stats = [path.stat() for path in watch.files if path.exists()]
            now = [(one.st_mtime_ns, one.st_size) for one in stats], self._marks.said(), self._changes(watch)
            if self._found is None or now != self._seen:
                self._found, self._seen = watched(watch, self._marks.feedback()).findings, now
            return self._found

    @property
    def newest(self) -> Findings | None:
        """The last diagnosis that somebody asked for; it is not made here."""
        return self._found

    def _changes(self, watch: Watch) -> int:
        """How often it was changed who serves; it is made no store for."""
        return len(self.models.history()) if watch.has_models else 0

    @property
    def models(self) -> ModelStore:
        """The store of models. Raises Problem where this tenant has none, StoreError for a broken one."""
        from diagnostics.store import ModelStore

        if self._settings.telemetry is None:
            raise Problem(HTTPStatus.NOT_FOUND, "no models: they are made of telemetry, and there is none")
        with self._opening:
            if self._models is None:
                database = self._settings.models_database
                self._models = ModelStore(self._settings.models or self._settings.data / "models",
                                          None if database is None else database.get_secret_value(),
                                          sealer=sealer_of(self._settings))
            return self._models

    def close(self) -> None:
        """Give connections back."""
        with self._opening:
            if self._models is not None:
                self._models.close()
                self._models = None
