"""Data sets of the forecasting benchmark, and the tasks cut from them: pasts, and what came after.

Wide competition files (M4) hold a series a row: a name, then values, empty at the end. Demand files are wide, a series
a column with one row a step, or long (`unique_id` or `workload`, `ds` or `ts` or `period`, `y`, `value` or `count`);
plain, `.xz` or `.parquet`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TIMES, VALUES, NAMES = ("ds", "ts", "period", "timestamp"), ("y", "value", "count"), ("unique_id", "workload", "series")


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Pasts of N series of one step, and the `truth` [N, H] that followed each."""

    pasts: list[Floats]
    truth: Floats
    step_minutes: int

    @property
    def season(self) -> int:
        """Steps in a day."""
        return max(1, 1440 // self.step_minutes)


def read_competition(file: Path) -> list[Floats]:
    """Series of a wide competition file, in its order."""
    table = pd.read_csv(file)
    values = table.iloc[:, 1:].to_numpy(np.float64)
    return [row[np.isfinite(row)] for row in values]


def competition_task(train: Path, test: Path | None, horizon: int) -> Task:
    """The whole training part against the test part; without one, the last `horizon` steps are held out of training."""
    series = read_competition(train)
    if test is None:
        return Task([row[:-horizon] for row in series], np.stack([row[-horizon:] for row in series]), 60)
    truth = read_competition(test)
    if len(truth) != len(series):
        raise ValueError(f"{test.name} has {len(truth)} series, {train.name} {len(series)}: the same are needed")
    return Task(series, np.stack([row[:horizon] for row in truth]), 60)


def read_demand(file: Path, step_minutes: int) -> list[Floats]:
    """Series of a demand file, each a step apart; gaps of long files are refused."""
    table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    time = next((name for name in TIMES if name in table.columns), None)
    value = next((name for name in VALUES if name in table.columns), None)
    if time is None or value is None:
        wide = table.drop(columns=[time]) if time else table
        return [column[np.isfinite(column)] for column in wide.to_numpy(np.float64).T]
    name = next((name for name in NAMES if name in table.columns), None)
    table = table.assign(at=pd.to_datetime(table[time], utc=True)).sort_values("at")
    groups = [part for _, part in table.groupby(name, sort=True)] if name else [table]
    for part in groups:
        apart = part["at"].diff().dropna().dt.total_seconds() / 60
        if (apart != step_minutes).any():
            raise ValueError(f"{file.name}: steps of {sorted(set(apart))[:4]} minutes; {step_minutes} are needed")
    return [part[value].to_numpy(np.float64) for part in groups]


def by_hours(series: list[Floats], step_minutes: int) -> list[Floats]:
    """Means of whole hours."""
    many = 60 // step_minutes
    return [row[: len(row) // many * many].reshape(-1, many).mean(axis=1) for row in series]


def rolling_tasks(series: list[Floats], horizon: int, origins: int, step_minutes: int) -> list[Task]:
    """Forecasts from the last `origins` origins, a horizon apart, oldest first; series too short for one are left out.
    """
    tasks, least = [], horizon + 2 * max(1, 1440 // step_minutes)
    for k in range(origins, 0, -1):
        long = [row for row in series if len(row) >= k * horizon + least]
        pasts = [row[: len(row) - k * horizon] for row in long]
        truth = [row[len(row) - k * horizon :][:horizon] for row in long]
        tasks.append(Task(pasts, np.stack(truth), step_minutes))
    return tasks


def save(file: Path, tasks: list[Task]) -> None:
    """Write tasks for a run in another process."""
    arrays: dict[str, NDArray[np.float64]] = {}
    for k, task in enumerate(tasks):
        counts = np.array([len(row) for row in task.pasts], float)
        arrays |= {f"past{k}": np.concatenate(task.pasts), f"count{k}": counts, f"truth{k}": task.truth,
                   f"step{k}": np.array([float(task.step_minutes)])}
    np.savez(file, **arrays)


def load(file: Path) -> list[Task]:
    """What `save` wrote."""
    with np.load(file) as found:
        return [Task(np.split(found[f"past{k}"], np.cumsum(found[f"count{k}"])[:-1].astype(int)), found[f"truth{k}"],
                     int(found[f"step{k}"][0])) for k in range(sum(name.startswith("truth") for name in found))]
