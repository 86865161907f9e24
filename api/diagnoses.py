"""What the service knows of its telemetry: the newest diagnosis, and the store of models that stand behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from api.folders import stamps
from api.hosting.sealing import sealer_of
from api.marks import Marks
from api.settings import Settings
from api.web.problems import Problem
from planner.errors import InputError
from planner.watch import Watch

if TYPE_CHECKING:
    from diagnostics.store import ModelStore
    from planner.watch import Findings


MOST_CHARTS: Final = 200
"""Metrics of all clusters together that are drawn on pages."""


def watch_of(settings: Settings) -> Watch | None:
    """What a service watches, None without telemetry."""
    if settings.telemetry is None:
        return None
    by = settings.watch
    return Watch(settings.telemetry, by.step_minutes, by.scenario, by.alarms, by.rules, None, settings.model_folder,
                 settings.model_database, by.detector, by.false_alarms_per_day, sealer_of(settings))


class Shown(NamedTuple):
    """What pages show of a diagnosis, None where there is none yet; it is of the newest telemetry and judgements, or
    one of these is being made.
    """

    view: Mapping[str, Any] | None
    newest: bool


class _Made(NamedTuple):
    """A diagnosis, and what pages show of it."""

    findings: Findings
    view: Mapping[str, Any]


class Diagnoses:
    """The diagnosis of what the service watches: made when first asked for, and again when one of its files or what
    people said of alarms has changed. One that failed is not tried again before.
    """

    def __init__(self, settings: Settings, marks: Marks) -> None:
        self._settings, self._marks = settings, marks
        self._making, self._opening = threading.Lock(), threading.Lock()
        self._seen: object = None
        self._made: _Made | None = None
        self._wrong: InputError | None = None
        self._ended = 0
        self._asking = threading.Lock()
        self._pending: Future[_Made] | None = None
        self._models: ModelStore | None = None

    def current(self) -> Findings:
        """The newest diagnosis. Raises Problem without telemetry, InputError for a bad file."""
        return self._current().findings

    def shown(self, patience_s: float) -> Shown:
        """What pages show of it (`planner.report.diagnosis`), made with it. Who has no patience left gets the last one,
        while the newest is being made. Raises what `current` does.
        """
        with self._asking:
            if self._pending is None or self._pending.done():
                self._pending = _meanwhile(self._current)
            pending = self._pending
        try:
            return Shown(pending.result(patience_s).view, newest=True)
        except TimeoutError:
            return Shown(None if self._made is None else self._made.view, newest=False)

    def _current(self) -> _Made:
        from planner.report.diagnosis import diagnosis_view
        from planner.watch import watched  # pandas and scipy: only who asks waits for them

        watch = watch_of(self._settings)
        if watch is None:
            raise Problem(HTTPStatus.NOT_FOUND, "no telemetry: start the service with a telemetry file")
        with self._making:
            now = stamps(watch.files), self._marks.said(), self.changes()
            if self._seen != now:
                try:
                    found = watched(watch, self._marks.feedback())
                    self._made = _Made(found.findings, diagnosis_view(watch.telemetry.name, found, MOST_CHARTS))
                    self._wrong = None
                except InputError as error:
                    self._wrong = error
                self._seen = now
                self._ended += 1
            if self._wrong is not None:
                raise self._wrong.with_traceback(None)
            assert self._made is not None
            return self._made

    @property
    def newest(self) -> Findings | None:
        """The last diagnosis that somebody asked for; it is not made here."""
        return None if self._made is None else self._made.findings

    def state(self) -> object:
        """What is another once a file that diagnoses are made from has changed, or one was made."""
        watch = watch_of(self._settings)
        return None if watch is None else (stamps(watch.files), self._ended)

    def changes(self) -> int:
        """How often versions of models were registered, promoted and the like; no store is made for it."""
        return self.models.lines() if self._settings.has_models else 0

    @property
    def models(self) -> ModelStore:
        """The store of models, with or without recorded telemetry: hosts train, too. Empty where nobody has yet. Raises
        StoreError for a broken one.
        """
        from diagnostics.store import ModelStore

        with self._opening:
            if self._models is None:
                self._models = ModelStore(self._settings.model_folder, self._settings.model_database,
                                          sealer=sealer_of(self._settings))
            return self._models

    def close(self) -> None:
        """Give connections back."""
        with self._opening:
            if self._models is not None:
                self._models.close()
                self._models = None


def _meanwhile(work: Callable[[], _Made]) -> Future[_Made]:
    """Have something made that nobody has to wait for, also not whoever ends the service."""
    found: Future[_Made] = Future()

    def run() -> None:
        try:
            found.set_result(work())
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            found.set_exception(error)

    threading.Thread(target=run, name="diagnosis", daemon=True).start()
    return found
