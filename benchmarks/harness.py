"""What benchmarks of solvers have in common: one run a method and instance, in processes of its own, kept as it comes.

A method's run is `python -m benchmarks.KIND_run JOB.json`; it leaves its figures as a JSON object with `holds` (is
there an answer that was checked), and `why` where there is none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from benchmarks.measure import Usage, run_measured

OVERRUN = 1.1
OVERRUN_S = 20.0
"""A run is killed at its seconds times `OVERRUN` plus `OVERRUN_S`; that is far beyond what it promises."""
MEMORY_GIB = 12.0
WIDTH = 140
"""Columns of the table where it is not shown in a terminal."""


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
class Setting:
    """What a run was given; the memory is that of each solver process."""

    seed: int
    limit_s: float
    memory_gib: float


@dataclass(frozen=True)
class Run:
    """What one method did on one instance; `load` is the machine's mean load of the minute before it began."""

    instance: str
    method: str
    figures: dict[str, Any]
    usage: Usage
    setting: Setting = Setting(1, 60.0, MEMORY_GIB)
    load: float = 0.0
    date: str = ""


@dataclass(frozen=True)
class Benchmark:
    """`kind` names the benchmark and the module of a run; rows and table are made of all runs so far."""

    kind: str
    rows_of: Callable[[list[Run]], list[Row]]
    table_of: Callable[[list[Run]], Table]


def measure(kind: str, instance: str, path: Path, method: str, setting: Setting) -> Run:
    """Run one method on one instance; a crash or an overrun is a run without an answer."""
    load, date = round(os.getloadavg()[0], 2), datetime.now(UTC).strftime("%Y-%m-%d")
    with tempfile.TemporaryDirectory() as scratch:
        job, out = Path(scratch) / "job.json", Path(scratch) / "figures.json"
        job.write_text(json.dumps({"path": str(path.resolve()), "method": method, "seed": setting.seed, "out": str(out),
                                   "seconds": setting.limit_s, "memory_gib": setting.memory_gib}), encoding="utf-8")
        usage = run_measured([sys.executable, "-m", f"benchmarks.{kind}_run", str(job)],
                             setting.limit_s * OVERRUN + OVERRUN_S)
        figures = {"holds": False, "why": f"ended with exit status {usage.exit_status}"}
        if out.exists():
            figures = json.loads(out.read_text(encoding="utf-8"))
    return Run(instance, method, figures, usage, setting, load, date)


def row(instance: str, metric: str, value: float, unit: str, runs: list[Run]) -> Row:
    """A figure of one run, or of several of one method: times are added up, memory is the most of any."""
    return Row(instance, runs[0].method, metric, value, unit, round(sum(run.usage.seconds for run in runs), 2),
               round(sum(run.usage.cpu_seconds for run in runs), 2), round(max(run.usage.peak_mib for run in runs), 1))


def table(title: str, columns: tuple[str, ...], caption: str | None = None) -> Table:
    """An empty table whose first two columns are words."""
    made = Table(title=title, caption=caption, box=SIMPLE_HEAD)
    for i, name in enumerate(columns):
        made.add_column(name, justify="left" if i < 2 else "right")
    return made


def text(value: float | None, form: str) -> str:
    """A figure as it is shown."""
    return "none" if value is None else format(value, form)


def spent(run: Run) -> tuple[str, str, str]:
    """Seconds, processor seconds and MiB of a run as they are shown."""
    return f"{run.usage.seconds:.1f}", f"{run.usage.cpu_seconds:.1f}", f"{run.usage.peak_mib:.0f}"


def last_of(runs: list[Run], i: int) -> bool:
    """Whether run i is the last of its instance."""
    return i + 1 == len(runs) or runs[i + 1].instance != runs[i].instance


# ---------------------------------------------------------------- the command


def parser(kind: str, methods: tuple[str, ...], what: str) -> argparse.ArgumentParser:
    """Options that all benchmarks of solvers have."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{kind}", description=sys.modules["__main__"].__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", type=Path, required=True, help=f"a folder of {what}")
    made.add_argument("--instances", help="names, with commas; default all")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--methods", default=",".join(methods), help=f"default {','.join(methods)}")
    made.add_argument("--memory", type=float, default=MEMORY_GIB, help=f"GiB a solver process; default {MEMORY_GIB:g}")
    made.add_argument("--json", type=Path, help="where to write the figures, after every run")
    made.add_argument("--resume", action="store_true", help="keep the runs that --json has, and do those that it lacks")
    return made


def parsed(made: argparse.ArgumentParser, methods: tuple[str, ...]) -> argparse.Namespace:
    """The command line, with `methods` as a list. Exits with one line where it is wrong."""
    asked = made.parse_args()
    asked.methods = [name.strip() for name in asked.methods.split(",")]
    if unknown := [name for name in asked.methods if name not in methods]:
        made.error(f"--methods: {', '.join(unknown)}: allowed are {', '.join(methods)}")
    if asked.resume and asked.json is None:
        made.error("--resume: goes on from the file of --json, which is not given")
    for name, value in (("--seconds", asked.seconds), ("--memory", asked.memory)):
        if value is not None and value <= 0:
            made.error(f"{name}: {value:g} is not above 0")
    return asked


def chosen(data: Path, found: Mapping[str, Path], names: str | None, what: str) -> dict[str, Path]:
    """The instances named, or all. Exits with one line when one, or any, is missing."""
    wanted = [name.strip() for name in names.split(",")] if names else list(found)
    missing = [name for name in wanted if name not in found]
    if missing or not wanted:
        sys.exit(f"--data {data}: no {what} {', '.join(missing)}".rstrip() + f"; found: {', '.join(found) or 'none'}")
    return {name: found[name] for name in wanted}


def run_all(benchmark: Benchmark, instances: Mapping[str, Path], limit_s: Callable[[str], float],
            asked: argparse.Namespace) -> None:
    """Measure, write after every run, show a table at the end."""
    machine = describe_machine()
    runs = resumed(benchmark.kind, asked.json, machine) if asked.resume and asked.json.exists() else []
    console = Console(stderr=True)
    for instance, path in instances.items():
        setting = Setting(asked.seed, limit_s(instance), asked.memory)
        for method in asked.methods:
            if any((run.instance, run.method, run.setting) == (instance, method, setting) for run in runs):
                continue
            with console.status(f"{instance}: {method}, {setting.limit_s:g} s"):
                runs = [run for run in runs if (run.instance, run.method) != (instance, method)]
                runs.append(measure(benchmark.kind, instance, path, method, setting))
            if asked.json:
                write(benchmark, asked.json, machine, in_order(runs))
    show(benchmark, in_order(runs))


def in_order(runs: list[Run]) -> list[Run]:
    """Runs of one instance together, in the order in which instances came first."""
    first = list(dict.fromkeys(run.instance for run in runs))
    return sorted(runs, key=lambda run: first.index(run.instance))


def show(benchmark: Benchmark, runs: list[Run]) -> None:
    """The table, then why methods have no answer."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(benchmark.table_of(runs))
    for run in runs:
        if not run.figures["holds"]:
            console.print(f"{run.instance}, {run.method}: {run.figures['why']}", highlight=False)


def write(benchmark: Benchmark, out: Path, machine: dict[str, Any], runs: list[Run]) -> None:
    """Figures as rows, then the runs they come from; a reader never sees half a file."""
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {"benchmark": benchmark.kind, "machine": machine,
               "rows": [asdict(made) for made in benchmark.rows_of(runs)], "runs": [asdict(run) for run in runs]}
    half = out.with_name(f".{out.name}.half")
    half.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    half.replace(out)


def resumed(kind: str, out: Path, machine: dict[str, Any]) -> list[Run]:
    """The runs of a file. Exits with one line when they are of another benchmark, machine or version."""
    told = json.loads(out.read_text(encoding="utf-8"))
    if told.get("benchmark") != kind or "runs" not in told:
        sys.exit(f"--resume {out}: holds no runs of {kind}; name another file, or leave --resume out")
    for fact in ("processor", "cores", "python", "versions"):
        if told["machine"][fact] != machine[fact]:
            sys.exit(f"--resume {out}: {fact} was {told['machine'][fact]} and is {machine[fact]} now; figures of both "
                     f"in one file would not compare")
    return [Run(**run | {"usage": Usage(**run["usage"]), "setting": Setting(**run["setting"])}) for run in told["runs"]]
