"""`planner diagnose`: read, diagnose or perturb, show."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from diagnostics.alarms import SuperAlarm
from diagnostics.alarms.recorded import as_dict, compression
from diagnostics.perturbation import PERTURBATIONS
from planner.commands.basic import DONE, NO, print_json, show_table
from planner.diagnose import run_perturb, settings_of
from planner.errors import InputError
from planner.outputs import not_lost, writing
from planner.terminal import console, plain
from planner.watch import Watch, watched


def diagnose(watch: Watch, report: Path | None, as_json: bool) -> int:
    """Diagnose every cluster of a telemetry file; the answer is no when something is found."""
    if watch.models is not None and not watch.has_models:
        raise InputError([f"--models: {watch.models}: there is no model store; `planner models train` makes one"])
    whole = watched(watch)
    found, together = whole.findings.diagnosis, whole.findings.together

    def show() -> None:
        if as_json:
            print_json(found.to_dict() | {"super_alarms": [as_dict(one) for one in together],
                                          "compression": compression(together)})
            return
        show_table(f"{watch.telemetry}: {found.start} to {found.end}", ("Cluster", "Status", "What"),
                   [(cluster.cluster, cluster.status, cluster.sentence) for cluster in found.clusters])
        for one in together:
            _show_lines(["", *_told_of(one)])
        for cluster in found.clusters:
            told = [*(alarm.sentence for alarm in cluster.alarms),
                    *(drift.sentence for drift in cluster.drifts if drift.drifted),
                    *(change.sentence for change in cluster.changes), *([cluster.note] if cluster.note else [])]
            _show_lines(["", *(f"{cluster.cluster}: {sentence}" for sentence in told)] if told else [])
        _show_lines(["", *_counted(together), *(one.sentence for one in found.models), found.budget_sentence])
        _show_lines(f"rule {one.rule}: {one.values} values, alarm at {one.silenced} silenced, at {one.raised} raised"
                    for one in found.rules)

    if report is not None:
        from planner.report.diagnosis import write_diagnosis_report  # charts and templates only where asked for

        with not_lost(show), writing("--report", report):
            write_diagnosis_report(report, watch.telemetry.name, whole)
    show()
    return NO if found.found else DONE


def _counted(together: Sequence[SuperAlarm]) -> Iterable[str]:
    """How many alarms became how many that somebody hears of."""
    ratio = compression(together)
    if ratio is not None:
        alarms, pages = sum(len(one.alarms) for one in together), sum(one.severity == "page" for one in together)
        yield (f"{alarms} alarm{'s' * (alarms > 1)} in {len(together)} super alarm{'s' * (len(together) > 1)}, "
               f"{ratio:.3g} to 1; {pages} of them page{'s' * (pages == 1)}")


def _told_of(one: SuperAlarm) -> Iterable[str]:
    """A super alarm as lines: what, why probably, what to do, whom to call."""
    yield one.summary
    for place, guess in enumerate(one.hypotheses, 1):
        yield f"  hypothesis {place}: {guess.sentence}"
    for remedy in one.remedies[:2]:
        yield f"  probably {remedy.cause}"
        yield from (f"    - {step}" for step in remedy.steps)
    if one.services:
        yield f"  service: {one.services[0].sentence}"
    elif one.moved:
        yield "  moved most: " + ", ".join(f"{metric.name} of {metric.cluster}" for metric in one.moved[:3])
    if one.runbook is not None:
        yield f"  runbook: call {one.runbook.contact}" + "".join(f"; {step}" for step in one.runbook.steps)


def perturb(path: Path, step_minutes: int, asked: str, seed: int, detector: str | None, as_json: bool) -> int:
    """Inject faults, one by one, and show expected against observed; the answer is no when one was not as expected."""
    settings = settings_of(None, None, detector=detector)
    names = None if asked == "all" else [name.strip() for name in asked.split(",") if name.strip()]
    total = len(PERTURBATIONS) if names is None else len(names)
    with Progress(TextColumn("perturbing"), BarColumn(bar_width=20), TimeRemainingColumn(), transient=True,
                  console=Console(stderr=True), disable=not sys.stderr.isatty()) as shown:
        task = shown.add_task("", total=total)
        found = run_perturb(path, step_minutes, names, seed, settings, lambda done: shown.update(task, completed=done))
    if as_json:
        print_json([outcome.to_dict() for outcome in found])
    else:
        headings = ("Perturbation", "Verdict", "What was done", "To", "Expected", "Observed", "Also", "Elsewhere",
                    "After h")
        show_table(f"{path}: expected against observed", headings, [
            (one.perturbation, one.verdict, one.done, _few(one.clusters), _few(one.expected), _few(one.noticed),
             _few(one.others), _few(one.spilled), "" if one.delay_hours is None else f"{one.delay_hours:g}")
            for one in found])
    return NO if any(one.verdict in ("missed", "spilled over") for one in found) else DONE


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _show_lines(lines: Iterable[str]) -> None:
    """Print lines; in a terminal they break between words and go on further in."""
    width = console().width if sys.stdout.isatty() else None
    for line in map(plain, lines):
        further = " " * (len(line) - len(line.lstrip()) + 4)
        typer.echo(line if width is None or len(line) <= width else textwrap.fill(
            line, width, subsequent_indent=further, break_long_words=False, break_on_hyphens=False))
