"""Every request counted, timed, named and logged in one place; figures for Prometheus from there and from the store."""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import REQUEST, told_of
from api.observability.figures import StoreFigures
from api.store.store import Store

REQUEST_ID = "X-Request-Id"
BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
QUIET = ("/healthz", "/readyz", "/metrics", "/v1/direct/")
"""What addresses begin with that machines ask all the time: counted, and logged only where they fail."""
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer that does not say otherwise itself."""
_ID = re.compile(r"^[A-Za-z0-9._-]{1,100}$")
_OTHER = "other"


class Metrics:
    """Figures of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("planner_http_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram("planner_http_request_seconds", "Seconds from request to the end of the answer.",
                                 ("method", "route"), buckets=BUCKETS_S, registry=self.registry)
        self.directed = Counter("planner_directed", "Requests directed, home or to a fallback.", ("cluster", "way"),
                                registry=self.registry)
        self.running = Gauge("planner_http_requests_running", "Requests being answered.", registry=self.registry)

    def watch(self, store: Store) -> None:
        """Tell of a store too."""
        self.registry.register(StoreFigures(store))

    def text(self) -> bytes:
        """All figures as Prometheus reads them."""
        return generate_latest(self.registry)


class Watched:
    """ASGI middleware: a request id that comes back in the answer and stands in the log, headers that keep browsers
    from doing more than is meant, and figures.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics
        self.log = structlog.get_logger("api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and see what comes of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _ID.match(given) else uuid.uuid4().hex
        scope[REQUEST] = request_id
        began, status = time.perf_counter(), 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        self.metrics.running.inc()
        try:
            with structlog.contextvars.bound_contextvars(request_id=request_id):
                await self.app(scope, receive, told)
        finally:
            self.metrics.running.dec()
            self._note(scope, status, time.perf_counter() - began, request_id)

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = getattr(scope.get("route"), "path", _OTHER)  # never the address itself: its parts are without number
        method = scope["method"] if scope["method"] in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD") else _OTHER
        self.metrics.requests.labels(method, route, str(status)).inc()
        self.metrics.seconds.labels(method, route).observe(seconds)
        if status >= 500 or not scope["path"].startswith(QUIET):
            self.log.info("request", method=method, route=route, status=status, ms=round(1000 * seconds, 2),
                          request_id=request_id, **told_of(scope))


TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
"""Where it happened, and not what was in hand there: keys and tokens are among that."""


def log_as_json() -> None:
    """One JSON object a line on standard error: what this program says, and what its libraries warn of."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
                        logger_factory=structlog.stdlib.LoggerFactory(), cache_logger_on_first_use=False)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, TRACEBACKS,
                    structlog.processors.JSONRenderer()]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("api").setLevel(logging.INFO)
