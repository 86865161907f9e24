"""What goes into the intake, and what it answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

COLUMNS = ("cluster", "host", "hardware_class", "metric", "ts", "value", "sent_at")
OPTIONAL = ("host", "sent_at")
COUNTER = "_total"
"""How the name of a counter ends, as OpenMetrics has it; its rate ends in `RATE`."""
RATE = "_per_s"

Reason = Literal["opted_out", "unknown_cluster", "clock", "too_old"]


class IntakeError(ValueError):
    """The batch or the store cannot be used; the message is one line: what was found, where, what is allowed."""


@dataclass(frozen=True)
class Sender:
    """A cluster that telemetry may come from: the country it is in (ISO 3166), and whether its owner agreed."""

    cluster: str
    country: str
    opted_in: bool


@dataclass(frozen=True)
class IntakeSettings:
    """`skew_minutes` is how far ahead of its arrival a row may be; clocks that are further ahead are set right up to
    `longest_skew_hours`, which covers every mistaken time zone. Rows from `late_hours` before arrival on are late;
    rows older than `oldest_days` are refused. `memory_mib` bounds what the database takes.
    """

    skew_minutes: float = 5.0
    longest_skew_hours: float = 26.0
    late_hours: float = 2.0
    oldest_days: float = 400.0
    memory_mib: int = 512

    def __post_init__(self) -> None:
        """Refuse limits that are none."""
        for name, value in asdict(self).items():
            if not value > 0:
                raise ValueError(f"{name}: {value}: above 0")


@dataclass(frozen=True)
class Refusal:
    """Rows that were not stored: whose, how many, why, and what to do about it."""

    reason: Reason
    name: str
    rows: int
    sentence: str


@dataclass(frozen=True)
class BatchReport:
    """What became of a batch. Names in it are those of the batch; they are shown, and never stored.

    `status` is `duplicate` when a batch of this id is in the store already: then nothing was done. `empty_rows` had no
    value. `corrected` says which clocks were set right, and by how much.
    """

    status: Literal["stored", "duplicate", "refused"]
    batch: str
    arrived: str
    rows: int
    stored_rows: int
    late_rows: int
    empty_rows: int
    first: str | None
    last: str | None
    corrected: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, ready for JSON."""
        return asdict(self)
