"""Alarms over HTTP: grouped, filtered, seen, judged; and a cluster with all that is known of it."""

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
JOBS = """job,workload,cluster,submitted,started,finished,reason
etl-1,etl,onprem-ashburn,2026-11-01T00:00:00Z,2026-11-01T00:05:00Z,2026-11-01T01:00:00Z,
train-1,train,onprem-ashburn,2026-11-01T20:00:00Z,,,0/5 nodes are available: 5 Insufficient nvidia.com/gpu.
other-1,other,elsewhere,2026-11-01T20:00:00Z,,,
"""
POLICY = """
users:
  - {match: {metric: read_latency_ms}, affected: 0.02}
runbooks:
  - {match: {cluster: "onprem-*"}, contact: "#storage-oncall", steps: [drain the host]}
"""


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory, serve_long: Any) -> Any:
    """A service that watches telemetry, jobs and a policy."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "jobs.csv").write_text(JOBS)
    (folder / "policy.yaml").write_text(POLICY)
    hybrid = ROOT / "examples" / "hybrid"
    watch = {"scenario": hybrid, "alarms": folder / "policy.yaml", "jobs": folder / "jobs.csv"}
    return serve_long(folder / "data", telemetry=hybrid / "telemetry.parquet", watch=watch)


def test_alarms_are_grouped_with_cause_remedy_and_runbook(watching: Any) -> None:
    """Every alarm of the diagnosis is in one super alarm, which says how grave it is and whom to call."""
    told = watching.http.get("/v1/alarms").json()
    clusters = watching.http.get("/v1/diagnostics/clusters").json()["clusters"]
    assert told["singly"] == sum(len(cluster["alarms"]) for cluster in clusters) > 0
    paged = [one for one in told["alarms"] if one["severity"] == "page"]
    assert paged
    assert paged[0]["runbook"]["contact"] == "#storage-oncall"
    assert watching.http.get(f"/v1/alarms/{paged[0]['id']}").json() == paged[0]


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({}, True), ({"cluster": "onprem-*"}, True), ({"cluster": "no-*"}, False), ({"severity": "page"}, True),
        ({"severity": "log"}, False), ({"metric": "read_latency_ms", "hardware_class": "mixed-disk"}, True),
        ({"metric": "read_latency_ms", "hardware_class": "all-flash"}, False), ({"acknowledged": "false"}, True),
    ],
)  # fmt: skip
def test_filters_keep_what_fits(watching: Any, asked: dict[str, str], kept: bool) -> None:
    """A super alarm is listed when one of its alarms fits every filter."""
    assert bool(watching.http.get("/v1/alarms", params=asked).json()["alarms"]) == kept


def test_a_filter_that_is_none_is_named(watching: Any) -> None:
    """A wrong severity is a problem that says what is allowed."""
    answer = watching.http.get("/v1/alarms", params={"severity": "grave"})
    assert answer.status_code == 422
    assert "page" in answer.json()["detail"]


def test_a_cluster_has_alarms_drift_health_and_stuck_jobs(watching: Any) -> None:
    """One address tells all of a cluster: its own super alarms, drift, and jobs that are stuck there and why."""
    found = watching.http.get("/v1/diagnostics/clusters/onprem-ashburn", params={"at": "2026-11-02T00:00:00Z"}).json()
    assert found["super_alarms"][0]["hypotheses"] is not None
    assert {drift["metric"] for drift in found["drifts"]} >= {"read_latency_ms"}
    assert [job["job"] for job in found["stuck_jobs"]] == ["train-1"]
    assert found["stuck_jobs"][0]["hints"][0]["cause"] == "capacity"
    assert isinstance(found["health"], list)
    assert [(model["hardware_class"], model["version"]) for model in found["models"]] == [("mixed-disk", None)]
    assert "no stable model" in found["models"][0]["sentence"]


def test_who_sees_an_alarm_first_stays(watching: Any) -> None:
    """An acknowledgement names who and when, survives a second one, and a filter finds it."""
    alarm_id = watching.http.get("/v1/alarms").json()["alarms"][0]["id"]
    first = watching.http.post(f"/v1/alarms/{alarm_id}/acknowledge", json={"note": "on it"}).json()["acknowledged"]
    again = watching.http.post(f"/v1/alarms/{alarm_id}/acknowledge", json={"note": "me too"}).json()["acknowledged"]
    assert first == again
    assert (first["by"], first["note"]) == ("local", "on it")
    found = watching.http.get("/v1/alarms", params={"acknowledged": "true"}).json()["alarms"]
    assert [one["id"] for one in found] == [alarm_id]


@pytest.mark.parametrize(
    ("address", "body", "status", "says"),
    [
        ("/v1/alarms/000000000000/acknowledge", {}, 404, "alarm: 000000000000: not known"),
        ("/v1/alarms/{id}/feedback", {"verdict": "wrong"}, 422, "false_positive"),
        ("/v1/alarms/{id}/feedback", {"verdict": "false_positive", "alarms": ["x"]}, 404, "x: not known"),
        ("/v1/alarms/{id}/feedback", {}, 422, "verdict"),
        ("/v1/alarms/{id}/acknowledge", {"who": "me"}, 422, "who"),
    ],
)
def test_what_cannot_be_said_is_a_problem(watching: Any, address: str, body: Any, status: int, says: str) -> None:
    """Unknown alarms, verdicts and fields are named."""
    alarm_id = watching.http.get("/v1/alarms").json()["alarms"][0]["id"]
    answer = watching.http.post(address.format(id=alarm_id), json=body)
    assert answer.status_code == status
    assert says in answer.json()["detail"]


def test_a_false_alarm_is_not_raised_again(watching: Any) -> None:
    """Feedback moves the threshold: the alarm is gone from the next diagnosis, and its judgement stays."""
    http = watching.http
    first = http.get("/v1/alarms").json()["alarms"][0]
    fingerprint = first["alarms"][0]["fingerprint"]
    asked = {"verdict": "false_positive", "alarms": [fingerprint], "note": "a backup"}
    (said,) = http.post(f"/v1/alarms/{first['id']}/feedback", json=asked).json()["feedback"]
    assert said["fingerprint"] == fingerprint
    assert said["by"] == "local"
    left = [alarm["fingerprint"] for one in http.get("/v1/alarms").json()["alarms"] for alarm in one["alarms"]]
    assert fingerprint not in left
    assert [one["note"] for one in http.get("/v1/alarms/feedback").json()["feedback"]] == ["a backup"]
