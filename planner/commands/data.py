"""`planner data`: tables against `drift.json` and a baseline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diagnostics.validation.configuration import ConfigurationError, read_configuration, updated
from diagnostics.validation.validate import DataError, propose, read_table, validate
from planner.commands.basic import DONE, NO, print_json, show_table
from planner.errors import InputError
from planner.outputs import writing
from planner.terminal import console, plain

SHOWN = 20


def validate_data(data: Path, config: Path, baseline: Path | None, settings: Sequence[str], as_json: bool) -> int:
    """Check a table and say whether it drifted; the answer is no when something is wrong."""
    try:
        configuration = updated(read_configuration(config), dict(map(_setting, settings)))
        before = None if baseline is None else read_table(baseline)
        report = validate(read_table(data), configuration, before)
    except (ConfigurationError, DataError) as error:
        raise InputError(str(error).splitlines()) from error
    if as_json:
        print_json(report.to_dict())
        return NO if report.found else DONE
    told = report.interpretation
    verdicts = {"schema": told.schema, "features": told.features, "drift": told.drift}
    show_table(f"{data}: {report.summary.records:,} rows, {len(report.columns)} columns", ("Verdict on", "", "What"),
               [(name, verdict.state.replace("_", " "), verdict.sentence) for name, verdict in verdicts.items()])
    for alert in told.alerts[:SHOWN]:
        console().print(plain(f"{alert.level}: {alert.sentence}"), highlight=False, markup=False)
    if len(told.alerts) > SHOWN:
        console().print(f"and {len(told.alerts) - SHOWN} more; --json shows all", highlight=False)
    return NO if report.found else DONE


def propose_data(data: Path, output: Path, as_json: bool) -> int:
    """Write a first `drift.json` from data that are known to be good."""
    try:
        made = propose(read_table(data), data.name.split(".")[0])
    except DataError as error:
        raise InputError([str(error)]) from error
    with writing("-o", output):
        output.write_text(made.text(), encoding="utf-8")
    if as_json:
        print_json({"config": str(output), "columns": len(made.columns)})
    else:
        told = f"{output}: rules for {len(made.columns)} columns; look them over before you rely on them"
        console().print(plain(told), highlight=False, markup=False)
    return DONE


def _setting(text: str) -> tuple[str, Any]:
    """A field and its value, which is JSON or else a text."""
    field, mark, value = text.partition("=")
    if not mark or not field:
        raise InputError([f"--set: {text!r}: FIELD=VALUE is needed, such as drift.accepted_share=0.2"])
    try:
        return field, json.loads(value)
    except ValueError:
        return field, value
