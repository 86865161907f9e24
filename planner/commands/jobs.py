"""`planner jobs stuck`, `planner health` and `planner export rules`: read, look, show."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import typer

from diagnostics.jobs import StuckSettings
from diagnostics.words import figure
from planner.commands.basic import DONE, NO, print_json, show_table
from planner.files import write_atomically
from planner.jobs import health_of, health_rules, rules_text, stuck_jobs
from planner.outputs import writing
from planner.scenario import read_scenario
from planner.terminal import plain


def stuck(path: Path, at: str | None, settings: StuckSettings, as_json: bool) -> int:
    """Show jobs that wait or run too long; the answer is no when there are any."""
    found = stuck_jobs(path, at, settings)
    if as_json:
        rows = [dataclasses.asdict(job) | {"hints": [hint._asdict() for hint in job.hints]} for job in found]
        print_json(rows)
        return NO if found else DONE
    headings = ("Job", "Cluster", "State", "Since", "Hours", "Limit h", "Usual h", "Cause", "What speaks for it", "Try")
    show_table(f"{path}: {len(found)} stuck", headings, [
        (job.job, job.cluster, job.state, job.since, job.hours, job.limit_hours,
         "" if job.usual_hours is None else f"{job.usual_hours:.3g}", job.hints[0].cause, job.hints[0].evidence,
         job.hints[0].remedy) for job in found])
    return NO if found else DONE


def health(path: Path, scenario: Path | None, step_minutes: int, as_json: bool) -> int:
    """Show when rules fired in recorded telemetry; the answer is no when any fires at its end."""
    rules = health_rules(None if scenario is None else read_scenario(scenario))
    found, missing = health_of(path, rules, step_minutes)
    lasting = [one for one in found if one.until is None]
    if as_json:
        print_json([dataclasses.asdict(one) for one in found])
    else:
        show_table(f"{path}: {len(found)} alert{'s' * (len(found) != 1)}, {len(lasting)} still firing",
                   ("Rule", "Severity", "Whose", "Since", "Until", "Worst", "Limit"), [
            (one.rule, one.severity, one.subject, one.since, one.until or "lasts",
             "" if one.worst is None else figure(one.worst),
             "" if one.worst is None else f"{one.threshold:g}") for one in found])
    for line in missing:
        typer.echo(plain(line), err=as_json)
    return NO if lasting else DONE


def export_rules(scenario: Path | None, output: Path, as_json: bool) -> int:
    """Write the rules for Prometheus."""
    from planner.hosting.rules import HOST_RULES

    rules = (*health_rules(None if scenario is None else read_scenario(scenario)), *HOST_RULES)
    with writing("-o", output):
        write_atomically(output, rules_text(rules).encode())
    if as_json:
        print_json({"output": str(output), "rules": len(rules)})
    else:
        typer.echo(plain(f"{len(rules)} rules are written to {output}; `promtool check rules` reads them"))
    return DONE


def export_dashboards(folder: Path, as_json: bool) -> int:
    """Write the dashboards for Grafana, one file each."""
    import json

    from planner.hosting.dashboards import DASHBOARDS, dashboard

    with writing("-o", folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in DASHBOARDS:
            write_atomically(folder / f"{name}.json", (json.dumps(dashboard(name), indent=1) + "\n").encode())
    if as_json:
        print_json({"output": str(folder), "dashboards": sorted(DASHBOARDS)})
    else:
        typer.echo(plain(f"{', '.join(f'{name}.json' for name in DASHBOARDS)} are written to {folder}"))
    return DONE
