"""`planner diagnose`: recorded telemetry in, what is wrong where out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError

if TYPE_CHECKING:
    from diagnostics.diagnose import Diagnosis
    from diagnostics.perturbed import Outcome
    from diagnostics.telemetry import Telemetry


def telemetry_at(path: Path) -> Telemetry:
    """Read a telemetry file. Raises InputError when it cannot be read, or breaks the telemetry contract."""
    from diagnostics.telemetry import TelemetryError, read_telemetry  # numpy, which no other command may wait for

    try:
        return read_telemetry(path)
    except TelemetryError as error:
        raise InputError([str(error)]) from error


def run_diagnose(path: Path) -> Diagnosis:
    """Read a telemetry file and diagnose every cluster in it; `found` on the result says whether anything is wrong.

    Raises:
        InputError: the file cannot be read, or breaks the telemetry contract.

    """
    from diagnostics.diagnose import diagnose

    return diagnose(telemetry_at(path))


def run_perturb(path: Path, names: Sequence[str] | None, seed: int, told: Callable[[int], None]) -> tuple[Outcome, ...]:
    """Inject faults into a telemetry file and see whether the diagnosis notices. Raises InputError."""
    from diagnostics.perturbed import perturb

    telemetry = telemetry_at(path)
    try:
        return perturb(telemetry, names, seed, told=told)
    except ValueError as error:
        raise InputError([f"{path}: {error}"]) from error
