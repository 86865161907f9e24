"""A described task as fields that can be compared with those of past tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from planner.profiles.constants import FAMILIES
from planner.profiles.schema import row_bytes
from planner.profiles.similar import WORDS
from planner.profiles.tasks import ServingTask, Task, latency_of

SIZES = frozenset({"volume_gb", "rows", "data.rows", "data.volume_gb", "requests_per_s", "concurrent_requests"})
"""Fields that formulas scale with. Where a formula has an answer they do not count for likeness too, so that more
volume cannot lead to other neighbours and a smaller need."""
ONCE = 2.0**20
"""Stands for the cadence of what runs once: far longer than any other, and finite."""


def features_of(task: Task, words: str, sizes: bool) -> dict[str, float | str]:
    """Fields of a task: amounts in log2, names as they are, all text under one name. Unknown ones are left out.

    Without `sizes` those are left out that formulas scale with.
    """
    found = {name: value for name, value in _fields(task, "") if sizes or name not in SIZES}
    if isinstance(task, ServingTask):
        words = f"{words} {task.latency or ''}"
        meant = latency_of(words)
        if task.latency_ms is None and meant is not None:
            found["latency_ms"] = math.log2(meant)
    if words.strip():
        found[WORDS] = words.strip()
    return found


def _fields(given: BaseModel, above: str) -> Iterator[tuple[str, float | str]]:
    for field in type(given).model_fields:
        name, value = f"{above}{field}", getattr(given, field)
        if value is None or name in ("input_from", "latency"):
            continue
        if isinstance(value, BaseModel):
            yield from _fields(value, f"{name}.")
        elif field.endswith("_schema"):
            yield f"{name}.columns", math.log2(len(value))
            yield f"{name}.row_bytes", math.log2(row_bytes(value))
        elif field == "model":
            yield name, ", ".join(sorted(value))
            yield "family", ", ".join(sorted({FAMILIES[model] for model in value}))
        elif isinstance(value, Mapping):
            yield from ((f"{name}.{label}", _plain(content)) for label, content in value.items())
        else:
            yield name, _plain(value)


def _plain(value: float | str) -> float | str:
    if isinstance(value, str):
        return value.strip().lower()
    amount = min(abs(value), ONCE**2)
    return math.log2(amount) if value > 0 else -math.log2(1 + amount)
