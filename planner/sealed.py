"""Keys of what is encrypted at rest, as commands get them: from the environment, never from a command line."""

from __future__ import annotations

import os

from diagnostics.sealing import Sealer, SealError
from planner.errors import InputError


def sealer_here() -> Sealer:
    """What seals by PLANNER_ENCRYPTION_KEYS, or by the file that PLANNER_ENCRYPTION_KEYS_FILE names.

    Raises:
        InputError: the keys are none, or the file cannot be read.

    """
    try:
        return Sealer.of_environment(os.environ)
    except SealError as error:
        raise InputError([str(error)]) from error
