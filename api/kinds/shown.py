"""What pages show of a plan, computed where it is made: nothing heavy is left for whoever looks."""

from __future__ import annotations

import json

from api.store.files import JSON, PARQUET, SUMMARY, WORKLOADS
from planner.planning import Planned
from planner.report.figures import figures_of
from planner.report.page import plan_view
from planner.workload_list import table_bytes, workload_table


def shown(planned: Planned) -> dict[str, tuple[str, bytes]]:
    """Files by name: a summary with its charts, and, where anything is placed, the table of all workloads."""
    figures = figures_of(planned)
    summary = plan_view(planned.plan, figures) | {"assignments": []}  # the table has all of them
    files = {SUMMARY: (JSON, json.dumps(summary, ensure_ascii=False, separators=(",", ":")).encode())}
    if planned.plan.exists:
        files[WORKLOADS] = PARQUET, table_bytes(workload_table(planned, figures.workload_usd))
    return files
