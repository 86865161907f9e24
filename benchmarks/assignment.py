"""Generalized assignment: the planner's core with fixed pools and one slot, beside exact solvers and first fit.

    python -m benchmarks.assignment --data DIR [--instances A,B] [--seed N] [--seconds S] [--methods M,M] [--json FILE]

DIR holds instances (see `benchmarks.assignment_data`). Every method gets the same time for each, from reading the file
to the last answer, in processes of its own, one after the other.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.assignment_data import instance_files
from benchmarks.machine import describe_machine
from benchmarks.measure import run_measured
from benchmarks.placement import METHODS, OVERRUN, OVERRUN_S, WIDTH, Row, Run

UNITS = {"cost": "units", "bound": "units", "gap": "share", "gap_to_best": "share", "holds": "yes=1"}


def measure(name: str, file: Path, method: str, seed: int, seconds: float) -> Run:
    """Run one method on one instance; a crash or an overrun is a run without an answer."""
    with tempfile.TemporaryDirectory() as scratch:
        job, out = Path(scratch) / "job.json", Path(scratch) / "figures.json"
        job.write_text(json.dumps({"file": str(file.resolve()), "method": method, "seed": seed, "seconds": seconds,
                                   "out": str(out)}), encoding="utf-8")
        usage = run_measured([sys.executable, "-m", "benchmarks.assignment_run", str(job)],
                             seconds * OVERRUN + OVERRUN_S)
        if out.exists():
            return Run(name, method, json.loads(out.read_text(encoding="utf-8")), usage)
    return Run(name, method, {"holds": False, "why": f"ended with exit status {usage.exit_status}"}, usage)


def figures_of(run: Run, runs: list[Run]) -> dict[str, float]:
    """Metrics of one run. `gap_to_best` is to the best known cost; where none is known, to the best bound of the run
    (and then above what the true figure is).
    """
    told = run.figures
    out: dict[str, float] = {"holds": float(told["holds"])}
    if told.get("bound") is not None:
        out["bound"] = told["bound"]
    if told["holds"]:
        best = _best(run, runs)
        out |= {"cost": told["cost"], "gap": told["gap"]}
        if best:
            out["gap_to_best"] = (told["cost"] - best) / best
    return out


def _best(run: Run, runs: list[Run]) -> float | None:
    if run.figures.get("best") is not None:
        return float(run.figures["best"])
    bounds = [other.figures["bound"] for other in runs
              if other.instance == run.instance and other.figures.get("bound") is not None]
    return max(bounds, default=None)


def rows_of(runs: list[Run]) -> list[Row]:
    """Every figure of every run, then each method's mean and worst gap where it has one on every instance."""
    rows = [_row(run.instance, metric, value, [run]) for run in runs for metric, value in figures_of(run, runs).items()]
    for method in dict.fromkeys(run.method for run in runs):
        mine = [run for run in runs if run.method == method]
        gaps = [figures_of(run, runs).get("gap_to_best") for run in mine]
        known = [gap for gap in gaps if gap is not None]
        if len(known) == len(mine):  # over the solved ones alone it would flatter
            rows.append(_row("all", "gap_to_best", sum(known) / len(known), mine))
            rows.append(_row("all", "worst_gap_to_best", max(known), mine))
    return rows


def _row(instance: str, metric: str, value: float, runs: list[Run]) -> Row:
    return Row(instance, runs[0].method, metric, value, UNITS.get(metric, "share"),
               round(sum(run.usage.seconds for run in runs), 2), round(sum(run.usage.cpu_seconds for run in runs), 2),
               round(max(run.usage.peak_mib for run in runs), 1))


def table_of(runs: list[Run]) -> Table:
    """Quality beside the best known cost, the own bound and the peers, with time and memory."""
    table = Table(title="Generalized assignment: cost beside the best known", box=SIMPLE_HEAD)
    for name in ("instance", "method", "cost", "best known", "gap to best", "own bound", "own gap", "s", "CPU s",
                 "MiB"):
        table.add_column(name, justify="left" if name in ("instance", "method") else "right")
    for i, run in enumerate(runs):
        figures = figures_of(run, runs)
        table.add_row(
            run.instance, run.method, _text(figures.get("cost"), ",.0f"), _text(run.figures.get("best"), ",.0f"),
            _text(figures.get("gap_to_best"), ".3%"), _text(figures.get("bound"), ",.2f"),
            _text(figures.get("gap"), ".3%"), f"{run.usage.seconds:.1f}", f"{run.usage.cpu_seconds:.1f}",
            f"{run.usage.peak_mib:.0f}",
            end_section=i + 1 == len(runs) or runs[i + 1].instance != run.instance)
    return table


def _text(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.assignment", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of instances")
    parser.add_argument("--instances", help="names, with commas; default all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each method and instance; default 60")
    parser.add_argument("--methods", default=",".join(METHODS), help=f"default {','.join(METHODS)}")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    arguments.methods = [name.strip() for name in arguments.methods.split(",")]
    if unknown := [name for name in arguments.methods if name not in METHODS]:
        parser.error(f"--methods: {', '.join(unknown)}: allowed are {', '.join(METHODS)}")
    return arguments


def _chosen(data: Path, names: str | None) -> dict[str, Path]:
    found = instance_files(data) if data.is_dir() else {}
    chosen = [name.strip() for name in names.split(",")] if names else list(found)
    if not chosen or (missing := [name for name in chosen if name not in found]):
        what = ", ".join(missing) if chosen else "of generalized assignment"
        sys.exit(f"--data {data}: no instance {what}; found: {', '.join(found) or 'none'}")
    return {name: found[name] for name in chosen}


def main() -> None:
    """Measure, write after every run, show a table at the end."""
    arguments, console, runs = _arguments(), Console(stderr=True), []
    machine = describe_machine() | {"seed": arguments.seed, "limit_s": arguments.seconds}
    for name, file in _chosen(arguments.data, arguments.instances).items():
        for method in arguments.methods:
            with console.status(f"{name}: {method}"):
                runs.append(measure(name, file, method, arguments.seed, arguments.seconds))
            if arguments.json:
                _write(arguments.json, machine, runs)
    width = None if sys.stdout.isatty() else WIDTH
    Console(width=width).print(table_of(runs))
    for run in runs:
        if not run.figures["holds"]:
            Console(width=width).print(f"{run.instance}, {run.method}: {run.figures['why']}", highlight=False)


def _write(out: Path, machine: dict[str, Any], runs: list[Run]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    remarks = [{"instance": run.instance, "method": run.method, "remark": run.figures.get("why"),
                "proof": run.figures.get("proof")} for run in runs]
    content = {"benchmark": "assignment", "machine": machine, "rows": [asdict(row) for row in rows_of(runs)],
               "remarks": remarks}
    out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
