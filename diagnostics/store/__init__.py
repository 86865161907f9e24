"""Versions of diagnostics models: immutable, promoted and rolled back by hardware class, compared pair by pair."""

from diagnostics.store.errors import (
    ChangedFileError,
    NoEarlierStableError,
    NoModelError,
    PredecessorError,
    StoreAwayError,
    StoreError,
    UnknownVersionError,
    UntrustedTypeError,
)
from diagnostics.store.records import (
    ALL_HARDWARE,
    FAMILY,
    LAST_KNOWN_GOOD,
    Evaluation,
    Event,
    MeasuredCost,
    NewVersion,
    Served,
    Version,
)
from diagnostics.store.store import ModelStore, broken_files

__all__ = [
    "ALL_HARDWARE", "FAMILY", "LAST_KNOWN_GOOD", "ChangedFileError", "Evaluation", "Event", "MeasuredCost",
    "ModelStore", "NewVersion", "NoEarlierStableError", "NoModelError", "PredecessorError", "Served", "StoreAwayError",
    "StoreError", "UnknownVersionError", "UntrustedTypeError", "Version", "broken_files",
]
