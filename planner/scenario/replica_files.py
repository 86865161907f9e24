"""Replica tables: a column `workload`, then one whole number per slot in columns named 0 to T-1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.scenario.fields import nearest
from planner.scenario.replica_rows import ReplicaRows
from planner.scenario.tables import read_parquet
from planner.scenario.yaml_file import Value

MOST = 2**31 - 1


def read_replicas(path: Path, slots: int) -> ReplicaRows:
    """Replicas of the workloads in a table. Raises InputError for columns, cells or names that are not allowed."""
    table = read_columns(path)
    check_columns(path.name, table.column_names, slots)
    names = table.column("workload").to_pylist()
    _check_names(path.name, names)
    counts = np.zeros((len(names), slots), np.int32)
    problems: list[str] = []
    for slot in range(slots):
        values = numbers(table.column(str(slot)), len(names))
        bad = np.flatnonzero(~((values >= 0) & (values <= MOST) & (values == np.floor(values))))
        if len(bad):
            problems.extend(bad_cells(path.name, names, slot, values, bad))
        else:
            counts[:, slot] = values
    if problems:
        raise InputError(problems)
    return ReplicaRows({name: at for at, name in enumerate(names)}, counts)


def read_columns(path: Path) -> Value:
    """A Parquet or CSV table as Arrow columns. Raises InputError."""
    if path.suffix.lower() == ".parquet":
        return read_parquet(path)
    if path.suffix.lower() != ".csv":
        raise InputError([f"{path.name}: file: {path.suffix or 'no suffix'}: replicas are read from .parquet or .csv"])
    import pyarrow as pa  # heavy: only scenarios with tables pay for it
    import pyarrow.csv
    options = pa.csv.ConvertOptions(column_types={"workload": pa.string()})
    try:
        return pa.csv.read_csv(path, convert_options=options)
    except (pa.ArrowException, OSError) as error:
        raise InputError([f"{path.name}: is not readable CSV: {' '.join(str(error).split())[:120]}"]) from None


def check_columns(file: str, columns: list[str], slots: int, keys: tuple[str, ...] = ("workload",)) -> None:
    """Raise InputError unless the columns are the `keys` and one for each slot."""
    needed = [*keys, *map(str, range(slots))]
    absent = [name for name in needed if name not in set(columns)]
    extra = [name for name in columns if name not in set(needed)]
    twice = [name for name in set(columns) if columns.count(name) > 1] if len(set(columns)) < len(columns) else []
    problems = [f"{file}: column {name}: given twice: keep one" for name in sorted(twice)]
    if absent:
        problems.append(f"{file}: columns: {_few(absent)} missing: a column {' and '.join(keys)} and one for each "
                        f"of {slots} slots, 0 to {slots - 1}, are needed")
    if extra:
        problems.append(f"{file}: columns: {_few(extra)} unknown: the horizon has slots 0 to {slots - 1}")
    if problems:
        raise InputError(problems)


def _few(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _check_names(file: str, names: list[Value]) -> None:
    seen: set[str] = set()
    problems = []
    for row, name in enumerate(names, 1):
        if not isinstance(name, str) or not name:
            problems.append(f"{file}: row {row}: workload: {name}: a workload's name is needed")
        elif name in seen:
            problems.append(f"{file}: row {row}: workload: {name}: given twice: keep one row")
        else:
            seen.add(name)
    if problems:
        raise InputError(problems)


def numbers(column: Value, rows: int) -> NDArray[np.float64]:
    """A column as numbers; NaN where there is none."""
    try:
        return np.asarray(column.cast("float64").to_numpy(), np.float64)
    except (ValueError, NotImplementedError):  # text and other types; ArrowInvalid is a ValueError
        return np.full(rows, np.nan)


def bad_cells(file: str, names: list[str], slot: int, values: NDArray[np.float64], bad: NDArray[np.int64],
              ) -> Iterator[str]:
    """A line for each of the rows `bad`, whose value in this slot is no whole number."""
    for row in bad.tolist():
        found = "not a number" if np.isnan(values[row]) else f"{values[row]:g}"
        yield f"{file}: {names[row]}: slot {slot}: {found}: a whole number of at least 0 is needed"


def check_rows(file: str, rows: ReplicaRows, readers: dict[str, str]) -> list[str]:
    """Lines for workloads that the table lacks and rows that nobody reads.

    `readers` maps the workloads that name this table to the line start of their field.
    """
    known = list(readers)
    lines = [f"{where}: {file} has no row for {name}: add one" for name, where in readers.items() if name not in rows]
    for name in rows.row:
        if name not in readers:
            like = nearest(name, [other for other in known if other not in rows])
            mend = f"did you mean {like}?" if like else "remove the row, or name this table in the workload's replicas"
            lines.append(f"{file}: workload: {name}: no workload of that name reads this table: {mend}")
    return lines
