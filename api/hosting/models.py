"""Models in a host's memory: the newest stable one of each hardware class, looked up again when the store changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.hosting.leases import ALIVE_S
from diagnostics.store.errors import NoModelError, StoreAwayError, StoreError

if TYPE_CHECKING:
    from diagnostics.sealing import Sealer
    from diagnostics.store import ModelStore
    from diagnostics.training.model import HealthModel

AGAIN_S = 5.0
"""How long after a file was refused it is looked at again: it may have been mended."""
HOLD_S = 2.0
"""How long a host waits for somebody who is changing the store, before it scores its rows again."""
AWAY = StoreAwayError, SQLAlchemyError, OSError
"""What is raised while the store does not answer."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model that serves a hardware class; `notes` say why it is not the one that one would expect."""

    model: HealthModel
    version: str
    made_for: str
    notes: tuple[str, ...]


class Models:
    """Models for hosts, from a store that may be away for a while: what is in memory goes on then. `nearer` are folders
    by name that files are read from before that of the store, the nearest first.
    """

    def __init__(self, folder: Path, url: str | None = None, sealer: Sealer | None = None) -> None:
        self._folder, self._url, self._sealer = folder, url, sealer
        self.nearer: Mapping[str, Path] = {}
        self._store: ModelStore | None = None
        self._lines, self._again_at = -1, inf
        self._loaded: dict[str, Loaded | None] = {}
        self._canary: dict[str, Loaded] = {}
        self.away: str | None = None
        self._log = structlog.get_logger("api.hosting")

    def refresh(self) -> bool:
        """Ask the store whether anything was promoted or rolled back, and load what has changed. False where it does
        not answer, or not to the end: `away` says why, and all is as before.
        """
        try:
            lines = self._opened().lines()
            if lines != self._lines or time.monotonic() > self._again_at:
                self._again_at = inf
                found = {hardware: self._read(hardware) for hardware in self._loaded}
                self._lines, self._loaded = lines, found
        except AWAY as error:
            self._again_at = time.monotonic()
            self.away = str(error).splitlines()[0]
            return False
        self.away = None
        return True

    @contextmanager
    def held(self) -> Iterator[Callable[[], bool]]:
        """Let nobody promote or roll back until this ends, so that what serves then is what is in memory, if nobody did
        since the last look: ask that last of all. True as well while the store is away.
        """
        with ExitStack() as stack:
            lines: Callable[[], int | None] = lambda: self._lines  # noqa: E731 - what stands for the answer of the store
            with suppress(*AWAY):
                lines = stack.enter_context(self._opened().unchanging(HOLD_S, ALIVE_S))
            yield lambda: lines() == self._lines

    def of(self, hardware: str) -> Loaded | None:
        """The model that serves a class: None where there is none yet, or the store was never reached."""
        if hardware not in self._loaded and self.away is None:
            try:
                self._loaded[hardware] = self._read(hardware)
            except AWAY as error:
                self.away = str(error).splitlines()[0]
        return self._loaded.get(hardware)

    def version(self, name: str) -> Loaded | None:
        """A version by its id, whether it is stable or not; None where its file is broken or the store is away."""
        from diagnostics.lifecycle import open_model

        if name not in self._canary:
            try:
                found = self._opened().version(name)
                self._canary[name] = Loaded(open_model(self._opened(), found), found.id, found.made.hardware, ())
            except (StoreError, SQLAlchemyError, OSError) as error:
                self._log.warning("model refused", version=name, why=str(error).splitlines()[0])
                return None
        return self._canary[name]

    def versions(self) -> Mapping[str, str]:
        """Versions in memory by hardware class."""
        return {hardware: one.version for hardware, one in self._loaded.items() if one is not None}

    def _opened(self) -> ModelStore:
        if not self._folder.is_dir():
            raise StoreAwayError(f"{self._folder}: no such folder of models; `planner models train` makes one")
        if self._store is None:
            from diagnostics.store import ModelStore

            self._store = ModelStore(self._folder, self._url, sealer=self._sealer)
        self._store.files.nearer = tuple(self.nearer.values())
        return self._store

    @property
    def came_from(self) -> str:
        """The name of the store that the last file was read from."""
        read_from = self._opened().files.read_from
        return next((name for name, folder in self.nearer.items() if folder == read_from), "origin")

    def _read(self, hardware: str) -> Loaded | None:
        """What serves a class now. Where that cannot be read, what served before goes on if it is stable still, and was
        not rolled back. Raises what `AWAY` lists.
        """
        from diagnostics.lifecycle import serve  # scikit-learn and what it brings
        from diagnostics.training.errors import TrainingError

        before, store = self._loaded.get(hardware), self._opened()
        try:
            model, served = serve(store, hardware)
        except StoreAwayError:
            raise
        except (StoreError, TrainingError) as error:
            self._again_at = time.monotonic() + AGAIN_S
            if not isinstance(error, NoModelError):
                self._log.warning("model refused", hardware=hardware, why=str(error).splitlines()[0])
            if before is None or before.version not in store.stable(before.made_for):
                return None
            return replace(before, notes=(str(error),))
        if served.refused:
            self._again_at = time.monotonic() + AGAIN_S
        made_for, notes = served.version.made.hardware, served.refused
        if made_for != hardware:
            notes = (*notes, f"{hardware}: no stable model of its own: that of {made_for} answers")
        if before is None or before.version != served.version.id:
            self._log.info("model loaded", hardware=hardware, version=served.version.id, store=self.came_from,
                           notes=list(notes))
        return Loaded(model, served.version.id, made_for, notes)
