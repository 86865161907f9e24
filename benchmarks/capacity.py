"""Capacity: is the day that a limit is passed where it was said to be? And how much does a request leave unused?

    python -m benchmarks.capacity --data DIR [--instances A,B] [--seed N] [--methods M,M] [--json FILE]

Traces are cut day by day between half and three quarters; limits come from what lies before the cut (`LIMITS`), the
horizon is the rest of the trace. A method says by which hour the limit is passed with chance 0.1, 0.5 and 0.9.

`interval_hit` counts cases whose limit is passed within the horizon: the share whose hour lies from the first to the
last. `interval_hit_all` adds those where it is never passed within the horizon: inside, where the interval ends beyond
it too. `calibrated_hit`, of methods with paths, is what the first would be without the horizon's end: how often the
chance of having passed by the true hour is between 0.1 and 0.9; a limit never passed counts with the part of the chance
that is left which lies there (0.8 for a method that is right). `expected_hit` is what `interval_hit` would be if every
chance that a method with paths says were right: 0.8 where all limits are passed within the horizon, more or less where
the horizon ends first. `interval_days` is the median length within the horizon,
`date_error_days` the median distance of the middle date, both of cases that are passed.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.capacity_data import HOURS, Case, cases_of, read_traces
from benchmarks.capacity_methods import METHODS, Said
from benchmarks.capacity_sizing import sizing_rows
from benchmarks.harness import WIDTH, Row, parsed, parser, table
from benchmarks.machine import describe_machine

UNITS = {"interval_hit": "share", "expected_hit": "share", "interval_hit_all": "share", "calibrated_hit": "share",
         "early": "share", "late": "share", "interval_days": "days", "date_error_days": "days", "cases": "cases",
         "passed": "share"}


@dataclass(frozen=True)
class Run:
    """One method on one data set."""

    instance: str
    method: str
    cases: list[Case]
    said: list[Said]
    seconds: float
    cpu_seconds: float


def run(instance: str, method: str, cases: list[Case], seed: int) -> Run:
    """Ask a method all questions of a data set, those of one cut together."""
    by_cut: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, case in enumerate(cases):
        by_cut[len(case.past), len(case.ahead)].append(i)
    began, cpu = time.monotonic(), time.process_time()
    said: dict[int, Said] = {}
    for rows in by_cut.values():
        said |= dict(zip(rows, METHODS[method]([cases[i] for i in rows], seed), strict=True))
    return Run(instance, method, cases, [said[i] for i in range(len(cases))], time.monotonic() - began,
               time.process_time() - cpu)


def figures(cases: list[Case], said: list[Said]) -> dict[str, float]:
    """Metrics as described above."""
    low, middle, high = np.array([one.hours for one in said]).T
    true = np.array([case.reached for case in cases], float)
    ahead = np.array([len(case.ahead) for case in cases])
    passed = true > 0
    inside = (true >= low) & (true <= high)
    found = {"cases": float(len(cases)), "passed": float(passed.mean())}
    if passed.any():
        width = (np.minimum(high, ahead) - np.minimum(low, ahead))[passed]
        off = np.abs(np.minimum(middle, ahead) - true)[passed]
        found |= {"interval_hit": float(inside[passed].mean()), "early": float((true < low)[passed].mean()),
                  "late": float((true > high)[passed].mean()), "interval_days": float(np.median(width)) / HOURS,
                  "date_error_days": float(np.median(off)) / HOURS}
    found["interval_hit_all"] = float(np.where(passed, inside, np.isinf(high)).mean())
    if all(one.chance is not None for one in said):
        chance = np.array([one.chance for one in said], float)
        found["calibrated_hit"] = float(np.where(passed, _share(chance[:, 0], chance[:, 1]),
                                                 _share(chance[:, 1], np.ones(len(said)))).mean())
    by_end = np.array([one.by_end for one in said], float)
    if np.isfinite(by_end).all() and by_end.sum() > 0:
        found["expected_hit"] = float((np.clip(by_end, 0.1, 0.9) - 0.1).sum() / by_end.sum())
    return found


def _share(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Share of low..high that lies in 0.1..0.9."""
    part = np.clip(np.minimum(high, 0.9) - np.maximum(low, 0.1), 0.0, None)
    point = (low >= 0.1) & (low <= 0.9)
    return np.where(high > low, part / np.maximum(high - low, 1e-12), point)


def rows_of(runs: list[Run]) -> list[Row]:
    """A row a figure, by data set and over all."""
    named = [(one.instance, one.method, one.cases, one.said, [one]) for one in runs]
    for method in dict.fromkeys(one.method for one in runs):
        mine = [one for one in runs if one.method == method]
        cases, said = [case for one in mine for case in one.cases], [one for of in mine for one in of.said]
        named.append(("all", method, cases, said, mine))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [Row(instance, method, metric, round(value, 6), UNITS[metric], round(sum(one.seconds for one in of), 2),
                round(sum(one.cpu_seconds for one in of), 2), round(peak, 1))
            for instance, method, cases, said, of in named for metric, value in figures(cases, said).items()]


def main() -> None:
    """Run the command line."""
    made = parser("capacity", tuple(METHODS), "traces")
    made.set_defaults(seconds=None)
    asked = parsed(made, tuple(METHODS))
    traces = read_traces(asked.data)
    wanted = asked.instances.split(",") if asked.instances else list(traces)
    if missing := [name for name in wanted if name not in traces]:
        sys.exit(f"--data {asked.data}: no traces {', '.join(missing)}; found: {', '.join(traces) or 'none'}")
    machine, runs, sized = describe_machine(), [], []
    for instance in wanted:
        cases = cases_of(traces[instance])
        runs += [run(instance, method, cases, asked.seed) for method in asked.methods] if cases else []
        sized += sizing_rows(instance, traces[instance], asked.seed)
        if asked.json and runs:
            write(asked.json, machine, [*rows_of(runs), *sized])
    show(runs, sized)


def write(out: Path, machine: dict[str, object], rows: list[Row]) -> None:
    """Figures as rows."""
    content = {"benchmark": "capacity", "machine": machine, "rows": [asdict(row) for row in rows]}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def show(runs: list[Run], sized: list[Row]) -> None:
    """Tables of all figures."""
    rows = rows_of(runs)
    made = table("Exhaustion dates", ("data", "method", *UNITS), "hits of an 80 % interval: 0.75 to 0.85 is aimed at")
    for instance, method in dict.fromkeys((row.instance, row.method) for row in rows):
        mine = {row.metric: row.value for row in rows if (row.instance, row.method) == (instance, method)}
        made.add_row(instance, method, *(f"{mine[name]:.3f}" if name in mine else "none" for name in UNITS))
    sizes = table("Right-sizing, last seven days", ("data", "method", "slack", "shortfall", "lost"))
    for instance, method in dict.fromkeys((row.instance, row.method) for row in sized):
        mine = {row.metric: row.value for row in sized if (row.instance, row.method) == (instance, method)}
        sizes.add_row(instance, method, *(f"{mine[name]:.3f}" for name in ("slack", "shortfall", "lost")))
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(made)
    console.print(sizes)


if __name__ == "__main__":
    main()
