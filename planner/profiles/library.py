"""The library of past tasks: a table that people extend with every finished run, in CSV or Parquet.

A row is a run: `application`, `kind`, `finished` (a time), `description` (text), `times` (how many runs the row stands
for, 1 when left out), the fields of the task's description as `task.FIELD` (`task.volume_gb`, `task.data.rows`), and
what was measured as `used.QUANTITY`. An empty cell is not known.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from planner.errors import InputError
from planner.files import write_atomically
from planner.frame_file import read_frame
from planner.profiles.heard import hear
from planner.profiles.tasks import MOST, TASKS, Task, read_task

if TYPE_CHECKING:
    import pandas as pd

AMOUNTS = {
    "vcpu": "vCPU", "memory_gib": "GiB", "disk_gib": "GiB", "network_gbps": "Gbit/s", "replicas": "", "run_hours": "h",
    "storage_gb": "GB", "warehouse_dwu": "DWU", "disk_bandwidth_gb_per_s": "GB/s", "memory_bandwidth_gb_per_s": "GB/s",
    "utilisation": "share",
}  # fmt: skip
"""Amounts that may be measured, with their units. Those of a request are of one replica; `replicas` at the peak;
`utilisation` the mean share of the requested CPU (or GPU) that was busy while it ran."""
NAMES = ("gpu", "gpu_model", "storage_kind", "working_data", "structure", "runtime")
"""What else may be measured: one of a few, told by name. `gpu` is the number of GPUs of a replica, 0 without."""
PLAIN = ("application", "kind", "finished", "description", "times")


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, or `times` alike: what the task said of itself, and what it `used`."""

    application: str
    kind: str
    task: Task
    used: Mapping[str, float | str]
    description: str = ""
    finished: datetime | None = None
    times: float = 1.0


@dataclass(frozen=True, slots=True)
class Library:
    """Finished runs in order of time, those without a time first; `name` says where they are from."""

    runs: tuple[Run, ...]
    name: str = "library"

    def of(self, kind: str) -> tuple[Run, ...]:
        """Runs of tasks of that kind."""
        return tuple(run for run in self.runs if run.kind == kind)


def read_library(path: Path) -> Library:
    """Read a library. Raises InputError with a line for every mistake: file, row, field, value, what is allowed; a
    library without a run is one.
    """
    table = _table(path)
    problems = _unknown_columns(path, [str(column) for column in table.columns])
    if problems:
        raise InputError(problems)
    if table.empty:
        mend = "add finished ones (`planner learn`), or leave the library out"
        raise InputError([f"{path.name}: no runs, only names of columns: {mend}"])
    runs = []
    for number, row in enumerate(table.to_dict("records"), start=1):
        try:
            runs.append(parse_run({str(k): v for k, v in row.items()}, f"{path.name}: row {number}"))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    oldest = datetime.min.replace(tzinfo=UTC)
    return Library(tuple(sorted(runs, key=lambda run: run.finished or oldest)), path.name)


def parse_run(row: Mapping[str, Any], where: str) -> Run:
    """A run from a flat row. Raises InputError with lines that begin with `where`."""
    given = {name: value for name, value in row.items() if not _empty(value)}
    problems = [f"{where}: {name}: missing; every run says which application it is of, and its kind"
                for name in ("application", "kind") if name not in given]
    if problems:
        raise InputError(problems)
    task = read_task(str(given["kind"]), _nested(given, "task."), f"{where}: task")
    used: dict[str, float | str] = {}
    for name, value in given.items():
        if name.startswith("used."):
            field = name.removeprefix("used.")
            try:
                used[field] = _used(field, value)
            except ValueError as error:
                problems.append(f"{where}: {name}: {value!r}: {error}")
    if not used and not problems:
        problems.append(f"{where}: used: nothing measured; give at least one of {', '.join((*AMOUNTS, *NAMES))}")
    try:
        finished = _time(given.get("finished"))
    except ValueError as error:
        problems.append(f"{where}: finished: {error}")
    try:
        times = _times(given.get("times", 1))
    except ValueError as error:
        problems.append(f"{where}: times: {given['times']!r}: {error}")
    if problems:
        raise InputError(problems)
    description = str(given.get("description", ""))
    return Run(str(given["application"]), str(given["kind"]), hear(task, description).task, used, description, finished,
               times)


def add_row(path: Path, row: Mapping[str, Any]) -> Library:
    """Add a run to a library file, which is made when it is not there, and return it.

    The run is checked first; the file is there whole, old or new, at any time. Raises InputError.
    """
    import pandas as pd

    flat = {name: value for name, value in row.items() if not _empty(value)}
    before = _table(path) if path.exists() else pd.DataFrame(columns=["application", "kind", "finished", "description"])
    if problems := _unknown_columns(path, [*map(str, before.columns), *flat]):
        raise InputError(problems)
    parse_run(flat, "the run")
    if not before.empty:
        read_library(path)
    if path.suffix not in (".csv", ".parquet"):
        raise InputError([f"{path}: a library is a .csv or a .parquet file"])
    text = {name: value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True,
            width=10**9).removesuffix("\n").removesuffix("...").strip() for name, value in flat.items()}
    after = pd.concat([before.map(_text), pd.DataFrame([text])], ignore_index=True).fillna("")
    sink = io.BytesIO()
    if path.suffix == ".csv":
        after.to_csv(sink, index=False, lineterminator="\n")
    else:
        after.to_parquet(sink, index=False)
    write_atomically(path, sink.getvalue())
    return read_library(path)


def _table(path: Path) -> pd.DataFrame:
    if path.suffix not in (".csv", ".parquet"):
        raise InputError([f"{path}: a library is a .csv or a .parquet file"])
    try:
        return read_frame(path, None)
    except FileNotFoundError:
        raise InputError([f"{path}: there is no such library; `planner learn` makes one"]) from None


def _unknown_columns(path: Path, columns: list[str]) -> list[str]:
    fields = {f"task.{field}" for model in TASKS.values() for field in model.model_fields}
    known = [*PLAIN, *(f"used.{name}" for name in (*AMOUNTS, *NAMES)), *sorted(fields)]
    problems = []
    for column in columns:
        if ".".join(column.split(".")[:2]) not in known:
            near = get_close_matches(column, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(PLAIN)}, task.FIELD and used.QUANTITY"
            problems.append(f"{path.name}: {column}: no column of a library; {hint}")
    return problems


def _nested(given: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Fields under a prefix as nested mappings; text cells are read as YAML: numbers, lists, mappings."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name.startswith(prefix):
            *above, field = name.removeprefix(prefix).split(".")
            inner = found
            for part in above:
                inner = inner.setdefault(part, {})
            inner[field] = _cell(value)
    return found


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value.item() if hasattr(value, "item") else value
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    if isinstance(read, str) and read.replace(".", "", 1).replace("e", "", 1).replace("+", "", 1).isdigit():
        return float(read)  # YAML 1.1 takes 4e8 for text
    return read if isinstance(read, int | float | list | dict) else value


def _used(name: str, value: object) -> float | str:
    if name in NAMES and name != "gpu":
        return str(value).strip()
    try:
        number = float(str(value))
    except ValueError:
        raise ValueError("no number") from None
    if name == "gpu":
        if number < 0 or number != int(number):
            raise ValueError("a whole number of GPUs")
        return str(int(number))
    if not 0 <= number <= MOST:
        raise ValueError(f"a number from 0 to {MOST:g}")
    return number


def _times(value: object) -> float:
    try:
        times = float(str(value))
    except ValueError:
        times = math.nan
    if not 0 < times <= MOST:
        raise ValueError(f"a number above 0 is needed, up to {MOST:g}")
    return times


def _time(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{str(value)!r} is no time of ISO 8601; write it as 2026-11-02T00:00:00Z") from None
    if time.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone; write it as 2026-11-02T00:00:00Z")
    return time.astimezone(UTC)


def _empty(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _text(value: object) -> object:
    return "" if _empty(value) else value if isinstance(value, str) else str(value)
