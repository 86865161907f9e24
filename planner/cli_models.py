"""`planner models …`. As in `planner.cli`, heavy parts are imported inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
# Of other commands these are two options among many, which say what is stored there: here they may be said so, too.
StorePath = Annotated[Path, typer.Option("--store", "--models", envvar="PLANNER_MODELS",
                                         help="Folder of the model files.")]
Url = Annotated[str | None, typer.Option("--database", "--models-database", envvar="PLANNER_MODELS_DATABASE",
                                         help="postgresql://...; left out: SQLite in the folder.")]
By = Annotated[str | None, typer.Option(help="Who says so; left out: the user of this process.")]
Why = Annotated[str, typer.Option(help="The reason, which history keeps.")]
Expect = Annotated[str | None, typer.Option(help="Who serves now (none: nobody); refused if it is another by then.")]
VersionId = Annotated[str, typer.Argument(metavar="VERSION", help="An id, or how it alone begins.")]
Features = Annotated[Path | None, typer.Option(help="Feature sets, targets and scenarios (YAML); left out: built in.")]
Countries = Annotated[str | None, typer.Option(help="Rows of these countries alone: BR,PT; or all. Needed where the "
                                                    "telemetry has several.")]
OptedOut = Annotated[list[str], typer.Option(help="Never use rows of this cluster. May be given again.")]
Scenario = Annotated[Path | None, typer.Option(help="A scenario that says where clusters are, and which opted in: rows "
                                                    "of its other clusters are not used.")]

models_app = typer.Typer(help="Versions of diagnostics models: train, compare, promote, roll back.",
                         no_args_is_help=True, rich_markup_mode=None)
_DEFAULT = Path("models")


@models_app.command("train")
def _train(
    data: Annotated[Path, typer.Argument(metavar="TELEMETRY", help="CSV or Parquet: cluster, host, hardware_class, "
                                                                   "country, metric, ts, value.")],
    hardware: Annotated[str, typer.Option(help="A hardware class, family:NAME, or all.")],
    features: Features = None,
    countries: Countries = None,
    opted_out: OptedOut = [],  # noqa: B006
    scenario: Scenario = None,
    time_limit: Annotated[float, typer.Option(help="Wall seconds for the search.")] = 540.0,
    false_alarms: Annotated[float, typer.Option(help="Budget of false alarms a host and day.")] = 0.02,
    step_minutes: Annotated[int, typer.Option(help="Length of a step.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    by: By = None,
    why: Why = "trained",
    store: StorePath = _DEFAULT,
    database: Url = None,
    as_json: Json = False,
) -> int:
    """Train a model for a kind of hardware and register it as a candidate. Stopped, it goes on when asked again."""
    from planner.commands import models as commands

    rights = commands.Rights(countries, tuple(opted_out), scenario)
    asked = commands.Training(data, hardware, features, rights, time_limit, false_alarms, step_minutes, seed)
    return commands.train(commands.Place(store, database), asked, commands.Said(by, why), as_json)


@models_app.command("measure")
def _measure(
    versions: Annotated[list[str] | None, typer.Argument(metavar="VERSION...", help="Left out: all that serve.")
                        ] = None,
    store: StorePath = _DEFAULT,
    database: Url = None,
    as_json: Json = False,
) -> int:
    """Measure what models take on this machine, and keep it in the store: `--with-diagnostics` asks for that much."""
    from planner.commands import models as commands

    return commands.measure(commands.Place(store, database), tuple(versions or ()), as_json)


@models_app.command("list")
def _list(
    hardware: Annotated[str | None, typer.Option(help="Only of this hardware.")] = None,
    store: StorePath = _DEFAULT,
    database: Url = None,
    as_json: Json = False,
) -> int:
    """Show all versions, who serves, and how they did."""
    from planner.commands import models as commands

    return commands.show_all(commands.Place(store, database), hardware, as_json)


@models_app.command("show")
def _show(version: VersionId, store: StorePath = _DEFAULT, database: Url = None, as_json: Json = False) -> int:
    """Show one version: parameters, metrics, lineage, and what each choice of the search did."""
    from planner.commands import models as commands

    return commands.show(commands.Place(store, database), version, as_json)


@models_app.command("which")
def _which(
    hardware: Annotated[str, typer.Argument(metavar="HARDWARE", help="A hardware class, also one never seen.")],
    store: StorePath = _DEFAULT,
    database: Url = None,
    as_json: Json = False,
) -> int:
    """Show which model answers for a hardware class: its own, that of its family, or that of all."""
    from planner.commands import models as commands

    return commands.which(commands.Place(store, database), hardware, as_json)


@models_app.command("compare")
def _compare(
    versions: Annotated[list[str], typer.Argument(metavar="VERSION...", help="Two or more; the first is compared with."
                                                  )],
    data: Annotated[Path | None, typer.Option(help="Measure all of them on this telemetry first.")] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="By live results, not by the validation part.")] = False,
    features: Features = None,
    countries: Countries = None,
    opted_out: OptedOut = [],  # noqa: B006
    scenario: Scenario = None,
    store: StorePath = _DEFAULT,
    database: Url = None,
    as_json: Json = False,
) -> int:
    """Set versions side by side: parameters, metrics, and which differences chance does not explain."""
    from planner.commands import models as commands

    rights = commands.Rights(countries, tuple(opted_out), scenario)
    asked = commands.Comparing(tuple(versions), data, shadow, features, rights)
    return commands.compare(commands.Place(store, database), asked, as_json)


@models_app.command("promote")
def _promote(version: VersionId, why: Why, by: By = None, expect: Expect = None, store: StorePath = _DEFAULT,
             database: Url = None, as_json: Json = False) -> int:
    """Let a candidate serve, unless it got worse on a scenario; who served stays stable."""
    from planner.commands import models as commands

    return commands.promote(commands.Place(store, database), version, expect, commands.Said(by, why), as_json)


@models_app.command("rollback")
def _rollback(
    hardware: Annotated[str, typer.Argument(metavar="HARDWARE", help="A hardware class, family:NAME, or all.")],
    why: Why,
    to: Annotated[str, typer.Option(help="last-known-good, or a version.")] = "last-known-good",
    by: By = None,
    expect: Expect = None,
    store: StorePath = _DEFAULT,
    database: Url = None,
    as_json: Json = False,
) -> int:
    """Let an earlier stable version serve again; what came after it is retired."""
    from planner.commands import models as commands

    return commands.rollback(commands.Place(store, database), hardware, (to, expect), commands.Said(by, why), as_json)


@models_app.command("retire")
def _retire(version: VersionId, why: Why, by: By = None, store: StorePath = _DEFAULT, database: Url = None,
            as_json: Json = False) -> int:
    """Take a version that does not serve out of use."""
    from planner.commands import models as commands

    return commands.retire(commands.Place(store, database), version, commands.Said(by, why), as_json)


@models_app.command("history")
def _history(hardware: Annotated[str | None, typer.Argument(metavar="[HARDWARE]")] = None,
             store: StorePath = _DEFAULT, database: Url = None, as_json: Json = False) -> int:
    """Show who changed what, when and why."""
    from planner.commands import models as commands

    return commands.history(commands.Place(store, database), hardware, as_json)


@models_app.command("reproduce")
def _reproduce(
    version: VersionId,
    data: Annotated[Path | None, typer.Option(help="The telemetry it was trained on; left out: where it was.")] = None,
    store: StorePath = _DEFAULT,
    database: Url = None,
    as_json: Json = False,
) -> int:
    """Make a version anew from its rows and parameters; exit status 1 unless its predictions are the same bytes."""
    from planner.commands import models as commands

    return commands.reproduce(commands.Place(store, database), version, data, as_json)


@models_app.command("verify")
def _verify(versions: Annotated[list[str] | None, typer.Argument(metavar="[VERSION]...", help="Left out: all.")] = None,
            store: StorePath = _DEFAULT, database: Url = None, as_json: Json = False) -> int:
    """Check files by their hash and predictions byte by byte; exit status 1 where one does not hold."""
    from planner.commands import models as commands

    return commands.verify(commands.Place(store, database), tuple(versions or ()), as_json)


@models_app.command("export")
def _export(
    version: VersionId,
    to: Annotated[str, typer.Option(help="To what: mlflow (an extra).")],
    address: Annotated[str, typer.Option(help="Where it is: a tracking URI.")],
    store: StorePath = _DEFAULT,
    database: Url = None,
    as_json: Json = False,
) -> int:
    """Write a version's parameters, metrics, lineage and file into another tool."""
    from planner.commands import models as commands

    return commands.export(commands.Place(store, database), version, (to, address), as_json)
