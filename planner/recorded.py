"""Recorded demand: the replicas that every workload really wanted in every slot, from a table.

Wide: a column `workload`, then one whole number per slot in columns `0` to `T-1`. Long: columns `workload`, `replicas`
and either `slot` or `ts`, the time (with its zone) at which a slot begins. CSV or Parquet. Nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from placement.problem import Counts, Floats, Ints
from planner.errors import InputError
from planner.scenario.fields import did_you_mean
from planner.scenario.model import Horizon
from planner.scenario.replica_files import MOST, read_replicas
from planner.timeline import Timeline

if TYPE_CHECKING:
    import pyarrow as pa

FORMS = "needed are workload and a column for each slot, or workload, replicas and one of ts and slot"
_FEW = 3


def read_demand(path: Path, names: Sequence[str], horizon: Horizon) -> Counts:
    """Replicas [W, T] of the workloads in `names`, in that order, before throughput and copies.

    Raises InputError for what cannot be read, workloads that are missing or unknown, slots that are missing, given
    twice or not of the horizon, times without a zone, and numbers that are not whole or negative.
    """
    table = read_columns(path, ("workload", "ts"))
    if "replicas" not in table.column_names:
        if not {"workload", "0"} <= set(table.column_names):
            found = ", ".join(table.column_names[:8])
            raise InputError([f"{path.name}: columns: {found}: {FORMS}"])
        rows = read_replicas(path, horizon.slots)
        _check_names(path.name, list(rows.row), names)
        return rows.stack(names)
    return Long(path.name, table, horizon).counts(names)


def read_columns(path: Path, texts: Sequence[str]) -> pa.Table:
    """A CSV or Parquet file as a table; of a CSV file the columns in `texts` are kept as they are written."""
    import pyarrow as pa  # heavy, and wanted only where there is a table
    import pyarrow.csv
    import pyarrow.parquet

    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError([f"{path.name}: file: {suffix or 'no suffix'}: .csv or .parquet is wanted"])
    try:
        if suffix == ".parquet":
            return pa.parquet.read_table(path)
        kept = pa.csv.ConvertOptions(column_types=dict.fromkeys(texts, pa.string()), strings_can_be_null=True)
        return pa.csv.read_csv(path, convert_options=kept)
    except FileNotFoundError:
        raise InputError([f"{path}: there is no such file"]) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError([f"{path.name}: is not readable: {' '.join(str(error).split())[:120]}"]) from None


def instants(file: str, column: pa.ChunkedArray, name: str, *, zone_wanted: bool = True) -> Ints:
    """Seconds since 1970 of a column of times, UTC. Raises InputError for what is no time or has no zone.

    Without `zone_wanted`, a column of the type timestamp (not text) may go without one and is UTC.
    """
    import pyarrow as pa

    mend = "write times as 2026-11-02T00:00:00Z"
    if column.null_count:
        raise InputError([f"{file}: {name}: {column.null_count} rows without a time: {mend}"])
    if pa.types.is_timestamp(column.type):
        if column.type.tz is None and zone_wanted:
            raise InputError([f"{file}: {name}: times without a zone: {mend} or store them as UTC"])
        seconds: Ints = np.asarray(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())) // 1_000_000
        return seconds
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        raise InputError([f"{file}: {name}: a column of {column.type}: {mend}"])
    coded = column.combine_chunks().dictionary_encode()
    distinct = [_second(file, name, text, mend) for text in coded.dictionary.to_pylist()]
    found: Ints = np.array(distinct, np.int64)[np.asarray(coded.indices)]
    return found


def _second(file: str, name: str, text: str, mend: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError([f"{file}: {name}: {text!r} is no time of ISO 8601: {mend}"]) from None
    if moment.tzinfo is None:
        raise InputError([f"{file}: {name}: {text!r} has no zone: {mend}"])
    return int(moment.timestamp())


def numbers(column: pa.ChunkedArray) -> Floats:
    """A column as numbers; NaN where there is none."""
    try:
        return np.asarray(column.cast("float64").to_numpy(), np.float64)
    except (ValueError, NotImplementedError):  # text and other types; ArrowInvalid is a ValueError
        return np.full(len(column), np.nan)


class Long:
    """A table with a row for each workload and slot."""

    def __init__(self, file: str, table: pa.Table, horizon: Horizon) -> None:
        self.file, self.horizon = file, horizon
        given = {"ts", "slot"} & set(table.column_names)
        if len(given) != 1 or "workload" not in table.column_names:
            raise InputError([f"{file}: columns: {', '.join(table.column_names[:8])}: {FORMS}"])
        if table["workload"].null_count:
            raise InputError([f"{file}: workload: {table['workload'].null_count} rows without a name: give one"])
        coded = table["workload"].cast("string").combine_chunks().dictionary_encode()
        self.names: list[str] = coded.dictionary.to_pylist()
        self.row: Ints = np.asarray(coded.indices).astype(np.int64)
        self.replicas = numbers(table["replicas"])
        self._refuse("replicas", self.replicas, ~(
            (self.replicas >= 0) & (self.replicas <= MOST) & (self.replicas == np.floor(self.replicas))),
            "a whole number of at least 0 is needed")
        self.slot = self._of_times(table["ts"]) if "ts" in given else self._of_numbers(table["slot"])

    def counts(self, names: Sequence[str]) -> Counts:
        """Replicas [W, T] by name."""
        _check_names(self.file, self.names, names)
        slots = self.horizon.slots
        times = np.bincount(self.row * slots + self.slot, minlength=len(self.names) * slots).reshape(-1, slots)
        lines = [*self._odd(times > 1, "given twice: keep one row"), *self._odd(times == 0, "missing: add a row")]
        if lines:
            raise InputError(lines)
        table = np.zeros((len(self.names), slots), np.int32)
        table[self.row, self.slot] = self.replicas
        place = {name: row for row, name in enumerate(self.names)}
        return table[[place[name] for name in names]]

    def _of_numbers(self, column: pa.ChunkedArray) -> Ints:
        slot = numbers(column)
        known = (slot >= 0) & (slot < self.horizon.slots) & (slot == np.floor(slot))
        self._refuse("slot", slot, ~known, f"the horizon has slots 0 to {self.horizon.slots - 1}")
        return slot.astype(np.int64)

    def _of_times(self, column: pa.ChunkedArray) -> Ints:
        second = instants(self.file, column, "ts")
        begins = Timeline.of(self.horizon).minute * 60 + int(self.horizon.start.timestamp())
        order = np.argsort(begins)
        slot = order[np.searchsorted(begins[order], second).clip(max=len(begins) - 1)]
        off = np.flatnonzero(begins[slot] != second)
        if len(off):
            first = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(second[off[0]]))
            found = f"{first:%Y-%m-%dT%H:%M:%SZ}" + (f" and {len(off) - 1} more rows" if len(off) > 1 else "")
            slots = f"{self.horizon.slots} of {self.horizon.slot_minutes} minutes from {self.horizon.start.isoformat()}"
            raise InputError([f"{self.file}: ts: {found}: not the begin of a slot: the horizon has {slots}"])
        of_slot: Ints = slot.astype(np.int64)
        return of_slot

    def _refuse(self, column: str, values: Floats, wrong: np.ndarray, mend: str) -> None:
        bad = np.flatnonzero(wrong).tolist()
        if bad:
            raise InputError([f"{self.file}: {self.names[self.row[at]]}: row {at + 1}: {column}: "
                              f"{'not a number' if np.isnan(values[at]) else f'{values[at]:g}'}: {mend}" for at in bad])

    def _odd(self, wrong: np.ndarray, what: str) -> Iterator[str]:
        for row in np.flatnonzero(wrong.any(axis=1)).tolist():
            slots = np.flatnonzero(wrong[row]).tolist()
            more = f" and {len(slots) - _FEW} more" if len(slots) > _FEW else ""
            yield f"{self.file}: {self.names[row]}: slot {', '.join(map(str, slots[:_FEW]))}{more}: {what}"


def _check_names(file: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    here, asked = set(found), set(wanted)
    missing = [name for name in wanted if name not in here]
    lines = [f"{file}: workload: {name}: not in the scenario: {did_you_mean(name, missing or list(wanted))}"
             for name in found if name not in asked]
    lines += [f"{file}: workload: {name}: no row: add what it wanted in every slot, be it 0" for name in missing]
    if lines:
        raise InputError(lines)
