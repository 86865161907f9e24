"""A plan as CSV files."""

from __future__ import annotations

import csv
import io

from planner.exporters.planned import Planned
from planner.exporters.tables import Table, tables
from planner.exporters.text import Files


def export(planned: Planned, slot: int | None) -> Files:
    """Every table as a CSV file; an empty cell where nothing is stated. All slots are in them."""
    planned.check_slot(slot)
    return {f"{name}.csv": _text(table) for name, table in tables(planned).items()}


def _text(table: Table) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return out.getvalue().encode()
