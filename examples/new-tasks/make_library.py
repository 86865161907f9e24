"""Make the library of this example: `python examples/new-tasks/make_library.py OUT.csv`.

The runs are made up, so that the format and the way of learning can be seen; they are evidence of nothing. Each
application has a volume or a load of its own and uses so many times what a simple rule says, with noise from a seed.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

ETL = ("hospital claims", "insurance claims", "lab results", "shop orders", "web clicks", "sensor readings",
       "bank payments", "phone records", "parcel scans", "meter readings")
SERVING = ("fraud odds", "readmission odds", "churn odds", "price quotes", "search ranking", "credit scores",
           "risk of illness", "delivery times", "spam odds", "demand of shops")
COLUMNS = ("application", "kind", "finished", "description", "task.volume_gb", "task.cadence", "task.window_hours",
           "task.keep_runs", "task.model", "task.hyperparameters.trees", "task.hyperparameters.max_depth",
           "task.requests_per_s", "task.latency", "used.vcpu", "used.memory_gib", "used.gpu", "used.replicas",
           "used.run_hours", "used.storage_gb", "used.utilisation", "used.storage_kind")


def make() -> list[dict[str, object]]:
    """Twenty applications with two runs each."""
    rng = np.random.default_rng(20261102)
    rows: list[dict[str, object]] = []
    for number, subject in enumerate((*ETL, *SERVING)):
        slow = float(rng.lognormal(0.3, 0.3))
        for run in range(2):
            noise = float(rng.lognormal(0, 0.05))
            row: dict[str, object] = {"application": subject.replace(" ", "-"),
                                      "finished": f"2026-{9 + run:02d}-{number + 1:02d}T04:00:00Z", "used.gpu": 0}
            rows.append(row | (_etl(subject, rng, slow * noise) if subject in ETL else
                               _serving(subject, rng, slow * noise)))
    return rows


def _etl(subject: str, rng: np.random.Generator, factor: float) -> dict[str, object]:
    volume = round(float(rng.uniform(50, 2000)), 1)
    workers = max(1, round(volume / 60 * factor))
    return {"kind": "etl", "description": f"Transform {subject} into tables for training", "task.volume_gb": volume,
            "task.cadence": "daily", "task.window_hours": 4, "task.keep_runs": 30, "used.vcpu": 4,
            "used.memory_gib": 16, "used.replicas": workers, "used.run_hours": round(volume / 80 / workers * factor, 2),
            "used.storage_gb": round(volume * 30 * 0.7 / 3 * factor, 1),
            "used.utilisation": round(float(rng.uniform(0.5, 0.8)), 2), "used.storage_kind": "data warehouse"}


def _serving(subject: str, rng: np.random.Generator, factor: float) -> dict[str, object]:
    rate = round(float(rng.uniform(50, 3000)), 0)
    return {"kind": "serving", "description": f"Answer people with {subject}", "task.model": "xgboost",
            "task.hyperparameters.trees": 500, "task.hyperparameters.max_depth": 6, "task.requests_per_s": rate,
            "task.latency": "real-time", "used.vcpu": 2, "used.memory_gib": round(2.5 * factor, 2),
            "used.replicas": max(2, round(rate / 400 * factor)),
            "used.utilisation": round(float(rng.uniform(0.3, 0.6)), 2), "used.storage_kind": "object store"}


def write(path: Path) -> None:
    """Write the library, a row a run."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(make())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
