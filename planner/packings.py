"""Which replicas lie on which machine: the proof that a plan's machines are enough, as a table of names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from placement.problem import Ints, Purchase
from placement.result import Solution
from placement.shown import PackingRows
from planner.build import part_and_cap
from planner.errors import InputError
from planner.files import write_atomically
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


def write_packings(table: pa.Table, path: Path) -> None:
    """Write the table as Parquet: all of it or nothing. Raises OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomically(path, sink.getvalue().to_pybytes())


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
    names, units = formulation.names, solution.units
    part, _ = part_and_cap(formulation.problem, units.stream)
    unit = {(*names.streams[s], copy, i): u
            for u, (s, copy, i) in enumerate(zip(units.stream.tolist(), units.copy.tolist(), part, strict=True))}
    loss = {name: row for row, name in enumerate(names.losses)} | {None: -1}
    found = [(names.pool_row.get((row["cluster"], row["pool"]), -1), row["slot"], row["machine"],
              int(PURCHASES.get(row["purchase"], -1)),
              unit.get((row["workload"], row["user_region"], row["copy"], row["part"]), -1), row["replicas"],
              loss[row["lost"]])
             for row in table.to_pylist() if row["lost"] in loss]
    return PackingRows(*np.array(found, np.int64).reshape(-1, 7).T)
