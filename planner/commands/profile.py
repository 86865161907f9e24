"""`planner profile` and `planner learn`: what a task needs, and what finished runs teach."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from planner.commands.basic import DONE, NO, print_json, show_table
from planner.errors import InputError, NotEnoughEvidenceError
from planner.profiles import profile as profile_scenario
from planner.profiles.described import (
    DescribedTask,
    describes_tasks,
    predict_tasks,
    read_tasks,
    row_of_run,
)
from planner.profiles.library import Library, add_row, read_library
from planner.profiles.model import Figure, Profile
from planner.scenario import read_scenario
from planner.scenario.fields import did_you_mean
from planner.scenario.yaml_file import read_yaml
from planner.sections import listed, section_table
from planner.terminal import console, plain

ROWS = 1000
SHOWN_RUNS = 8
OF_A_RUN = ("finished", "times", "used")
"""What is said of a finished run; the rest is in the description of its task."""


def profile(path: Path, kind: str | None, library: Path | None, as_json: bool) -> int:
    """Show what described tasks need, or every workload of a scenario. No: there is not enough evidence."""
    past = read_library(library) if library is not None else None
    tasks = _tasks(path, kind)
    if tasks is None:
        if past is not None:
            raise InputError([f"--library: {library}: a scenario names its own; write library: FILE into it"])
        return _scenario(path, as_json)
    try:
        found = predict_tasks(tasks, past, path.name, path.parent.joinpath)
    except NotEnoughEvidenceError as error:
        typer.echo(str(error), err=True)
        return NO
    if as_json:
        shown = {name: made.model_dump(mode="json") for name, made in found.items()}
        print_json(next(iter(shown.values())) if len(shown) == 1 else shown)
    else:
        for name, made in found.items():
            console().print(_view(path.name if len(found) == 1 else name, made))
    return DONE


def learn(path: Path, used: Path, library: Path, name: str | None, as_json: bool) -> int:
    """Add a finished run to a library."""
    tasks = read_tasks(path)
    chosen = [task for task in tasks if name in (None, task.name)]
    if len(chosen) != 1:
        known = ", ".join(task.name for task in tasks)
        raise InputError([f"{path.name}: --task: {name or 'not given'}: name one of {known}"])
    what = read_yaml(used)
    if not isinstance(what, Mapping) or not isinstance(what.get("used"), Mapping):
        raise InputError([f"{used.name}: used: missing; write finished: TIME and used: {{vcpu: 8, memory_gib: 30}}"])
    odd = [str(name) for name in what if name not in OF_A_RUN]
    if odd:
        raise InputError([f"{used.name}: {name}: unknown field: {did_you_mean(name, list(OF_A_RUN))}" for name in odd])
    source = chosen[0].task.get("input_from")
    before = tasks[: tasks.index(chosen[0])]
    upstream = predict_tasks(before, None, path.name, path.parent.joinpath).get(str(source)) if source else None
    grown = add_row(library, row_of_run(chosen[0], upstream, what))
    return _told(grown, chosen[0], library, as_json)


def _told(grown: Library, task: DescribedTask, library: Path, as_json: bool) -> int:
    applications = {run.application for run in grown.of(task.kind)}
    if as_json:
        print_json({"library": str(library), "runs": len(grown.runs), "kind": task.kind,
                    "applications": len(applications)})
    else:
        runs, groups = len(grown.runs), len(applications)
        typer.echo(f"{library}: {runs} {'run' if runs == 1 else 'runs'}; {groups} "
                   f"{'application' if groups == 1 else 'applications'} of kind {task.kind}")
    return DONE


def _tasks(path: Path, kind: str | None) -> tuple[DescribedTask, ...] | None:
    """Described tasks of a file, None where it is a scenario."""
    if kind is not None:
        fields = read_yaml(path)
        if not isinstance(fields, dict):
            raise InputError([f"{path}: a {type(fields).__name__}: the fields of a task are needed, as volume_gb: 800"])
        return (DescribedTask(kind=kind, task=fields),)
    if path.is_file() and path.suffix in (".yaml", ".yml", ".json") and describes_tasks(read_yaml(path)):
        return read_tasks(path)
    return None


def _scenario(path: Path, as_json: bool) -> int:
    found = profile_scenario(read_scenario(path))
    rows = [(workload.name, workload.kind, request.vcpu, request.memory_gib, request.gpu, int(counts.max()),
             float(counts.mean()), why)
            for workload, request, counts, why in zip(found.workloads, found.request, found.replicas, found.why,
                                                      strict=True)]
    headings = ("workload", "kind", "vcpu", "memory_gib", "gpu", "peak_replicas", "mean_replicas", "why")
    if as_json:
        print_json([dict(zip(headings, row, strict=True)) for row in rows])
    else:
        show_table(f"{path}: needs", headings, rows)
    return DONE


def _view(title: str, found: Profile) -> RenderableType:
    """A profile for people: figures, slots in which it runs, past tasks like it."""
    rows = [(figure.name, _amount(figure.value), figure.unit, _interval(figure), f"{100 * figure.confidence:.0f} %",
             figure.source, figure.why) for figure in found.figures]
    headings = ("Figure", "Value", "Unit", "Interval", "Sure", "From", "Why")
    parts: list[RenderableType] = [section_table(listed(f"{title}: needs of this {found.kind} task", headings, rows,
                                                        ROWS, 1, 5))]
    parts += [Text(plain(f"{what}: {_runs(row)}")) for what, row in (
        ("Replicas by slot", found.replicas), ("Warehouse units by slot", found.warehouse_dwu)) if row]
    if found.neighbours:
        near = [(one.application, f"{one.likeness:.2f}", one.finished or "",
                 ", ".join(f"{name} {_amount(value)}" for name, value in one.used.items())) for one in found.neighbours]
        parts.append(section_table(listed("Past tasks most like it", ("Application", "Like", "Finished", "Used"), near,
                                          ROWS, 1, 2)))
    return Group(*parts, "")


def _amount(value: float | str | None) -> str:
    if value is None:
        return "not enough evidence"
    return value if isinstance(value, str) else f"{value:,.4g}"


def _interval(figure: Figure) -> str:
    return "" if figure.low is None or figure.high is None else f"{figure.low:,.4g} to {figure.high:,.4g}"


def _runs(row: tuple[int, ...]) -> str:
    """A schedule in words: 13 in slot 0, 0 in slots 1 to 23, and so on."""
    said, at = [], 0
    for count, same in groupby(row):
        slots = len(list(same))
        where = f"slots {at} to {at + slots - 1}" if slots > 1 else f"slot {at}"
        said.append(f"{count} in {where}")
        at += slots
    return "; ".join(said[:SHOWN_RUNS]) + ("; and so on" if len(said) > SHOWN_RUNS else "")
