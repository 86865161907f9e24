"""`planner diagnose`: recorded telemetry in, what is wrong where out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError

if TYPE_CHECKING:
    from diagnostics.diagnose import Diagnosis


def run_diagnose(path: Path) -> Diagnosis:
    """Read a telemetry file and diagnose every cluster in it; `found` on the result says whether anything is wrong.

    Raises:
        InputError: the file cannot be read, or breaks the telemetry contract.

    """
    from diagnostics.diagnose import diagnose  # numpy and pandas, which no other command may wait for
    from diagnostics.telemetry import TelemetryError, read_telemetry

    try:
        return diagnose(read_telemetry(path))
    except TelemetryError as error:
        raise InputError([str(error)]) from error
