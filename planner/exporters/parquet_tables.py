"""A plan as Parquet files."""

from __future__ import annotations

import io

from planner.exporters.planned import Planned
from planner.exporters.tables import tables
from planner.exporters.text import Files

TEXTS = ("unit", "workload", "user_region", "cluster", "pool", "purchase", "machine", "start", "lost")


def export(planned: Planned, slot: int | None) -> Files:
    """Every table as a Parquet file, texts as strings and all else as 64-bit integers. All slots are in them."""
    import pyarrow as pa  # heavy: only this exporter pays for it
    import pyarrow.parquet

    planned.check_slot(slot)
    files: Files = {}
    for name, table in tables(planned).items():
        columns = {column: pa.array(values, pa.string() if column in TEXTS else pa.int64())
                   for column, values in table.items()}
        sink = io.BytesIO()
        pa.parquet.write_table(pa.table(columns), sink, compression="zstd")
        files[f"{name}.parquet"] = sink.getvalue()
    return files
