"""Check a table of the service against rules and a baseline: schema, features and drift apart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from api.database.events import Event, Findings
from api.folders import named_file
from api.jobs.job import CannotBeError, Task
from api.store.files import ENDINGS

if TYPE_CHECKING:
    from diagnostics.validation.validate import Report

RULES = (".json",)


class Asked(BaseModel):
    """What to check."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    table: str = Field(description="name of a file in the service's folder of tables, without its ending")
    config: str = Field(description="name of a file of rules there (.json, as `planner data propose` writes it)")
    baseline: str | None = Field(None, description="name of a table that is known to be good")


def carry_out(task: Task) -> None:
    """Check, and keep what `planner data validate --json` says."""
    from diagnostics.validation.configuration import ConfigurationError, read_configuration
    from diagnostics.validation.validate import DataError, read_table, validate

    asked, root = Asked(**task.job.request), task.settings.tables
    table = named_file(root, asked.table, ENDINGS.values(), "table")
    rules = named_file(root, asked.config, RULES, "config")
    try:
        before = None
        if asked.baseline is not None:
            before = read_table(named_file(root, asked.baseline, ENDINGS.values(), "baseline"))
        report = validate(read_table(table), read_configuration(rules), before)
    except (ConfigurationError, DataError) as error:
        raise CannotBeError(str(error)) from error
    task.store.finish(task.job, json.dumps(report.to_dict(), ensure_ascii=False), {}, _findings(report, asked.table))


def _findings(report: Report, table: str) -> Findings:
    """The verdicts that are not good."""
    told = report.interpretation
    bad = [(name, verdict) for name, verdict in (("schema", told.schema), ("features", told.features),
                                                 ("drift", told.drift)) if verdict.state in ("failed", "drifted")]
    return Findings(f"table {table}", tuple(
        Event("alarm", "info" if name == "drift" else "warning", f"table {table}",
              f"{name} of {table}: {verdict.state}", verdict.sentence) for name, verdict in bad))
