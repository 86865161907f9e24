"""What the scenario format knows and the planner cannot do yet: refused by name, never ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from planner.scenario.fields import Path
from planner.scenario.words import Places, field_name, shown
from planner.scenario.yaml_file import Value


@dataclass(frozen=True, slots=True)
class Refused:
    """A field (`*` is every item of a list) that is not available when `when(value)`, and what to do instead."""

    field: str
    when: Callable[[Value], bool]
    instead: str


REFUSED: tuple[Refused, ...] = ()
"""Everything that is refused. A row goes when the planner can do it."""


def refuse(raw: dict[str, Value], places: Places) -> list[str]:
    """Lines for what is not available yet; what they name is taken out of `raw`, so that the rest can be checked."""
    lines: list[str] = []
    for rule in REFUSED:
        parts = rule.field.split(".")
        for path, owner in list(_owners(raw, parts[:-1], ())):
            if parts[-1] in owner and rule.when(owner[parts[-1]]):
                field = field_name((*path, parts[-1]), raw)
                lines.append(places.line(field, shown(owner[parts[-1]]), "not available yet", rule.instead))
                owner.pop(parts[-1])
    return lines


def _owners(raw: Value, parts: list[str], path: Path) -> Iterator[tuple[Path, dict[str, Value]]]:
    """Mappings at a path with `*`, each with its own path."""
    if not parts:
        if isinstance(raw, dict):
            yield path, raw
        return
    if parts[0] == "*":
        for at, item in enumerate(raw if isinstance(raw, list) else ()):
            yield from _owners(item, parts[1:], (*path, at))
    elif isinstance(raw, dict) and parts[0] in raw:
        yield from _owners(raw[parts[0]], parts[1:], (*path, parts[0]))
