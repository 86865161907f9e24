"""A scenario in the making: what a source says, and everything that had to be guessed, told line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from planner.catalog import Catalog

Fields = dict[str, Any]
SHOWN = 5
"""Names that a guess lists; the others are counted."""


class Guess(NamedTuple):
    """A value that no source states: which field of the scenario, what was put there, and why or how to mend it.

    `names` are those that it was guessed of, where `field` has a `*`.
    """

    field: str
    value: str
    why: str
    names: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """All in one line."""
        more = f" and {len(self.names) - SHOWN} more" if len(self.names) > SHOWN else ""
        whose = f" ({', '.join(self.names[:SHOWN])}{more})" if self.names else ""
        return f"{self.field}: {self.value}: {self.why}{whose}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What an import is asked for beside its sources: a name, the horizon, and the prices that are known.

    `usd_per` is what one unit of another currency is worth, by its code.
    """

    name: str
    start: datetime
    slots: int
    slot_minutes: int
    catalog: Catalog
    usd_per: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """Fields of a scenario as YAML has them, files that lie beside it, and what was guessed."""

    clusters: list[Fields] = field(default_factory=list)
    workloads: list[Fields] = field(default_factory=list)
    more: Fields = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    _guesses: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)

    def guess(self, where: str, value: object, why: str, name: str | None = None) -> None:
        """Say what was guessed; of several with a `name` each, which `where` has a `*` for, all in one line."""
        names = self._guesses.setdefault((where, str(value), why), [])
        if name is not None:
            names.append(name)

    def guesses(self) -> Iterator[Guess]:
        """What was guessed, in the order in which it was first said."""
        for (where, value, why), names in self._guesses.items():
            yield Guess(where, value, why, tuple(names))


def plain(fields: Mapping[str, Any]) -> Fields:
    """The fields without those that say nothing: None, empty lists and mappings."""
    return {name: value for name, value in fields.items() if value is not None and value not in ([], {}, ())}


def number(value: float) -> float | int:
    """A number as people write it: whole ones without a point, others to ten digits, which is a byte of a GiB."""
    rounded = round(float(value), 10)
    return int(rounded) if rounded.is_integer() else rounded
