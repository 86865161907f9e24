"""GPU packing: pods come one by one, nobody leaves; how much GPU is allocated when 130 % of it was asked for.

    python -m benchmarks.packing --data DIR [--instances A,B] [--seed N] [--seeds K] [--seconds S] [--methods M,M]
                                 [--json FILE]

The experiment is in `benchmarks.packing_data`; an instance is a trace. Runs have seeds N to N + K - 1 (42 to 51 unless
told otherwise). `planner`, `fgd`, `best-fit` and `random` take the pods in their order, under one rule for ties: the
first node in the list, on it the first GPU. `planner-offline` knows all pods and chooses which to place. Every packing
is added up anew (`placement.gpu_packing.faults`) before it counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.harness import WIDTH, Row
from benchmarks.machine import describe_machine
from benchmarks.packing_data import arrivals, read_nodes, read_pods, traces
from placement.gpu_offline import most_milli, pack_offline
from placement.gpu_online import Expected, expect, pack_online
from placement.gpu_packing import Nodes, Packing, Pods, allocated_milli, faults

ONLINE = {"planner": "planner", "fgd": "fgd", "best-fit": "best_fit", "random": "random"}
"""Methods that take pods in their order, with the rule of `placement.gpu_online`."""
OFFLINE = "planner-offline"
METHODS = (*ONLINE, OFFLINE)
ROUNDS_A_SECOND = 10_000
"""Rounds of the offline search for each of `--seconds`; it does about twice as many on one core of 2020."""
TIES = "first node of the list, first GPU of the node"


@dataclass(frozen=True)
class Run:
    """One method on the arrivals of one seed: share of GPU `allocated`, and the most that was `possible`."""

    instance: str
    method: str
    seed: int
    allocated: float
    possible: float
    seconds: float
    cpu_seconds: float
    peak_mib: float


def measure(trace: str, method: str, seed: int, nodes: Nodes, pods: Pods, possible: float,
            pack: Callable[[], Packing]) -> Run:
    """Time one packing and check it. Raises ValueError when it is not legal."""
    wall, cpu = time.perf_counter(), time.process_time()
    packing = pack()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if wrong := faults(nodes, pods, packing):
        raise ValueError(f"{trace}, {method}, seed {seed}: {wrong[0]} ({len(wrong)} faults)")
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    share = allocated_milli(pods, packing) / nodes.capacity_milli
    return Run(trace, method, seed, share, possible, wall, cpu, peak_mib)


def run_seed(trace: str, methods: list[str], seed: int, nodes: Nodes, pods: Pods, expected: Expected,
             seconds: float) -> list[Run]:
    """All methods on the same arrivals."""
    possible = most_milli(nodes, pods) / nodes.capacity_milli
    out = []
    for method in methods:
        def pack(method: str = method) -> Packing:
            if method == OFFLINE:
                return pack_offline(nodes, pods, int(seconds * ROUNDS_A_SECOND), seed)
            return pack_online(nodes, pods, ONLINE[method], expected, seed)

        out.append(measure(trace, method, seed, nodes, pods, possible, pack))
    return out


def warm_up(nodes: Nodes, pods: Pods, expected: Expected) -> None:
    """Compile everything on a few pods, so that the first run is timed as the others are."""
    few = pods.rows(np.arange(min(20, len(pods.gpus))))
    pack_online(nodes, few, "planner", expected)
    pack_offline(nodes, few, 2)


def rows_of(runs: list[Run]) -> list[Row]:
    """Means over seeds by trace, with the worst seed and its most possible, then means over traces."""
    rows = []
    for trace, method in dict.fromkeys((run.instance, run.method) for run in runs):
        mine = [run for run in runs if (run.instance, run.method) == (trace, method)]
        shares = [run.allocated for run in mine]
        for metric, value in (("allocated", float(np.mean(shares))), ("allocated_least", min(shares)),
                              ("allocated_most", max(shares)),
                              ("possible", float(np.mean([run.possible for run in mine])))):
            rows.append(_row(trace, metric, value, mine))
    for method in dict.fromkeys(run.method for run in runs):
        means = [row.value for row in rows if (row.method, row.metric) == (method, "allocated")]
        rows.append(_row("all", "allocated", float(np.mean(means)), [run for run in runs if run.method == method]))
    return rows


def _row(instance: str, metric: str, value: float, runs: list[Run]) -> Row:
    """Times are those of the slowest run."""
    return Row(instance, runs[0].method, metric, round(value, 6), "share", round(max(run.seconds for run in runs), 3),
               round(max(run.cpu_seconds for run in runs), 3), round(max(run.peak_mib for run in runs), 1))


def table_of(runs: list[Run]) -> Table:
    """Means beside the most possible, with the slowest run."""
    table = Table(title="GPU packing: share of GPU allocated when 130 % was asked for", caption=f"ties: {TIES}",
                  box=SIMPLE_HEAD)
    for name in ("trace", "method", "mean", "least", "most", "possible at most", "s a run", "CPU s", "MiB"):
        table.add_column(name, justify="left" if name in ("trace", "method") else "right")
    rows = {(row.instance, row.method, row.metric): row for row in rows_of(runs)}
    for trace, method in dict.fromkeys((run.instance, run.method) for run in runs):
        mean, least, most, possible = (rows[trace, method, f"{metric}"] for metric in
                                       ("allocated", "allocated_least", "allocated_most", "possible"))
        table.add_row(trace, method, f"{mean.value:.2%}", f"{least.value:.2%}", f"{most.value:.2%}",
                      f"{possible.value:.2%}", f"{mean.seconds:.1f}", f"{mean.cpu_seconds:.1f}", f"{mean.peak_mib:.0f}")
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packing", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with one list of nodes and lists of pods")
    parser.add_argument("--instances", help="names of traces, with commas; default all")
    parser.add_argument("--seed", type=int, default=42, help="of the first run; default 42")
    parser.add_argument("--seeds", type=int, default=10, help="how many runs; default 10")
    parser.add_argument("--seconds", type=float, default=4.0, help="sets the rounds of the offline search; default 4")
    parser.add_argument("--methods", default=",".join(METHODS), help=f"default {','.join(METHODS)}")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    arguments.methods = [name.strip() for name in arguments.methods.split(",")]
    if unknown := [name for name in arguments.methods if name not in METHODS]:
        parser.error(f"--methods: {', '.join(unknown)}: allowed are {', '.join(METHODS)}")
    return arguments


def _chosen(data: Path, names: str | None) -> dict[str, Path]:
    found = traces(data) if data.is_dir() else {}
    chosen = [name.strip() for name in names.split(",")] if names else list(found)
    missing = [name for name in chosen if name not in found]
    if missing or not chosen:
        sys.exit(f"--data {data}: no trace {', '.join(missing)}; found: {', '.join(found) or 'none'}")
    return {name: found[name] for name in chosen}


def main() -> None:
    """Measure, write after every seed, show a table at the end."""
    arguments, console, runs = _arguments(), Console(stderr=True), []
    chosen = _chosen(arguments.data, arguments.instances)
    machine = describe_machine() | {"seeds": [arguments.seed, arguments.seed + arguments.seeds - 1], "ties": TIES}
    nodes, models = read_nodes(arguments.data)
    for trace, file in chosen.items():
        pods, names = read_pods(file, models)
        expected = expect(pods, len(models))
        warm_up(nodes, pods, expected)
        for seed in range(arguments.seed, arguments.seed + arguments.seeds):
            with console.status(f"{trace}: seed {seed}"):
                come = arrivals(pods, names, nodes, seed)
                runs += run_seed(trace, arguments.methods, seed, nodes, come, expected, arguments.seconds)
            if arguments.json:
                _write(arguments.json, machine, runs)
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table_of(runs))


def _write(out: Path, machine: dict[str, Any], runs: list[Run]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {"benchmark": "packing", "machine": machine, "rows": [asdict(row) for row in rows_of(runs)],
               "runs": [asdict(run) for run in runs]}
    out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
