"""The versions of diagnostics models that jobs make and measure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from api.hosting.sealing import sealer_of
from api.jobs.job import CannotBeError
from api.settings import Settings
from planner.errors import InputError

if TYPE_CHECKING:
    from diagnostics.store import ModelStore


def telemetry_of(settings: Settings) -> Path:
    """The recorded telemetry of the service. Raises InputError where there is none."""
    if settings.telemetry is None:
        raise InputError(["telemetry: this service has none: start it with a telemetry file"])
    return settings.telemetry


@contextmanager
def model_store(settings: Settings) -> Iterator[ModelStore]:
    """The store of the service's models, made if it is not there. Raises CannotBeError for what it does not allow."""
    from diagnostics.store import ModelStore, StoreError
    from diagnostics.training.errors import TrainingError

    try:
        store = ModelStore(settings.model_folder, settings.model_database, sealer=sealer_of(settings))
        try:
            yield store
        finally:
            store.close()
    except (StoreError, TrainingError) as why:
        raise CannotBeError(str(why)) from why
