"""Diagnostics on public data: detection, drift and root cause, each by one configuration for all files of a set.

    python -m benchmarks.diagnostics --set NAME --data DIR [--seed N] [--methods M,M] [--instances A,B] [--json FILE]

DIR is laid out like the folder of the set. Every set is a module `benchmarks/diagnostics_NAME.py` that says what its
figures mean, and one line of `SETS`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from rich.console import Console
from rich.table import Table

from benchmarks.harness import WIDTH, Row
from benchmarks.machine import describe_machine

SETS: dict[str, str] = {
    "asd": "benchmarks.diagnostics_asd",
    "drift": "benchmarks.diagnostics_drift",
    "nab": "benchmarks.diagnostics_nab",
    "smd": "benchmarks.diagnostics_smd",
    "attribution": "benchmarks.diagnostics_attribution",
    "petshop": "benchmarks.diagnostics_petshop",
    "storm": "benchmarks.diagnostics_storm",
    "store": "benchmarks.diagnostics_store",
}
"""Module of each set."""


class Measured(Protocol):
    """What the module of a set has: `METHODS`, the own one first and called `planner`, and `measure`."""

    METHODS: Sequence[str]

    def measure(self, data: Path, instances: Sequence[str], methods: Sequence[str], seed: int,
                told: Callable[[str], None]) -> tuple[list[Row], Table]:
        """Every figure as a row (`instance` "all" for the set), and a table that shows it beside its peers and the best
        published. `instances` empty: all found. Raises ValueError for data that are not there.
        """


def main() -> None:
    """Measure one set, show a table, write the rows."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--set", choices=sorted(SETS), required=True)
    command.add_argument("--data", type=Path, required=True)
    command.add_argument("--instances", default="", help="only these, by commas")
    command.add_argument("--methods", default="", help="only these, by commas")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--json", type=Path)
    asked = command.parse_args()
    one = cast(Measured, import_module(SETS[asked.set]))
    methods = [name for name in asked.methods.split(",") if name] or list(one.METHODS)
    unknown = [name for name in methods if name not in one.METHODS]
    if unknown:
        command.error(f"--methods: {', '.join(unknown)}: allowed are {', '.join(one.METHODS)}")
    machine = describe_machine()
    instances = [name for name in asked.instances.split(",") if name]
    try:
        rows, table = one.measure(asked.data, instances, methods, asked.seed, lambda text: print(text, file=sys.stderr))
    except (OSError, ValueError) as error:
        command.error(str(error))
    Console(width=WIDTH).print(table)
    if asked.json:
        report = {"benchmark": "diagnostics", "set": asked.set, "machine": machine, "rows": [vars(row) for row in rows]}
        asked.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
