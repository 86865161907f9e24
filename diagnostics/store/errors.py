"""What can be wrong with a store; every message is one line that says what was found and how to mend it."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot do what was asked; nothing was changed."""


class StoreAwayError(StoreError):
    """The database does not answer, is full or is broken; it may well answer when asked again. `__cause__` is what its
    driver says.
    """


class UnknownVersionError(StoreError):
    """No version, or more than one, is called that."""


class PredecessorError(StoreError):
    """Another version serves than the one that was expected: somebody was faster."""


class NoEarlierStableError(StoreError):
    """There is nothing to roll back to."""


class NoModelError(StoreError):
    """No stable version for a hardware class, its family or all hardware."""


class ChangedFileError(StoreError):
    """The file of a version is not there, or not the one that was registered."""


class UntrustedTypeError(StoreError):
    """A model file names types that are not on the pinned list."""
