"""Make a week of recorded demand for the hybrid example, to replay its plan against: the same bytes on every run.

    python examples/hybrid/make_recorded.py recorded.csv
    planner replay examples/hybrid plan.json --actual recorded.csv

The week that came is not the week that was planned: other noise on every hour, and on Thursday evening a sale in
Europe that half again as many customers came to.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from make_demand import SERVICES, make, replica_rows

SEED = 20261109
SALE_SLOTS = slice(3 * 24 + 15, 3 * 24 + 22)
SALE = 1.5


def write(path: Path) -> None:
    """Write a row of replicas for every workload."""
    demand = make(SEED)
    for name in SERVICES:
        row = np.array(demand.replicas[f"{name}-eu"])
        row[SALE_SLOTS] = np.ceil(row[SALE_SLOTS] * SALE - 1e-9)
        demand.replicas[f"{name}-eu"] = row.tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(replica_rows(demand))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
