"""Diagnoses over HTTP."""

from typing import Any


def test_a_cluster_is_diagnosed(service: Any) -> None:
    """A cluster's answer has its status, its alarms with their chance, and what it rests on."""
    answer = service.http.get("/v1/diagnostics/clusters/onprem-ashburn").json()
    assert answer["status"] == "alarm"
    assert answer["alarms"][0]["metric"] == "read_latency_ms"
    assert answer["alarms"][0]["since"] == "2026-11-01T19:00Z"
    assert answer["alarms"][0]["p"] < 1e-6
    assert answer["hardware_classes"] == ["mixed-disk"]
    assert (answer["detector"], answer["alarms"][0]["detector"]) == ("auto", "seasonal_z")
    assert {drift["metric"] for drift in answer["drifts"]} == {"cpu_share", "read_latency_ms", "requests_per_s"}


def test_the_fleet_is_diagnosed(service: Any) -> None:
    """The fleet view has every cluster once."""
    clusters = service.http.get("/v1/diagnostics/clusters").json()["clusters"]
    assert len({cluster["cluster"] for cluster in clusters}) == len(clusters) == 8


def test_without_telemetry(serve: Any) -> None:
    """A service that was started without telemetry says so."""
    response = serve().http.get("/v1/diagnostics/clusters/any")
    assert response.status_code == 404
    assert "no telemetry" in response.json()["detail"]
