"""Which replicas lie on which machine: the proof that a plan's machines are enough, as a table of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from placement.problem import Ints, Purchase
from placement.result import Solution
from placement.shown import PackingRows
from planner.build import part_and_cap
from planner.errors import InputError
from planner.formulate import Formulation
from planner.supply import PURCHASES

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = ("lost", "cluster", "pool", "purchase", "workload", "user_region")
COLUMNS = ("lost", "cluster", "pool", "slot", "machine", "purchase", "workload", "user_region", "copy", "part",
           "replicas")


def packing_table(rows: PackingRows, solution: Solution, formulation: Formulation) -> pa.Table:
    """Rows as a table with names; `lost` is null for the plan itself, machines count from 0 in every pool and loss."""
    import pyarrow as pa  # heavy, and wanted only where there is a table

    names, units = formulation.names, solution.units
    streams = [names.streams[s] for s in units.stream.tolist()]  # by unit: far fewer than rows
    text: dict[str, tuple[Sequence[str | None], Ints]] = {
        "lost": ([*names.losses, None], len(names.losses) + np.zeros(len(rows.unit), np.int64)
                 if rows.loss is None else rows.loss % (len(names.losses) + 1)),
        "cluster": ([cluster for cluster, _ in names.pools], rows.pool),
        "pool": ([pool for _, pool in names.pools], rows.pool),
        "purchase": ([kind.name.lower() for kind in Purchase], rows.purchase),
        "workload": ([workload for workload, _ in streams], rows.unit),
        "user_region": ([region for _, region in streams], rows.unit)}
    numbers = {"slot": rows.slot, "machine": rows.machine, "copy": units.copy[rows.unit],
               "part": np.array(part_and_cap(formulation.problem, units.stream)[0], np.int64)[rows.unit],
               "replicas": rows.replicas}
    columns = {name: pa.array(words, pa.string()).take(pa.array(at)) for name, (words, at) in text.items()}
    columns |= {name: pa.array(values, pa.int32()) for name, values in numbers.items()}
    return pa.table({name: columns[name] for name in COLUMNS})


def packing_bytes(table: pa.Table) -> bytes:
    """The table as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def read_packings(path: Path, solution: Solution, formulation: Formulation) -> PackingRows:
    """The rows of a table as rows of the problem; -1 for names that are not there. Raises InputError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError([f"{path}: {' '.join(str(error).split())}: a Parquet table of packings is wanted"]) from None
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError([f"{path}: no column {missing[0]}: needed are {', '.join(COLUMNS)}"])
    return PackingRows(*_rows_of(table, solution, formulation))


def _rows_of(table: pa.Table, solution: Solution, formulation: Formulation) -> list[Ints]:
    """Pool, slot, machine, purchase, unit, replicas and loss of every row, but of those for losses that are not."""
    names, units = formulation.names, solution.units
    where = _coded(table, ("cluster", "pool"), {name: row for row, name in enumerate(names.pools)})
    streams = _coded(table, ("workload", "user_region"), {name: row for row, name in enumerate(names.streams)})
    part = np.array(part_and_cap(formulation.problem, units.stream)[0], np.int64)
    copy, count = _whole(table, "copy"), int(units.copy.max(initial=0)) + 1
    piece, parts = _whole(table, "part"), int(part.max(initial=0)) + 1
    keys = (units.stream * count + units.copy) * parts + part
    order = np.argsort(keys, kind="stable")
    there = (streams >= 0) & (copy >= 0) & (copy < count) & (piece >= 0) & (piece < parts)
    wanted = np.where(there, (streams * count + copy) * parts + piece, -1)
    at = order[np.minimum(np.searchsorted(keys[order], wanted), max(0, len(keys) - 1))] if len(keys) else wanted
    unit = np.where((wanted >= 0) & (keys[at] == wanted), at, -1) if len(keys) else wanted
    purchase = _coded(table, ("purchase",), {(name,): int(kind) for name, kind in PURCHASES.items()})
    losses: dict[tuple[str | None, ...], int] = {(name,): row for row, name in enumerate((*names.losses, None))}
    loss = _coded(table, ("lost",), losses)
    known = loss >= 0
    columns = (where, _whole(table, "slot"), _whole(table, "machine"), purchase, unit, _whole(table, "replicas"),
               np.where(loss == len(names.losses), -1, loss))
    return [column[known] for column in columns]


def _whole(table: pa.Table, name: str) -> Ints:
    """A column of whole numbers; -1 where there is none."""
    found: Ints = table[name].fill_null(-1).to_numpy().astype(np.int64)
    return found


def _coded(table: pa.Table, columns: Sequence[str], rows: Mapping[tuple[str | None, ...], int]) -> Ints:
    """The row that the words of some columns name, -1 for what is not there; words are looked up once each."""
    code, known = np.zeros(table.num_rows, np.int64), []
    for name in columns:
        column = table[name].combine_chunks().dictionary_encode(null_encoding="encode")
        known.append(column.dictionary.to_pylist())
        code = code * len(known[-1]) + column.indices.to_numpy()
    sizes = [len(words) for words in known]
    there = np.zeros(int(np.prod(sizes)), np.bool_)
    there[code] = True
    codes = np.flatnonzero(there)  # far fewer than rows
    found = np.full(len(there), -1, np.int32)
    for at, places in zip(codes.tolist(), zip(*np.unravel_index(codes, sizes), strict=True), strict=True):
        found[at] = rows.get(tuple(words[place] for words, place in zip(known, places, strict=True)), -1)
    return np.asarray(found[code], np.int64)
