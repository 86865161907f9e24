"""Placement on whole scenarios: our own method beside exact solvers and first fit, in the same run.

    python -m benchmarks.placement --data DIR [--instances A,B] [--seed N] [--seconds S] [--methods M,M] [--json FILE]

DIR is any folder of scenario folders. Every method gets the same time for each scenario, from reading it to the last
answer, in processes of its own. A method without a packed and verified plan counts as having none, and is shown so.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from benchmarks.measure import Usage, run_measured

METHODS = ("planner", "highs", "cp-sat", "cbc", "first-fit")
OVERRUN = 1.1
OVERRUN_S = 20.0
"""A run is killed at its seconds times `OVERRUN` plus `OVERRUN_S`; that is far beyond what it promises."""
WIDTH = 140
"""Columns of the table where it is not shown in a terminal."""
UNITS = {"cost_usd": "USD", "bound_usd": "USD", "gap": "share", "attainment": "share", "bound_attainment": "share",
         "gap_to_best_bound": "share", "packed": "yes=1"}


@dataclass(frozen=True)
class Row:
    """One measured figure; time and memory are those of the run it comes from."""

    instance: str
    method: str
    metric: str
    value: float
    unit: str
    seconds: float
    cpu_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Run:
    """What one method did on one instance."""

    instance: str
    method: str
    figures: dict[str, Any]
    usage: Usage


def measure(instance: Path, method: str, seed: int, seconds: float) -> Run:
    """Run one method on one scenario folder; a crash or an overrun is a run without a plan."""
    with tempfile.TemporaryDirectory() as scratch:
        job, out = Path(scratch) / "job.json", Path(scratch) / "figures.json"
        content = {"scenario": str(instance.resolve()), "method": method, "seed": seed, "seconds": seconds,
                   "out": str(out)}
        job.write_text(json.dumps(content), encoding="utf-8")
        usage = run_measured([sys.executable, "-m", "benchmarks.placement_run", str(job)],
                             seconds * OVERRUN + OVERRUN_S)
        if out.exists():
            return Run(instance.name, method, json.loads(out.read_text(encoding="utf-8")), usage)
    return Run(instance.name, method, {"packed": False, "why": f"ended with exit status {usage.exit_status}"}, usage)


def rows_of(runs: list[Run]) -> list[Row]:
    """Every figure of every run, then each method's mean over all instances."""
    rows = [_row(run, metric, value) for run in runs for metric, value in _figures(run, runs).items()]
    for method in dict.fromkeys(run.method for run in runs):
        mine = [run for run in runs if run.method == method]
        for metric in ("gap", "gap_to_best_bound", "attainment", "packed"):
            values = [row.value for row in rows if (row.method, row.metric) == (method, metric)]
            if len(values) == len(mine):  # a mean over the solved ones alone would flatter
                rows.append(Row("all", method, metric, sum(values) / len(values), UNITS[metric],
                                sum(run.usage.seconds for run in mine), sum(run.usage.cpu_seconds for run in mine),
                                max(run.usage.peak_mib for run in mine)))
    return rows


def _row(run: Run, metric: str, value: float) -> Row:
    usage = run.usage
    return Row(run.instance, run.method, metric, value, UNITS[metric], round(usage.seconds, 2),
               round(usage.cpu_seconds, 2), round(usage.peak_mib, 1))


def _figures(run: Run, runs: list[Run]) -> dict[str, float]:
    """Metrics of one run; no cost, attainment or gap without a plan, no bound where nothing was proven."""
    told, by_cost = run.figures, run.figures.get("mode") != "max_sla"
    out: dict[str, float] = {"packed": float(told["packed"])}
    if told.get("bound") is not None:
        out["bound_usd" if by_cost else "bound_attainment"] = told["bound"]
    if told["packed"]:
        out |= {"cost_usd": told["cost_usd"], "attainment": told["attainment"]}
        best = best_bound(run.instance, runs)
        if best is not None:
            value = told["cost_usd"] if by_cost else told["attainment"]
            base = value if by_cost else best
            out["gap_to_best_bound"] = abs(value - best) / base if base > 0 else 0.0
        if told.get("bound") is not None:
            out["gap"] = told["gap"]
    return out


def best_bound(instance: str, runs: list[Run]) -> float | None:
    """The best bound that any method proved on an instance."""
    here = [run.figures for run in runs if run.instance == instance and run.figures.get("bound") is not None]
    if not here:
        return None
    best: float = (max if here[0]["mode"] == "min_cost" else min)(figures["bound"] for figures in here)
    return best


def table_of(runs: list[Run]) -> Table:
    """Quality beside the bound and the peers, with time and memory."""
    table = Table(title="Placement: cost beside what was proven", caption="gap to best: to the best bound of the run",
                  box=SIMPLE_HEAD)
    for name in ("instance", "method", "cost USD", "attained", "own bound", "gap", "gap to best", "s", "CPU s", "MiB"):
        table.add_column(name, justify="left" if name in ("instance", "method") else "right")
    table.add_column("status")
    for i, run in enumerate(runs):
        figures = _figures(run, runs)
        bound = figures.get("bound_usd", figures.get("bound_attainment"))
        table.add_row(
            run.instance, run.method, _text(figures.get("cost_usd"), ",.2f"), _text(figures.get("attainment"), ".2%"),
            _text(bound, ",.2f" if "bound_usd" in figures else ".4f"), _text(figures.get("gap"), ".2%"),
            _text(figures.get("gap_to_best_bound"), ".2%"), f"{run.usage.seconds:.1f}", f"{run.usage.cpu_seconds:.1f}",
            f"{run.usage.peak_mib:.0f}", run.figures["status"] if run.figures["packed"] else "no plan",
            end_section=i + 1 == len(runs) or runs[i + 1].instance != run.instance)
    return table


def _text(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)


def instances(data: Path, chosen: str | None) -> list[Path]:
    """Scenario folders in `data` (or `data` itself), by name. Exits with one line when there is none."""
    if (data / "scenario.yaml").is_file():
        return [data]
    found = {folder.name: folder for folder in sorted(data.glob("*")) if (folder / "scenario.yaml").is_file()}
    names = [name.strip() for name in chosen.split(",")] if chosen else list(found)
    missing = [name for name in names if name not in found]
    if missing or not names:
        sys.exit(f"--data {data}: no scenario folder {', '.join(missing)}; found: {', '.join(found) or 'none'}")
    return [found[name] for name in names]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placement", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of scenario folders")
    parser.add_argument("--instances", help="names of scenario folders, with commas; default all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each method and instance; default 60")
    parser.add_argument("--methods", default=",".join(METHODS), help=f"default {','.join(METHODS)}")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    arguments.methods = [name.strip() for name in arguments.methods.split(",")]
    unknown = [name for name in arguments.methods if name not in METHODS]
    if unknown:
        parser.error(f"--methods: {', '.join(unknown)}: allowed are {', '.join(METHODS)}")
    return arguments


def main() -> None:
    """Measure, write after every run, show a table at the end."""
    arguments, console, runs = _arguments(), Console(stderr=True), []
    machine = describe_machine() | {"seed": arguments.seed, "limit_s": arguments.seconds}
    for instance in instances(arguments.data, arguments.instances):
        for method in arguments.methods:
            with console.status(f"{instance.name}: {method}"):
                runs.append(measure(instance, method, arguments.seed, arguments.seconds))
            if arguments.json:
                _write(arguments.json, machine, runs)
    width = None if sys.stdout.isatty() else WIDTH
    Console(width=width).print(table_of(runs))
    for run in runs:
        if not run.figures["packed"]:
            Console(width=width).print(f"{run.instance}, {run.method}: {run.figures['why']}", highlight=False)


def _write(out: Path, machine: dict[str, Any], runs: list[Run]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    remarks = [{"instance": run.instance, "method": run.method, "remark": run.figures.get("why"),
                "proof": run.figures.get("proof")} for run in runs]
    content = {"benchmark": "placement", "machine": machine, "rows": [asdict(row) for row in rows_of(runs)],
               "remarks": remarks}
    out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
