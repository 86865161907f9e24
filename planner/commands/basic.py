"""What the commands do: read, call, show. Each returns the exit status of the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from placement.checks.reprove import Reproof
from planner.catalog import Catalog, builtin_catalog, read_catalog
from planner.certificates import write_certificate
from planner.checking import asked_of, verify_plan
from planner.errors import InputError, Interrupted
from planner.export import export_scenario
from planner.hosting import measured_by, with_diagnostics
from planner.in_force import InForce, strays
from planner.outputs import not_lost, writing
from planner.plan import Assignment, MachineRow, Plan, plan_text, read_plan
from planner.planning import NoPlanFound, Planned, PlanRequest, make_plan
from planner.profiles import profile as profile_scenario
from planner.report.figures import Figures, figures_of
from planner.report.page import write_report
from planner.resolve import resolve
from planner.scenario import Scenario, read_scenario
from planner.shelf import machine_rows, price_rows
from planner.terminal import Interrupt, ProgressLine, console, percent, plain, plan_view

DONE, NO, STOPPED = 0, 1, 130


def print_json(value: object) -> None:
    """Print a value as JSON on standard output."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def show_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; numbers stand right."""
    table = Table(title=Text(plain(title)), title_justify="left")
    for heading, first in zip(headings, rows[0] if rows else headings, strict=True):
        table.add_column(heading, justify="right" if isinstance(first, int | float) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(cell)) for cell in row))
    console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,.2f}" if abs(value) >= 10 else f"{value:.3f}"
    return plain(value)


def unknown(what: str, name: str, known: list[str], source: Path) -> InputError:
    """Return the error for a name that is not there, with the nearest one that is."""
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return InputError([f"{source}: {what}: {name!r} is not in it{hint}"])


@dataclass(frozen=True, slots=True)
class Outputs:
    """Files to write beside what is shown."""

    plan: Path | None = None
    report: Path | None = None
    certificate: Path | None = None


def in_force(path: Path | None, max_moves: int | None, now: str | None) -> InForce | None:
    """The plan to start from, if one is named. Raises InputError."""
    if path is not None:
        return InForce(read_plan(path), max_moves, now)
    if max_moves is not None:
        raise InputError([f"--max-moves: {max_moves}: moves from what? name the plan in force with --incumbent"])
    if now is not None:
        raise InputError([f"--now: {now}: what ran before? name the plan in force with --incumbent"])
    return None


def plan(source: Path | Scenario, request: PlanRequest, outputs: Outputs, prices: Catalog, as_json: bool) -> int:
    """Plan a scenario, write what is asked for, show the plan. The answer is no when there is none."""
    with Interrupt() as interrupted, ProgressLine(request.time_limit_s) as progress:
        try:
            planned = make_plan(source, request, progress, interrupted, prices)
        except NoPlanFound as why:
            if interrupted():
                raise Interrupted(str(why)) from None
            typer.echo(str(why), err=True)
            return NO
    figures = figures_of(planned)
    with not_lost(lambda: _show_plan(planned.plan, figures, as_json)):
        written = _write(planned, figures, outputs)
    _show_plan(written, figures, as_json)
    if outputs.certificate is not None and planned.certificate is None:
        typer.echo(f"--certificate: {outputs.certificate}: not written: {_why_none(written)}", err=True)
        return NO
    return NO if written.status == "infeasible" else DONE


def _why_none(written: Plan) -> str:
    return "there is no plan, and so no bound" if written.status == "infeasible" else written.bound_method


def _write(planned: Planned, figures: Figures, outputs: Outputs) -> Plan:
    written = planned.plan
    if outputs.plan is not None:
        with writing("-o", outputs.plan):
            written = planned.write(outputs.plan)
    if outputs.report is not None:
        with writing("--report", outputs.report):
            write_report(outputs.report, written, figures)
    if outputs.certificate is not None and planned.certificate is not None:
        with writing("--certificate", outputs.certificate):
            write_certificate(planned.certificate, outputs.certificate)
    return written


def _show_plan(shown: Plan, figures: Figures, as_json: bool) -> None:
    if as_json:
        typer.echo(plan_text(shown), nl=False)
    else:
        console().print(plan_view(shown, figures.workload_usd))


def verify(scenario: Path, path: Path, certificate: Path | None, incumbent: Path | None, diagnostics: bool,
           prices: Catalog, as_json: bool) -> int:
    """Check a plan against its scenario; the answer is no when anything in it does not hold.

    With a certificate its bound is proven anew; with an incumbent what it says of the plan that it replaces is checked.
    """
    asked = asked_of(read_plan(path)) if diagnostics else None
    check = verify_plan(scenario_at(scenario, diagnostics, prices, asked), path, prices, certificate)
    if incumbent is not None:
        check = replace(check, violations=(*check.violations, *strays(read_plan(path), read_plan(incumbent))))
    if as_json:
        proven = {} if check.proof is None else {"proven_bound": check.proof.bound, "margin": check.proof.margin}
        print_json({"holds": check.holds, "violations": check.violations, "cost_usd": check.cost_usd,
                    "sla_attainment": check.attainment, **proven})
    elif check.cost_usd is None or check.attainment is None:
        _show_lines(check.violations or ["holds: no plan, and nothing is placed or paid"])
    else:
        figures = f"USD {check.cost_usd:,.2f}, SLA attainment {percent(check.attainment)}"
        _show_lines([*check.violations, f"holds: {figures}" if check.holds else f"does not hold: {figures}"])
        if check.proof is not None:
            _show_lines([f"proven by {certificate}: {_proven(check.proof, read_plan(path).mode)}"])
    return DONE if check.holds else NO


def _proven(proof: Reproof, mode: str) -> str:
    rounded = f"rounded by {proof.margin:.1e}, {len(proof.leaves)} leaves"
    if mode == "min_cost":
        return f"no plan costs less than USD {proof.bound:,.2f} ({rounded})"
    return f"no plan attains more than {percent(proof.bound)} ({rounded})"


def prices_of(path: Path | None) -> Catalog:
    """The built-in catalog, or one from files over it."""
    return builtin_catalog() if path is None else read_catalog(path)


def scenario_at(path: Path, diagnostics: bool, prices: Catalog,
                objective: Mapping[str, Any] | None = None) -> Path | Scenario:
    """A scenario by its path; with `diagnostics`, read and with the planner's own diagnostics among its workloads,
    sized by what `planner models measure` wrote to the store of models that PLANNER_MODELS names.

    Fields of `objective` win over those of the file.
    """
    if not diagnostics:
        return path
    scenario = resolve(read_scenario(path, objective), prices)
    store = os.environ.get("PLANNER_MODELS")
    if store is not None:
        scenario = measured_by(scenario, Path(store), os.environ.get("PLANNER_MODELS_DATABASE"))
    return with_diagnostics(scenario)


def example(name: str) -> Path:
    """The folder of an example: beside the package in a checkout, inside it where it was installed."""
    package = Path(__file__).parent.parent
    places = [folder for folder in (package / "examples", package.parent / "examples") if folder.is_dir()]
    known = sorted(path.parent.name for folder in places for path in folder.glob("*/scenario.yaml"))
    if name not in known:
        raise InputError([f"demo: {name!r}: allowed are {', '.join(known)}"])
    return next(folder / name for folder in places if (folder / name / "scenario.yaml").is_file())


def where(workload: str, path: Path, as_json: bool) -> int:
    """Show where every unit of a workload is, by a plan."""
    plan = read_plan(path)
    units = [unit for unit in plan.assignments if unit.workload == workload]
    lost = [row for row in plan.unplaced if row.workload == workload]
    if not units and not lost:
        known = {unit.workload for unit in plan.assignments} | {row.workload for row in plan.unplaced}
        raise unknown("workload", workload, sorted(known), path)
    if as_json:
        print_json({"workload": workload, "assignments": _dumped(units),
                    "unplaced": [reason for row in lost for reason in row.reasons]})
    else:
        _show_units(f"{workload} ({path})", units)
        _show_lines(f"not placed: {reason}" for row in lost for reason in row.reasons)
    return DONE if units and not lost else NO


def runs(cluster: str, path: Path, as_json: bool) -> int:
    """Show what runs on a cluster, by a plan."""
    plan = read_plan(path)
    units = [unit for unit in plan.assignments if unit.cluster == cluster]
    machines = [row for row in plan.machines if row.cluster == cluster]
    if not units and not machines:
        known = {unit.cluster for unit in plan.assignments} | {row.cluster for row in plan.machines}
        raise unknown("cluster", cluster, sorted(known), path)
    if as_json:
        print_json({"cluster": cluster, "assignments": _dumped(units), "machines": _dumped(machines)})
        return DONE
    _show_units(f"{cluster} ({path})", units)
    show_table("Machines", ("Pool", "Purchase", "Least", "Most"),
               [(row.pool, row.purchase, min(row.count), max(row.count)) for row in machines])
    return DONE


def _dumped(rows: Sequence[Assignment | MachineRow]) -> list[dict[str, object]]:
    return [row.model_dump(mode="json", by_alias=True) for row in rows]


def _show_units(title: str, units: list[Assignment]) -> None:
    show_table(title, ("Workload", "Users in", "Copy", "Cluster", "Pool", "Start slot"),
               [(unit.workload, unit.user_region or "", unit.copy_, unit.cluster, unit.pool,
                 "" if unit.start_slot is None else unit.start_slot) for unit in units])


def _show_lines(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(plain(line))


def catalog(pattern: str, region: str | None, found: Catalog, as_json: bool) -> int:
    """Show machine types and prices of a catalog."""
    rows = machine_rows(found, pattern) if region is None else price_rows(found, pattern, region)
    if as_json:
        print_json({"as_of": found.as_of, "rows": [row._asdict() for row in rows]})
    else:
        show_table(f"Catalog, no price older than {found.as_of}", rows[0]._fields,
                   [["" if cell is None else cell for cell in row] for row in rows])
    return DONE


def export(path: Path, folder: Path, diagnostics: bool, prices: Catalog, as_json: bool) -> int:
    """Write a scenario with every default, price, shape, link and replica written out."""
    given = scenario_at(path, diagnostics, prices)
    scenario = resolve(read_scenario(given), prices) if isinstance(given, Path) else given
    export_scenario(scenario, profile_scenario(scenario), folder)
    if as_json:
        print_json({"folder": str(folder), "name": scenario.name})
    else:
        _show_lines([f"{scenario.name} is written to {folder}"])
    return DONE
