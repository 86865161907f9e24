"""`planner telemetry`: batches into a store, what is there, rows out again, a cluster forgotten."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from diagnostics.intake import BatchReport, Names, Sender, Wanted, compact, forget
from planner.commands.basic import DONE, NO, prices_of, print_json, show_table
from planner.errors import InputError
from planner.outputs import writing
from planner.telemetry import (
    Batches,
    called,
    covered,
    export_rows,
    names_of,
    opened,
    senders_of,
    store_batches,
    stored_as,
    told,
)
from planner.terminal import percent, plain


@dataclass(frozen=True, slots=True)
class Known:
    """Who may send, and the key that hashes their names."""

    names: Names
    senders: tuple[Sender, ...]


def known_by(scenario: Path | None, key: Path | None) -> Known | None:
    """What a scenario and a key say, None when neither is given. Raises InputError."""
    if scenario is None and key is None:
        return None
    if scenario is None or key is None:
        lacks = "--scenario" if scenario is None else "--key"
        raise InputError([f"{lacks}: not given: names take both, the scenario's clusters and the key"])
    return Known(names_of(key), senders_of(scenario, prices_of(None)))


def ingest(folder: Path, batches: Batches, known: Known, as_json: bool) -> int:
    """Store batches and show what became of them; the answer is no when any row was refused."""
    with _progress(len(batches.paths)) as done:
        reports = store_batches(folder, known.names, known.senders, batches, done)
    if as_json:
        print_json([{"file": str(path), **report.to_dict()}
                    for path, report in zip(batches.paths, reports, strict=True)])
    else:
        headings = ("Batch", "Status", "Rows", "Stored", "Late", "Empty", "From", "To")
        show_table(f"Into {folder}", headings, [_row(path, report) for path, report in
                                                zip(batches.paths, reports, strict=True)])
        _show_words(reports)
    return NO if any(report.refusals for report in reports) else DONE


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    with Progress(TextColumn("storing"), BarColumn(bar_width=20),
                  TextColumn("{task.completed:.0f} of {task.total:.0f}"), TimeRemainingColumn(), transient=True,
                  console=Console(stderr=True), disable=total < 2 or not sys.stderr.isatty()) as shown:
        task = shown.add_task("", total=total)
        yield lambda done: shown.update(task, completed=done)


def _row(path: Path, report: BatchReport) -> tuple[object, ...]:
    return (path.name, report.status, report.rows, report.stored_rows, report.late_rows, report.empty_rows,
            report.first or "", report.last or "")


def _show_words(reports: Sequence[BatchReport]) -> None:
    """Who was refused and why, once for all batches, and which clocks were set right."""
    refused: dict[tuple[str, str], tuple[str, int]] = {}
    for refusal in (refusal for report in reports for refusal in report.refusals):
        _, rows = refused.get((refusal.reason, refusal.name), ("", 0))
        refused[refusal.reason, refusal.name] = (refusal.sentence, rows + refusal.rows)
    for sentence, rows in refused.values():
        more = f" ({rows:,} in all batches)" if len(reports) > 1 else ""
        typer.echo(plain(f"refused: {sentence}{more}"))
    for corrected in (corrected for report in reports for corrected in report.corrected):
        typer.echo(plain(f"clock set right: {corrected}"))


def show(folder: Path, known: Known | None, as_json: bool) -> int:
    """Show how complete the telemetry of each cluster is; the answer is no when there is none."""
    found = covered(opened(folder, known.names if known else None))
    names = called(known.names, known.senders) if known else {}
    if as_json:
        print_json([{**row.to_dict(), "name": names.get(row.cluster)} for row in found])
        return DONE if found else NO
    headings = ("Cluster", "Country", "Hardware", "Hosts", "Metrics", "Rows", "Again", "Late", "From", "To", "Known",
                "Gaps", "Longest h", "Restarts")
    show_table(f"{folder}: {sum(row.rows for row in found):,} rows", headings, [
        (names.get(row.cluster, row.cluster), row.country, row.hardware_class, row.hosts, row.metrics, row.rows,
         row.again, row.late, row.first, row.last, percent(row.known), row.gaps, row.longest_gap_hours, row.restarts)
        for row in found])
    return DONE if found else NO


def export(folder: Path, wanted: Wanted, output: Path, known: Known | None, as_json: bool) -> int:
    """Write rows as `planner diagnose` reads them; with a scenario, those of clusters that agree in it."""
    names = called(known.names, known.senders) if known else {}
    agreed = called(known.names, [one for one in known.senders if one.opted_in]) if known else None
    store = opened(folder, known.names if known else None)
    with writing("-o", output):
        done = export_rows(store, wanted, output, agreed, names)
    if as_json:
        print_json({"output": str(output), "rows": done.rows, "left_out": done.left_out})
        return DONE
    typer.echo(plain(f"{done.rows:,} rows are written to {output}"))
    for cluster, rows in done.left_out.items():
        typer.echo(plain(f"left out: {rows:,} rows of {cluster}, which does not agree in the scenario "
                         f"(telemetry_opt_in); `planner telemetry forget {folder} --cluster {cluster}` deletes them"))
    return DONE


def forget_cluster(folder: Path, cluster: str, scenario: Path | None, key: Path | None, as_json: bool) -> int:
    """Delete every row of a cluster, by its name or its hash; the answer is no when there was none."""
    names = None if key is None else names_of(key)
    senders = () if scenario is None else senders_of(scenario, prices_of(None))
    store = opened(folder, names)
    hashed = stored_as(store, names, senders, cluster)
    with told():
        rows = forget(store, hashed)
    if as_json:
        print_json({"cluster": cluster, "rows": rows})
    else:
        typer.echo(plain(f"{cluster}: {rows:,} rows are deleted"))
    return DONE if rows else NO


def compact_store(folder: Path, as_json: bool) -> int:
    """Write days that lie in several files into one each."""
    with told():
        saved = compact(opened(folder))
    if as_json:
        print_json({"files_saved": saved})
    else:
        typer.echo(f"{saved:,} files fewer")
    return DONE
