"""Traces of requests and jobs by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT says where to send them.

The other variables of OpenTelemetry (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS ...) hold too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from planner import __version__
from planner.errors import InputError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Traces:
    """Sends spans, in a thread of its own and some at a time; what cannot be sent is dropped."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("planner", __version__)

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[Span]:
        """The span of a request, within the trace that its `traceparent` names."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract(dict(headers))
        with self._tracer.start_as_current_span("request", parent, SpanKind.SERVER) as span:
            yield span

    @contextmanager
    def job(self, kind: str, attributes: Mapping[str, str | int]) -> Iterator[None]:
        """The span of one attempt at a job."""
        from opentelemetry.trace import SpanKind

        with self._tracer.start_as_current_span(f"job {kind}", kind=SpanKind.CONSUMER, attributes={
                f"planner.{name}": value for name, value in attributes.items()}):
            yield

    def close(self) -> None:
        """Send what there is."""
        self._provider.shutdown()


def opened(environment: Mapping[str, str]) -> Traces | None:
    """Traces as the environment asks for them, None where it does not. Raises InputError without the libraries."""
    asked = next((name for name in ENDPOINTS if environment.get(name)), None)
    if asked is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise InputError([f"${asked}: traces need more: pip install 'workload-planner[otel]'"]) from None
    named = {} if environment.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "planner"}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider)


class Traced:
    """ASGI middleware: a span for every request, named by its route and never by its address."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self.app, self.traces = app, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on within its span."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told: dict[str, Any] = {"http.request.method": scope["method"]}

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                told["http.response.status_code"] = message["status"]
                told["planner.request_id"] = Headers(raw=message["headers"]).get("x-request-id", "")
            await send(message)

        with self.traces.request(Headers(scope=scope)) as span:
            try:
                await self.app(scope, receive, noted)
            finally:
                told["http.route"] = getattr(scope.get("route"), "path", "other")
                span.update_name(f"{scope['method']} {told['http.route']}")
                span.set_attributes(told)
