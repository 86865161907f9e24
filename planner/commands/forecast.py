"""`planner forecast`: a history in; quantiles of what comes next, scores from past origins and a run report out."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from planner.batch import Asked, Batch, StoppedError, clear, engine_of, join_parts, own, run_batch
from planner.commands.basic import DONE, NO, print_json, show_table
from planner.errors import InputError, Interrupted
from planner.files import write_atomically
from planner.outlook import pooled_scores, run_report, series_scores
from planner.outputs import check_outputs, writing
from planner.terminal import plain

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 40
"""Series, refusals and notes shown of many."""
WHOLE = 2_000
"""Series of which single ones are listed as JSON."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where things are written: quantiles, and an HTML report."""

    output: Path | None
    report: Path | None

    @property
    def run_report(self) -> Path | None:
        """The run report beside the output: `out.parquet` has `out.report.json`."""
        return self.output and self.output.with_name(f"{self.output.stem}.report.json")

    @property
    def backtest(self) -> Path | None:
        """The scores of every series beside the output."""
        return self.output and self.output.with_name(f"{self.output.stem}.backtest{self.output.suffix}")


def forecast(history: Path, asked: Asked, files: Files, engine: str | None, workers: int | None, as_json: bool) -> int:
    """Forecast a history; write what was asked for, show models, scores, and what was mended and refused."""
    if files.output is not None and files.output.suffix not in (".parquet", ".csv"):
        found = files.output.suffix or "nothing"
        raise InputError([f"-o: {files.output}: ends with {found}; .parquet or .csv is needed"])
    check_outputs({"--report": files.report, "-o (run report)": files.run_report,
                   "-o (back-test)": files.backtest if asked.backtest else None}, [history])
    engine_of(engine, 2, workers)
    with _folder(files.output) as folder, own(folder):
        kept = f"; what is done is kept in {folder}, and the same command goes on from it" if files.output else ""
        try:
            with _Progress() as told:
                batch = run_batch(history, asked, folder, engine, workers, told)
            report = run_report(batch, str(history))
            _write(batch, files, report)
        except KeyboardInterrupt:
            raise Interrupted(f"stopped{kept}") from None
        except StoppedError as error:
            raise InputError([f"{error}{kept}"]) from error
        (_print if as_json else _show)(batch, files, report)
        if files.output is not None:
            clear(folder)
    return DONE if batch.forecast_series else NO


@contextmanager
def _folder(output: Path | None) -> Iterator[Path]:
    """Where parts lie: beside the output, where they outlast a run that is stopped; else nowhere for long."""
    if output is not None:
        yield output.with_name(f"{output.name}.parts")
        return
    with tempfile.TemporaryDirectory(prefix="planner-forecast-") as folder:
        yield Path(folder)


class _Progress:
    """A line on standard error with what is done, the share of it, and the time left; silent in files and pipes."""

    def __enter__(self) -> _Progress:
        self._shown = Progress(TextColumn("{task.description}"), BarColumn(bar_width=30),
                               TextColumn("{task.percentage:.0f} %"), TimeElapsedColumn(), TextColumn("left"),
                               TimeRemainingColumn(),
                               console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        self._task, self._what = self._shown.add_task("", total=1.0), ""
        self._shown.start()
        return self

    def __call__(self, what: str, share: float) -> None:
        """Show how far it is."""
        if what != self._what:
            self._what = what
            self._shown.remove_task(self._task)
            self._task = self._shown.add_task(what, total=1.0)
        self._shown.update(self._task, completed=share)

    def __exit__(self, *_: object) -> None:
        self._shown.stop()


def _write(batch: Batch, files: Files, report: dict[str, Any]) -> None:
    """Write what was asked for. Raises StoppedError."""
    try:
        _write_files(batch, files, report)
    except InputError as error:
        raise StoppedError(error.problems) from error


def _write_files(batch: Batch, files: Files, report: dict[str, Any]) -> None:
    if files.output is not None:
        with writing("-o", files.output):
            join_parts(batch, files.output)
            if batch.asked.backtest and files.backtest:
                join_parts(batch, files.backtest, "backtest")
        if files.run_report:
            with writing("-o (run report)", files.run_report):
                write_atomically(files.run_report, (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    if files.report is not None:
        from planner.report.forecast import write_forecast_report

        with writing("--report", files.report):
            write_forecast_report(files.report, batch, report)


def _print(batch: Batch, files: Files, report: dict[str, Any]) -> None:
    few = batch.layout.series <= WHOLE
    scores = series_scores(batch.backtest()) if few and batch.asked.backtest else None
    rows = _frame(batch) if few else None
    models = rows.groupby("unique_id")["model"].first().to_dict() if rows is not None else None
    print_json(report | {
        "models": models, "model_counts": report["models"],
        "refused": {row["unique_id"]: row["reason"] for row in report["refused"]},
        "output": str(files.output) if files.output else None,
        "backtest": report["backtest"] | {"series": None if scores is None else
                                          json.loads(scores.to_json(orient="records"))},
        "quantiles": json.loads(rows.to_json(orient="records", date_format="iso"))
        if rows is not None and files.output is None else None})


def _show(batch: Batch, files: Files, report: dict[str, Any]) -> None:
    levels = [f"q{level:g}" for level in batch.learned.levels]
    peaks = [(str(name), str(model), *map(float, row)) for name, model, *row in _peaks(batch, levels)]
    if peaks:
        show_table("Forecasts", ("Series", "Model", *(f"peak {name}" for name in levels)), peaks)
    given, cost = report["series"], report["cost"]
    if given["forecast"] > len(peaks):
        typer.echo(f"and {given['forecast'] - len(peaks):,} more series")
    scores = pooled_scores(batch.backtest())
    if batch.asked.backtest and len(scores):
        scored = report["backtest"]["scored"]
        of = report["backtest"]["of"] if scored == given["forecast"] else f"{scored:,} of {given['forecast']:,} series"
        _show_scores(f"Back-test of {of}, over origins", scores)
        _show_series(batch)
    for row in report["backtest"]["not_scored"]:
        typer.echo(f"not scored: {row['series']:,} series: {row['reason']}")
    _lines("note", [(row["unique_id"], row["note"]) for row in report["notes"]])
    _lines("refused", [(row["unique_id"], row["reason"]) for row in report["refused"]])
    typer.echo(f"{given['forecast']:,} of {given['given']:,} series forecast in {cost['seconds']:.0f} s, "
               f"{1000 * cost['cpu_seconds_per_series']:.1f} CPU ms a series ({cost['engine']})")
    for path in (files.output, files.run_report, files.backtest if batch.asked.backtest else None, files.report):
        if path is not None:
            typer.echo(f"written: {path}")


def _show_series(batch: Batch) -> None:
    scores = series_scores(batch.backtest())
    shares = [name for name in map(str, scores) if name.startswith("coverage_q")]
    columns = ["unique_id", "wql", "naive_wql", "mase", *shares]
    _show_scores("Back-test by series, the worst first", scores[columns].iloc[::-1][:SHOWN])


def _show_scores(title: str, scores: pd.DataFrame) -> None:
    """A table of scores; what is not known is left empty."""
    rows = [tuple("" if cell != cell else cell for cell in row) for row in scores.itertuples(index=False, name=None)]
    show_table(title, tuple(map(str, scores)), rows)


def _lines(what: str, rows: list[tuple[str, str]]) -> None:
    for name, text in rows[:SHOWN]:
        typer.echo(plain(f"{what}: {name}: {text}"))
    if len(rows) > SHOWN:
        typer.echo(f"and {len(rows) - SHOWN:,} more lines of this kind; the run report has them")


def _frame(batch: Batch) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(list(batch.quantiles()), ignore_index=True)


def _peaks(batch: Batch, levels: list[str]) -> list[tuple[Any, ...]]:
    """Name, model and the highest value of each quantile, of the first series."""
    rows: list[tuple[Any, ...]] = []
    for table in batch.quantiles():
        peaks = table.groupby("unique_id").agg({"model": "first", **dict.fromkeys(levels, "max")})
        rows += peaks.reset_index().itertuples(index=False, name=None)
        if len(rows) >= SHOWN:
            break
    return rows[:SHOWN]
