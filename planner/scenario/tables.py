"""Lists of a scenario kept in tables: CSV or Parquet with one row an item, nested names joined by a dot."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from planner.errors import InputError
from planner.scenario.fields import OPEN_FIELDS, text_columns
from planner.scenario.model import Model
from planner.scenario.yaml_file import Value, parse_yaml, read_yaml, scalar

SUFFIXES = (".yaml", ".yml", ".csv", ".parquet")


def read_table(path: Path, model: type[Model]) -> list[Value]:
    """Items of a list as nested mappings, a missing value left out. Raises InputError for what is not a table."""
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        return _yaml_rows(path)
    if suffix == ".csv":
        return list(_csv_rows(path, text_columns(model)))
    if suffix == ".parquet":
        return _parquet_rows(path)
    raise InputError([f"{path.name}: file: {suffix or 'no suffix'}: one of {', '.join(SUFFIXES)}"])


def _yaml_rows(path: Path) -> list[Value]:
    rows = read_yaml(path)
    if not isinstance(rows, list):
        raise InputError([f"{path.name}: a {type(rows).__name__}: a list of items is needed"])
    return [without_nulls(row) for row in rows]


def without_nulls(value: Value) -> Value:
    """A copy without the keys whose value is nothing: what is left empty is not given."""
    if isinstance(value, dict):
        return {str(key): without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def split_column(column: str) -> tuple[str, ...]:
    """The path of a column: `request.vcpu` is two names deep, what follows `hardware.throughput.` is one name."""
    for field in OPEN_FIELDS:
        if column.startswith(f"{field}."):
            return (*field.split("."), column[len(field) + 1:])
    return tuple(column.split("."))


def _paths(file: str, columns: list[str]) -> list[tuple[str, ...]]:
    paths = [split_column(column) for column in columns]
    for column, path in zip(columns, paths, strict=True):
        if not all(path):
            raise InputError([f"{file}: column {column or '(empty)'}: names joined by dots are needed"])
        if columns.count(column) > 1:
            raise InputError([f"{file}: column {column}: given twice: keep one"])
        if clash := next((".".join(path[:n]) for n in range(1, len(path)) if path[:n] in paths), None):
            raise InputError([f"{file}: columns {clash} and {column}: give the whole or its parts, not both"])
    return paths


def _put(row: dict[str, Value], path: tuple[str, ...], value: Value) -> None:
    for name in path[:-1]:
        row = row.setdefault(name, {})
    row[path[-1]] = value


def _parquet_rows(path: Path) -> list[Value]:
    table = read_parquet(path)
    rows: list[dict[str, Value]] = [{} for _ in range(table.num_rows)]
    for column, place in zip(table.columns, _paths(path.name, table.column_names), strict=True):
        for row, value in zip(rows, column.to_pylist(), strict=True):
            if value is not None:
                _put(row, place, _whole(without_nulls(value)))
    return rows


def _whole(value: Value) -> Value:
    """A decimal without a fraction is a whole number: frames with gaps keep whole numbers so, in lists too."""
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def read_parquet(path: Path) -> Value:
    """A Parquet file as a pyarrow table. Raises InputError for what is not one."""
    import pyarrow as pa  # heavy: only scenarios with tables pay for it
    import pyarrow.parquet
    try:
        return pa.parquet.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        why = " ".join(str(error).split())[:120]
        raise InputError([f"{path.name}: is not a readable Parquet file: {why}"]) from None


def _csv_rows(path: Path, texts: frozenset[str]) -> Iterator[dict[str, Value]]:
    lines = csv_lines(path)
    columns = next(lines, None)
    if columns is None:
        raise InputError([f"{path.name}: is empty: a line of column names is needed"])
    paths = _paths(path.name, columns)
    for number, cells in enumerate(lines, 2):
        if len(cells) != len(columns):
            raise InputError([f"{path.name}: line {number}: {len(cells)} cells: {len(columns)} columns are named"])
        row: dict[str, Value] = {}
        for column, place, cell in zip(columns, paths, cells, strict=True):
            if cell:
                _put(row, place, cell if column in texts else _cell(cell, f"{path.name}: line {number}: {column}"))
        yield row


def csv_lines(path: Path) -> Iterator[list[str]]:
    """Lines of a CSV file as stripped cells, blank lines left out. Raises InputError for what is not one."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for cells in csv.reader(file, strict=True):
                if any(cell.strip() for cell in cells):
                    yield [cell.strip() for cell in cells]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError([f"{path.name}: is not readable CSV in UTF-8: {error}"]) from None
    except OSError as error:
        raise InputError([f"{path}: cannot be read: {error.strerror}"]) from None


def _cell(cell: str, where: str) -> Value:
    if cell[0] in "[{":
        return without_nulls(parse_yaml(cell, where))
    value = scalar(cell)
    return math.nan if isinstance(value, str) and value.lower() == "nan" else value


def flat_columns(rows: Iterable[dict[str, Value]]) -> dict[str, list[Value]]:
    """Nested mappings as columns with names joined by dots: the inverse of reading a table. Lists stay lists."""
    found = [dict(_flat(row, "")) for row in rows]
    names = dict.fromkeys(name for row in found for name in row)
    return {name: [row.get(name) for row in found] for name in names}


def _flat(row: dict[str, Value], prefix: str) -> Iterator[tuple[str, Value]]:
    for name, value in row.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
