"""Forecasts, run-out dates and profiles over HTTP, jobs of every kind, and what happens when workers die."""

import io
import json
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]


def history(series: int = 3, weeks: int = 3) -> bytes:
    """Load by the hour with a day's shape, as CSV."""
    hours = np.arange(168 * weeks)
    ds = pd.date_range("2026-10-05", periods=len(hours), freq="h", tz="UTC")
    rng = np.random.default_rng(5)
    rows = [pd.DataFrame({"unique_id": f"s{k}", "ds": ds,
                          "y": 50 + 20 * np.sin(2 * np.pi * (hours - k) / 24) + rng.normal(0, 2, len(hours))})
            for k in range(series)]
    text = pd.concat(rows).to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
    return text.encode()


def done(service: Any, address: str, seconds: float = 180) -> Json:
    """The job at an address, once it has ended."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        state: Json = service.http.get(address).json()
        if state["status"] not in ("queued", "running"):
            return state
        time.sleep(0.1)
    raise AssertionError(f"still {state}")


def files_of(job_id: str) -> list[Path]:
    """What lies where temporary files do, of a job."""
    return list(Path(tempfile.gettempdir()).glob(f"planner-{job_id}-*"))


def ask(service: Any, content: bytes, **parameters: str) -> httpx.Response:
    """POST /v1/forecasts."""
    found: httpx.Response = service.http.post("/v1/forecasts", params={"horizon": "24h"} | parameters, content=content,
                                              headers={"Content-Type": "text/csv"})
    return found


def test_a_forecast_from_a_history_to_its_quantiles(service: Any) -> None:
    """A history in; a run report, quantiles as Parquet and as lines of JSON, and scores of its past out."""
    asked = ask(service, history(), backtest="true", quantiles="0.5,0.9", name="mine", models="ets")
    assert asked.status_code == 202
    state = done(service, asked.headers["Location"])
    assert (state["status"], state["name"], state["kind"]) == ("done", "mine", "forecast")
    assert state["result"]["series"]["forecast"] == 3
    assert (state["settings"]["models"], state["result"]["models"]) == (["ets"], {"ets": 3})
    quantiles = service.http.get(f"{asked.headers['Location']}/quantiles")
    table = pd.read_parquet(io.BytesIO(quantiles.content))
    assert len(table) == 3 * 24
    assert (table["q0.9"] >= table["q0.5"]).all()
    lines = service.http.get(f"{asked.headers['Location']}/quantiles", headers={"Accept": "application/x-ndjson"}).text
    assert json.loads(lines.splitlines()[0])["unique_id"] == "s0"
    scores = pd.read_parquet(io.BytesIO(service.http.get(f"{asked.headers['Location']}/backtest").content))
    assert set(scores["model"]) == {"forecast", "ets"}


@pytest.mark.parametrize(("content", "parameters", "status", "says"), [
    (b"", {}, 400, "empty"),
    (history(1, 1), {"horizon": "24 moons"}, 422, "24 moons"),
    (history(1, 1), {"quantiles": "0.5,2"}, 422, "2"),
    (history(1, 1), {"horizen": "24h"}, 422, "horizen"),
    (history(1, 1), {"models": "etz"}, 422, "did you mean ets?"),
])
def test_a_forecast_that_makes_no_sense_is_refused_at_once(service: Any, content: bytes, parameters: Json, status: int,
                                                           says: str) -> None:
    """What is wrong is named, with the problem's status, before anything is queued."""
    found = ask(service, content, **parameters)
    assert found.status_code == status
    assert says in found.text
    assert found.headers["content-type"] == "application/problem+json"


def test_a_history_of_another_type_is_refused(service: Any) -> None:
    """JSON is no history."""
    found = service.http.post("/v1/forecasts", params={"horizon": "24h"}, json={})
    assert found.status_code == 415
    assert "text/csv" in found.json()["detail"]


def test_a_history_that_cannot_be_forecast_fails_with_the_reason(service: Any) -> None:
    """Values that are no numbers, and series too short, fail the job with a line that says where."""
    wrong = done(service, ask(service, b"unique_id,ds,y\na,2026-10-05T00:00:00Z,many\n").headers["Location"])
    assert wrong["status"] == "failed"
    assert "'many' is no number" in wrong["errors"][0]
    short = done(service, ask(service, b"unique_id,ds,y\na,2026-10-05T00:00:00Z,1\n").headers["Location"])
    assert "no series can be forecast: a" in short["errors"][0]


def test_when_room_runs_out(service: Any, tiny: Json) -> None:
    """The answer is what the command says of the same scenario."""
    body = {"scenario": tiny, "days": 30, "growth": ["serving=+3%/month"]}
    asked = service.http.post("/v1/capacity", json=body)
    assert asked.status_code == 202
    state = done(service, asked.headers["Location"])
    assert (state["status"], state["errors"]) == ("done", [])
    assert state["result"]["days"] == 30
    wrong = service.http.post("/v1/capacity", json=body | {"growth": ["serving"]})
    assert wrong.status_code == 422
    assert "SELECTOR=RATE/PERIOD" in wrong.text


def test_what_tasks_will_need(service: Any) -> None:
    """Described tasks that work on each other's data get their needs at once; a field that is not one is named."""
    body = yaml.safe_load((ROOT / "examples" / "new-tasks" / "tasks.yaml").read_text())
    found = service.http.post("/v1/profiles/predict", json=body)
    assert found.status_code == 200
    assert list(found.json()) == [task["name"] for task in body["tasks"]]
    assert found.json()["claims-etl"]["kind"] == "etl"
    wrong = service.http.post("/v1/profiles/predict", json=body | {"taks": []})
    assert wrong.status_code == 422
    assert "'tasks'?" in wrong.text or "did you mean tasks" in wrong.text


def test_jobs_of_all_kinds_are_listed_watched_and_cancelled(service: Any, tiny: Json) -> None:
    """A job is in the list under its kind, its events end with its state, and a cancelled one says so."""
    plan_id = service.ask({"scenario": tiny, "seed": 51}).json()["id"]
    events = [line for line in service.http.get(f"/v1/plans/{plan_id}/events").text.splitlines() if line]
    assert events[-2:][0] == "event: done"
    assert json.loads(events[-1].removeprefix("data: "))["id"] == plan_id
    assert service.http.get("/v1/plans/none/events").status_code == 404
    mine = service.http.get("/v1/jobs", params={"kind": "plan", "status": "done"}).json()["jobs"]
    assert plan_id in [job["id"] for job in mine]
    assert service.http.get(f"/v1/jobs/{plan_id}").json()["address"] == f"/v1/plans/{plan_id}"
    assert service.http.get(f"/v1/forecasts/{plan_id}").status_code == 404
    job_id = ask(service, history(2)).json()["id"]
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    assert service.http.get(f"/v1/forecasts/{job_id}/quantiles").status_code == 409


def test_the_highest_priority_is_first(service: Any, tiny: Json) -> None:
    """Of jobs that wait, those of higher priority are done before older ones."""
    first, low, high = (service.ask({"scenario": tiny, "seed": seed, "priority": priority}).json()["id"]
                        for seed, priority in ((91, 0), (92, -5), (93, 5)))
    states = [service.ended(plan_id) for plan_id in (first, low, high)]
    assert states[2]["started_at"] < states[1]["started_at"]


@pytest.mark.soak
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_worker_that_dies_is_replaced_and_loses_nothing(serve: Any, database: str, tiny: Json) -> None:
    """Workers are killed while they work, and their jobs' processes with them: each job ends once, with its result, and
    leaves no files behind.
    """
    service = serve(database=database, workers=2)
    ids = [service.ask({"scenario": tiny, "seed": seed}).json()["id"] for seed in range(4)]
    for _ in range(2):
        give_up = time.monotonic() + 60
        while not (children := service.children()):
            assert time.monotonic() < give_up
            time.sleep(0.01)
        os.kill(psutil.Process(children[0]).parent().ppid(), signal.SIGKILL)
    states = [service.ended(plan_id) for plan_id in ids]
    assert all(state["status"] == "done" or "3 times" in state["errors"][0] for state in states)
    assert len(service.http.get("/v1/plans").json()["plans"]) == len(ids)
    give_up = time.monotonic() + 60
    while any(files_of(plan_id) for plan_id in ids):
        assert time.monotonic() < give_up
        time.sleep(0.1)


def test_short_work_does_not_wait_behind_a_long_solve(serve: Any, tiny: Json) -> None:
    """With one worker that makes a plan for minutes, a check of another plan ends, and so does a plan mended after a
    loss; another plan waits. When the service ends no file of theirs is left.
    """
    service = serve(workers=1)
    first = service.ended(service.ask({"scenario": tiny}).json()["id"])["id"]
    busy = service.ask({"scenario": tiny, "seed": 4, "time_limit_s": 600}).json()["id"]
    service.wait(busy, lambda state: state["status"] == "running")
    while not (children := service.children()):
        time.sleep(0.01)
    os.kill(children[0], signal.SIGSTOP)  # it takes as long as it is not let go on
    waiting = service.ask({"scenario": tiny, "seed": 5}).json()["id"]
    service.approve(first)
    mended = service.http.post(f"/v1/plans/{first}/replan", json={"down": ["cheap"]}).json()["id"]
    assert service.ended(mended)["status"] == "done"
    assert service.http.get(f"/v1/plans/{waiting}").json()["status"] == "queued"
    assert service.http.get(f"/v1/plans/{busy}").json()["status"] == "running"
    assert files_of(busy)
    assert service.stop() == 0
    assert not files_of(busy)
