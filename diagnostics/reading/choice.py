"""Every detector by name, and which one fits a series."""

from __future__ import annotations

from fnmatch import fnmatchcase

from diagnostics.detectors import DETECTORS, Detector
from diagnostics.multivariate import MULTIVARIATE_DETECTORS, MultivariateDetector
from diagnostics.reading.cadence import at_its_pace
from diagnostics.reading.streamed import streamed
from diagnostics.streaming import STREAM_DETECTORS
from diagnostics.telemetry import Series
from diagnostics.workloads import WORKLOAD_DETECTORS, WORKLOAD_METRICS

AUTO = "auto"
SEASONAL, STREAM, TOGETHER = "seasonal_z", "surprise", "neighbours"
"""What is chosen: for series with a week to compare with, for those without one yet, and for all metrics together."""

SINGLE: dict[str, Detector] = {
    **DETECTORS,
    **{name: streamed(make) for name, make in STREAM_DETECTORS.items()},
    **{name: at_its_pace(detect) for name, detect in WORKLOAD_DETECTORS.items()},
}
"""Detectors that read one series at a time."""
JOINT: dict[str, MultivariateDetector] = MULTIVARIATE_DETECTORS
"""Detectors that read all metrics of a cluster together."""
DETECTOR_NAMES = (AUTO, *SINGLE, *JOINT)


def fitting(series: Series, detector: str) -> str | None:
    """The detector that reads a series by itself, None where only the metrics together are read."""
    if detector in SINGLE:
        return detector
    if detector in JOINT:
        return None
    likes = WORKLOAD_METRICS.get(series.kind, ())
    return series.kind if any(fnmatchcase(series.metric, like) for like in likes) else SEASONAL


def together(detector: str) -> str | None:
    """The detector that reads the metrics of a cluster together, None where each is read by itself."""
    return TOGETHER if detector == AUTO else detector if detector in JOINT else None
