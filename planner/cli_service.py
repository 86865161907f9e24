"""The commands of the service. It is imported by name, because nothing in `planner` may import `api`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from planner.cli_outputs import to_write

Config = Annotated[Path | None, typer.Option(envvar="PLANNER_CONFIG", help="A TOML file of settings.")]


def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 when left out.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on, 0 for any that is free; 8080 when left out.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of what is kept.")] = None,
    scenarios: Annotated[Path | None, typer.Option(help="Folder of scenarios that requests may name.")] = None,
    telemetry: Annotated[Path | None, typer.Option(help="Recorded telemetry to diagnose.")] = None,
    database: Annotated[
        str | None, typer.Option(help="postgresql://USER@HOST/NAME; left out: a SQLite file in the data folder.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Jobs at a time, others wait; 1 when left out.")] = None,
) -> None:
    """Serve plans, forecasts and diagnoses over HTTP. `planner settings` lists what a file and variables may set."""
    given = {
        "host": host,
        "port": port,
        "data": data,
        "scenarios": scenarios,
        "telemetry": telemetry,
        "database": database,
        "workers": workers,
    }
    import_module("api.serve").serve(config, given)


def host(
    cluster: Annotated[str, typer.Option(help="The cluster of the plan in force that this host is of.")],
    config: Config = None,
    data: Annotated[Path | None, typer.Option(help="The service's folder.")] = None,
    database: Annotated[
        str | None, typer.Option(help="The service's postgresql://USER@HOST/NAME; left out: SQLite in its folder.")
    ] = None,
    models: Annotated[Path | None, typer.Option(help="Folder of the model files.")] = None,
    address: Annotated[str, typer.Option("--host", help="Address of /metrics and /healthz.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of these; 0: any that is free.")] = 0,
    tenant: Annotated[str, typer.Option(help="Whose plan in force, telemetry and models.")] = "default",
) -> None:
    """Serve what the plan in force gives a cluster: score its telemetry, watch for drift, train models."""
    given = {"data": data, "database": database, "models": models}
    import_module("api.hosting.run").host(config, given, cluster, port, tenant, address)


def settings(
    config: Config = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page that docs/settings.md is.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> int:
    """Say what `planner serve` may be told, where, and what it means; with --config, check a file."""
    status: int = import_module("api.configured").show(config, markdown, as_json)
    return status


def backup(
    data: Annotated[Path, typer.Option(envvar="PLANNER_DATA", help="Folder of what the service keeps.")],
    output: Annotated[Path, to_write("Write the backup here (.tar.gz).", "-o", "--output")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> int:
    """Back up the data folder of a service, which may go on meanwhile, into one file."""
    status: int = import_module("api.backup").backup(data, output, as_json)
    return status


def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What `planner backup` wrote.")],
    data: Annotated[Path, typer.Option(envvar="PLANNER_DATA", help="A folder that is empty, or not there.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> int:
    """Put a backup into a new data folder, from which a service then goes on."""
    status: int = import_module("api.backup").restore(source, data, as_json)
    return status
