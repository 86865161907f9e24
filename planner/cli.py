"""The command line. Heavy parts are imported inside the commands, so that `planner --help` answers at once.

Exit status: 0 done; 1 the answer is no (infeasible, violated, drift found); 2 the input is wrong or what is asked for
is not available yet; 3 a fault of the planner itself, or out of memory; 130 stopped by the user.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
import traceback
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import typer

from planner import __version__
from planner.cli_exchange import add_exporters, import_app
from planner.cli_fleet import runs, versions, where
from planner.cli_keys import keys_app
from planner.cli_models import models_app
from planner.cli_outputs import careful, to_fill, to_write
from planner.cli_service import backup, host, restore, serve, settings
from planner.cli_watch import attribute, data_app, export_dashboards, export_rules, health, jobs_app, telemetry_app
from planner.errors import InputError, Interrupted

if TYPE_CHECKING:
    from planner.planning import PlanRequest

DONE, WRONG_INPUT, FAULT, STOPPED = 0, 2, 3, 130
_LOADED_AT = time.monotonic()
_STARTED: ContextVar[float] = ContextVar("_STARTED")
"""When the command began, which limits of time count from."""

Mode = Literal["min_cost", "max_sla"]
Policy = Literal["fixed", "autoscale"]
By = Literal["cluster", "host"]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
ScenarioPath = Annotated[Path, typer.Argument(metavar="SCENARIO", help="A folder with scenario.yaml, or the file.")]
CatalogPath = Annotated[Path | None, typer.Option("--catalog", help="Prices from files over the built-in ones.")]
Diagnostics = Annotated[bool, typer.Option("--with-diagnostics", help="Add diagnostics and drift monitors.")]
PlanOption = Annotated[Path, typer.Option("--plan", help="The plan.json to ask.")]
LibraryPath = Annotated[Path | None, typer.Option("--library", help="Past tasks to learn from (.csv, .parquet).")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything random.")]
PlanPath = Annotated[Path, typer.Argument(metavar="PLAN", help="A plan.json.")]

app = typer.Typer(
    name="planner",
    help="Decides what runs where, when and on what, over own clusters and several clouds, with a proven bound.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

export_app = typer.Typer(help="Write things out for others to read.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(export_app, name="export")
app.add_typer(telemetry_app, name="telemetry")
app.add_typer(data_app, name="data")
app.add_typer(jobs_app, name="jobs")
app.command("health")(health)
app.command("attribute")(attribute)
export_app.command("rules")(export_rules)
export_app.command("dashboards")(export_dashboards)
add_exporters(export_app)
app.add_typer(import_app, name="import")
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")
app.command("serve")(serve)
app.command("host")(host)
app.command("where")(where)
app.command("runs")(runs)
app.command("versions")(versions)
app.command("settings")(settings)
app.command("backup")(backup)
app.command("restore")(restore)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"planner {__version__}")
        raise typer.Exit(DONE)


SOLVER_HELP = "Who solves: planner, highs, cp-sat, cbc, first-fit, per-task, brute."
TIME_LIMIT_HELP = "Wall seconds from start to written file, all used unless the gap closes. Left out: at most 60."


@app.command("plan")
def _plan(
    scenario: ScenarioPath,
    mode: Annotated[Mode | None, typer.Option(help="Overrides the scenario's objective.")] = None,
    sla_floor: Annotated[float | None, typer.Option(help="Least SLA attainment, a fraction (min_cost).")] = None,
    budget: Annotated[float | None, typer.Option(help="Most USD over the horizon (max_sla).")] = None,
    time_limit: Annotated[float | None, typer.Option(help=TIME_LIMIT_HELP)] = None,
    seed: Seed = 0,
    solver: Annotated[str, typer.Option(help=SOLVER_HELP)] = "planner",
    output: Annotated[Path | None, to_write("Write plan.json here.", "-o", "--output")] = None,
    report: Annotated[Path | None, to_write("Write an HTML report here.")] = None,
    packings: Annotated[bool, typer.Option("--packings", help="Write a table of what is on which machine.")] = False,
    certificate: Annotated[Path | None, to_write("Write what proves the bound here.")] = None,
    with_diagnostics: Diagnostics = False,
    catalog: CatalogPath = None,
    incumbent: Annotated[Path | None, typer.Option(help="The plan.json in force, which the new plan replaces.")] = None,
    max_moves: Annotated[int | None, typer.Option(help="Most places of the incumbent that may be left; 0: all stay."
                                                  )] = None,
    now: Annotated[str | None, typer.Option(help="With --incumbent: plan from this slot, or time, on; what ran before "
                                                 "stays.")] = None,
    engine: Annotated[str, typer.Option(help="What searches blocks of a fleet: processes, or ray (an extra).")]
    = "processes",
    blocks: Annotated[int | None, typer.Option(help="Parts of the fleet searched side by side. Left out: with ray as "
                                                    "many as its size asks for, else the whole at once.")] = None,
    as_json: Json = False,
) -> int:
    """Plan a scenario: what runs where, on how many machines, at what cost, with a proven bound."""
    from planner.commands import basic as commands
    from planner.planning import TIME_LIMIT_S, PlanRequest

    seconds = TIME_LIMIT_S if time_limit is None else time_limit
    asked = PlanRequest(mode, sla_floor, budget, seconds, seed, solver, packings, thorough=time_limit is not None,
                        in_force=commands.in_force(incumbent, max_moves, now), certificate=certificate is not None,
                        engine=engine, blocks=blocks)
    prices = commands.prices_of(catalog)
    source = commands.scenario_at(scenario, with_diagnostics, prices, asked.changes)
    return commands.plan(source, _in_time(asked), commands.Outputs(output, report, certificate), prices,
                         as_json)


@app.command("demo")
def _demo(
    name: Annotated[str, typer.Argument(help="medical, hybrid or burst.")] = "medical",
    as_json: Json = False,
) -> int:
    """Plan an example that comes with the planner."""
    from planner.commands import basic as commands
    from planner.planning import PlanRequest

    return commands.plan(commands.example(name), PlanRequest(), commands.Outputs(), commands.prices_of(None), as_json)


@app.command("verify")
def _verify(
    scenario: ScenarioPath,
    plan: PlanPath,
    certificate: Annotated[Path | None, typer.Option(help="Prove the bound anew from this file.")] = None,
    incumbent: Annotated[Path | None, typer.Option(help="Check what it says of this plan, which it replaces.")] = None,
    with_diagnostics: Diagnostics = False,
    catalog: CatalogPath = None,
    as_json: Json = False,
) -> int:
    """Check a plan against its scenario: every limit, every price, the bound."""
    from planner.commands import basic as commands

    prices = commands.prices_of(catalog)
    return commands.verify(scenario, plan, certificate, incumbent, with_diagnostics, prices, as_json)


@app.command("explain")
def _explain(
    scenario: ScenarioPath,
    plan: PlanPath,
    workload: Annotated[str, typer.Option(help="The workload to explain.")],
    at: Annotated[str | None, typer.Option(help="Why not there: CLUSTER or CLUSTER/POOL.")] = None,
    time_limit: Annotated[float, typer.Option(min=0, help="Plan anew with it forced elsewhere, so many seconds.")] = 0,
    with_diagnostics: Diagnostics = False,
    catalog: CatalogPath = None,
    as_json: Json = False,
) -> int:
    """Say why a workload is where a plan has it, and what every other place would cost or which rule forbids it."""
    from planner.commands import basic
    from planner.commands import explain as commands

    asked = commands.Question(workload, at, time_limit)
    return commands.explain(scenario, plan, asked, with_diagnostics, basic.prices_of(catalog), as_json)


@app.command("replay")
def _replay(
    scenario: ScenarioPath,
    plan: PlanPath,
    actual: Annotated[Path, typer.Option(help="Recorded replicas by workload and slot (.csv, .parquet).")],
    bill: Annotated[Path | None, typer.Option(help="The bill of that time in FOCUS (.csv, .parquet).")] = None,
    policy: Annotated[Policy, typer.Option(help="Beyond the plan's machines: none, or what pending replicas need.")]
    = "autoscale",
    interruptions: Annotated[int | None, typer.Option(min=0, metavar="SEED",
                                                      help="Draw spot interruptions from this seed.")] = None,
    output: Annotated[Path | None, to_write("Write all figures here (JSON).", "-o", "--output")] = None,
    tables: Annotated[Path | None, to_fill("Write the tables behind the figures into this folder.")] = None,
    report: Annotated[Path | None, to_write("Write an HTML report here.")] = None,
    with_diagnostics: Diagnostics = False,
    catalog: CatalogPath = None,
    as_json: Json = False,
) -> int:
    """Run recorded demand against a plan: what it would have cost, missed and moved, beside the bill."""
    from planner.commands import basic
    from planner.commands import replay as commands
    from planner.replay import Asked

    asked = Asked(policy, interruptions, every=tables is not None)
    question = commands.Question(actual, bill, asked, output, tables, report)
    return commands.replay(scenario, plan, question, with_diagnostics, basic.prices_of(catalog), as_json)


@app.command("catalog")
def _catalog(
    pattern: Annotated[str, typer.Argument(metavar="MACHINE", help="A name or a pattern, as m6i.*")] = "*",
    region: Annotated[str | None, typer.Option(help="Prices there: provider/region.")] = None,
    catalog: CatalogPath = None,
    as_json: Json = False,
) -> int:
    """Show machine types and prices that the planner knows."""
    from planner.commands import basic as commands

    return commands.catalog(pattern, region, commands.prices_of(catalog), as_json)


@export_app.command("scenario")
def _export_scenario(
    scenario: ScenarioPath,
    output: Annotated[Path, to_fill("Folder to write to.", "-o", "--output")],
    with_diagnostics: Diagnostics = False,
    catalog: CatalogPath = None,
    as_json: Json = False,
) -> int:
    """Write a scenario with every default, price, shape, link and replica written out: it gives the same plan."""
    from planner.commands import basic as commands

    return commands.export(scenario, output, with_diagnostics, commands.prices_of(catalog), as_json)


@export_app.command("routes")
def _export_routes(
    scenario: ScenarioPath,
    plan: PlanPath,
    output: Annotated[Path, to_write("JSON file to write.", "-o", "--output")],
    as_json: Json = False,
) -> int:
    """Write where a plan sends requests, slot by slot and after each loss: what `planner.directing` directs by."""
    from planner.commands.routes import export_routes

    return export_routes(scenario, plan, output, as_json)


@app.command("what-if")
def _what_if(
    scenario: ScenarioPath,
    remove_cluster: Annotated[list[str], typer.Option(help="Clusters to take away, by name or glob.")] = [],  # noqa: B006
    demand: Annotated[list[str], typer.Option(help="SELECTOR:AMOUNT, as serving:+40%, all:x3, owner:shop:-20%, w:=5.")]
    = [],  # noqa: B006
    price: Annotated[list[str], typer.Option(help="PROVIDER:MACHINE[:PURCHASE]:AMOUNT, as aws:p5*:-20%.")] = [],  # noqa: B006
    max_: Annotated[list[str], typer.Option("--max", help="CLUSTER/POOL:AMOUNT of machines.")] = [],  # noqa: B006
    latency: Annotated[list[str], typer.Option(help="SELECTOR:AMOUNT of slo.latency_ms.")] = [],  # noqa: B006
    availability: Annotated[list[str], typer.Option(help="SELECTOR:=FRACTION where one is stated.")] = [],  # noqa: B006
    survive: Annotated[str | None, typer.Option(help="none, cluster, region or provider.")] = None,
    mode: Annotated[Mode | None, typer.Option(help="Another objective.")] = None,
    sla_floor: Annotated[float | None, typer.Option(help="Least SLA attainment, a fraction (min_cost).")] = None,
    budget: Annotated[float | None, typer.Option(help="Most USD over the horizon (max_sla).")] = None,
    against: Annotated[Path | None, typer.Option(help="The plan in force; left out: made first.")] = None,
    output: Annotated[Path | None, to_write("Write the new plan.json here.", "-o", "--output")] = None,
    markdown: Annotated[Path | None, to_write("Write the answer as Markdown here.")] = None,
    time_limit: Annotated[float | None, typer.Option(help=TIME_LIMIT_HELP)] = None,
    seed: Seed = 0,
    solver: Annotated[str, typer.Option(help="Who solves, as for plan.")] = "planner",
    with_diagnostics: Diagnostics = False,
    catalog: CatalogPath = None,
    as_json: Json = False,
) -> int:
    """Show what other demand, prices, limits or clusters do: what gives first and when, a new plan, what differs."""
    from planner.commands import basic
    from planner.commands import whatif as commands
    from planner.planning import TIME_LIMIT_S, PlanRequest

    changes = commands.read_changes({
        "remove-cluster": remove_cluster, "demand": demand, "price": price, "max": max_, "latency": latency,
        "availability": availability, "survive": [survive] if survive else []})
    seconds = TIME_LIMIT_S if time_limit is None else time_limit
    asked = PlanRequest(mode, sla_floor, budget, seconds, seed, solver, thorough=time_limit is not None,
                        what_if=changes)
    prices = basic.prices_of(catalog)
    source = basic.scenario_at(scenario, with_diagnostics, prices)
    return commands.what_if(source, _in_time(asked), commands.Files(against, output, markdown), prices, as_json)
@app.command("replan")
def _replan(
    scenario: ScenarioPath,
    plan: PlanPath,
    down: Annotated[list[str] | None, typer.Option(help="Lost: a cluster, provider/region or provider. Again: more.")]
    = None,
    restore: Annotated[list[str] | None, typer.Option(help="Back again, of what is down in the plan.")] = None,
    max_moves: Annotated[int | None, typer.Option(help="Most units not lost that may move. Left out: 0, or with "
                                                       "--restore as many as are worth it.")] = None,
    worth: Annotated[float, typer.Option(help="With --restore: a move saves so many times what it costs.")] = 2.0,
    waves_done: Annotated[int | None, typer.Option(help="Waves of the plan made so far, where a loss comes in between; "
                                                        "left out: all.")] = None,
    now: Annotated[str | None, typer.Option(help="Not available yet.")] = None,
    output: Annotated[Path | None, to_write("Write the new plan.json here.", "-o", "--output")] = None,
    catalog: CatalogPath = None,
    as_json: Json = False,
) -> int:
    """Mend a plan after clusters are lost or are back: few moves, in waves that each have room."""
    _refuse(**{"replan --now": now is not None})
    from planner.commands import basic
    from planner.commands import replan as commands
    from planner.replan import ReplanRequest

    request = ReplanRequest(tuple(down or ()), tuple(restore or ()), max_moves, worth, waves_done=waves_done)
    return commands.replan_plan(scenario, plan, request, output, basic.prices_of(catalog), as_json)


@app.command("diff")
def _diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A plan.json.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Another plan.json.")],
    scenario: Annotated[Path | None, typer.Option(help="Check both plans in it; show owners and priorities.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown for a pull request.")] = False,
    as_json: Json = False,
) -> int:
    """Show what changes from one plan to another: moved, new, gone, cost, SLA, survival, machines, gap."""
    from planner.commands import diff as commands

    return commands.diff_plans(before, after, scenario, markdown, as_json)


@app.command("pareto")
def _pareto(
    scenario: ScenarioPath,
    output: Annotated[Path | None, to_write("Write an HTML page here.", "-o", "--output")] = None,
    points: Annotated[int, typer.Option(help="Floors, and budgets, to sweep.")] = 6,
    plans: Annotated[Path | None, to_fill("Write the plan of every point into this folder.")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Wall seconds for all points. Left out: 15 a point.")] = None,
    seed: Seed = 0,
    solver: Annotated[str, typer.Option(help="Who solves, as for plan.")] = "planner",
    with_diagnostics: Diagnostics = False,
    catalog: CatalogPath = None,
    as_json: Json = False,
) -> int:
    """Show the price of nines: cost against SLA attainment and against availability, each point with its bound."""
    from planner.commands import basic
    from planner.commands import pareto as commands
    from planner.planning import PlanRequest

    asked = _in_time(PlanRequest(time_limit_s=time_limit or 15.0 * (2 * points + 6), seed=seed, solver=solver,
                                 thorough=time_limit is not None))
    prices = basic.prices_of(catalog)
    source = basic.scenario_at(scenario, with_diagnostics, prices)
    limits = commands.Asked(points, None if time_limit is None else asked.time_limit_s, output, plans)
    return commands.price_of_nines(source, asked, limits, prices, as_json)


@app.command("capacity")
def _capacity(
    scenario: ScenarioPath,
    horizon: Annotated[str, typer.Option(help="How far to look: 90d, 52w; two years at most.")] = "365d",
    growth: Annotated[list[str], typer.Option(help="SELECTOR=RATE/PERIOD on top of histories: serving=+3%/month, "
                                                   "owner:shop=x2/year; selectors as for what-if --demand.")]
    = [],  # noqa: B006
    plan: Annotated[Path | None, typer.Option("--plan", help="The plan.json that says what runs where.")] = None,
    output: Annotated[Path | None, to_write("Write an HTML page here.", "-o", "--output")] = None,
    seed: Seed = 0,
    catalog: CatalogPath = None,
    as_json: Json = False,
) -> int:
    """Show when room runs out (P10, P50, P90), what to order by when, and which commitments pay.

    Exit status 1 when room is more likely than not to end before more can be there, or when nothing can be told.
    """
    from planner.commands import basic
    from planner.commands import capacity as commands

    question = commands.Question(horizon, tuple(growth), plan, seed, output)
    return commands.capacity(scenario, question, basic.prices_of(catalog), as_json)


@app.command("right-size")
def _right_size(
    history: Annotated[Path, typer.Argument(metavar="HISTORY",
                                            help="ts, workload, metric (cpu_cores, memory_gib), value.")],
    level: Annotated[float, typer.Option(help="Share of time that the forecast's request is enough.")] = 0.95,
    seed: Seed = 0,
    as_json: Json = False,
) -> int:
    """Recommend requests from usage: a decaying histogram as Kubernetes has it, and the forecast's own quantile."""
    from planner.commands import right_size as commands

    return commands.right_size(history, level, seed, as_json)


@app.command("profile")
def _profile(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Described tasks (TASK.yaml), or a scenario.")],
    kind: Annotated[str | None, typer.Option(help="The file has the fields of a task of this kind: etl, feature, "
                                                  "training, serving.")] = None,
    library: LibraryPath = None,
    as_json: Json = False,
) -> int:
    """Show what tasks nobody has run, or the workloads of a scenario, need, and where each number comes from."""
    from planner.commands import profile as commands

    return commands.profile(path, kind, library, as_json)


@app.command("learn")
def _learn(
    task: Annotated[Path, typer.Argument(metavar="TASK", help="The description of the task that ran (TASK.yaml).")],
    used: Annotated[Path, typer.Argument(metavar="USED", help="What it used: finished, and used: {vcpu: 8, ...}.")],
    library: Annotated[Path, to_write("The library to add it to (.csv, .parquet); made if not there.")],
    name: Annotated[str | None, typer.Option("--task", help="Which task, where TASK describes several.")] = None,
    as_json: Json = False,
) -> int:
    """Add a finished run to the library of past tasks, from which `planner profile --library` learns."""
    from planner.commands import profile as commands

    return commands.learn(task, used, library, name, as_json)


@app.command("forecast")
def _forecast(
    history: Annotated[Path, typer.Argument(metavar="HISTORY", help="CSV or Parquet: ts, workload, metric, value.")],
    horizon: Annotated[str, typer.Option(help="How far ahead: 48h, 7d.")] = "48h",
    quantiles: Annotated[str, typer.Option(help="Levels with commas between.")] = "0.5,0.9,0.99",
    output: Annotated[Path | None, to_write("Write them here (.parquet, .csv).", "-o", "--output")] = None,
    seed: Seed = 0,
    backtest: Annotated[bool, typer.Option("--backtest", help="Score series from past origins.")] = False,
    report: Annotated[Path | None, to_write("Write an HTML report here.")] = None,
    known: Annotated[str, typer.Option(help="Columns known ahead, with commas between: they go on over the horizon, in "
                                            "rows without a value.")] = "",
    holidays: Annotated[str, typer.Option(help="Countries whose holidays count: BR,US-CA.")] = "",
    models: Annotated[str, typer.Option(help="Forecasters with commas between, as ets,theta: these and seasonal_naive "
                                             "are weighed, a single one is used as it is. Left out: those worth "
                                             "their time.")] = "",
    engine: Annotated[str | None, typer.Option(help="serial, processes or ray: the same figures. Left out: processes "
                                                    "where there is more than one part.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Most parts at once. Left out: one a processor.")] = None,
    as_json: Json = False,
) -> int:
    """Forecast demand with quantiles; models of each series are weighed by back-test.

    A run that is stopped goes on where it was when the same is asked again.
    """
    from planner.batch import Asked
    from planner.commands import forecast as commands
    from planner.outlook import parse_levels, parse_models, span_minutes

    columns, countries = (tuple(name.strip() for name in text.split(",") if name.strip()) for text in (known, holidays))
    asked = Asked(span_minutes(horizon), parse_levels(quantiles), seed, columns, countries, backtest,
                  parse_models(models.split(",")))
    return commands.forecast(history, asked, commands.Files(output, report), engine, workers, as_json)


@app.command("diagnose")
def _diagnose(
    telemetry: Annotated[Path, typer.Argument(metavar="TELEMETRY",
                                              help="CSV or Parquet: cluster, hardware_class, metric, ts, value.")],
    report: Annotated[Path | None, to_write("Write an HTML report with charts here.")] = None,
    perturb: Annotated[str | None, typer.Option(help="Instead, inject faults and see which are noticed: all, or names "
                                                     "with commas between.")] = None,
    seed: Annotated[int, typer.Option(help="With --perturb: where and when faults strike.")] = 0,
    rules: Annotated[Path | None, typer.Option(help="YAML of what experts call normal and not normal.")] = None,
    feedback: Annotated[Path | None, typer.Option(help="CSV of earlier alarms: cluster, metric, p, verdict "
                                                       "(true_positive, false_positive).")] = None,
    budget: Annotated[float | None, typer.Option("--false-alarms-per-day", help="Allowed a cluster while all is calm; "
                                                                                "default 0.01.")] = None,
    drifts: Annotated[float | None, typer.Option("--false-drifts-per-month", help="Months that may be said to have "
                                                 "drifted a cluster while all is calm; default 0.01.")] = None,
    changes: Annotated[float | None, typer.Option("--false-changes-per-month", help="Changes that may be told of a "
                                                  "cluster while all is calm; default 0.01.")] = None,
    drift_test: Annotated[str | None, typer.Option(help="What compares months: kl_monthly (default), psi, ks, "
                                                        "wasserstein.")] = None,
    report_days: Annotated[float | None, typer.Option(help="How far back alarms and changes are told; default 7.")
                           ] = None,
    detector: Annotated[str | None, typer.Option(help="Who reads everything: seasonal_z, surprise, neighbours, ...; "
                                                      "left out: each series by what fits it.")] = None,
    models: Annotated[Path | None, typer.Option(help="Folder of the model store: what reads the metrics of a hardware "
                                                     "class together.")] = None,
    models_database: Annotated[str | None, typer.Option(help="postgresql://... of that; left out: SQLite there.")]
    = None,
    step_minutes: Annotated[int, typer.Option(help="Length of a step.")] = 60,
    alarms: Annotated[Path | None, typer.Option(help="YAML of maintenance, inhibition, users, remedies and "
                                                     "runbooks.")] = None,
    scenario: Annotated[Path | None, typer.Option(help="Scenario that has the clusters and their workloads.")] = None,
    by: Annotated[By, typer.Option(help="What is read: means of clusters, or hosts by themselves.")] = "cluster",
    as_json: Json = False,
) -> int:
    """Find alarms, drift and clusters that fell silent in recorded telemetry; exit status 1 when something is found.

    With --perturb the status is 1 when a fault was missed, or blamed on a cluster that it did not strike.
    """
    from planner.commands import diagnose as commands
    from planner.sealed import sealer_here
    from planner.watch import Watch

    if models_database is not None and models is None:
        raise InputError(["--models-database: its files are in a folder: name that, too, by --models"])
    if perturb is None:
        watch = Watch(telemetry, step_minutes, scenario, alarms, rules, feedback, models, models_database, detector,
                      budget, sealer_here(), drift_test, drifts, changes, report_days, by)
        return commands.diagnose(watch, report, as_json)
    if report is not None:
        raise InputError(["--report: not with --perturb: take --json, or leave one out"])
    for name, value in (("--rules", rules), ("--feedback", feedback), ("--false-alarms-per-day", budget),
                        ("--alarms", alarms), ("--scenario", scenario), ("--models", models),
                        ("--models-database", models_database), ("--false-drifts-per-month", drifts),
                        ("--false-changes-per-month", changes), ("--drift-test", drift_test),
                        ("--report-days", report_days), ("--by", None if by == "cluster" else by)):
        if value is not None:
            raise InputError([f"{name}: not with --perturb: leave one out"])
    return commands.perturb(telemetry, step_minutes, perturb, seed, detector, as_json)


careful(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status; an error is one line, never a traceback.

    With PLANNER_DEBUG=1 the traceback of a fault is shown too.
    """
    sys.exit(run(sys.argv[1:] if arguments is None else arguments, _LOADED_AT))


def run(arguments: list[str], started: float | None = None) -> int:
    """Run one command and return its exit status; time limits count from `started` (`time.monotonic`), else from now.
    """
    _STARTED.set(time.monotonic() if started is None else started)
    try:
        status = app(arguments, prog_name="planner", standalone_mode=False)
    except InputError as error:
        return _fail(str(error), WRONG_INPUT)
    except OSError as error:
        if _no_memory(error):
            return _fail(_OUT_OF_MEMORY, FAULT)
        return _fail(f"{error.filename or 'planner'}: {error.strerror or error}", WRONG_INPUT)
    except Interrupted as stopped:
        return _fail(str(stopped), STOPPED)
    except KeyboardInterrupt:
        return _fail("stopped", STOPPED)
    except Exception as error:  # noqa: BLE001  # the last line of defence: people see one line, developers ask for more
        return _unexpected(error)
    if status == STOPPED:  # as Typer makes of Ctrl-C, without a word
        return _fail("stopped", STOPPED)
    return status if isinstance(status, int) else DONE


_OUT_OF_MEMORY = ("out of memory: give the planner more (ulimit -v, the container's limit), or plan fewer workloads or "
                  "slots at once")
_NO_MEMORY = ("failed to map segment", "Cannot allocate memory", "Could not find/load shared object file")
"""How libraries say that there is no memory to load them."""


class _UsageError(Protocol):
    """What Typer raises for wrong arguments, without naming its private modules."""

    exit_code: int

    def format_message(self) -> str: ...


def _no_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


def _unexpected(error: Exception) -> int:
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        usage: _UsageError = error
        message = usage.format_message().replace("Value error, ", "")  # as Typer passes on its checks of choices
        return _fail(message or "a command is missing; try: planner --help", usage.exit_code)
    if os.environ.get("PLANNER_DEBUG") == "1":
        traceback.print_exception(error)
        return FAULT
    if _no_memory(error):
        return _fail(_OUT_OF_MEMORY, FAULT)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return _fail(f"a fault of the planner: {what} (PLANNER_DEBUG=1 shows where)", FAULT)


def _fail(message: str, status: int) -> int:
    typer.echo(message, err=True)
    return status


def _in_time(request: PlanRequest) -> PlanRequest:
    """The same request with the time that is left of its limit, which counts from the start of the command."""
    left_s = request.time_limit_s - (time.monotonic() - _STARTED.get())
    return dataclasses.replace(request, time_limit_s=max(0.1, left_s))


def _refuse(**asked: bool) -> None:
    """Refuse by name what is asked for and not there."""
    problems = [f"{what} is not available yet" for what, wanted in asked.items() if wanted]
    if problems:
        raise InputError(problems)
