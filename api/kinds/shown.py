"""What pages show of a plan, computed where it is made: nothing heavy is left for whoever looks."""

from __future__ import annotations

import json

from api.store.files import FLEET, JSON, PARQUET, SUMMARY, WORKLOADS
from planner.planning import Planned
from planner.report.figures import Figures, figures_of
from planner.report.fleet import fleet_view
from planner.report.page import plan_view
from planner.workload_list import table_bytes, workload_table


def shown(planned: Planned) -> dict[str, tuple[str, bytes]]:
    """Files by name: a summary with its charts, and, where anything is placed, the table of all workloads."""
    figures = figures_of(planned)
    summary = plan_view(planned.plan, figures) | {"assignments": []}  # the table has all of them
    files = {SUMMARY: (JSON, _json(summary))}
    if planned.plan.exists:
        scenario = planned.scenario
        fleet = fleet_view(planned.plan, scenario.clusters, scenario.survive, _cluster_usd(figures))
        files[FLEET] = JSON, _json(fleet)
        files[WORKLOADS] = PARQUET, table_bytes(workload_table(planned, figures.workload_usd))
    return files


def _cluster_usd(figures: Figures) -> dict[str, float]:
    """USD over the horizon by cluster, all parts together."""
    return {name: sum(float(usd[at]) for usd in figures.cluster_usd.values())
            for at, name in enumerate(figures.clusters)}


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
