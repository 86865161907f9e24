"""The commands that watch: telemetry, jobs, health. As in `planner.cli`, heavy parts are imported inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from planner.cli_outputs import to_fill, to_write

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
StorePath = Annotated[Path, typer.Argument(metavar="STORE", help="The folder that telemetry is kept in.")]
KeyPath = Annotated[Path | None, typer.Option("--key", envvar="PLANNER_TELEMETRY_KEY_FILE",
                                              help="A file with the secret that names are hashed with.")]
NamesFrom = Annotated[Path | None, typer.Option("--scenario", help="With the key: show these clusters by name.")]
By = Literal["cluster", "host"]

telemetry_app = typer.Typer(help="Keep telemetry of clusters that agreed, without names, by hardware and country.",
                            no_args_is_help=True, rich_markup_mode=None)


@telemetry_app.command("ingest")
def _ingest(
    batches: Annotated[list[Path], typer.Argument(metavar="BATCH...", help="CSV or Parquet: cluster, host, "
                                                  "hardware_class, metric, ts, value; sent_at may be there too.")],
    store: Annotated[Path | None, typer.Option(help="The folder that telemetry is kept in; made if not there.")] = None,
    scenario: Annotated[Path | None, typer.Option(help="With --store: says which clusters agreed (telemetry_opt_in), "
                                                  "and their country.")] = None,
    service: Annotated[str | None, typer.Option(help="Instead of --store: address of a service, whose hosts score the "
                                                "rows.")] = None,
    api_key: Annotated[str | None, typer.Option(envvar="PLANNER_API_KEY", show_default=False,
                                                help="With --service: key to ask it with.")] = None,
    key: KeyPath = None,
    arrived: Annotated[str | None, typer.Option(help="When the batches came. Left out: now.")] = None,
    batch: Annotated[str | None, typer.Option(help="The id of the batch. Left out: its content.")] = None,
    as_json: Json = False,
) -> int:
    """Store batches of telemetry, each once; exit status 1 when rows were refused (opted out, unknown, clock).

    With --service the rows go into the streams of a running service, for its hosts to score; a row counts once there.
    """
    from planner.commands import telemetry as commands
    from planner.errors import InputError
    from planner.telemetry import Batches

    if service is not None:
        from planner.commands import fleet

        for name, value in (("--store", store), ("--scenario", scenario), ("--arrived", arrived), ("--batch", batch)):
            if value is not None:
                raise InputError([f"{name}: not with --service: the service knows"])
        return fleet.send(fleet.Service(service, api_key), batches, as_json)
    if store is None:
        raise InputError(["--store: not given: name a folder, or --service ADDRESS for the streams of a service"])
    known = commands.known_by(scenario, key)
    if known is None:
        raise InputError(["--scenario: not given"])
    return commands.ingest(store, Batches(tuple(batches), arrived, batch), known, as_json)


@telemetry_app.command("show")
def _show(store: StorePath, scenario: NamesFrom = None, key: KeyPath = None, as_json: Json = False) -> int:
    """Show what is kept of each cluster: from when to when, how complete, gaps, late rows, restarts."""
    from planner.commands import telemetry as commands

    return commands.show(store, commands.known_by(scenario, key if scenario else None), as_json)


@telemetry_app.command("export")
def _export(
    store: StorePath,
    output: Annotated[Path, to_write("Write rows here (.parquet, .csv).", "-o", "--output")],
    hardware_class: Annotated[str | None, typer.Option(help="Only this class.")] = None,
    country: Annotated[list[str], typer.Option(help="Only these countries (ISO 3166); again: more.")] = [],  # noqa: B006
    by: Annotated[By, typer.Option(help="Means of clusters, or hosts by themselves.")] = "cluster",
    step_minutes: Annotated[int, typer.Option(help="Length of a step.")] = 60,
    scenario: NamesFrom = None,
    key: KeyPath = None,
    as_json: Json = False,
) -> int:
    """Write rows on regular steps, counters as rates, as `planner diagnose` and `planner models train` read them.

    With a scenario, rows of clusters that do not agree in it (telemetry_opt_in) are left out and counted.
    """
    from diagnostics.intake import IntakeError, Wanted
    from planner.commands import telemetry as commands
    from planner.errors import InputError

    try:
        wanted = Wanted(hardware_class, tuple(country) or None, None, by, step_minutes)
    except IntakeError as error:
        raise InputError([f"--step-minutes: {error}"]) from error
    return commands.export(store, wanted, output, commands.known_by(scenario, key if scenario else None), as_json)


@telemetry_app.command("forget")
def _forget(
    store: StorePath,
    cluster: Annotated[str, typer.Option(help="Whose rows to delete: its name, which takes the key, or its hash.")],
    scenario: Annotated[Path | None, typer.Option(help="With the key: names that it has are hints.")] = None,
    key: KeyPath = None,
    as_json: Json = False,
) -> int:
    """Delete every row of a cluster that takes its consent back, whether a scenario still has it or not."""
    from planner.commands import telemetry as commands

    return commands.forget_cluster(store, cluster, scenario, key, as_json)


@telemetry_app.command("compact")
def _compact(store: StorePath, as_json: Json = False) -> int:
    """Write days that lie in many files into one file each; figures stay as they are."""
    from planner.commands import telemetry as commands

    return commands.compact_store(store, as_json)


jobs_app = typer.Typer(help="Jobs that wait or run too long.", no_args_is_help=True, rich_markup_mode=None)


@jobs_app.command("stuck")
def _stuck(
    jobs: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet: job, workload, cluster, submitted; and "
                                         "started, finished, state, reason, waits_for, read_gb_per_h.")],
    at: Annotated[str | None, typer.Option(help="As of this time. Left out: now.")] = None,
    pending_hours: Annotated[float, typer.Option(help="Most hours that a job without a history may wait.")] = 2.0,
    running_hours: Annotated[float, typer.Option(help="Most hours that a job without a history may run.")] = 48.0,
    as_json: Json = False,
) -> int:
    """Find jobs that wait or run too long for what they are, and why; exit status 1 when there are any."""
    from diagnostics.jobs import StuckSettings
    from planner.commands import jobs as commands
    from planner.errors import InputError

    try:
        settings = StuckSettings(pending_hours, running_hours)
    except ValueError as error:
        raise InputError([f"--{str(error).replace('_', '-', 1)}"]) from error
    return commands.stuck(jobs, at, settings, as_json)


data_app = typer.Typer(help="Check tables against rules and a baseline: schema, features and drift apart.",
                       no_args_is_help=True, rich_markup_mode=None)
DataPath = Annotated[Path, typer.Argument(metavar="DATA", help="A table: .csv, .csv.gz or .parquet.")]


@data_app.command("validate")
def _validate(
    data: DataPath,
    config: Annotated[Path, typer.Option(help="The rules: drift.json, see `planner data propose`.")],
    baseline: Annotated[Path | None, typer.Option(help="Data that were fine, to tell drift from.")] = None,
    change: Annotated[list[str], typer.Option("--set", metavar="FIELD=VALUE", help="Overrules a field of the rules, "
                                              "such as drift.accepted_share=0.2; again: more.")] = [],  # noqa: B006
    as_json: Json = False,
) -> int:
    """Check a table; exit status 1 when it breaks the schema, a feature's rules, or drifted more than accepted."""
    from planner.commands import data as commands

    return commands.validate_data(data, config, baseline, change, as_json)


@data_app.command("propose")
def _propose(
    data: DataPath,
    output: Annotated[Path, to_write("Write the rules here.", "-o", "--output")] = Path("drift.json"),
    as_json: Json = False,
) -> int:
    """Write first rules from data that are known to be good, for an expert to edit."""
    from planner.commands import data as commands

    return commands.propose_data(data, output, as_json)


def health(
    telemetry: Annotated[Path, typer.Argument(metavar="TELEMETRY", help="cluster (or service), hardware_class, metric "
                                              "(cpu_share, memory_share, up_share, latency_p95_ms, ...), ts, value.")],
    scenario: Annotated[Path | None, typer.Option(help="Holds its services to their objectives.")] = None,
    step_minutes: Annotated[int, typer.Option(help="Length of a step.")] = 5,
    as_json: Json = False,
) -> int:
    """Show when clusters were overloaded, services down, silent or slow for long; exit status 1 when any still is."""
    from planner.commands import jobs as commands

    return commands.health(telemetry, scenario, step_minutes, as_json)


def attribute(
    counts: Annotated[Path, typer.Argument(metavar="COUNTS", help="CSV or Parquet: ts, attributes (cluster, device, "
                                           "...), and two counts for each combination of them.")],
    bad: Annotated[str, typer.Option(help="The column that counts bad ones, such as errors.")],
    total: Annotated[str, typer.Option(help="The column that counts all, such as requests.")],
    by: Annotated[str, typer.Option(help="Attributes with commas between. Left out: all other columns.")] = "",
    since: Annotated[str | None, typer.Option(help="Rows from then on are held against all before. Left out: the "
                                              "newest moment.")] = None,
    until: Annotated[str | None, typer.Option(help="Leave out rows from then on.")] = None,
    scenario: Annotated[Path | None, typer.Option(help="Adds provider, region and country of clusters.")] = None,
    as_json: Json = False,
) -> int:
    """Say which attributes a rise of a rate comes from (cluster=a and device=tv); exit status 1 when there is one."""
    from planner.attribute import Asked
    from planner.commands import attribute as commands

    names = tuple(name.strip() for name in by.split(",") if name.strip())
    return commands.attribute(counts, Asked(bad, total, names, since, until, scenario), as_json)


def export_rules(
    output: Annotated[Path, to_write("Write the rule file here (YAML).", "-o", "--output")],
    scenario: Annotated[Path | None, typer.Option(help="Adds rules for its services by their objectives.")] = None,
    as_json: Json = False,
) -> int:
    """Write the rules of `planner health` and of stuck jobs as alerting rules for Prometheus."""
    from planner.commands import jobs as commands

    return commands.export_rules(scenario, output, as_json)


def export_dashboards(
    output: Annotated[Path, to_fill("Write the dashboards into this folder.", "-o", "--output")],
    as_json: Json = False,
) -> int:
    """Write dashboards for Grafana (JSON): plans, clusters, models, drift."""
    from planner.commands import jobs as commands

    return commands.export_dashboards(output, as_json)
