"""Schemas as people give them: columns with types, or the text of a CREATE TABLE statement."""

from __future__ import annotations

import re
from collections.abc import Mapping

TYPE_BYTES = {
    "bool": 1, "boolean": 1, "bit": 1, "tinyint": 1, "byte": 1,
    "smallint": 2, "short": 2, "int2": 2,
    "int": 4, "integer": 4, "int4": 4, "serial": 4, "date": 4, "real": 4, "float": 4, "float4": 4, "float32": 4,
    "bigint": 8, "long": 8, "int8": 8, "int64": 8, "double": 8, "float8": 8, "float64": 8, "number": 8,
    "time": 8, "timestamp": 8, "timestamptz": 8, "datetime": 8,
    "decimal": 16, "numeric": 16, "uuid": 16,
    "char": 1, "character": 1, "nchar": 2, "varchar": 1, "nvarchar": 2,
    "text": 100, "string": 100, "clob": 1000, "json": 1000, "jsonb": 1000, "variant": 1000, "map": 1000,
    "array": 1000, "struct": 1000, "blob": 100_000, "bytea": 100_000, "binary": 100_000, "image": 1_000_000,
}  # fmt: skip
"""Bytes of a value by type. Fixed widths are PostgreSQL's; what has none of its own (text, json, blob) is estimated."""

UNSTRUCTURED = frozenset(
    {"clob", "json", "jsonb", "variant", "map", "array", "struct", "blob", "bytea", "binary", "image"}
)
SIZED = frozenset({"char", "character", "nchar", "varchar", "nvarchar"})
DEFAULT_TEXT_WIDTH = 50
FILLED = 0.5
"""Estimate: text columns are filled to half of their declared width."""

TABLE = re.compile(
    r"create\s+(?:or\s+replace\s+)?table\s+(?:if\s+not\s+exists\s+)?[\w.\"`\[\]]+\s*\((.*)\)", re.I | re.S
)
COLUMN = re.compile(r"^[\"`\[]?[\w ]+?[\"`\]]?\s+([a-z]\w*)\s*(?:\(\s*(\d+)[\d\s,]*\))?", re.I)
NO_COLUMN = re.compile(r"^(primary|foreign|unique|constraint|check|index|key|partition)\b", re.I)


def read_schema(given: object) -> dict[str, str] | None:
    """Columns with their types; None for "unknown".

    Takes a mapping of column to type, or SQL text. Raises ValueError that says which part is not understood.
    """
    if given is None or given == "unknown":
        return None
    if isinstance(given, Mapping):
        columns = {str(name): str(kind) for name, kind in given.items()}
    elif isinstance(given, str):
        columns = _from_sql(given)
    else:
        allowed = "columns with types, CREATE TABLE text, or unknown"
        raise ValueError(f"{type(given).__name__} for a schema; {allowed}")  # noqa: TRY004  # read by pydantic
    if not columns:
        raise ValueError("a schema without columns; write unknown when it is not known")
    for name, kind in columns.items():
        _width(name, kind)
    return columns


def row_bytes(columns: Mapping[str, str]) -> float:
    """Bytes of a row, raw."""
    return float(sum(_width(name, kind) for name, kind in columns.items()))


def is_tabular(columns: Mapping[str, str]) -> bool:
    """Whether most columns are plain values: a table for SQL rather than documents or files."""
    loose = sum(_base(kind)[0] in UNSTRUCTURED for kind in columns.values())
    return 2 * loose <= len(columns)


def _from_sql(text: str) -> dict[str, str]:
    found = TABLE.search(text)
    if not found:
        raise ValueError("text that is no CREATE TABLE statement; write columns with types, or unknown")
    columns: dict[str, str] = {}
    for part in _split(found.group(1)):
        if NO_COLUMN.match(part):
            continue
        column = COLUMN.match(part)
        if not column:
            raise ValueError(f"column {part[:40]!r} is not understood; write it as: name type")
        name = part.split()[0].strip('"`[]')
        columns[name] = column.group(1) + (f"({column.group(2)})" if column.group(2) else "")
    return columns


def _split(body: str) -> list[str]:
    """Parts between commas that are not inside of parentheses."""
    depth, parts, begin = 0, [], 0
    for at, char in enumerate(body):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(body[begin:at])
            begin = at + 1
    return [part.strip() for part in [*parts, body[begin:]] if part.strip()]


def _base(kind: str) -> tuple[str, int | None]:
    found = re.match(r"^\s*([a-z]\w*)\s*(?:[(<]\s*(\d+)?.*)?$", kind.lower())
    if not found:
        raise ValueError(f"type {kind!r} is not understood")
    return found.group(1), int(found.group(2)) if found.group(2) else None


def _width(name: str, kind: str) -> float:
    base, size = _base(kind)
    if base not in TYPE_BYTES:
        raise ValueError(f"column {name}: type {kind!r} is not known; known are {', '.join(sorted(TYPE_BYTES))}")
    if base in SIZED:
        return TYPE_BYTES[base] * max(1.0, FILLED * (size or DEFAULT_TEXT_WIDTH))
    return float(TYPE_BYTES[base])
