"""Streaming detectors by name: one module each, one line here; tests hold every entry to the same claims."""

from __future__ import annotations

from diagnostics.streaming.contract import Readings, Stream, StreamDetector, StreamSettings
from diagnostics.streaming.rolling_z import RollingZ
from diagnostics.streaming.surprise import Surprise

STREAM_DETECTORS: dict[str, StreamDetector] = {"surprise": Surprise, "rolling_z": RollingZ}

__all__ = ["STREAM_DETECTORS", "Readings", "Stream", "StreamDetector", "StreamSettings"]
