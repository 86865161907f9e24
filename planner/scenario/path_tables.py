"""Sample paths of demand: a table with columns `workload` and `path`, then one whole number per slot, 0 to T-1."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.scenario.fields import nearest
from planner.scenario.replica_files import bad_cells, check_columns, numbers, read_columns
from planner.scenario.sample_paths import PathFile, SamplePaths

MOST, SHORT = 2**31 - 1, 2**15 - 1


def read_paths(files: Mapping[str, Path], readers: Mapping[str, Mapping[str, str]], slots: int) -> SamplePaths:
    """The sample paths of all workloads that name a table, in the order of `readers`.

    `files` are the tables by the names that the scenario gives them, `readers` for each of these the workloads that
    name it and the line start of their field. Raises InputError for columns, cells, names or paths that are wrong, and
    where workloads do not have the same paths.
    """
    problems: list[str] = []
    rows: dict[str, NDArray[np.int32]] = {}
    numbers_of: dict[str, tuple[int, ...]] = {}
    for name, path in files.items():
        try:
            found = _read(path, slots)
        except InputError as error:
            problems.extend(error.problems)
            continue
        problems.extend(_unread(path.name, found, readers[name]))
        for workload in readers[name].keys() & found.keys():
            numbers_of[workload], rows[workload] = found[workload]
    if not problems:
        problems.extend(_unlike(numbers_of))
    if problems:
        raise InputError(problems)
    names = [workload for table in readers.values() for workload in table]
    most = max((int(rows[name].max(initial=0)) for name in names), default=0)
    count = len(numbers_of[names[0]]) if names else 0
    counts = np.zeros((len(names), count, slots), np.int16 if most <= SHORT else np.int32)
    for at, name in enumerate(names):
        counts[at] = rows.pop(name)
    hashes = tuple(PathFile(name, hashlib.sha256(path.read_bytes()).hexdigest())
                   for name, path in sorted(files.items()))
    shared = numbers_of[names[0]] if names else ()
    return SamplePaths({name: at for at, name in enumerate(names)}, shared, counts, hashes)


def _read(path: Path, slots: int) -> dict[str, tuple[tuple[int, ...], NDArray[np.int32]]]:
    """The paths of every workload in a table: their numbers, ascending, and replicas [N, T]."""
    table = read_columns(path)
    check_columns(path.name, table.column_names, slots, ("workload", "path"))
    names = [str(name or "") for name in table.column("workload").to_pylist()]
    number = numbers(table.column("path"), len(names))
    counts = np.zeros((len(names), slots), np.int32)
    problems = [f"{path.name}: row {row + 1}: path: a whole number of at least 0 is needed"
                for row in np.flatnonzero(_wrong(number)).tolist()]
    problems += [f"{path.name}: row {row}: workload: a name is needed" for row, name in enumerate(names, 1) if not name]
    for slot in range(slots):
        values = numbers(table.column(str(slot)), len(names))
        wrong = np.flatnonzero(_wrong(values))
        problems.extend(bad_cells(path.name, names, slot, values, wrong))
        counts[:, slot] = np.where(_wrong(values), 0, values)
    if problems:
        raise InputError(problems)
    return dict(_by_workload(path.name, names, number.astype(np.int64), counts))


def _wrong(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    wrong: NDArray[np.bool_] = ~((values >= 0) & (values <= MOST) & (values == np.floor(values)))
    return wrong


def _by_workload(file: str, names: list[str], number: NDArray[np.int64], counts: NDArray[np.int32],
                 ) -> Iterator[tuple[str, tuple[tuple[int, ...], NDArray[np.int32]]]]:
    place: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        place.setdefault(name, []).append(row)
    for name, mine in place.items():
        rows = np.array(mine)[np.argsort(number[mine], kind="stable")]
        own = number[rows]
        if len(own) > 1 and (twice := own[1:][np.diff(own) == 0]).size:
            raise InputError([f"{file}: {name}: path {twice[0]}: given twice: keep one row"])
        yield name, (tuple(own.tolist()), counts[rows])


def _unread(file: str, found: Iterable[str], readers: Mapping[str, str]) -> Iterator[str]:
    """Lines for workloads that the table lacks and for those in it that nobody reads."""
    here = set(found)
    for name, where in readers.items():
        if name not in here:
            yield f"{where}: {file} has no path for {name}: add its rows"
    for name in here - readers.keys():
        like = nearest(name, [other for other in readers if other not in here])
        mend = f"did you mean {like}?" if like else "remove the rows, or name this table in the workload's replicas"
        yield f"{file}: workload: {name}: no workload of that name reads this table: {mend}"


def _unlike(numbers_of: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """A line where a workload has other paths than the first one."""
    first = next(iter(numbers_of), "")
    for name, own in numbers_of.items():
        if own != numbers_of[first]:
            odd = min(set(own) ^ set(numbers_of[first]))
            has, lacks = (name, first) if odd in own else (first, name)
            yield (f"workloads.{name}.replicas.paths: path {odd}: {has} has it and {lacks} has not: path i of every "
                   f"workload belongs together, so each needs the same paths")
            return
