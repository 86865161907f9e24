"""The folder that telemetry is kept in.

    store.json                                                              format, and what the key is known by
    rows/country=BR/hardware_class=nvme/cluster=HASH/day=2026-10-01/*.parquet   host, metric, ts, value, arrived
    batches/ab/abcd.json                                                    what was stored of each batch, without names
    staging/, spill/                                                        of a write that goes on, or was cut off

A batch is in the store from the moment its file in `batches/` is there: its rows are written beside, and moved in
after. What a crash leaves behind is finished or thrown away by whoever writes next. One process writes at a time, any
number read.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagnostics.intake.contract import IntakeError
from diagnostics.intake.names import Names

if TYPE_CHECKING:
    import duckdb

SCHEMA = 1
PARTITIONS = ("country", "hardware_class", "cluster", "day")


@dataclass(frozen=True)
class Store:
    """A store that is there; `open_store` makes one."""

    folder: Path
    key_check: str

    @property
    def rows(self) -> Path:
        """Where the Parquet files are."""
        return self.folder / "rows"

    @property
    def staging(self) -> Path:
        """Where rows wait until their batch is in the store."""
        return self.folder / "staging"

    def entry(self, digest: str) -> Path:
        """The file of a batch by its hash."""
        return self.folder / "batches" / digest[:2] / f"{digest}.json"

    def check(self, names: Names) -> None:
        """Refuse another key than the store's: its hashes would be strangers to those that are here."""
        if names.check() != self.key_check:
            raise IntakeError(f"{self.folder}: key: not the one this store was made with; hashes would not match")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep writers from moving files meanwhile."""
        with _locked(self.folder, fcntl.LOCK_SH):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only one who writes; what a crash left behind is put right first."""
        with _locked(self.folder, fcntl.LOCK_EX):
            self._recover()
            yield

    def commit(self, digest: str, entry: dict[str, Any]) -> None:
        """Put a batch whose rows are staged under its hash into the store, whole or not at all."""
        path = self.entry(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, entry)
        self._move_in(digest)

    def _move_in(self, digest: str) -> None:
        staged = self.staging / digest
        for part in sorted(staged.rglob("*.parquet")):
            target = self.rows / part.relative_to(staged)
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)
        shutil.rmtree(staged, ignore_errors=True)

    def _recover(self) -> None:
        for staged in sorted(self.staging.iterdir()):
            if self.entry(staged.name).is_file():
                self._move_in(staged.name)
            else:
                shutil.rmtree(staged)
        shutil.rmtree(self.folder / "spill", ignore_errors=True)


def open_store(folder: Path, names: Names | None = None) -> Store:
    """Open the store in `folder`; with a key, one is made where nothing is yet, and the key is checked.

    Raises:
        IntakeError: there is none, it is of another format, or the key is another.

    """
    path = folder / "store.json"
    if not path.is_file():
        if names is None or (folder.exists() and not _begun(folder)):
            raise IntakeError(f"{folder}: no telemetry store; `planner telemetry ingest` makes one in an empty folder")
        (folder / "staging").mkdir(parents=True, exist_ok=True)
        (folder / "rows").mkdir(exist_ok=True)
        _write(path, {"schema": SCHEMA, "key_check": names.check()})
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        store = Store(folder, str(found["key_check"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise IntakeError(f"{path}: cannot be read as a telemetry store") from None
    if found["schema"] != SCHEMA:
        raise IntakeError(f"{path}: schema: {found['schema']}: {SCHEMA} is what this version reads")
    if names is not None:
        store.check(names)
    return store


def _begun(folder: Path) -> bool:
    """Whether nothing but what `open_store` makes first is in a folder, as after a crash; also of an empty one."""
    return all(path.name.startswith(".store.json.") or (path.name in ("staging", "rows") and not any(path.iterdir()))
               for path in folder.iterdir())


def clusters(store: Store) -> frozenset[str]:
    """Hashes of the clusters that have rows; what a crash left behind is put right first."""
    with store.writing():
        return frozenset(path.name.removeprefix("cluster=")
                         for path in store.rows.glob("country=*/hardware_class=*/cluster=*"))


def forget(store: Store, cluster: str) -> int:
    """Delete every row of a cluster, by its hash, and return how many there were: who takes consent back is gone."""
    with store.writing():
        folders = sorted(store.rows.glob(f"country=*/hardware_class=*/cluster={cluster}"))
        files = [str(path) for folder in folders for path in sorted(folder.rglob("*.parquet"))]
        if not files:
            return 0
        with connect(store, 128) as database:
            found = database.execute("SELECT count(*) FROM read_parquet(?)", [files]).fetchone()
        for folder in folders:
            shutil.rmtree(folder)
    return int(found[0]) if found else 0


def compact(store: Store, memory_mib: int = 512) -> int:
    """Write every day that lies in several files into one, rows that were sent again once; return the files saved."""
    saved = 0
    with store.writing(), connect(store, memory_mib) as database:
        for day in sorted(store.rows.glob("country=*/hardware_class=*/cluster=*/day=*")):
            files = sorted(day.glob("*.parquet"))
            if len(files) < 2:
                continue
            staged = store.staging / "compact"
            staged.mkdir(exist_ok=True)
            whole = staged / f"{files[0].stem}-whole.parquet"
            query = f"{LATEST} ORDER BY host, metric, ts".format(files="?", extra="", where="")
            database.execute(f"COPY ({query}) TO '{quoted(whole)}' (FORMAT parquet, COMPRESSION zstd)", [_names(files)])
            # Rows that lie in both for a moment, or after a crash for longer, count once: see LATEST.
            whole.replace(day / whole.name)
            for file in files:
                file.unlink()
            saved += len(files) - 1
        shutil.rmtree(store.staging / "compact", ignore_errors=True)
    return saved


LATEST = """
    SELECT {extra} host, metric, ts, arg_max(value, arrived) AS value, max(arrived) AS arrived FROM (
        SELECT {extra} host, metric, ts, arrived, avg(value) AS value
        FROM read_parquet({files}, hive_partitioning = true, hive_types_autocast = false) {where}
        GROUP BY ALL)
    GROUP BY ALL"""
"""Each moment of each series once: what arrived last counts, and what came at once by its mean."""


@contextmanager
def connect(store: Store, memory_mib: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that spills into the store's folder beyond `memory_mib`, and asks nobody for extensions.

    Raises:
        IntakeError: a file of the store cannot be written, as on a full disk, or cannot be read.

    """
    import duckdb  # loaded only where telemetry is stored or read

    with closing(duckdb.connect(config={
        "threads": 1, "memory_limit": f"{memory_mib}MiB", "temp_directory": str(store.folder / "spill"),
        "TimeZone": "UTC", "autoinstall_known_extensions": False, "preserve_insertion_order": False,
    })) as database:  # fmt: skip
        try:
            yield database
        except duckdb.Error as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise IntakeError(f"{store.folder}: {lines[0] if lines else type(error).__name__}") from None


def quoted(path: Path) -> str:
    """A path as it stands between quotes in SQL."""
    return str(path).replace("'", "''")


def _names(paths: list[Path]) -> list[str]:
    return [str(path) for path in paths]


def _write(path: Path, value: dict[str, Any]) -> None:
    """JSON by way of a file beside it, so that nobody ever sees half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(value, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    with (folder / "store.json").open("rb") as file:
        fcntl.flock(file, how)
        yield
