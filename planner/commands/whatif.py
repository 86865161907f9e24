"""`planner what-if`: read, change, test the plan in force, plan anew, show what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from planner.catalog import Catalog
from planner.commands.basic import DONE, NO, STOPPED, print_json
from planner.errors import Interrupted
from planner.files import write_atomically
from planner.outputs import not_lost, writing
from planner.plan import Plan, read_plan
from planner.planning import NoPlanFound, PlanRequest
from planner.suppose import Supposed, suppose
from planner.suppose_view import supposed_markdown, supposed_view
from planner.terminal import Interrupt, ProgressLine, console
from planner.whatif import Change, What

if TYPE_CHECKING:
    from planner.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Files:
    """The plan in force, and files to write beside what is shown."""

    against: Path | None = None
    plan: Path | None = None
    markdown: Path | None = None


def read_changes(options: Mapping[What, Sequence[str]]) -> tuple[Change, ...]:
    """Changes from what stands behind the options, kind by kind. Raises InputError."""
    return tuple(Change.parse(what, text) for what, texts in options.items() for text in texts)


def what_if(source: Path | Scenario, request: PlanRequest, files: Files, prices: Catalog, as_json: bool) -> int:
    """Answer a what-if. The answer is no when no plan is possible after the changes."""
    before = read_plan(files.against) if files.against is not None else None
    with Interrupt() as interrupted, ProgressLine(request.time_limit_s) as progress:
        try:
            found = suppose(source, request, before, prices, progress, interrupted)
        except NoPlanFound as why:
            if interrupted():
                raise Interrupted(str(why)) from None
            typer.echo(str(why), err=True)
            return NO
    with not_lost(lambda: _show(found, found.plan, as_json)):
        written = _write(found, files)
    _show(found, written, as_json)
    return DONE if found.possible else STOPPED if found.plan is None and interrupted() else NO


def _write(found: Supposed, files: Files) -> Plan | None:
    """Write what is asked for; the plan as written."""
    written = found.plan
    if files.plan is not None and found.planned is not None:
        with writing("-o", files.plan):
            written = found.planned.write(files.plan)
    if files.markdown is not None:
        with writing("--markdown", files.markdown):
            write_atomically(files.markdown, supposed_markdown(found).encode())
    return written


def _show(found: Supposed, written: Plan | None, as_json: bool) -> None:
    if as_json:
        print_json(found.to_dict(written))
    else:
        console().print(supposed_view(found))
