"""What the service tells of itself: figures, request ids, logs and headers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection

from api.database.tenancy import EVERYONE
from api.observability.figures import StoreFigures
from api.observability.requests import SECURITY
from api.store.jobs import Submission
from api.store.store import Store
from planner.batch import Asked, run_batch
from planner.outlook import run_report


@pytest.fixture(scope="module")
def service(each_service: Any) -> Any:
    """One on each kind of database."""
    return each_service


def figures(http: httpx.Client) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample by name and label values."""
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {(sample.name, tuple(sample.labels[name] for name in sorted(sample.labels))): sample.value
            for family in text_string_to_metric_families(answer.text) for sample in family.samples}


def test_requests_are_counted_by_route_and_not_by_address(service: Any) -> None:
    """Ten plans that are not there are one series; the count rises by ten."""
    key = ("planner_http_requests_total", ("GET", "/v1/plans/{plan_id}", "404"))
    before = figures(service.http).get(key, 0.0)
    for number in range(10):
        service.http.get(f"/v1/plans/none{number}")
    after = figures(service.http)
    assert after[key] - before == 10
    assert not any("none" in label for _, labels in after for label in labels)


def test_jobs_are_told_by_kind_and_state(service: Any) -> None:
    """A plan that is done is among them, with the gap it has."""
    before = figures(service.http)
    service.ended(service.ask().json()["id"])
    found = figures(service.http)
    assert found["planner_jobs", ("plan", "done")] >= 1
    assert found["planner_last_plan_gap", ()] >= 0
    assert found["planner_job_seconds_count", ("plan",)] >= 1
    assert found["planner_job_seconds_sum", ("plan",)] > 0
    assert found["planner_store_up", ()] == 1
    for name in ("planner_plan_seconds", "planner_plan_gap"):
        counts = [found[key] for key in found if key[0] == f"{name}_bucket"]
        assert counts == sorted(counts)
        assert counts[-1] == found[f"{name}_count", ()] == before.get((f"{name}_count", ()), 0) + 1


@pytest.mark.parametrize("given", ["abc-1", "", "a b", "x" * 101, "a\tb"])
def test_a_request_id_comes_back(service: Any, given: str) -> None:
    """A sane one is kept; any other is replaced, so that nobody writes into the log."""
    found = service.http.get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"]
    assert found == given if given == "abc-1" else len(found) == 32


@pytest.mark.parametrize("address", ["/healthz", "/v1/plans", "/v1/nothing", "/metrics", "/openapi.json"])
def test_every_answer_has_the_headers_that_keep_browsers_safe(service: Any, address: str) -> None:
    """Answers, problems and what is not there alike; the program's name is not told."""
    headers = service.http.get(address).headers
    kept = SECURITY | ({"Cache-Control": "private, no-cache"} if "etag" in headers else {})
    assert {name: headers.get(name) for name in SECURITY} == kept
    assert "server" not in headers


def test_the_gate_is_watched_too(service: Any) -> None:
    """A request for another host has an id and is counted."""
    answer = service.http.get("/v1/plans", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert len(answer.headers["x-request-id"]) == 32


def test_the_log_is_json_with_the_request_id(serve: Any, tmp_path: Path) -> None:
    """One line a request with its route, status and id, and nothing of its body."""
    service = serve()
    service.http.post("/v1/plans", json={"scenario": "secret-name"}, headers={"X-Request-Id": "find-me"})
    service.stop()  # a line is written after the answer is sent
    lines = (tmp_path / "data.log").read_text().splitlines()[1:]
    (line,) = [json.loads(text) for text in lines if "find-me" in text]
    assert (line["route"], line["status"], line["level"]) == ("/v1/plans", 422, "info")
    assert "secret-name" not in "".join(lines)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The run report of a small forecast, as jobs write it."""
    folder, hours = tmp_path_factory.mktemp("forecast"), pd.date_range("2026-01-01", periods=504, freq="h", tz="UTC")
    history = pd.DataFrame({"unique_id": "a", "ds": hours, "y": 10.0 + hours.hour + hours.dayofyear % 3})
    history.to_parquet(folder / "history.parquet")
    asked = Asked(60, (0.5, 0.9))
    return run_report(run_batch(folder / "history.parquet", asked, folder / "p", "serial", 1, lambda *_: None), "h")


def test_the_error_of_the_last_forecast(store: Store, report: Any) -> None:
    """Errors stand in the run report, as a forecast writes it, of the newest forecast that is done."""
    job = store.of(EVERYONE).begin(store.submit(Submission("f", {}, None, (), "a", kind="forecast")), 1)
    assert job is not None
    store.finish(job, json.dumps(report), {})
    registry = CollectorRegistry()
    registry.register(StoreFigures(store.of(EVERYONE)))
    text = generate_latest(registry).decode()
    ours = report["backtest"]["models"]["forecast"]
    for measure in ("wql", "mase"):
        assert f'planner_last_forecast_error{{measure="{measure}"}} {ours[measure]}' in text
    assert "planner_store_up 1.0" in text


def test_a_store_that_is_away_is_a_figure(tmp_path: Path) -> None:
    """The scrape is answered, and says so."""
    registry = CollectorRegistry()
    registry.register(StoreFigures(Store(f"sqlite:///{tmp_path / 'none.sqlite'}")))
    assert [line for line in generate_latest(registry).decode().splitlines() if line[0] != "#"] == [
        "planner_store_up 0.0"]


class Nobody:
    """A queue that nobody takes jobs from."""

    def put(self, connection: Connection, job_id: str, priority: int, *, quick: bool) -> None:
        pass


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    made = Store(database, Nobody())
    yield made.of("default")
    made.close()
