"""`planner export routes`."""

from __future__ import annotations

from pathlib import Path

import typer

from planner.commands.basic import DONE, print_json
from planner.directing.routes import open_routes, routes_text, write_routes
from planner.outputs import writing


def export_routes(scenario: Path, plan: Path, output: Path, as_json: bool) -> int:
    """Write the routes of a plan; with `as_json` print what was written, too."""
    routes = open_routes(scenario, plan)
    with writing("-o", output):
        write_routes(routes, output)
    if as_json:
        print_json(routes.model_dump(mode="json", by_alias=True))
    else:
        start, end = routes.bounds()
        size = len(routes_text(routes).encode())
        typer.echo(f"{output}: {len(routes.workloads)} workloads, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, "
                   f"{size:,} bytes")
    return DONE
