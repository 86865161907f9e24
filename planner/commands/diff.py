"""`planner diff`: read two plans, compare, show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import typer

from planner.checking import verify_plan
from planner.commands.basic import DONE, print_json
from planner.diff import diff
from planner.diff_view import markdown, terminal_view
from planner.plan import Plan, read_plan
from planner.scenario import read_scenario
from planner.terminal import console


def diff_plans(before: Path, after: Path, scenario: Path | None, as_markdown: bool, as_json: bool) -> int:
    """Show what changes from one plan to another; with a scenario also whether they hold in it, and whose it is."""
    plans = read_plan(before), read_plan(after)
    found = diff(*plans)
    notes = tuple(_checks(scenario, (before, after), plans)) if scenario else ()
    about = _about(scenario) if scenario else {}
    found = replace(found, notes=(*found.notes, *notes))
    if as_json:
        print_json(found.to_dict())
    elif as_markdown:
        typer.echo(markdown(found, about, title=f"From {before.name} to {after.name}"), nl=False)
    else:
        console().print(terminal_view(found, about))
    return DONE


def _checks(scenario: Path, paths: tuple[Path, Path], plans: tuple[Plan, Plan]) -> Iterator[str]:
    """Whether each plan was made from the scenario as it is now, and whether it holds in it."""
    for path, plan in zip(paths, plans, strict=True):
        check = verify_plan(scenario, path)
        if plan.provenance.scenario_sha256 not in ("", read_scenario(scenario).source_sha256):
            yield f"{path.name} was made from another state of the scenario"
        if not check.holds:
            yield f"{path.name} does not hold: {check.violations[0]}"


def _about(scenario: Path) -> dict[str, str]:
    """Owner and priority of every workload."""
    return {workload.name: f" [{workload.owner or 'no owner'}, priority {workload.priority}]"
            for workload in read_scenario(scenario).workloads}
