"""Scoring: whatever rows hold, there is a verdict that can be kept and read."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.hosting.scoring import score
from api.hosting.streams import Row
from diagnostics.lifecycle import serve
from diagnostics.store import ModelStore
from diagnostics.training.model import HealthModel

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
