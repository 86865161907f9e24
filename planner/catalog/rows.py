"""Rows of the catalog's own CSV files: machines, prices, regions, round trips and egress, each with source and date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from planner.catalog.model import Catalog, Price, Region
from planner.errors import InputError
from planner.scenario.model import Machine
from planner.scenario.tables import csv_lines

Row = Mapping[str, str]

COLUMNS = {
    "machines.csv": ("provider", "machine", "vcpu", "memory_gib", "gpu_model", "gpu_count", "gpu_memory_gib",
                     "disk_gib", "network_gbps", "arch", "watts", "estimated", "source", "as_of"),
    "prices.csv": ("provider", "region", "machine", "on_demand_usd_per_hour", "spot_usd_per_hour", "estimated",
                   "source", "as_of"),
    "regions.csv": ("provider", "region", "country", "area", "round_trips_as", "grid_g_per_kwh", "pue", "estimated",
                    "source", "as_of"),
    "round_trips.csv": ("from", "to", "rtt_ms", "estimated", "source", "as_of"),
    "egress.csv": ("from", "to", "usd_per_gb", "estimated", "source", "as_of"),
}
"""Files of a catalog and their columns. `estimated` names the columns of a row that are not somebody's own figure."""


def read_rows(path: Path, needed: Iterable[str]) -> list[Row]:
    """Rows of a CSV file by its header. Raises InputError when a needed column or a cell is not there."""
    lines = csv_lines(path)
    head = next(lines, [])
    if absent := [column for column in needed if column not in head]:
        raise InputError([f"{path.name}: columns: {', '.join(absent)} missing: found {', '.join(head) or 'none'}"])
    rows: list[Row] = []
    for number, cells in enumerate(lines, 2):
        if len(cells) != len(head):
            raise InputError([f"{path.name}: line {number}: {len(cells)} cells: {len(head)} columns are named"])
        rows.append(dict(zip(head, cells, strict=True)))
    return rows


def read_own(folder: Path) -> Catalog:
    """A catalog from a folder of its own files. Raises InputError naming file, row and value."""
    tables = {name: read_rows(folder / name, columns) for name, columns in COLUMNS.items()}
    return Catalog(
        as_of=min(row["as_of"] for row in tables["prices.csv"]),
        machines={(row["provider"], row["machine"]): _machine(row) for row in tables["machines.csv"]},
        prices={(row["provider"], row["region"], row["machine"]): _price(row) for row in tables["prices.csv"]},
        regions={f"{row['provider']}/{row['region']}": _region(row) for row in tables["regions.csv"]},
        round_trips={(row["from"], row["to"]): _needed(row, "rtt_ms") for row in tables["round_trips.csv"]},
        egress={(row["from"], row["to"]): _needed(row, "usd_per_gb") for row in tables["egress.csv"]})


def number(row: Row, column: str) -> float | None:
    """A cell as a number of at least 0, None where it is empty. Raises InputError for anything else."""
    text = row.get(column, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise InputError([f"catalog: {column}: {text}: a number of at least 0 is needed: {dict(row)}"])
    return value


def _needed(row: Row, column: str) -> float:
    value = number(row, column)
    if value is None:
        raise InputError([f"catalog: {column}: not given: a number is needed: {dict(row)}"])
    return value


def _machine(row: Row) -> Machine:
    try:
        return Machine(name=row["machine"], vcpu=_needed(row, "vcpu"), memory_gib=_needed(row, "memory_gib"),
                       gpu_model=row["gpu_model"] or None, gpu_count=int(_needed(row, "gpu_count")),
                       gpu_memory_gib=number(row, "gpu_memory_gib"), disk_gib=number(row, "disk_gib"),
                       network_gbps=number(row, "network_gbps"), arch=row["arch"], watts=number(row, "watts"))
    except ValidationError as error:
        raise InputError([f"machines.csv: {row['machine']}: {error.errors()[0]['msg']}"]) from None


def _price(row: Row) -> Price:
    return Price(number(row, "on_demand_usd_per_hour"), number(row, "spot_usd_per_hour"))


def _region(row: Row) -> Region:
    return Region(row["provider"], row["region"], row["country"], row["area"] or None, row["round_trips_as"] or None,
                  number(row, "grid_g_per_kwh"), number(row, "pue"))
