"""What detectors send: one event is one notice that a condition was seen broken, or mended."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

Attributes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, order=True)
class Event:
    """One notice.

    `at` is when it was so, in UTC, whenever the notice came in. `attributes` say where (sorted names and values, see
    `where`), `condition` what, such as `read_latency_ms high`. `users_affected` is the share of users who notice, None
    where nobody knows; `strength` how far from usual, in standard deviations.
    """

    at: datetime
    condition: str
    attributes: Attributes
    firing: bool = True
    strength: float = 0.0
    users_affected: float | None = None
    sentence: str = ""

    def __post_init__(self) -> None:
        """Refuse times that are not UTC, attributes out of order and shares that are none."""
        if self.at.utcoffset() != timedelta(0):
            raise ValueError(f"at: {self.at.isoformat()}: must be in UTC")
        if self.attributes != tuple(sorted(set(self.attributes))):
            raise ValueError("attributes: sorted, every pair once; `where` makes them so")
        if self.users_affected is not None and not 0 <= self.users_affected <= 1:
            raise ValueError(f"users_affected: {self.users_affected}: a share from 0 to 1, or None")

    @property
    def fingerprint(self) -> str:
        """The same for every event of one condition at one place."""
        return fingerprint(self.condition, self.attributes)

    @property
    def key(self) -> tuple[datetime, bool, str, float, float, str]:
        """An order of all events of one fingerprint that leaves nothing to when they came in."""
        return (self.at, self.firing, self.condition, self.strength,
                -1.0 if self.users_affected is None else self.users_affected, self.sentence)


def fingerprint(condition: str, attributes: Attributes) -> str:
    """Sixteen hexadecimal digits that stay the same from run to run."""
    text = "\x1f".join([condition, *(f"{name}\x1e{value}" for name, value in attributes)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def where(attributes: Mapping[str, str | tuple[str, ...]]) -> Attributes:
    """Attributes in the form that events and inventories have; a tuple of values stands for several of one name."""
    return tuple(sorted({(name, value) for name, given in attributes.items()
                         for value in ((given,) if isinstance(given, str) else given)}))


def utc(text: str) -> datetime:
    """Read a time such as `2026-11-01T19:00Z`. Raises ValueError for one without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r}: a time with its zone, such as 2026-11-01T19:00Z")
    return moment.astimezone(UTC)


def iso(moment: datetime) -> str:
    """Write a time to the minute, as the rest of a diagnosis does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")
