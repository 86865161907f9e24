"""A host's figures for Prometheus, and whether it is well, on a port of its own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

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


class Answering:
    """Answers `/metrics` and `/healthz` on this machine; port 0 takes a free one."""

    def __init__(self, figures: Figures, address: str, port: int) -> None:
        """Raises OSError when the port is in use."""
        self._server = ThreadingHTTPServer((address, port), _handler(figures))
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="figures", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def _handler(figures: Figures) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, figures.text())
            elif self.path == "/healthz":
                status = HTTPStatus.OK if figures.well else HTTPStatus.SERVICE_UNAVAILABLE
                said = {"status": "ok" if figures.well else f"no round has ended for {STUCK_S:.0f} s"}
                self._answer(status, "application/json", json.dumps(said).encode())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"only /metrics and /healthz\n")

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: these are asked every few seconds."""

    return Handler
