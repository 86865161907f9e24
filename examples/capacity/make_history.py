"""Make the demand of this example: eight weeks of hours before the horizon begins, from a fixed seed.

python examples/capacity/make_history.py [FOLDER]
"""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

END = datetime(2026, 11, 2, tzinfo=UTC)
WEEKS = 8
SEED = 20261102
WORKLOADS = {
    # workload: demand at the end, growth a month, how much of it moves with the day, at weekends, and by chance
    "shop": (900.0, 0.06, 0.6, 0.8, 0.06),
    "search": (1400.0, 0.03, 0.5, 0.9, 0.05),
    "features": (260.0, 0.02, 0.2, 0.6, 0.08),
    "ranking": (42.0, 0.08, 0.3, 1.0, 0.10),
}


def make() -> dict[str, np.ndarray]:
    """Demand by the hour of every workload."""
    rng = np.random.default_rng(SEED)
    hours = np.arange(-WEEKS * 168, 0)
    together = np.repeat(np.cumsum(rng.normal(0, 0.008, WEEKS * 7)), 24)
    found = {}
    for name, (size, growth, daily, weekend, noise) in WORKLOADS.items():
        shape = 1 - daily / 2 + daily * np.clip(np.sin((hours % 24 - 7) * np.pi / 14), 0, None)
        shape *= np.where(((hours // 24) % 7) >= 5, weekend, 1.0)
        own = np.repeat(rng.normal(0, noise / 2, WEEKS * 7), 24)
        level = np.exp(growth * hours / 730 + together - together[-1] + own)
        found[name] = size * shape * level * np.exp(rng.normal(0, noise, hours.size))
    return found


def write(folder: Path) -> None:
    """Write history.csv."""
    demand = make()
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["ts", *demand])
        for hour in range(WEEKS * 168):
            moment = END - timedelta(hours=WEEKS * 168 - hour)
            rows.writerow([f"{moment:%Y-%m-%dT%H:00:00Z}", *(f"{demand[name][hour]:.1f}" for name in demand)])


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
