"""Scoring: whatever rows hold, there is a verdict that can be kept and read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.hosting.alarms import super_alarms
from api.hosting.scoring import score
from api.hosting.streams import Row
from diagnostics.lifecycle import serve
from diagnostics.store import ModelStore
from diagnostics.training.model import HealthModel
from planner.hosting import Hosted

NAMES = st.sampled_from(["iops", "io_size_kib", "read_latency_ms", "queue_depth", "other", "a/b", ""])
VALUES = st.floats(allow_nan=False, allow_infinity=False)
METRICS = st.dictionaries(NAMES, VALUES, max_size=6)
HOSTS = st.dictionaries(st.sampled_from(["h", "rack/h", "ü", ""]), METRICS, max_size=3)


@pytest.fixture(scope="module")
def model(model_files: Path) -> HealthModel:
    """The one that serves mixed-disk."""
    return serve(ModelStore(model_files), "mixed-disk")[0]


@given(hosts=HOSTS, ts=st.integers(0, 4_000_000_000))
def test_every_row_has_a_verdict(model: HealthModel, hosts: dict[str, dict[str, float]], ts: int) -> None:
    """Numbers of any size, no hosts, metrics that nobody knows: one verdict, in which every number is finite."""
    (found,) = score(model, [Row("diagnostics-a", "a", 1, ts, 0.0, hosts)], lambda *_: {})
    assert found.status in ("ok", "alarm", "unknown")
    json.dumps([found.score, found.threshold, found.alarms], allow_nan=False)


def test_alarms_of_all_hosts_are_grouped(made_up: Callable[..., Hosted]) -> None:
    """Also of one that sends no rows any more, and of names with a slash."""
    said: list[dict[str, Any]] = [
        {"cluster": "a", "ts": 1_789_948_800 + 3600 * hour, "alarms": [
            {"host": host, "metric": "read_latency_ms", "value": 40.0, "expected": 4.0, "z": 12.0}
            for host in ("rack/host-1", "gone")]}
        for hour in range(3)]  # fmt: skip
    watched = {"a": {(f"rack/host-{number}", "read_latency_ms") for number in range(4)}}
    alarmed = {dict(alarm.attributes)["host"] for one in super_alarms(said, made_up().clusters, watched)
               for alarm in one.alarms}  # fmt: skip
    assert alarmed == {"a/rack/host-1", "a/gone"}
