"""The commands that exchange with other tools. As in `planner.cli`, heavy parts are imported inside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from planner.exporters import EXPORTERS

ScenarioPath = Annotated[Path, typer.Argument(metavar="SCENARIO", help="The scenario that the plan was made for.")]
PlanPath = Annotated[Path, typer.Argument(metavar="PLAN", help="A plan.json.")]
FolderPath = Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")]
SlotOption = Annotated[int | None, typer.Option(help="The slot whose state is written, where a format holds only one.")]
CatalogPath = Annotated[Path | None, typer.Option("--catalog", help="Prices from files over the built-in ones.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def add_exporters(export_app: typer.Typer) -> None:
    """Add a command for every exporter."""
    for name, entry in EXPORTERS.items():
        export_app.command(name, help=entry.about)(_export(name))


def _export(name: str) -> Callable[..., int]:
    def export(scenario: ScenarioPath, plan: PlanPath, output: FolderPath, slot: SlotOption = None,
               catalog: CatalogPath = None, as_json: Json = False) -> int:
        from planner.commands import basic
        from planner.commands.exports import export_plan

        return export_plan(name, scenario, plan, output, slot, basic.prices_of(catalog), as_json)

    return export
