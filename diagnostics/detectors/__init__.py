"""Detectors by name: one module each, one line here; tests/diagnostics holds every entry to the same claims."""

from __future__ import annotations

from diagnostics.detectors import seasonal_z
from diagnostics.detectors.contract import Detector, DetectorSettings, Scores

DETECTORS: dict[str, Detector] = {"seasonal_z": seasonal_z.detect}

__all__ = ["DETECTORS", "Detector", "DetectorSettings", "Scores"]
