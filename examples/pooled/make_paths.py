"""Make the sample paths of the pooled example: `paths.csv`, the same bytes on every run.

    python examples/pooled/make_paths.py [FOLDER]

Six services have busy hours of their own, a factor of the day in common (good weather, a campaign) and, each by itself
and seldom, a burst of two hours. So sums are far steadier than their parts: that is what sizing them jointly saves.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

SLOTS, PATHS, SEED = 12, 40, 7
SERVICES = {"shop": (9, 5), "search": (7, 6), "mail": (5, 3), "maps": (6, 7), "chat": (4, 9), "news": (5, 2)}
"""Usual replicas and the busiest slot of each service."""
BURST, BURST_CHANCE, BURST_SLOTS = 2.2, 0.35, 2


def make() -> list[list[str | int]]:
    """Rows of the table: workload, path, replicas slot by slot."""
    rng = np.random.default_rng(SEED)
    days = rng.lognormal(0.0, 0.08, PATHS)
    return [[name, path, *_path(rng, usual, busiest, days[path])]
            for name, (usual, busiest) in SERVICES.items() for path in range(PATHS)]


def _path(rng: np.random.Generator, usual: int, busiest: int, day: float) -> list[int]:
    slot = np.arange(SLOTS)
    first = int(rng.integers(SLOTS)) if rng.random() < BURST_CHANCE else SLOTS
    burst = np.where((slot >= first) & (slot < first + BURST_SLOTS), BURST, 1.0)
    hours = 1 + 0.3 * np.cos(2 * np.pi * (slot - busiest) / SLOTS)
    replicas = np.rint(usual * day * hours * burst * rng.lognormal(0.0, 0.12, SLOTS))
    wanted: list[int] = np.maximum(1, replicas).astype(int).tolist()
    return wanted


def main() -> None:
    """Write the table into the folder given, or beside this script."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    with (folder / "paths.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["workload", "path", *range(SLOTS)])
        writer.writerows(make())


if __name__ == "__main__":
    main()
