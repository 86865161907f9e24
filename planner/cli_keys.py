"""`planner keys …`: the service's keys, by name of the module, because nothing in `planner` may import `api`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Config = Annotated[Path | None, typer.Option(envvar="PLANNER_CONFIG", help="The service's file of settings.")]
Data = Annotated[Path | None, typer.Option("--data", help="Data folder of the service; $PLANNER_DATA when left out.")]
Url = Annotated[str | None, typer.Option("--database", help="postgresql://USER@HOST/NAME; $PLANNER_DATABASE when left "
                                                            "out, else SQLite in the data folder.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="The letters after pk_, as `planner keys list` shows them.")]

keys_app = typer.Typer(help="Keys of the service's callers: make, list, replace, revoke.", no_args_is_help=True,
                       rich_markup_mode=None)


def _commands(config: Path | None, data: Path | None, database: str | None) -> tuple[ModuleType, Any]:
    """The module that does it, and where the keys are."""
    module = import_module("api.security.commands")
    return module, module.Where(config, data, database)


@keys_app.command("create")
def _create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it, for people and the record.")],
    role: Annotated[list[str], typer.Option(help="viewer, planner, sre or admin. May be given again.")],
    tenant: Annotated[str, typer.Option(help="Whose plans, jobs and clusters it is about.")] = "default",
    expires: Annotated[str, typer.Option(help="How long it lasts: 90d, 12h; or never.")] = "90d",
    config: Config = None,
    data: Data = None,
    database: Url = None,
    as_json: Json = False,
) -> int:
    """Make a key and print it, this once. A service that runs knows it within a second."""
    commands, where = _commands(config, data, database)
    status: int = commands.create(where, name, role, tenant, expires, as_json)
    return status


@keys_app.command("list")
def _list(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    config: Config = None,
    data: Data = None,
    database: Url = None,
    as_json: Json = False,
) -> int:
    """Show all keys, those that have ended too; never the keys themselves."""
    commands, where = _commands(config, data, database)
    status: int = commands.show_all(where, tenant, as_json)
    return status


@keys_app.command("rotate")
def _rotate(
    key: KeyId,
    keep: Annotated[str, typer.Option(help="How long the old one goes on: 24h, 7d; or none.")] = "24h",
    config: Config = None,
    data: Data = None,
    database: Url = None,
    as_json: Json = False,
) -> int:
    """Make a key in the place of another, for the same name, tenant and roles, and print it, this once."""
    commands, where = _commands(config, data, database)
    status: int = commands.rotate(where, key, keep, as_json)
    return status


@keys_app.command("revoke")
def _revoke(key: KeyId, config: Config = None, data: Data = None, database: Url = None, as_json: Json = False) -> int:
    """End a key. A service that runs refuses it within a second."""
    commands, where = _commands(config, data, database)
    status: int = commands.revoke(where, key, as_json)
    return status
