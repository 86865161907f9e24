"""`planner replay`: read, call, show."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner.catalog import Catalog
from planner.checking import asked_of
from planner.commands.basic import DONE, print_json, scenario_at
from planner.errors import InputError
from planner.files import write_atomically
from planner.outputs import writing
from planner.plan import read_plan
from planner.replay import Asked, Replayed
from planner.replay import replay as run_replay
from planner.replay_tables import write_tables
from planner.replay_view import replay_view
from planner.report.replay import write_replay_report
from planner.terminal import console


@dataclass(frozen=True, slots=True)
class Question:
    """What is replayed, and what is written: a JSON file, a folder of tables, an HTML report."""

    actual: Path
    bill: Path | None = None
    asked: Asked = field(default_factory=Asked)
    output: Path | None = None
    tables: Path | None = None
    report: Path | None = None


def replay(scenario: Path, path: Path, question: Question, diagnostics: bool, prices: Catalog, as_json: bool) -> int:
    """Run recorded demand against a plan and show what came of it."""
    _check_folder(question.tables)
    objective = asked_of(read_plan(path)) if diagnostics else None
    source = scenario_at(scenario, diagnostics, prices, objective)
    found = run_replay(source, path, question.actual, question.asked, question.bill, prices)
    figures = _written(found, question)
    if as_json:
        print_json(figures)
    else:
        console().print(replay_view(found))
    return DONE


def _written(found: Replayed, question: Question) -> dict[str, Any]:
    figures = found.to_dict()
    if question.tables is not None:
        with writing("--tables", question.tables):
            figures["tables"] = write_tables(found, question.tables)
    if question.output is not None:
        with writing("-o", question.output):
            text = json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
            write_atomically(question.output, text.encode())
    if question.report is not None:
        with writing("--report", question.report):
            write_replay_report(question.report, found)
    return figures


def _check_folder(folder: Path | None) -> None:
    if folder is None:
        return
    if not folder.resolve().parent.is_dir():
        raise InputError([f"--tables: {folder}: there is no folder {folder.parent}; make it first"])
