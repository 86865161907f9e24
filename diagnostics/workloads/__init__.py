"""Detectors by kind of workload: one module each, one line here; tests hold every entry to the same claims.

Each is a detector like those of `diagnostics.detectors`, on the number that tells most of its kind: rows of ETL runs, a
statistic of a feature over batches, precision over training batches, concurrency of serving. `steps_per_day` of the
settings is how many runs or batches make a day.
"""

from __future__ import annotations

from diagnostics.detectors import Detector
from diagnostics.workloads import concurrency, jump, precision, rows

WORKLOAD_DETECTORS: dict[str, Detector] = {
    "etl": rows.detect,
    "feature": jump.detect,
    "training": precision.detect,
    "serving": concurrency.detect,
}
WORKLOAD_METRICS: dict[str, tuple[str, ...]] = {
    "etl": ("rows", "rows_*", "*_rows"),
    "feature": ("*",),
    "training": ("precision*", "accuracy*", "recall*", "f1*", "auc*"),
    "serving": ("concurren*", "requests_at_once*", "requests_in_flight*"),
}
"""By kind: names of metrics that the detector is for; others of the workload are read like those of clusters."""

__all__ = ["WORKLOAD_DETECTORS", "WORKLOAD_METRICS"]
