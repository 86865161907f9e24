"""Needs of tasks whose application nobody has seen: right buckets, intervals that hold, slack and shortfall.

    python -m benchmarks.profiles --data DIR [--instances A,B] [--seed N] [--methods M,M] [--json FILE]

Traces under DIR become libraries of past tasks (`benchmarks.profiles_data`). Applications are dealt into 20 parts by
the seed; tasks of each part are predicted from the others. A bucket is a power of two of vCPU and of memory in GiB (48
is within 64), and the number of GPUs itself. `oracle` knows all tasks and gives every description its most common
bucket: no method that is told no more can be right more often. Not enough evidence counts as a wrong bucket and a
missed interval.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.harness import WIDTH, Row, table, text
from benchmarks.machine import describe_machine
from benchmarks.profiles_data import QUANTITIES, Instance, instances
from planner.profiles.blend import described
from planner.profiles.learned import LEVEL, Described, answers
from planner.profiles.library import Run
from planner.profiles.model import Slots
from planner.profiles.similar import bucket_of, distances

FOLDS = 20
NEAREST = 5
HEADLINE = ("dlrm", "openb")
"""Instances whose mean is the figure of instance `all`: descriptions without anything that is asked for as a size."""
SLOTS = Slots(168, 60)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """What a method says of one quantity of tasks [n]: buckets and an interval, whose high end is the size to ask for.

    Ends are NaN where a method has none; 0 where there was not enough evidence.
    """

    bucket: Floats
    low: Floats
    high: Floats


Method = Callable[[Sequence[Described], Sequence[Run], Sequence[Described], str], Told]
"""(asked tasks, past runs, what past runs said, quantity) -> what is told."""


def planner(asked: Sequence[Described], runs: Sequence[Run], past: Sequence[Described], quantity: str) -> Told:
    """The product's own way: similar past tasks, learned fields, conformal intervals."""
    found = answers(asked, runs, past, quantity)
    if quantity == "gpu":
        value = np.array([-1.0 if one.value is None else float(str(one.value)) for one in found])
        return Told(value, np.full(len(found), np.nan), value)
    bucket = np.array([-1.0 if one.bucket is None else np.log2(one.bucket) for one in found])
    return Told(bucket, np.array([one.low or 0.0 for one in found]), np.array([one.high or 0.0 for one in found]))


def common(asked: Sequence[Described], runs: Sequence[Run], _: Sequence[Described], quantity: str) -> Told:
    """The most common bucket of all past runs, filled to its top."""
    used, times = _used(runs, quantity), np.array([run.times for run in runs])
    bucket = _most(_bucket(used, quantity), times)
    top = bucket if quantity == "gpu" else 2.0**bucket
    return _same(len(asked), bucket, np.nan, top)


def median(asked: Sequence[Described], runs: Sequence[Run], _: Sequence[Described], quantity: str) -> Told:
    """The median of all past runs, with their middle share as the interval."""
    used, times = _used(runs, quantity), np.array([run.times for run in runs])
    low, middle, high = (_quantile(used, times, level) for level in ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2))
    return _same(len(asked), float(_bucket(np.array([middle]), quantity)[0]), low, high)


def nearest(asked: Sequence[Described], runs: Sequence[Run], past: Sequence[Described], quantity: str) -> Told:
    """Plain k nearest neighbours: all fields count alike, the most common bucket and the range of the five nearest."""
    apart = distances([task.whole for task in asked], [task.whole for task in past]).sum(0)
    chosen = np.argsort(apart, axis=1, kind="stable")[:, :NEAREST]
    used = _used(runs, quantity)[chosen]
    bucket = np.array([_most(_bucket(row, quantity), np.ones(NEAREST)) for row in used])
    return Told(bucket, used.min(1), used.max(1))


METHODS: dict[str, Method] = {"planner": planner, "common": common, "median": median, "knn": nearest}


def oracle(instance: Instance, quantity: str) -> Floats:
    """The most common bucket [n] of every distinct description, with the answers known."""
    runs = instance.library.runs
    bucket, times = _bucket(_used(runs, quantity), quantity), np.array([run.times for run in runs])
    keys = np.array([repr(run.task) for run in runs])
    best = np.empty(len(runs))
    for key in np.unique(keys):
        same = keys == key
        best[same] = _most(bucket[same], times[same])
    return best


def run_folds(instance: Instance, method: Method, quantity: str, seed: int) -> Told:
    """What a method says of every task of an instance, its application (or, where they are seen, the run) left out."""
    runs = instance.library.runs
    tasks = [described(run.task, run.description, None, SLOTS) for run in runs]
    names = np.array([repr(run) if instance.seen else run.application for run in runs])
    _, code = np.unique(names, return_inverse=True)
    part = np.random.default_rng(seed).permutation(int(code.max()) + 1)[code] % FOLDS
    told = Told(*(np.full(len(runs), np.nan) for _ in range(3)))
    for fold in range(FOLDS):
        held, kept = np.flatnonzero(part == fold), np.flatnonzero(part != fold)
        if len(held):
            found = method([tasks[i] for i in held], [runs[i] for i in kept], [tasks[i] for i in kept], quantity)
            told.bucket[held], told.low[held], told.high[held] = found.bucket, found.low, found.high
    return told


def figures_of(instance: Instance, told: dict[str, Told]) -> dict[str, float]:
    """Metrics by name: per quantity and their means, over runs and (`_by_application`) over applications alike."""
    runs = instance.library.runs
    times = np.array([run.times for run in runs])
    _, code = np.unique([run.application for run in runs], return_inverse=True)
    weights = {"": times, "_by_application": times / np.bincount(code, times)[code]}
    found: dict[str, float] = {}
    for suffix, weight in weights.items():
        for quantity, one in told.items():
            used = _used(runs, quantity)
            right = one.bucket == _bucket(used, quantity)
            found[f"bucket_accuracy_{quantity}{suffix}"] = float(np.average(right, weights=weight))
            if not np.isnan(one.low).any():
                held = (one.low <= used * (1 + 1e-9)) & (used <= one.high * (1 + 1e-9))
                found[f"interval_coverage_{quantity}{suffix}"] = float(np.average(held, weights=weight))
            if not np.isnan(one.high).any() and quantity != "gpu":
                spare = np.maximum(one.high - used, 0) @ weight / (one.high @ weight)
                found[f"slack_{quantity}{suffix}"] = float(spare)
                found[f"shortfall_{quantity}{suffix}"] = float(np.average(one.high < used * (1 - 1e-9), weights=weight))
        for metric in ("bucket_accuracy", "interval_coverage", "slack", "shortfall"):
            parts = [found[f"{metric}_{q}{suffix}"] for q in QUANTITIES if f"{metric}_{q}{suffix}" in found]
            if parts:
                found[f"{metric}{suffix}"] = float(np.mean(parts))
    return found


# ---------------------------------------------------------------- amounts and buckets


def _used(runs: Sequence[Run], quantity: str) -> Floats:
    return np.array([float(run.used[quantity]) for run in runs])


def _bucket(used: Floats, quantity: str) -> Floats:
    return used if quantity == "gpu" else _buckets(used)


def _buckets(used: Floats) -> Floats:
    return bucket_of(np.log2(np.maximum(used, 1e-6))).astype(float)


def _most(bucket: Floats, times: Floats) -> float:
    values, code = np.unique(bucket, return_inverse=True)
    return float(values[np.bincount(code, times).argmax()])


def _quantile(used: Floats, times: Floats, level: float) -> float:
    order = np.argsort(used)
    return float(used[order][np.searchsorted(np.cumsum(times[order]), level * times.sum() - 1e-9)])


def _same(count: int, bucket: float, low: float, high: float) -> Told:
    return Told(np.full(count, bucket), np.full(count, low), np.full(count, high))


# ---------------------------------------------------------------- the command


def measure(found: Instance, name: str, seed: int) -> list[Row]:
    """Rows of one method, or of the oracle, on one instance."""
    wall, cpu = time.perf_counter(), time.process_time()
    if name == "oracle":
        blank = np.full(len(found.library.runs), np.nan)
        told = {quantity: Told(oracle(found, quantity), blank, blank) for quantity in QUANTITIES}
    else:
        told = {quantity: run_folds(found, METHODS[name], quantity, seed) for quantity in QUANTITIES}
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [Row(found.name, name, metric, round(value, 4), "share", round(wall, 2), round(cpu, 2), round(peak_mib, 1))
            for metric, value in figures_of(found, told).items()]


def means(rows: list[Row]) -> list[Row]:
    """Rows of instance `all`: means over the headline instances, where a method has the figure on each."""
    made = []
    for method, metric in dict.fromkeys((row.method, row.metric) for row in rows):
        mine = [row for row in rows if (row.method, row.metric) == (method, metric) and row.instance in HEADLINE]
        if len(mine) == len(HEADLINE):
            made.append(Row("all", method, metric, round(float(np.mean([row.value for row in mine])), 4), "share",
                            round(sum(row.seconds for row in mine), 2), round(sum(row.cpu_seconds for row in mine), 2),
                            max(row.peak_mib for row in mine)))
    return made


def table_of(rows: list[Row]) -> Table:
    """Right buckets by quantity, then means, over runs and over applications."""
    shown = ("bucket_accuracy_vcpu", "bucket_accuracy_memory_gib", "bucket_accuracy_gpu", "bucket_accuracy",
             "bucket_accuracy_by_application", "interval_coverage", "interval_coverage_by_application", "slack",
             "shortfall")
    made = table("Needs of tasks of unseen applications", (
        "instance", "method", "vcpu", "memory", "gpu", "right bucket", "by app", "in interval", "by app", "slack",
        "shortfall", "CPU s"), f"intervals are to hold {LEVEL:.0%}; aim: right bucket 80 %")
    value = {(row.instance, row.method, row.metric): row for row in rows}
    for instance, method in dict.fromkeys((row.instance, row.method) for row in rows):
        found = [value.get((instance, method, metric)) for metric in shown]
        seconds = next(row.cpu_seconds for row in rows if (row.instance, row.method) == (instance, method))
        made.add_row(instance, method, *(text(None if one is None else one.value, ".3f") for one in found),
                     f"{seconds:.1f}", end_section=method == "oracle")
    return made


def _arguments() -> argparse.Namespace:
    names = (*METHODS, "oracle")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiles", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with the traces, or above them")
    parser.add_argument("--instances", help="names, with commas; default all")
    parser.add_argument("--seed", type=int, default=1, help="deals applications into parts; default 1")
    parser.add_argument("--methods", default=",".join(names), help=f"default {','.join(names)}")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    arguments.methods = [name.strip() for name in arguments.methods.split(",")]
    if unknown := [name for name in arguments.methods if name not in names]:
        parser.error(f"--methods: {', '.join(unknown)}: allowed are {', '.join(names)}")
    return arguments


def main() -> None:
    """Measure, write after every instance, show a table at the end."""
    arguments, console = _arguments(), Console(stderr=True)
    found = instances(arguments.data)
    chosen = [name.strip() for name in arguments.instances.split(",")] if arguments.instances else list(found)
    if missing := [name for name in chosen if name not in found]:
        sys.exit(f"--instances: {', '.join(missing)}: found under {arguments.data}: {', '.join(found) or 'no trace'}")
    if not chosen:
        sys.exit(f"--data {arguments.data}: no trace in it; see benchmarks/profiles_data.py for their names")
    machine: dict[str, Any] = describe_machine() | {"seed": arguments.seed, "folds": FOLDS}
    rows: list[Row] = []
    for name in chosen:
        for method in arguments.methods:
            with console.status(f"{name}: {method}"):
                rows += measure(found[name], method, arguments.seed)
        if arguments.json:
            content = {"benchmark": "profiles", "machine": machine, "rows": [asdict(row) for row in rows + means(rows)]}
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table_of(rows + means(rows)))


if __name__ == "__main__":
    main()
