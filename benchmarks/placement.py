"""Placement on whole scenarios: our own method beside exact solvers, first fit and a choice per task, in the same run.

    python -m benchmarks.placement --data DIR [--instances A,B] [--size S,M] [--seed N] [--seconds S] [--methods M,M]
                                   [--memory GIB] [--json FILE [--resume]]

DIR is any folder of scenario folders. Every method gets the same time for each scenario, from reading it to the last
answer, in processes of its own. A method without a packed and verified plan counts as having none, and is shown so.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from rich.table import Table

from benchmarks.harness import Benchmark, Row, Run, chosen, last_of, parsed, parser, row, run_all, spent, table, text

METHODS = ("planner", "highs", "cp-sat", "cbc", "first-fit", "per-task")
SIZES = {"S": (300, 60.0), "M": (3_000, 120.0), "L": (30_000, 300.0), "XL": (math.inf, 900.0)}
"""Workloads up to which a scenario is of a size, and the seconds that each method then gets unless told otherwise."""
UNITS = {"cost_usd": "USD", "bound_usd": "USD", "gap": "share", "attainment": "share", "bound_attainment": "share",
         "gap_to_best_bound": "share", "packed": "yes=1"}


def rows_of(runs: list[Run]) -> list[Row]:
    """Every figure of every run, then each method's mean over all instances."""
    rows = [row(run.instance, metric, value, UNITS[metric], [run])
            for run in runs for metric, value in figures_of(run, runs).items()]
    for method in dict.fromkeys(run.method for run in runs):
        mine = [run for run in runs if run.method == method]
        for metric in ("gap", "gap_to_best_bound", "attainment", "packed"):
            values = [made.value for made in rows if (made.method, made.metric) == (method, metric)]
            if len(values) == len(mine):  # a mean over the solved ones alone would flatter
                rows.append(row("all", metric, sum(values) / len(values), UNITS[metric], mine))
    return rows


def figures_of(run: Run, runs: list[Run]) -> dict[str, float]:
    """Metrics of one run; no cost, attainment or gap without a plan, no bound where nothing was proven."""
    told, by_cost = run.figures, run.figures.get("mode") != "max_sla"
    out: dict[str, float] = {"packed": float(told["holds"])}
    if told.get("bound") is not None:
        out["bound_usd" if by_cost else "bound_attainment"] = told["bound"]
    if told["holds"]:
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
    made = table("Placement: cost beside what was proven", ("instance", "method", "cost USD", "attained", "own bound",
                 "gap", "gap to best", "s", "CPU s", "MiB", "status"), "gap to best: to the best bound of the run")
    for i, run in enumerate(runs):
        figures = figures_of(run, runs)
        bound = figures.get("bound_usd", figures.get("bound_attainment"))
        made.add_row(
            run.instance, run.method, text(figures.get("cost_usd"), ",.2f"), text(figures.get("attainment"), ".2%"),
            text(bound, ",.2f" if "bound_usd" in figures else ".4f"), text(figures.get("gap"), ".2%"),
            text(figures.get("gap_to_best_bound"), ".2%"), *spent(run),
            run.figures["status"] if run.figures["holds"] else "no plan", end_section=last_of(runs, i))
    return made


def scenarios(data: Path) -> dict[str, Path]:
    """Scenario folders in `data` (or `data` itself), by name."""
    if (data / "scenario.yaml").is_file():
        return {data.resolve().name: data}
    return {folder.name: folder for folder in sorted(data.glob("*")) if (folder / "scenario.yaml").is_file()}


def size_of(scenario: Path) -> str:
    """S, M, L or XL, by the number of workloads, without reading them all where they lie in a table."""
    content: dict[str, Any] = yaml.load((scenario / "scenario.yaml").read_text(), yaml.CSafeLoader)
    listed = content.get("workloads", [])
    if isinstance(listed, str):
        file = scenario / listed
        many = (pq.read_metadata(file).num_rows if file.suffix == ".parquet" else
                len(yaml.load(file.read_text(), yaml.CSafeLoader)) if file.suffix in (".yaml", ".yml") else
                sum(1 for _ in file.open()) - 1)
    else:
        many = len(listed)
    return next(size for size, (most, _) in SIZES.items() if many <= most)


def main() -> None:
    """Measure, write after every run, show a table at the end."""
    command = parser("placement", METHODS, "scenario folders")
    command.add_argument("--size", help=f"only scenarios of these sizes: {','.join(SIZES)} (by workloads), with commas")
    command.add_argument("--seconds", type=float, help="for each method and instance; default by size: "
                         + ", ".join(f"{size} {seconds:g}" for size, (_, seconds) in SIZES.items()))
    asked = parsed(command, METHODS)
    wanted = [name.strip().upper() for name in asked.size.split(",")] if asked.size else list(SIZES)
    if unknown := [name for name in wanted if name not in SIZES]:
        command.error(f"--size: {', '.join(unknown)}: allowed are {', '.join(SIZES)}")
    found = scenarios(asked.data)
    picked = chosen(asked.data, found, asked.instances, "scenario folder")
    size = {name: size_of(path) for name, path in picked.items()}
    picked = {name: path for name, path in picked.items() if size[name] in wanted}
    run_all(Benchmark("placement", rows_of, table_of), picked,
            lambda name: asked.seconds or SIZES[size[name]][1], asked)


if __name__ == "__main__":
    main()
