"""Generalized assignment: the planner's core with fixed pools and one slot, beside exact solvers and first fit.

    python -m benchmarks.assignment --data DIR [--instances A,B] [--seed N] [--seconds S] [--methods M,M]
                                    [--memory GIB] [--json FILE [--resume]]

DIR holds instances (see `benchmarks.assignment_data`). Every method gets the same time for each, from reading the file
to the last answer, in processes of its own, one after the other.
"""

from __future__ import annotations

from rich.table import Table

from benchmarks.assignment_data import instance_files
from benchmarks.harness import Benchmark, Row, Run, chosen, last_of, parsed, parser, row, run_all, spent, table, text

METHODS = ("planner", "highs", "cp-sat", "cbc", "first-fit")
UNITS = {"cost": "units", "bound": "units", "gap": "share", "gap_to_best": "share", "holds": "yes=1"}


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
    rows = [row(run.instance, metric, value, UNITS[metric], [run])
            for run in runs for metric, value in figures_of(run, runs).items()]
    for method in dict.fromkeys(run.method for run in runs):
        mine = [run for run in runs if run.method == method]
        gaps = [figures_of(run, runs).get("gap_to_best") for run in mine]
        known = [gap for gap in gaps if gap is not None]
        if len(known) == len(mine):  # over the solved ones alone it would flatter
            rows.append(row("all", "gap_to_best", sum(known) / len(known), "share", mine))
            rows.append(row("all", "worst_gap_to_best", max(known), "share", mine))
    return rows


def table_of(runs: list[Run]) -> Table:
    """Quality beside the best known cost, the own bound and the peers, with time and memory."""
    made = table("Generalized assignment: cost beside the best known", ("instance", "method", "cost", "best known",
                 "gap to best", "own bound", "own gap", "s", "CPU s", "MiB"))
    for i, run in enumerate(runs):
        figures = figures_of(run, runs)
        made.add_row(
            run.instance, run.method, text(figures.get("cost"), ",.0f"), text(run.figures.get("best"), ",.0f"),
            text(figures.get("gap_to_best"), ".3%"), text(figures.get("bound"), ",.2f"),
            text(figures.get("gap"), ".3%"), *spent(run), end_section=last_of(runs, i))
    return made


def main() -> None:
    """Measure, write after every run, show a table at the end."""
    command = parser("assignment", METHODS, "instances")
    command.add_argument("--seconds", type=float, default=60.0, help="for each method and instance; default 60")
    asked = parsed(command, METHODS)
    found = instance_files(asked.data) if asked.data.is_dir() else {}
    run_all(Benchmark("assignment", rows_of, table_of), chosen(asked.data, found, asked.instances, "instance"),
            lambda _: asked.seconds, asked)


if __name__ == "__main__":
    main()
