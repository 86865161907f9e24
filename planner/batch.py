"""Forecasts of as many series as there are: learned once from some, made in parts, kept as they come, then joined.

Parts lie in a folder beside the output. Each is a Parquet file that is there in full or not at all, with a note beside
it that is written last. A run that was stopped, by Ctrl-C, a full disk or `kill -9`, goes on where it was when the same
is asked again; another input, setting or version is refused by name.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.engines import ENGINES, Engine, EngineFailed, Serial, missing, unreachable
from placement.memory import give_back
from planner import __version__
from planner.errors import InputError
from planner.files import write_atomically
from planner.staging import Layout, lay_out

if TYPE_CHECKING:
    import pandas as pd

    from forecasting import Learned

LEARN_SERIES, LEARN_POINTS = 2_000, 8_000_000
"""Of more series so many are learned from, drawn by chance, and fewer where they are long."""
LIBRARIES = ("lightgbm", "numba", "numpy", "pandas", "prophet", "scikit-learn", "scipy", "statsforecast", "statsmodels")
"""Whose versions decide the figures."""

Told = Callable[[str, float], None]
"""Hears what is being done, and the share of it that is done."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be forecast: `horizon_minutes` ahead, at quantile `levels`; `backtest` scores all series. `models` are
    the forecasters that are tried, where none are named those of `forecasting.default_models`.
    """

    horizon_minutes: int
    levels: tuple[float, ...]
    seed: int = 0
    known: tuple[str, ...] = ()
    holidays: tuple[str, ...] = ()
    backtest: bool = False
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """What came of one part: how many series have each model, who was refused and mended, and what it cost."""

    models: Mapping[str, int]
    refused: tuple[tuple[str, str], ...]
    notes: tuple[tuple[str, str], ...]
    cpu_seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What was forecast: `parts` in the order of names, lying in `folder`. `learned` holds the scores of what was
    learned from; those of all series lie in the parts where `asked.backtest`.
    """

    asked: Asked
    folder: Path
    layout: Layout
    learned: Learned
    parts: tuple[Part, ...]
    input_sha256: str
    engine: str
    workers: int
    learn_cpu_seconds: float
    seconds: float

    def quantiles(self) -> Iterator[pd.DataFrame]:
        """A row a series and step, part by part."""
        return (_read(self.folder, k, "quantiles") for k in range(len(self.parts)))

    def backtest(self) -> Iterator[pd.DataFrame]:
        """A row a series, model and origin, part by part."""
        if not self.asked.backtest:
            return iter([self.learned.backtest])
        return (_read(self.folder, k, "backtest") for k in range(len(self.parts)))

    @property
    def forecast_series(self) -> int:
        """How many series were forecast."""
        return sum(sum(part.models.values()) for part in self.parts)

    @property
    def refused(self) -> list[tuple[str, str]]:
        """Series that were not, and why."""
        return [row for part in self.parts for row in part.refused]

    @property
    def notes(self) -> list[tuple[str, str]]:
        """What was made of series before they were forecast."""
        return [row for part in self.parts for row in part.notes]

    @property
    def models(self) -> Counter[str]:
        """How many series have each model."""
        return sum((Counter(part.models) for part in self.parts), Counter())

    @property
    def cpu_seconds(self) -> float:
        """Of learning and of all parts, also those of a run that was stopped."""
        return self.learn_cpu_seconds + sum(part.cpu_seconds for part in self.parts)


def engine_of(name: str | None, parts: int, workers: int | None) -> tuple[str, int]:
    """The engine and its workers: processes where nobody says and there is more than one part. Raises InputError."""
    count = workers or len(os.sched_getaffinity(0))
    chosen = name or ("processes" if parts > 1 and count > 1 else "serial")
    if chosen == "serial":
        return chosen, 1
    if chosen not in ENGINES:
        raise InputError([f"--engine: {chosen}: allowed are serial, {', '.join(ENGINES)}"])
    problem = missing(chosen) or unreachable(chosen)
    if problem:
        raise InputError([f"--{problem}"])
    return chosen, min(count, parts) if chosen == "processes" else count


def run_batch(path: Path, asked: Asked, folder: Path, engine: str | None, workers: int | None, told: Told) -> Batch:
    """Forecast a history file, or a folder of Parquet files, in parts kept in `folder`. The same answer by any engine.

    Whoever else may work in the folder holds it by `own`. Raises InputError for a history that cannot be read and a
    folder that holds parts of something else; StoppedError where the disk is full, and the like.
    """
    started = time.monotonic()
    engine_of(engine, 2, workers)
    asked = replace(asked, known=tuple(dict.fromkeys(asked.known)), holidays=tuple(dict.fromkeys(asked.holidays)))
    told("reading", 0.0)
    manifest = _manifest(path, asked)
    with _kept(folder):
        folder.mkdir(exist_ok=True)
        _agree(folder, manifest)
        with _readable(folder):
            layout = lay_out(path, asked.known, folder, lambda share: told("laying out by series", share))
            begun = time.process_time()
            told("learning", 0.0)
            learned = _learn(path, layout, asked)
        learn_cpu = time.process_time() - begun
        _give_back()
        chosen, count = engine_of(engine, len(layout), workers)
        parts = _forecast(layout, learned, asked.backtest, chosen, count, told)
    return Batch(asked, folder, layout, learned, parts, str(manifest["input_sha256"]), chosen, count, learn_cpu,
                 time.monotonic() - started)


def _manifest(path: Path, asked: Asked) -> dict[str, Any]:
    """What parts depend on."""
    settings: dict[str, Any] = json.loads(json.dumps(asdict(asked)))
    return {"input_sha256": _sha256(path), **settings, "version": __version__,
            "libraries": {name: version(name) for name in LIBRARIES}}


def _sha256(path: Path) -> str:
    if not path.exists():
        raise InputError([f"{path}: there is no such history file"])
    if not path.is_file() and not path.is_dir():
        raise InputError([f"{path}: a pipe or a device; a file that can be read twice is needed"])
    found = hashlib.sha256()
    for file in sorted(path.rglob("*.parquet")) if path.is_dir() else [path]:
        if path.is_dir():
            found.update(str(file.relative_to(path)).encode())
        try:
            with file.open("rb") as opened:
                found.update(hashlib.file_digest(opened, "sha256").digest())
        except OSError as error:
            raise InputError([f"{file}: cannot be read: {error.strerror}"]) from None
    return found.hexdigest()


class StoppedError(InputError):
    """A run that cannot go on as things are; what is done lies in its folder, and the same run goes on from it."""


@contextmanager
def own(folder: Path) -> Iterator[None]:
    """One run at a time in a folder, which is made, until what came of it is written; the lock goes with the process,
    however that ends. Raises InputError.
    """
    folder.mkdir(exist_ok=True)
    lock = folder / "lock"
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.path.samestat(os.fstat(file.fileno()), lock.stat())  # else a run that ended has removed it
        except OSError:
            mine = False
        if not mine:
            raise InputError([f"{folder}: another run is at work there; wait for it, or name another output"])
        try:
            yield
        finally:
            if folder.exists() and list(folder.iterdir()) == [lock]:  # nothing is done that could be gone on from
                clear(folder)


@contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Say of a disk that is full, and the like, what has stopped."""
    try:
        yield
    except OSError as error:
        raise StoppedError([f"{folder}: stopped: {error.strerror or error}"]) from error


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """A history that cannot be read leaves nothing behind: once it is mended, the same output is begun anew."""
    try:
        yield
    except InputError:
        clear(folder)
        raise


def _agree(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Begin a folder, or go on in one that was begun with the same. Raises InputError naming what differs."""
    file = folder / "manifest.json"
    if not file.exists():
        write_atomically(file, json.dumps(manifest, indent=1).encode())
        return
    begun = json.loads(file.read_text())
    differ = [name for name in manifest if begun.get(name) != manifest[name]]
    if differ:
        told = "; ".join(f"{name} was {_short(begun.get(name))}, now {_short(manifest[name])}" for name in differ)
        mend = "ask for the same to go on with it, or remove the folder to begin anew"
        raise InputError([f"{folder}: holds parts of another run: {told}; {mend}"])


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _learn(path: Path, layout: Layout, asked: Asked) -> Learned:
    """Learn from some series, the same whatever the parts."""
    from forecasting import BadFrameError, learn

    order = np.random.default_rng(asked.seed).permutation(layout.series)[:LEARN_SERIES]
    most = max(1, LEARN_POINTS * layout.series // layout.rows)
    frame = layout.pick(np.sort(order[:most]))
    try:
        return learn(frame, np.timedelta64(asked.horizon_minutes, "m"), asked.levels, asked.seed, asked.models or None,
                     known=asked.known, holidays=asked.holidays)
    except (BadFrameError, ValueError) as error:
        raise InputError([f"{path.name}: {error}"]) from None


def _give_back() -> None:
    """Memory that is free again goes back to the system, for the other processes."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    give_back()


def _forecast(layout: Layout, learned: Learned, backtest: bool, chosen: str, workers: int,
              told: Told) -> tuple[Part, ...]:
    """All parts: those that are there, and the others by an engine."""
    folder = Path(layout.folder)
    waiting = [k for k in range(len(layout)) if not _note(folder, k).exists()]
    done = len(layout) - len(waiting)

    def another(problem: str | None) -> None:
        nonlocal done
        if problem:
            raise OSError(problem)
        done += 1
        told("forecasting", done / len(layout))

    told("forecasting", done / len(layout))
    if waiting:
        engine = _started(chosen, workers)
        try:
            engine.share((learned, layout, backtest))
            engine.map(_forecast_part, waiting, lambda: False, another)
            lost = [k for k in waiting if not _note(folder, k).exists()]
            engine.map(_forecast_part, lost, lambda: False, another)
        finally:
            engine.close()
    lost = [k for k in waiting if not _note(folder, k).exists()]
    if lost:
        why = f"{len(lost)} of {len(layout)} parts were lost twice: their processes were killed, as if memory ran out"
        raise StoppedError([f"{folder}: {why}; --workers 1 takes less"])
    return tuple(Part(**json.loads(_note(folder, k).read_text())) for k in range(len(layout)))


def _started(name: str, workers: int) -> Engine:
    try:
        return Serial() if name == "serial" else ENGINES[name](workers)
    except EngineFailed as error:
        raise InputError([f"--{error}"]) from None


def _forecast_part(shared: tuple[Learned, Layout, bool], k: int) -> str:
    """Forecast part k and write it; returns what went wrong with the files, nothing if all is well."""
    from forecasting import predict, quantile_column

    learned, layout, backtest = shared
    begun, folder = time.process_time(), Path(layout.folder)
    try:
        found = predict(learned, layout.read(k), backtest)
        _write(folder, k, "quantiles", found.quantiles, [quantile_column(level) for level in learned.levels])
        if backtest:
            figures = ["pinball", "size", "wql", "mase", "coverage_p90",
                       *(f"coverage_{quantile_column(level)}" for level in learned.levels)]
            _write(folder, k, "backtest", found.backtest, figures)
        part = Part(dict(Counter(found.models.values())), tuple(found.refused.itertuples(index=False, name=None)),
                    tuple(found.notes.itertuples(index=False, name=None)), time.process_time() - begun)
        write_atomically(_note(folder, k), json.dumps(asdict(part)).encode())
        _give_back()  # else every part leaves a worker a little larger
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _write(folder: Path, k: int, what: str, frame: pd.DataFrame, figures: list[str]) -> None:
    """Write a table with the same types whatever is in it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"unique_id": pa.string(), "model": pa.string(), "note": pa.string(), "ds": pa.timestamp("ns", "UTC"),
             "origin": pa.timestamp("ns", "UTC")} | dict.fromkeys(figures, pa.float64())
    frame = frame.reindex(columns=[*(name for name in frame.columns if name not in figures), *figures])
    schema = pa.schema([(name, kinds[name]) for name in frame.columns])
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False), file)
    write_atomically(_part(folder, k, what), file.getvalue())


def _read(folder: Path, k: int, what: str) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(_part(folder, k, what))


def _part(folder: Path, k: int, what: str) -> Path:
    return folder / f"part-{k:05d}.{what}.parquet"


def _note(folder: Path, k: int) -> Path:
    return folder / f"part-{k:05d}.json"


def join_parts(batch: Batch, output: Path, what: str = "quantiles") -> None:
    """Write the quantiles (or the back-test) of all parts as one file, Parquet or CSV by its ending. Raises OSError.

    It grows among the parts, so that a run that is killed leaves nothing beside them.
    """
    beside = batch.folder / f"joined{output.suffix}"
    try:
        if output.suffix == ".csv":
            _join_csv(batch, beside, what)
        else:
            _join_parquet(batch, beside, what)
        beside.replace(output)
    finally:
        with suppress(OSError):
            beside.unlink()


def _join_csv(batch: Batch, file: Path, what: str) -> None:
    with file.open("w", newline="") as opened:
        for k in range(len(batch.parts)):
            _read(batch.folder, k, what).to_csv(opened, index=False, header=k == 0, date_format="%Y-%m-%dT%H:%M:%SZ")


def _join_parquet(batch: Batch, file: Path, what: str) -> None:
    import pyarrow.parquet as pq

    parts = [_part(batch.folder, k, what) for k in range(len(batch.parts))]
    with pq.ParquetWriter(file, pq.read_schema(parts[0])) as writer:
        for part in parts:
            writer.write_table(pq.read_table(part))


def clear(folder: Path) -> None:
    """Remove the parts, once what is made of them is written."""
    shutil.rmtree(folder, ignore_errors=True)
