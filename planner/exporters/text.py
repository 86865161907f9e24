"""Files as exporters return them: bytes by path, the same for the same plan."""

from __future__ import annotations

import json
from collections.abc import Sequence

from planner.scenario.yaml_file import Value, dump_documents

Files = dict[str, bytes]
"""Content by path, relative to the folder that is written to."""


def documents(objects: Sequence[Value]) -> bytes:
    """Objects as one YAML file."""
    return dump_documents(objects).encode()


def json_text(value: Value) -> bytes:
    """A value as JSON, a line a field."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
