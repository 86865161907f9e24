"""A host's figures for Prometheus, and whether it is well."""

from __future__ import annotations

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
STUCK_S = 30.0
"""A host that has done no round for so long is not well."""


class Figures:
    """What a host has done and how it is."""

    def __init__(self, cluster: str) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, what: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"planner_host_{name}", what, labels, registry=self.registry)

        self.rows = counter("rows", "Rows scored.", ("status",))
        self.errors = counter("errors", "Rounds that failed, by what failed.", ("what",))
        self.takeovers = counter("takeovers", "Leases taken.")
        self.drifts = counter("drift_checks", "Months compared, cluster by cluster.", ("drifted",))
        self.seconds = Histogram(
            "planner_host_verdict_seconds",
            "Seconds from a row's arrival to its verdict.",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.lag = Gauge("planner_host_lag_rows", "Rows that wait for a verdict here.", registry=self.registry)
        self.held = Gauge("planner_host_leases", "Leases held.", ("purpose",), registry=self.registry)
        self.beat = Gauge(
            "planner_host_last_round_timestamp_seconds", "When the last round ended.", registry=self.registry
        )
        self.model = Gauge(
            "planner_host_model_info",
            "Versions of models in memory.",
            ("hardware_class", "version"),
            registry=self.registry,
        )
        self.store = Gauge("planner_host_model_store_up", "Whether the model store answers.", registry=self.registry)
        Gauge("planner_host_info", "The cluster that this host is of.", ("cluster",), registry=self.registry).labels(
            cluster
        ).set(1)
        self._round = time.monotonic()
        self._versions: Mapping[str, str] = {}

    def ended_round(self) -> None:
        """Note that a round has ended."""
        self._round = time.monotonic()
        self.beat.set_to_current_time()

    def loaded(self, versions: Mapping[str, str]) -> None:
        """Note which versions are in memory, by hardware class."""
        before, self._versions = self._versions, dict(versions)
        for hardware, version in self._versions.items() - before.items():
            self.model.labels(hardware, version).set(1)
        for hardware, version in before.items() - self._versions.items():
            self.model.remove(hardware, version)

    @property
    def well(self) -> bool:
        """Whether rounds end."""
        return time.monotonic() - self._round < STUCK_S

    def text(self) -> bytes:
        """All figures as Prometheus reads them."""
        return generate_latest(self.registry)
