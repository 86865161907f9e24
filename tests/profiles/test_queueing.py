"""Erlang C: published values, a simulated queue, and the properties that sizing relies on."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.profiles import serving_replicas
from planner.profiles.queueing import chance_of_waiting_longer, erlang_c, servers_needed
from planner.scenario.model import Slo


@pytest.mark.parametrize(
    ("servers", "load", "waits"),
    [
        (1, 0.5, 0.5),  # M/M/1: the utilisation
        (2, 1.0, 1 / 3),  # M/M/2 at half load, by hand
        (10, 6.0, 0.1013),  # text-book: 120 calls an hour of 3 minutes, 10 clerks
        (5, 2.5, 0.1304),  # text-book: 30 calls an hour of 5 minutes
        (6, 2.5, 0.0474),
    ],
)
def test_published_values(servers: int, load: float, waits: float) -> None:
    """The chance of waiting agrees with text-book tables to their last digit."""
    assert erlang_c(servers, load) == pytest.approx(waits, abs=5e-5)


def test_agrees_with_the_sum_written_out() -> None:
    """For all small systems the formula equals its definition with powers and factorials."""
    for c in range(1, 15):
        for a in np.linspace(0.05, c - 0.05, 7):
            top = a**c / math.factorial(c) * c / (c - a)
            assert erlang_c(c, a) == pytest.approx(top / (sum(a**k / math.factorial(k) for k in range(c)) + top))


def test_large_systems_do_not_overflow() -> None:
    """A million busy servers are counted, a few thousand more than the load."""
    needed = int(servers_needed(1e6, 1.0, 0.0, 0.95))
    assert 1_001_000 < needed < 1_004_000


def test_waiting_in_a_simulated_queue() -> None:
    """In 200,000 simulated requests as many wait longer than 50 ms as the formula says."""
    rng, servers, rate, service_rate = np.random.default_rng(5), 12, 100.0, 10.0
    arrivals = np.cumsum(rng.exponential(1 / rate, 200_000))
    work = rng.exponential(1 / service_rate, arrivals.size)
    free = [0.0] * servers
    late = 0
    for arrival, duration in zip(arrivals.tolist(), work.tolist(), strict=True):
        begin = max(arrival, heapq.heappop(free))
        late += begin - arrival > 0.05
        heapq.heappush(free, begin + duration)
    assert late / arrivals.size == pytest.approx(
        float(chance_of_waiting_longer(servers, rate, service_rate, 0.05)), abs=0.02
    )


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.floats(0, 5e4), st.floats(0.1, 1e3), st.floats(0, 1), st.floats(0.5, 0.999))
def test_fewest_servers(rate: float, service_rate: float, wait: float, level: float) -> None:
    """The number found is enough and one fewer is not."""
    count = int(servers_needed(rate, service_rate, wait, level))
    assert chance_of_waiting_longer(count, rate, service_rate, wait) <= 1 - level
    if count > 1:
        assert chance_of_waiting_longer(count - 1, rate, service_rate, wait) > 1 - level


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.floats(0, 1e4), min_size=2, max_size=20), st.floats(1, 200), st.floats(10, 500))
def test_more_demand_never_needs_fewer(rates: list[float], per_replica: float, latency_ms: float) -> None:
    """Replicas rise with demand, slot by slot."""
    rows = serving_replicas(np.sort(np.array(rates)), per_replica, Slo(latency_ms=latency_ms), 0.95)
    assert (np.diff(rows) >= 0).all()
    assert rows.min() >= 1


def test_the_service_time_bounds_waiting() -> None:
    """400 requests/s at 40 a replica need 13 with 15 ms to wait and 17 with none; half the latency counts by itself."""
    load = np.array([400.0])
    assert serving_replicas(load, 40.0, Slo(latency_ms=250, service_ms=40), 0.95).tolist() == [13]
    assert serving_replicas(load, 40.0, Slo(latency_ms=250, service_ms=20), 0.95).tolist() == [17]
    half = serving_replicas(load, 40.0, Slo(latency_ms=80), 0.95).tolist()
    assert half == serving_replicas(load, 40.0, Slo(latency_ms=80, service_ms=40), 0.95).tolist()


def test_senseless_queues_are_refused() -> None:
    """Negative rates and levels of 1 are said, not guessed at."""
    for arguments in ((-1.0, 1.0, 0.0, 0.9), (1.0, 0.0, 0.0, 0.9), (1.0, 1.0, 0.0, 1.0), (math.nan, 1.0, 0.0, 0.9)):
        with pytest.raises(ValueError, match="no queue has these"):
            servers_needed(*arguments)
    with pytest.raises(ValueError, match="the most that can be counted"):
        servers_needed(1e12, 1.0, 0.0, 0.9)
