"""Forecasts of demand and of competition series: errors and coverage beside naive methods and well-kept libraries.

    python -m benchmarks.forecasting --train FILE [--test FILE] [--horizon 48] [--seed N] [--methods M,M] [--json FILE]
    python -m benchmarks.forecasting --demand FILE,FILE [--step 5] [--origins 7] [--methods M,M] [--json FILE]

`--train` is a wide file of the M4 competition, hourly; without `--test` its last steps are held out. `--demand` files
hold traces `--step` minutes apart; each is forecast a day ahead from several origins, at that step and by the hour.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rich.table import Table

from benchmarks.forecasting_data import Task, by_hours, competition_task, read_demand, rolling_tasks, save
from benchmarks.forecasting_run import METHODS
from benchmarks.harness import Benchmark, Row, Run, last_of, parsed, parser, row, run_all, spent, table

UNITS = {"smape": "per cent", "mase": "x naive", "owa": "x naive 2", "msis": "x naive", "acd": "share", "wql": "share",
         "coverage_p50": "share", "coverage_p90": "share", "coverage_p99": "share", "poor_p90": "share",
         "series": "count",
         "cpu_seconds_per_series": "s"}
SHOWN = ("owa", "msis", "acd", "wql", "coverage_p90", "coverage_p99", "poor_p90", "series")
SECONDS = 3600.0


def figures_of(run: Run) -> dict[str, float]:
    """Metrics of one run; none without an answer."""
    if not run.figures["holds"]:
        return {}
    found = {name: run.figures[name] for name in UNITS if name in run.figures}
    return found | {"cpu_seconds_per_series": run.usage.cpu_seconds / run.figures["series"]}


def rows_of(runs: list[Run]) -> list[Row]:
    """A row a figure."""
    return [row(run.instance, name, value, UNITS[name], [run])
            for run in runs for name, value in figures_of(run).items()]


def table_of(runs: list[Run]) -> Table:
    """Errors and coverage of all methods, with time and memory."""
    names = SHOWN
    made = table("Forecasts", ("data", "method", *names, "s", "CPU s", "MiB"),
                 "owa: published best on M4 Hourly 0.410; coverage beside 0.9 and 0.99")
    for i, run in enumerate(runs):
        figures = figures_of(run)
        shown = (f"{figures[name]:.4f}" if name in figures else "none" for name in names)
        made.add_row(run.instance, run.method, *shown, *spent(run), end_section=last_of(runs, i))
    return made


def tasks_of(train: Path | None, test: Path | None, demand: list[Path], horizon: int, step: int,
             origins: int) -> dict[str, list[Task]]:
    """Tasks by the name of their data."""
    found: dict[str, list[Task]] = {}
    if train is not None:
        found[train.name.split(".")[0]] = [competition_task(train, test, horizon)]
    for file in demand:
        series, name = read_demand(file, step), file.name.split(".")[0]
        found[f"{name}-{step}min"] = rolling_tasks(series, 1440 // step, origins, step)
        if step < 60 and 60 % step == 0:
            found[f"{name}-60min"] = rolling_tasks(by_hours(series, step), 24, origins, 60)
    return found


def main() -> None:
    """Run the command line."""
    made = parser("forecasting", tuple(METHODS), "series")
    made.set_defaults(data=Path())
    for action in made._actions:  # noqa: SLF001 - this benchmark names files, not a folder
        if action.dest == "data":
            action.required = False
    made.add_argument("--train", type=Path, help="a wide file of a competition")
    made.add_argument("--test", type=Path, help="what came after it, in the same order")
    made.add_argument("--demand", default="", help="files of traces, with commas")
    made.add_argument("--horizon", type=int, default=48, help="steps ahead, of --train; default 48")
    made.add_argument("--step", type=int, default=5, help="minutes between points, of --demand; default 5")
    made.add_argument("--origins", type=int, default=7, help="of --demand; default 7")
    made.add_argument("--seconds", type=float, default=SECONDS, help=f"a method and data; default {SECONDS:g}")
    asked = parsed(made, tuple(METHODS))
    demand = [Path(name) for name in asked.demand.split(",") if name]
    missing = [file for file in (asked.train, asked.test, *demand) if file is not None and not file.exists()]
    if missing or (asked.train is None and not demand):
        sys.exit(f"no such file: {', '.join(map(str, missing))}" if missing else "give --train or --demand")
    tasks = tasks_of(asked.train, asked.test, demand, asked.horizon, asked.step, asked.origins)
    if asked.instances:
        wanted = asked.instances.split(",")
        if unknown := [name for name in wanted if name not in tasks]:
            sys.exit(f"--instances: no data {', '.join(unknown)}; found: {', '.join(tasks)}")
        tasks = {name: tasks[name] for name in wanted}
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.npz" for name in tasks}
        for name, some in tasks.items():
            save(paths[name], some)
        run_all(Benchmark("forecasting", rows_of, table_of), paths, lambda _: asked.seconds, asked)


if __name__ == "__main__":
    main()
