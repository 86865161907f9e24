"""Commands that say where is what, by a file of a plan or by a running service; heavy parts are imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Url = Annotated[str | None, typer.Option("--service", help="Ask the service at this address instead of a file.")]
Key = Annotated[str | None, typer.Option("--api-key", envvar="PLANNER_API_KEY", show_default=False,
                                         help="Key to ask the service with, where it asks for keys.")]
PlanOption = Annotated[str | None, typer.Option("--plan", help="The plan.json to ask (plan.json when left out); with "
                                                "--service a plan's id (the newest that is done when left out).")]


def where(
    workload: Annotated[str, typer.Argument(metavar="WORKLOAD")],
    plan: PlanOption = None,
    service: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> int:
    """Show where a workload runs, by a plan; a service knows who served diagnostics when, with which model version."""
    if service is None:
        from planner.commands import basic

        return basic.where(workload, Path(plan or "plan.json"), as_json)
    from planner.commands import fleet

    return fleet.where(fleet.Service(service, key), workload, plan, as_json)


def runs(
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER")],
    plan: PlanOption = None,
    service: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> int:
    """Show what runs on a cluster, by a plan; a service knows what its hosts of diagnostics serve now."""
    if service is None:
        from planner.commands import basic

        return basic.runs(cluster, Path(plan or "plan.json"), as_json)
    from planner.commands import fleet

    return fleet.runs(fleet.Service(service, key), cluster, plan, as_json)


def versions(
    service: Annotated[str, typer.Option(help="Address of the service.")] = "http://127.0.0.1:8080",
    key: Key = None,
    days: Annotated[float | None, typer.Option(help="By rows of the last so many days; 7 when left out.")] = None,
    as_json: Json = False,
) -> int:
    """Show which versions of models serve which hardware class and which software version of clusters."""
    from planner.commands import fleet

    return fleet.versions(fleet.Service(service, key), days, as_json)
