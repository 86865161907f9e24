"""What can be wrong with a training run; every message is one line that says what was found and how to mend it."""

from __future__ import annotations


class TrainingError(ValueError):
    """No model can be trained from what was given."""


class NotAllowedError(TrainingError):
    """Rows may not be used: their cluster has opted out, or their country is not among those allowed."""
