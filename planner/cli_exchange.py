"""The commands that exchange with other tools. As in `planner.cli`, heavy parts are imported inside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from planner.cli_outputs import to_fill
from planner.exporters import EXPORTERS
from planner.importers import IMPORTERS

ScenarioPath = Annotated[Path, typer.Argument(metavar="SCENARIO", help="The scenario that the plan was made for.")]
PlanPath = Annotated[Path, typer.Argument(metavar="PLAN", help="A plan.json.")]
FolderPath = Annotated[Path, to_fill("Folder to write to.", "-o", "--output")]
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


import_app = typer.Typer(help="Make a scenario of what you have, with a list of what was guessed.",
                         no_args_is_help=True, rich_markup_mode=None)
SourceNames = Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Files or folders.")]
StartOption = Annotated[str | None, typer.Option(help="When the horizon begins. Left out: the next full hour.")]
SlotsOption = Annotated[int, typer.Option(min=1, max=100_000, help="Slots of the horizon.")]
MinutesOption = Annotated[int, typer.Option(min=1, max=10_080, help="Length of a slot.")]
RatesOption = Annotated[list[str] | None, typer.Option(
    "--usd-per", metavar="CODE=RATE", help="What one unit of another currency is worth, such as EUR=1.08; repeatable.")]


def _import(name: str) -> Callable[..., int]:
    def read(sources: SourceNames, output: FolderPath, start: StartOption = None, slots: SlotsOption = 24,
             slot_minutes: MinutesOption = 60, catalog: CatalogPath = None, as_json: Json = False) -> int:
        from planner.commands import basic
        from planner.commands.imports import import_scenario

        return import_scenario(name, sources, output, (start, slots, slot_minutes), basic.prices_of(catalog), as_json)

    return read


def _import_money(name: str) -> Callable[..., int]:
    def read(sources: SourceNames, output: FolderPath, start: StartOption = None, slots: SlotsOption = 24,
             slot_minutes: MinutesOption = 60, catalog: CatalogPath = None, usd_per: RatesOption = None,
             as_json: Json = False) -> int:
        from planner.commands import basic
        from planner.commands.imports import import_scenario

        return import_scenario(name, sources, output, (start, slots, slot_minutes), basic.prices_of(catalog), as_json,
                               usd_per or ())

    return read


for _name, _entry in IMPORTERS.items():
    import_app.command(_name, help=_entry.about)((_import_money if _entry.currencies else _import)(_name))
