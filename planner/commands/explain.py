"""`planner explain`: read, call, show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from planner.catalog import Catalog
from planner.checking import asked_of
from planner.commands.basic import DONE, print_json, scenario_at
from planner.explain import explain as explain_workload
from planner.explain_view import explanation_view
from planner.opened import open_plan
from planner.plan import read_plan
from planner.terminal import console


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a plan: a workload, maybe one place, maybe a re-solve of so many seconds."""

    workload: str
    at: str | None = None
    resolve_s: float = 0.0


def explain(scenario: Path, path: Path, question: Question, diagnostics: bool, prices: Catalog, as_json: bool) -> int:
    """Show why a workload is where a plan has it."""
    asked = asked_of(read_plan(path)) if diagnostics else None
    opened = open_plan(scenario_at(scenario, diagnostics, prices, asked), path, prices)
    found = explain_workload(opened, question.workload, question.at, question.resolve_s)
    if as_json:
        print_json(found.to_dict())
    else:
        console().print(explanation_view(found))
    return DONE
