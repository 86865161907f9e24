"""`planner capacity`: read, look ahead, show, write."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from planner.capacity_view import capacity_view
from planner.catalog import Catalog
from planner.commands.basic import DONE, NO, print_json
from planner.errors import InputError
from planner.growth import Growth
from planner.outlook import span_minutes
from planner.outputs import not_lost, writing
from planner.profiles import profile
from planner.remaining import Asked, Remaining, remaining
from planner.report.capacity import write_capacity
from planner.resolve import resolve
from planner.scenario import Scenario, read_scenario
from planner.scenario.model import Workload
from planner.terminal import console

MOST_DAYS = 730


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, as people wrote it, and the page to write."""

    horizon: str = "365d"
    growth: tuple[str, ...] = ()
    plan: Path | None = None
    seed: int = 0
    page: Path | None = None


def capacity(path: Path, question: Question, prices: Catalog, as_json: bool) -> int:
    """Show how long room lasts. The answer is no where it ends before more can be there, or nothing can be told."""
    days = _days(question.horizon)
    growths = tuple(map(Growth.parse, question.growth))
    scenario = resolve(read_scenario(path), prices)
    profiles = profile(without_history(scenario), question.seed)
    asked = Asked(days, growths, question.plan, question.seed)
    with Progress(TextColumn("looking ahead"), BarColumn(bar_width=20), TimeRemainingColumn(), transient=True,
                  console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=1.0)
        found = remaining(scenario, profiles, asked, lambda share: bar.update(task, completed=share))
    with not_lost(lambda: _show(found, as_json)):
        if question.page is not None:
            with writing("-o", question.page):
                write_capacity(question.page, found)
    _show(found, as_json)
    return NO if found.bad else DONE


def without_history(scenario: Scenario) -> Scenario:
    """The scenario with nothing to forecast for its own horizon, which is looked beyond."""
    workloads = tuple(_stated(one, scenario.horizon.slots) for one in scenario.workloads)
    changed = scenario.model_copy(update={"workloads": workloads, "sizing": "each"})
    return changed.with_source(scenario.folder, scenario.source_sha256, scenario.given_replicas)


def _stated(workload: Workload, slots: int) -> Workload:
    """A workload without its history; of one that is described too, the description stays."""
    if isinstance(workload.replicas, tuple) or workload.replicas.history is None:
        return workload
    described = workload.replicas.task is not None
    replicas = workload.replicas.model_copy(update={"history": None}) if described else (0,) * slots
    return workload.model_copy(update={"replicas": replicas})


def _days(text: str) -> int:
    minutes = span_minutes(text)
    if minutes % 1440 or not 1 <= minutes // 1440 <= MOST_DAYS:
        raise InputError([f"--horizon: {text}: whole days from 1d to {MOST_DAYS}d are allowed"])
    return minutes // 1440


def _show(found: Remaining, as_json: bool) -> None:
    if as_json:
        print_json(found.to_dict())
    else:
        console().print(capacity_view(found))
