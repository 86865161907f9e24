"""Schedules over HTTP, with real workers that keep the time."""

import time
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]
EVERY_SECOND = "* * * * * *"


@pytest.fixture
def capacity(tiny: Json) -> Json:
    return {"cron": EVERY_SECOND, "kind": "capacity", "request": {"scenario": tiny, "days": 1}}


def problem(response: Any, status: int, says: str) -> None:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert says in response.json()["detail"], response.text


def test_a_schedule_over_http(service: Any, capacity: Json) -> None:
    """Made, shown, listed and taken away; what it is asked is checked as the route of its kind would."""
    http, new = service.http, capacity | {"name": "nightly", "cron": "0 2 * * *"}
    made = http.post("/v1/schedules", json=new)
    assert (made.status_code, made.headers["location"]) == (201, "/v1/schedules/nightly")
    assert made.json()["next"].endswith("T02:00:00Z")
    assert http.get("/v1/schedules/nightly").json() == made.json()
    assert [one["name"] for one in http.get("/v1/schedules").json()["schedules"]] == ["nightly"]
    problem(http.post("/v1/schedules", json=new), 409, "there is one of that name")
    problem(http.get("/v1/schedules/nightyl"), 404, "'nightly'?")
    assert http.delete("/v1/schedules/nightly").status_code == 204
    problem(http.delete("/v1/schedules/nightly"), 404, "not known")

    other = new | {"name": "other"}
    problem(http.post("/v1/schedules", json=other | {"cron": "0 2 30 2 *"}), 422, "not a time that comes")
    problem(http.post("/v1/schedules", json=other | {"kind": "plans"}), 422, "body: kind")
    problem(http.post("/v1/schedules", json=other | {"name": "Not/This"}), 422, "body: name")
    problem(http.post("/v1/schedules", json=other | {"request": {"scenario": "smal"}}), 422,
            "request: scenario: 'smal': not known; 'small'?")
    problem(http.post("/v1/schedules", json=other | {"request": {"days": 1}}), 422, "request: scenario: Field required")
    history = {"kind": "forecast", "request": {"history": "demand", "horizon": "24h"}}
    problem(http.post("/v1/schedules", json=other | history), 422, "request: history: 'demand': not known")


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)], indirect=True)
def test_two_services_make_one_job_a_moment(serve: Any, database: str, capacity: Json, tmp_path: Path) -> None:
    """With two services on one database (one on SQLite) every second makes a job, or none while one is under way; never
    two; and what no service was there for makes one.
    """
    folders = ["one"] if database.startswith("sqlite") else ["one", "two"]
    services = [serve(tmp_path / folder, database=database) for folder in folders]
    services[0].http.post("/v1/schedules", json=capacity | {"name": "often"})
    moments = at_least(services[0], 2)
    for service in services:
        service.kill()
    time.sleep(2)
    last = moments[0]["at"]
    service = serve(tmp_path / folders[0], database=database)
    later = [one for one in at_least(service, len(moments) + 1) if one["at"] > last]
    jobs = service.http.get("/v1/jobs", params={"kind": "capacity"}).json()["jobs"]
    made = [one["job"] for one in moments if one["job"]] + [one["job"] for one in later if one["job"]]
    assert len(made) == len(set(made)) > 0
    assert {job["id"] for job in jobs} >= set(made)
    assert all(job["attempts"] <= 2 for job in jobs)


def at_least(service: Any, count: int) -> list[Json]:
    """The moments of the schedule, once there are so many."""
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        moments: list[Json] = service.http.get("/v1/schedules/often").json()["moments"]
        if len(moments) >= count:
            return moments
        time.sleep(0.1)
    raise AssertionError(f"only {moments}")


@pytest.mark.soak
def test_a_schedule_of_the_settings(serve: Any, tmp_path: Path) -> None:
    """A forecast of a file that the service holds is made at its time; HTTP cannot take it away; without it in the
    settings it is gone.
    """
    folder = tmp_path / "histories"
    folder.mkdir()
    rows = [f"s,2026-10-{1 + hour // 24:02}T{hour % 24:02}:00:00Z,{10 + hour % 24}" for hour in range(240)]
    (folder / "demand.csv").write_text("\n".join(["unique_id,ds,y", *rows]))
    told = {"name": "hourly", "cron": EVERY_SECOND, "kind": "forecast",
            "request": {"history": "demand", "horizon": "3h"}}
    service = serve(histories=folder, schedules=[told])
    problem(service.http.delete("/v1/schedules/hourly"), 409, "the settings of the service say it")
    give_up, done = time.monotonic() + 300, ()
    while not done and time.monotonic() < give_up:
        done = service.http.get("/v1/jobs", params={"kind": "forecast", "status": "done"}).json()["jobs"]
        time.sleep(0.1)
    table = service.http.get(f"{done[-1]['address']}/quantiles", headers={"Accept": "application/x-ndjson"})
    assert len(table.text.splitlines()) == 3
    service.kill()
    assert serve().http.get("/v1/schedules").json()["schedules"] == []
