"""A scenario in plain words, which tests change to show what a rule does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.errors import InputError
from planner.scenario import parse_scenario

Fields = Callable[..., dict[str, Any]]

PLAIN: dict[str, Any] = {
    "name": "small",
    "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 4, "slot_minutes": 60},
    "objective": {"mode": "min_cost", "sla_floor": 0.999},
    "clusters": [
        {"name": "aws-saopaulo", "provider": "aws", "region": "sa-east-1",
         "pools": [{"name": "m6i", "machine": "m6i.4xlarge", "max": 20}]},
        {"name": "own-lisbon", "provider": "onprem", "region": "lisbon", "country": "PT",
         "pools": [{"name": "cpu", "machine": {"vcpu": 64, "memory_gib": 256}, "max": 8,
                    "offers": [{"purchase": "owned", "price_usd_per_hour": 1.5, "owned": 4}]}]}],
    "workloads": [
        {"name": "etl", "kind": "etl", "request": {"vcpu": 4, "memory_gib": 16}, "replicas": [1, 2, 3, 4],
         "batch": {"duration_slots": 2}},
        {"name": "web", "kind": "serving", "request": {"vcpu": 2, "memory_gib": 4}, "replicas": [5, 5, 5, 5],
         "users": [{"region": "azure/westeurope", "share": 1}], "slo": {"latency_ms": 250},
         "clusters": {"pin": "aws-saopaulo"}}],
}


def put(fields: Any, path: str, value: object) -> None:
    """Set the field at `clusters/0/name`; Ellipsis removes it."""
    *parts, last = path.split("/")
    for part in parts:
        fields = fields[int(part)] if isinstance(fields, list) else fields.setdefault(part, {})
    if value is ...:
        del fields[last]
    else:
        fields[int(last) if isinstance(fields, list) else last] = value


@pytest.fixture
def fields() -> Fields:
    """The plain scenario as fields, changed at some paths: `fields({"name": "big"})`."""
    def changed(changes: dict[str, object] | None = None) -> dict[str, Any]:
        found = copy.deepcopy(PLAIN)
        for path, value in (changes or {}).items():
            put(found, path, value)
        return found
    return changed


@pytest.fixture
def problems(fields: Fields) -> Callable[[dict[str, object]], tuple[str, ...]]:
    """The problems that reading the changed plain scenario finds; none when it is all right."""
    def found(changes: dict[str, object]) -> tuple[str, ...]:
        try:
            parse_scenario(fields(changes))
        except InputError as error:
            return error.problems
        return ()
    return found


@pytest.fixture
def write(tmp_path: Path, fields: Fields) -> Callable[..., Path]:
    """Writes the changed plain scenario, and other files by name beside it, and returns its folder."""
    def written(changes: dict[str, object] | None = None, files: dict[str, str | bytes] | None = None) -> Path:
        (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fields(changes)), encoding="utf-8")
        for name, content in (files or {}).items():
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path
    return written
