"""Models in a host's memory: the newest stable one of each hardware class, looked up again when the store changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from diagnostics.store.errors import NoModelError, StoreError

if TYPE_CHECKING:
    from diagnostics.sealing import Sealer
    from diagnostics.store import ModelStore
    from diagnostics.training.model import HealthModel

AGAIN_S = 5.0
"""How long after a file was refused it is looked at again: it may have been mended."""


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
        """Ask the store whether anything was promoted or rolled back; what has changed is loaded when next asked for.
        False where it does not answer: `away` says why.
        """
        try:
            lines = self._opened().lines()
        except (StoreError, SQLAlchemyError, OSError) as error:
            self.away = str(error).splitlines()[0]
            return False
        self.away = None
        if lines != self._lines or time.monotonic() > self._again_at:
            self._lines, self._again_at = lines, inf
            for hardware in list(self._loaded):
                self._load(hardware)
        return True

    def current(self) -> bool:
        """Whether nobody has promoted or rolled back since the last look; true as well while the store is away."""
        try:
            return self._opened().lines() == self._lines
        except (StoreError, SQLAlchemyError, OSError):
            return True

    def of(self, hardware: str) -> Loaded | None:
        """The model that serves a class: None where there is none yet, or the store was never reached."""
        if hardware not in self._loaded and self.away is None:
            self._load(hardware)
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
            raise StoreError(f"{self._folder}: no such folder of models; `planner models train` makes one")
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

    def _load(self, hardware: str) -> None:
        """Load what serves a class now; what served it before goes on where the store has nothing that can be read."""
        from diagnostics.lifecycle import serve  # scikit-learn and what it brings
        from diagnostics.training.errors import TrainingError

        before = self._loaded.get(hardware)
        try:
            model, served = serve(self._opened(), hardware)
        except NoModelError as error:
            self._again_at = time.monotonic() + AGAIN_S
            self._loaded[hardware] = None if before is None else replace(before, notes=(str(error),))
            return
        except (StoreError, TrainingError, SQLAlchemyError, OSError) as error:
            self._again_at = time.monotonic() + AGAIN_S
            self._log.warning("model refused", hardware=hardware, why=str(error).splitlines()[0])
            return
        if served.refused:
            self._again_at = time.monotonic() + AGAIN_S
        made_for, notes = served.version.made.hardware, served.refused
        if made_for != hardware:
            notes = (*notes, f"{hardware}: no stable model of its own: that of {made_for} answers")
        if before is None or before.version != served.version.id:
            self._log.info("model loaded", hardware=hardware, version=served.version.id, store=self.came_from,
                           notes=list(notes))
        self._loaded[hardware] = Loaded(model, served.version.id, made_for, notes)
