"""What differs between two scenarios, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.scenario.model import Scenario

LONGEST = 20
"""Numbers of a list that are shown one by one; of longer ones how many they are, their mean and their peak."""
_ABSENT = object()


@dataclass(frozen=True)
class FieldChange:
    """A field that differs: `before` and `after` are JSON, None where it is not there."""

    path: str
    before: Any
    after: Any


def changes(before: Scenario, after: Scenario) -> list[FieldChange]:
    """Every difference by path, what has a name under its name; defaults and layout are none."""
    found = list(_between("", _fields(before), _fields(after)))
    told = {change.path for change in found}
    for name in sorted(before.given_replicas.row.keys() & after.given_replicas.row.keys()):
        path, old, new = f"workloads.{name}.replicas", before.given_replicas.of(name), after.given_replicas.of(name)
        if path not in told and not np.array_equal(old, new):
            found.append(FieldChange(path, _shown(old.tolist()), _shown(new.tolist())))
    return sorted(found, key=lambda change: change.path)


def _fields(scenario: Scenario) -> dict[str, Any]:
    return scenario.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _between(path: str, old: Any, new: Any) -> Iterator[FieldChange]:  # noqa: ANN401 - whatever JSON holds
    if isinstance(old, list) and isinstance(new, list) and _named(old) and _named(new):
        old, new = _by_name(old), _by_name(new)
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _between(f"{path}.{key}" if path else str(key), old.get(key, _ABSENT), new.get(key, _ABSENT))
    elif old != new:
        yield FieldChange(path, _shown(old), _shown(new))


def _named(rows: list[Any]) -> bool:
    return bool(rows) and all(isinstance(row, dict) and "name" in row for row in rows)


def _by_name(rows: list[Any]) -> dict[str, Any]:
    return {str(row["name"]): row for row in rows}


def _shown(value: Any) -> Any:  # noqa: ANN401
    if value is _ABSENT:
        return None
    if isinstance(value, list) and len(value) > LONGEST and all(isinstance(one, int | float) for one in value):
        return {"numbers": len(value), "mean": round(float(np.mean(value)), 3), "peak": max(value)}
    return value
