"""Requests and jobs leave traces where OpenTelemetry is told to send them, and nothing of their content."""

import subprocess
import sys
import time
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api.observability.tracing import opened
from planner.errors import InputError

TRACE = "0af7651916cd43dd8448eb211c80319c"


def spans(hooks: Any) -> list[Any]:
    """What an OTLP receiver has heard."""
    found = []
    for heard in hooks.heard:
        request = ExportTraceServiceRequest.FromString(heard.raw)
        found += [span for held in request.resource_spans for scope in held.scope_spans for span in scope.spans]
    return found


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_a_request_and_its_job_are_traced(serve: Any, hooks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are named by route and kind, join the trace of the caller, and carry request and job ids."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", hooks.url.removesuffix("/hook"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    service = serve()
    asked = service.ask(None, traceparent=f"00-{TRACE}-b7ad6b7169203331-01", **{"X-Request-Id": "find-me"}).json()
    service.ended(asked["id"])
    give_up = time.monotonic() + 60
    while not {"POST /v1/plans", "job plan"} <= {span.name for span in spans(hooks)}:
        assert time.monotonic() < give_up
        time.sleep(0.1)
    by_name = {span.name: span for span in spans(hooks)}
    request, job = by_name["POST /v1/plans"], by_name["job plan"]
    assert request.trace_id.hex() == TRACE
    told = attributes(request)
    assert (told["http.response.status_code"], told["planner.request_id"]) == (202, "find-me")
    assert attributes(job)["planner.job"] == asked["id"]
    assert not any(asked["id"] in span.name for span in spans(hooks))


def test_without_an_endpoint_there_are_no_traces() -> None:
    """And nothing of OpenTelemetry is loaded."""
    assert opened({}) is None
    code = "import sys, api.observability.tracing; print(any(name.startswith('opentelemetry') for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"


def test_without_the_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, and before anything is served."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(InputError, match=r"\$OTEL_EXPORTER_OTLP_ENDPOINT: .*workload-planner\[otel\]"):
        opened({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
