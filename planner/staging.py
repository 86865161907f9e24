"""Histories of any size laid out by series: files that each hold some series whole, in the order of their names.

A history may be larger than memory and in any order (by time, as monitoring writes it). It is read twice in batches,
once for names and once for rows; each row goes to the file of its series.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.files import write_atomically
from planner.frame_file import check_columns
from planner.profiles.history import RENAMED, nameless, read_history, tidy

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Ints = NDArray[np.int64]

SERIES, POINTS = 500, 1_000_000
"""A file holds at most so many series, and so many points unless one series has more."""
MOST_FILES = 256
"""All are open while rows are sorted into them; of very many series each holds more."""
BATCH = 1_000_000
"""Rows read at a time."""


@dataclass(frozen=True, slots=True)
class Layout:
    """File k in `folder` holds series `edges[k]`..`edges[k + 1]`, counted in the order of names."""

    folder: str
    edges: tuple[int, ...]
    rows: int

    def __len__(self) -> int:
        return len(self.edges) - 1

    @property
    def series(self) -> int:
        """How many there are."""
        return self.edges[-1]

    def read(self, k: int) -> pd.DataFrame:
        """Rows of file k as `unique_id`, `ds` (UTC), `y` and columns known ahead. Raises OSError."""
        import pyarrow as pa

        with pa.OSFile(str(_file(self.folder, k))) as file:
            return pa.ipc.open_stream(file).read_all().to_pandas()  # type: ignore[no-any-return]

    def pick(self, rank: Ints) -> pd.DataFrame:
        """Rows of some series, by their rising place among all."""
        import pandas as pd

        found = []
        for k in np.unique(np.searchsorted(self.edges, rank, side="right") - 1).tolist():
            frame = self.read(k)
            codes = frame["unique_id"].cat.codes.to_numpy()
            chosen = frame[np.isin(codes, rank - self.edges[k])]
            found.append(chosen.assign(unique_id=chosen["unique_id"].astype(str)))
        return pd.concat(found, ignore_index=True)


def lay_out(path: Path, known: tuple[str, ...], folder: Path, told: Callable[[float], None]) -> Layout:
    """Lay a history out in a folder, or find it laid out there; `told` hears the share that is done.

    A history is CSV or Parquet as `read_history` reads it, or a folder of Parquet files. Raises InputError, OSError.
    """
    note = folder / "layout.json"
    if note.exists():
        return Layout(**(json.loads(note.read_text()) | {"folder": str(folder)}))
    folder.mkdir(exist_ok=True)
    batches = _batches_of(path, known)
    names, counts = _count(batches, told)
    if not len(names):
        raise InputError([f"{path.name}: no rows: there is nothing to forecast"])
    layout = Layout(str(folder), _edges(counts), int(counts.sum()))
    _spread(batches, names, layout, told)
    write_atomically(note, json.dumps({**asdict(layout), "folder": ""}).encode())
    return layout


@dataclass(frozen=True, slots=True)
class _Batches:
    """`names()` gives the names of series by batch, `rows()` the same with `ds`, `y` and columns known ahead beside."""

    total: int
    names: Callable[[], Iterator[pa.DictionaryArray]]
    rows: Callable[[], Iterator[tuple[pa.DictionaryArray, pd.DataFrame]]]


def _batches_of(path: Path, known: tuple[str, ...]) -> _Batches:
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise InputError([f"{path}: a folder without Parquet files"])
    if files[0].suffix == ".parquet" and files[0].exists() and _is_long(files):
        return _stream(files, known)
    if len(files) > 1:
        raise InputError([f"{path}: a folder of wide files; long ones are needed: ts, workload, metric, value"])
    frame = long_frame(read_history(files[0], known), known)
    coded = _coded(frame["unique_id"])
    return _Batches(len(frame), lambda: iter([coded]), lambda: iter([(coded, frame)]))


def long_frame(table: pd.DataFrame, known: tuple[str, ...]) -> pd.DataFrame:
    """The frame that the forecasting engine takes; a series is a workload, a metric, or `workload/metric`."""
    names = [table[column] for column in ("workload", "metric") if table[column].notna().any()]
    same = len(names) == 2 and names[0].equals(names[1])
    series = names[0] if len(names) == 1 or same else names[0] + "/" + names[1] if names else "value"
    return table.assign(unique_id=series, y=table["value"])[["unique_id", "ds", "y", *known]]


def _is_long(files: list[Path]) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[Path, list[str]] = {}
    for file in files:
        try:
            columns[file] = [RENAMED.get(name, name) for name in pq.read_schema(file).names]
        except (pa.ArrowInvalid, OSError) as error:
            why = str(error).splitlines()[0]
            raise InputError([f"{file.name}: cannot be read as .parquet: {why}"]) from None
        check_columns(file, columns[file])
    odd = [file.name for file in files if columns[file] != columns[files[0]]]
    if odd:
        raise InputError([f"{odd[0]}: columns differ from those of {files[0].name}"])
    return "value" in columns[files[0]]


def _stream(files: list[Path], known: tuple[str, ...]) -> _Batches:
    """Long Parquet files, one after the other."""
    import pyarrow.parquet as pq

    opened = [pq.ParquetFile(file) for file in files]
    labels = [name for name in opened[0].schema_arrow.names if RENAMED.get(name, name) in ("workload", "metric")]
    text = [name for name in labels if str(opened[0].schema_arrow.field(name).type) in ("string", "large_string")]
    needed = [name for name in opened[0].schema_arrow.names
              if RENAMED.get(name, name) in ("workload", "metric", "ts", "value", *known)]
    total = sum(one.metadata.num_rows for one in opened)

    def tables(columns: list[str] | None) -> Iterator[tuple[Path, int, pa.Table]]:
        for file in files:
            first, coded = 0, pq.ParquetFile(file, read_dictionary=text)
            for batch in coded.iter_batches(BATCH, columns=columns):
                table = _table(batch)
                yield file, first, table
                first += len(table)

    def names() -> Iterator[pa.DictionaryArray]:
        for file, first, table in tables(labels):
            yield _names(table, labels, file, first)

    def rows() -> Iterator[tuple[pa.DictionaryArray, pd.DataFrame]]:
        for file, first, table in tables(needed):
            frame = tidy(table.drop_columns(labels).to_pandas(), file, known, first)
            yield _names(table, labels, file, first), frame.rename(columns={"value": "y"})[["ds", "y", *known]]

    return _Batches(total, names if labels else lambda: (_unnamed(len(t)) for _, _, t in tables(needed[:1])), rows)


def _table(batch: pa.RecordBatch) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_batches([batch])


def _names(table: pa.Table, labels: list[str], file: Path, first: int) -> pa.DictionaryArray:
    """Names of series, of one column or of two with a stroke between; where both say the same, once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not labels:
        return _unnamed(len(table))
    labels = sorted(labels, key=lambda name: RENAMED.get(name, name) == "metric")
    columns = [table[name].combine_chunks() for name in labels]
    for name, column in zip(labels, columns, strict=True):
        if column.null_count:
            row = first + int(column.is_null().to_numpy(zero_copy_only=False).argmax())
            raise InputError([nameless(file.name, name, row, column.null_count)])
    if len(columns) == 1 and isinstance(columns[0], pa.DictionaryArray):
        return columns[0]
    plain = [column.cast(pa.string()) for column in columns]
    if len(plain) == 2:
        plain = [pc.if_else(pc.equal(*plain), plain[0], pc.binary_join_element_wise(*plain, "/"))]
    return plain[0].dictionary_encode()


def _unnamed(rows: int) -> pa.DictionaryArray:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["value"]))


def _coded(names: pd.Series) -> pa.DictionaryArray:
    import pyarrow as pa

    return pa.array(names.astype(str)).dictionary_encode()


def _count(batches: _Batches, told: Callable[[float], None]) -> tuple[NDArray[np.object_], Ints]:
    """Names of all series in their order, and how many rows each has."""
    import pandas as pd

    found, done = pd.Series([], dtype=np.int64), 0
    waiting: list[pd.Series] = []
    for coded in batches.names():
        codes = np.bincount(coded.indices.to_numpy(), minlength=len(coded.dictionary))
        waiting.append(pd.Series(codes, index=coded.dictionary.to_pylist()))
        done += len(coded)
        told(0.3 * done / max(1, batches.total))
        if sum(map(len, waiting)) > max(BATCH, len(found)):
            found, waiting = pd.concat([found, *waiting]).groupby(level=0).sum(), []
    found = pd.concat([found, *waiting]).groupby(level=0).sum()
    found = found[found > 0].sort_index()
    return found.index.to_numpy(object), found.to_numpy(np.int64)


def _edges(counts: Ints) -> tuple[int, ...]:
    """Where files begin among the series, and their end."""
    wider = max(1.0, len(counts) / SERIES / MOST_FILES * 2, counts.sum() / POINTS / MOST_FILES * 2)
    edges, points = [0], 0
    for i, count in enumerate(counts.tolist()):
        if i > edges[-1] and (i - edges[-1] >= wider * SERIES or points + count > wider * POINTS):
            edges.append(i)
            points = 0
        points += count
    return (*edges, len(counts))


def _spread(batches: _Batches, names: NDArray[np.object_], layout: Layout, told: Callable[[float], None]) -> None:
    """Write every row to the file of its series."""
    import pandas as pd

    place, done = pd.Index(names), 0
    edges = np.array(layout.edges)
    with ExitStack() as opened:
        writers: dict[int, Any] = {}
        for coded, frame in batches.rows():
            rank = place.get_indexer(coded.dictionary.to_pylist())[coded.indices.to_numpy()]
            part = np.searchsorted(edges, rank, side="right") - 1
            order = np.argsort(part, kind="stable")
            cuts = np.flatnonzero(np.diff(part[order], prepend=-1))
            for begin, end in zip(cuts.tolist(), [*cuts[1:].tolist(), len(order)], strict=True):
                rows = order[begin:end]
                k = int(part[rows[0]])
                columns = {name: frame[name].to_numpy()[rows] for name in frame.columns
                           if name not in ("unique_id", "ds")}
                ns = frame["ds"].dt.as_unit("ns").dt.tz_localize(None).to_numpy()[rows]
                _write(writers, opened, layout, k, names, rank[rows] - edges[k], ns, columns)
            done += len(coded)
            told(0.3 + 0.7 * done / max(1, batches.total))


def _write(writers: dict[int, Any], opened: ExitStack, layout: Layout, k: int, names: NDArray[np.object_], codes: Ints,
           ns: NDArray[np.datetime64], columns: Mapping[str, NDArray[np.float64]]) -> None:
    import pyarrow as pa

    mine = names[layout.edges[k] : layout.edges[k + 1]]
    named = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(mine, pa.string()))
    times = pa.array(ns.astype("datetime64[ns]")).cast(pa.timestamp("ns", "UTC"))
    batch = pa.record_batch({"unique_id": named, "ds": times}
                            | {name: pa.array(column) for name, column in columns.items()})
    if k not in writers:
        file = opened.enter_context(pa.OSFile(str(_file(layout.folder, k)), "wb"))
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        writers[k] = opened.enter_context(pa.ipc.new_stream(file, batch.schema, options=options))
    writers[k].write_batch(batch)


def _file(folder: str, k: int) -> Path:
    return Path(folder) / f"series-{k:05d}.arrow"
