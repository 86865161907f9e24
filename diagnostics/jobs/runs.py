"""Runs of jobs, one row each: read strictly from a table."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # pandas is only loaded when a table is really read
    import pandas as pd

Cell = str | float | datetime | None
State = Literal["pending", "running", "succeeded", "failed"]
STATES: tuple[State, ...] = ("pending", "running", "succeeded", "failed")
NEEDED = ("job", "workload", "cluster", "submitted")
COLUMNS = (*NEEDED, "started", "finished", "state", "reason", "waits_for", "read_gb_per_h")

_ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")


class JobsError(ValueError):
    """The table of jobs cannot be used; the message is one line: what was found, where, what is allowed."""


@dataclass(frozen=True)
class Job:
    """One run of a workload. `started` and `finished` are None while it waits and runs.

    `reason` is what the scheduler last said of it, `waits_for` the jobs it needs, `read_gb_per_h` how fast it read its
    input (None: not told). All times are UTC.
    """

    job: str
    workload: str
    cluster: str
    submitted: datetime
    started: datetime | None = None
    finished: datetime | None = None
    state: State = "pending"
    reason: str = ""
    waits_for: tuple[str, ...] = ()
    read_gb_per_h: float | None = None

    def __post_init__(self) -> None:
        """Refuse runs that end before they begin, or whose state contradicts their times."""
        if self.started is not None and self.started < self.submitted:
            raise JobsError(f"started: {self.started.isoformat()}: before submitted, {self.submitted.isoformat()}")
        begun = self.started or self.submitted
        if self.finished is not None and self.finished < begun:
            raise JobsError(f"finished: {self.finished.isoformat()}: before it began, {begun.isoformat()}")
        ended = self.finished is not None
        if ended != (self.state in ("succeeded", "failed")) or (self.state == "running") != (
            self.started is not None and not ended
        ):
            times = f"started {'' if self.started else 'not '}given, finished {'' if ended else 'not '}given"
            raise JobsError(f"state: '{self.state}': contradicts the times: {times}")


def read_jobs(path: Path) -> tuple[Job, ...]:
    """Read a CSV (also .csv.gz) or Parquet table with the columns `COLUMNS`, of which the first four are needed.

    Times are ISO-8601 with a zone; `waits_for` holds names with blanks between. A state that is left out is told by the
    times.

    Raises:
        JobsError: naming the column, the row and the value.

    """
    if not path.is_file():
        raise JobsError(f"{path}: no such file; a CSV or Parquet table with the columns {', '.join(COLUMNS)}")
    if not path.name.endswith((".parquet", ".csv", ".csv.gz")):
        raise JobsError(f"{path}: '{path.suffix}' is not a table of jobs; .csv, .csv.gz or .parquet")
    try:
        return _jobs(_frame(path))
    except JobsError as error:
        raise JobsError(f"{path.name}: {error}") from None


def _frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=object, keep_default_na=False)
    except (OSError, EOFError, ValueError) as error:  # what pandas and pyarrow raise for a broken file
        raise JobsError(f"cannot be read: {(str(error) or type(error).__name__).splitlines()[0]}") from None


def _jobs(frame: pd.DataFrame) -> tuple[Job, ...]:
    found = [str(column) for column in frame.columns]
    for column in (*NEEDED, *found):
        if column not in found or column not in COLUMNS:
            near = difflib.get_close_matches(column, found if column not in found else COLUMNS, n=1)
            what = "is missing" if column not in found else "is not known"
            hint = f"; rename '{near[0]}'?" if near and column not in found else f"; '{near[0]}'?" if near else ""
            raise JobsError(f"column '{column}' {what}; the columns are {', '.join(COLUMNS)}{hint}")
    columns = {name: [_cell(value) for value in frame[name]] for name in found}
    jobs: list[Job] = []
    seen: dict[str, int] = {}
    for row in range(len(frame)):
        cells = {name: columns[name][row] for name in found}
        try:
            jobs.append(_job(cells))
        except JobsError as error:
            column, _, rest = str(error).partition(": ")
            raise JobsError(f"{column}: row {row + 1}: {rest}") from None
        first = seen.setdefault(jobs[-1].job, row)
        if first != row:
            raise JobsError(f"job: row {row + 1}: '{jobs[-1].job}': is row {first + 1} too; a run has one row")
    return tuple(jobs)


def _cell(value: Cell) -> Cell:
    """None for what is empty."""
    missing = value is None or value != value or (isinstance(value, str) and not value.strip())
    return None if missing else value


def _job(cells: dict[str, Cell]) -> Job:
    names = {name: cells.get(name) for name in ("job", "workload", "cluster")}
    for name, value in names.items():
        if not isinstance(value, str):
            raise JobsError(f"{name}: {value!r}: must be a name")
    submitted, started, finished = (_moment(name, cells.get(name)) for name in ("submitted", "started", "finished"))
    if submitted is None:
        raise JobsError("submitted: empty: must be a time")
    told: State = "succeeded" if finished is not None else "running" if started is not None else "pending"
    given = cells.get("state")
    if given is not None and given not in STATES:
        raise JobsError(f"state: {given!r}: one of {', '.join(STATES)}")
    state = next((one for one in STATES if one == given), told)
    waits_for = tuple(str(cells.get("waits_for") or "").split())
    reason, rate = str(cells.get("reason") or ""), _number(cells.get("read_gb_per_h"))
    return Job(str(names["job"]), str(names["workload"]), str(names["cluster"]), submitted, started, finished, state,
               reason, waits_for, rate)  # fmt: skip


def _moment(name: str, value: Cell) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    if not isinstance(moment, datetime):
        moment = None
    if moment is None or moment.tzinfo is None or (isinstance(value, str) and not _ZONE.search(value)):
        raise JobsError(f"{name}: {str(value)!r}: must be ISO-8601 with a time zone, such as 2026-11-02T00:00:00Z")
    return moment.astimezone(UTC)


def _number(value: Cell) -> float | None:
    if value is None:
        return None
    try:
        number = -1.0 if isinstance(value, datetime) else float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise JobsError(f"read_gb_per_h: {value!r}: must be a number of at least 0, or empty")
    return number
