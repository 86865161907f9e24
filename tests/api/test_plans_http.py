"""Plans over HTTP: real requests, real solves, real SQLite."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from planner.cli import app
from planner.plan import Plan

Json = dict[str, Any]


@pytest.fixture(scope="module")
def done(service: Any) -> Json:
    """A plan of the tiny scenario, done."""
    response = service.ask()
    assert response.status_code == 202, response.text
    answer: Json = response.json()
    assert response.headers["location"] == f"/v1/plans/{answer['id']}"
    assert answer["status"] in ("queued", "running")
    return dict(service.ended(answer["id"]))


def test_a_plan_is_made(done: Json) -> None:
    """The finished plan is a valid plan.json: proven, on the cheap cluster but for what is pinned."""
    assert done["status"] == "done", done["errors"]
    plan = Plan.model_validate(done["plan"])
    assert plan.status == "optimal"
    assert plan.cost_usd == pytest.approx(4 * 1.0 + 4 * 2.0)
    progress = done["progress"] or {"phase": "ended"}  # none where it took less than a report
    assert (progress["phase"], progress.get("objective", plan.cost_usd)) == ("ended", plan.cost_usd)
    assert {unit.workload: unit.cluster for unit in plan.assignments} == {
        "claims-etl": "cheap", "drift-monitor": "cheap", "front": "dear",
    }  # fmt: skip
    assert done["started_at"] >= done["created_at"]
    assert done["finished_at"] >= done["started_at"]
    assert done["settings"]["time_limit_s"] == 120


def test_what_runs_on_a_cluster(service: Any, done: Json) -> None:
    """A cluster tells what runs there by the newest plan, the drift monitor among it, and on how many machines."""
    answer = service.http.get("/v1/clusters/cheap/runs", params={"plan": done["id"]}).json()
    assert sorted(unit["workload"] for unit in answer["runs"]) == ["claims-etl", "drift-monitor"]
    assert answer["machines"] == [{"pool": "general", "purchase": "on_demand", "count": [1, 1, 1, 1]}]
    newest = service.http.get("/v1/clusters/dear/runs").json()
    assert [(unit["workload"], unit["copy"], unit["pool"]) for unit in newest["runs"]] == [("front", 0, "general")]


def test_why_a_workload_is_where_it_is(service: Any, done: Json, tiny: Json, tmp_path: Path) -> None:
    """The service says of a plan what the command line says of it, all places or one, and names what it cannot find."""
    (tmp_path / "scenario.yaml").write_text(json.dumps(tiny))
    (tmp_path / "plan.json").write_text(json.dumps(done["plan"]))
    command = ["explain", str(tmp_path), str(tmp_path / "plan.json"), "--workload", "front", "--json"]
    told = json.loads(CliRunner().invoke(app, command).stdout)
    address = f"/v1/plans/{done['id']}/explain"
    assert service.http.get(f"{address}/front").json() == told
    cheap = service.http.get(f"{address}/claims-etl", params={"at": "dear"}).json()["units"][0]["places"]
    assert [(place["cluster"], place["extra_usd"]) for place in cheap] == [("dear", 8.0)]
    assert "'front'?" in service.http.get(f"{address}/fron").json()["detail"]
    assert service.http.get(f"{address}/front", params={"at": "cheep"}).status_code == 422
    assert service.http.get("/v1/plans/none/explain/front").status_code == 404


def test_a_changed_scenario_explains_no_older_plan(service: Any, scenarios: Path, tiny: Json) -> None:
    """A scenario that was edited after the plan was made would give wrong reasons: 409 instead."""
    file = scenarios / "mine" / "scenario.yaml"
    file.parent.mkdir()
    file.write_text(json.dumps(tiny))
    plan_id = service.ended(service.ask({"scenario": "mine"}).json()["id"])["id"]
    tiny["clusters"][0]["pools"][0]["offers"][0]["price_usd_per_hour"] = 3.0
    file.write_text(json.dumps(tiny))
    answer = service.http.get(f"/v1/plans/{plan_id}/explain/front")
    assert answer.status_code == 409
    assert "mine has changed" in answer.json()["detail"]


def test_a_plan_that_is_not_made_is_not_explained(service: Any, tiny: Json) -> None:
    """A plan that was cancelled has nothing to explain: 409 with its status."""
    plan_id = service.ask({"scenario": tiny, "seed": 31}).json()["id"]
    service.http.post(f"/v1/plans/{plan_id}/cancel")
    answer = service.http.get(f"/v1/plans/{plan_id}/explain/front")
    assert answer.status_code == 409
    assert "cancelled" in answer.json()["detail"]


def test_where_a_workload_runs(service: Any, done: Json) -> None:
    """A workload tells where it runs; one that does not is named with the nearest that does."""
    answer = service.http.get("/v1/where/front").json()
    assert [unit["cluster"] for unit in answer["units"]] == ["dear"]
    missing = service.http.get("/v1/where/fron")
    assert missing.status_code == 404
    assert "'front'?" in missing.json()["detail"]
    missing = service.http.get("/v1/clusters/cheep/runs")
    assert missing.status_code == 404
    assert "'cheap'?" in missing.json()["detail"]


def test_a_named_scenario_gives_the_same_plan(service: Any, done: Json) -> None:
    """A scenario that the service holds, asked for by its name, gives the same bytes as its content did."""
    named = service.ended(service.ask({"scenario": "small"}).json()["id"])
    assert named["settings"]["scenario"] == "small"
    assert named["id"] != done["id"]
    assert named["plan"] == done["plan"]


def test_settings_are_heard(service: Any, tiny: Json) -> None:
    """Mode and budget of the request win over the scenario's: what cannot be paid goes unplaced."""
    body = {"scenario": tiny, "mode": "max_sla", "budget_usd": 4.5, "seed": 3}
    state = service.ended(service.ask(body).json()["id"])
    assert state["status"] == "done", state["errors"]
    assert state["plan"]["mode"] == "max_sla"
    assert state["plan"]["cost_usd"] <= 4.5
    assert [row["workload"] for row in state["plan"]["unplaced"]] == ["front"]
    assert state["plan"]["provenance"]["seed"] == 3


def test_the_default_solver(service: Any, tiny: Json) -> None:
    """Without naming a solver a plan is made within its limit, with a bound below its cost."""
    state = service.ended(service.ask({"scenario": tiny, "solver": "planner", "time_limit_s": 60}).json()["id"])
    assert state["status"] == "done", state["errors"]
    assert state["plan"]["provenance"]["solver"] == "planner"
    assert state["plan"]["bound"] <= state["plan"]["cost_usd"]


def test_no_feasible_plan_is_an_answer(service: Any, tiny: Json) -> None:
    """More replicas than machines can hold: 200 with status infeasible, who, which rules, and ways out; no error."""
    tiny["workloads"][0]["replicas"] = [4000] * 4
    plan_id = service.ask({"scenario": tiny}).json()["id"]
    state = service.ended(plan_id)
    assert state["status"] == "infeasible", state["errors"]
    assert "claims-etl" in [row["workload"] for row in state["plan"]["unplaced"]]
    assert any("claims-etl must be placed" in words for words in state["plan"]["conflict"])
    assert all(row["what"] and row["cost_usd"] >= 0 for row in state["plan"]["relaxations"])
    assert state["plan"]["relaxations"]
    assert service.http.get(f"/v1/plans/{plan_id}").status_code == 200
    assert service.http.get("/v1/clusters/cheap/runs", params={"plan": plan_id}).status_code == 409


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("availability", 99.9, "0.999"),
        ("provider", None, "provider"),
        ("pools", [{"name": "p", "machine": "m6i.4xlrge", "max": 1}], "m6i.4xlarge"),
        ("colour", "red", "colour"),
    ],
)
def test_a_wrong_scenario_is_told_at_once(service: Any, tiny: Json, field: str, value: object, says: str) -> None:
    """Mistakes in a scenario are answered with the request, one line each, and nothing is queued."""
    tiny["clusters"][0][field] = value
    response = service.ask({"scenario": tiny})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert any(says in line for line in response.json()["errors"]), response.text


def test_an_idempotency_key(service: Any, tiny: Json) -> None:
    """The same key and body are one plan, however the JSON is written; another body with that key is refused."""
    body = {"scenario": tiny, "seed": 11}
    key = {"Idempotency-Key": "retry-1"}
    first = service.ask(body, **key)
    again = service.ask(dict(reversed(body.items())), **key)
    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"]
    other = service.ask(body | {"seed": 12}, **key)
    assert other.status_code == 422
    assert first.json()["id"] in other.json()["detail"]
    service.http.post(f"/v1/plans/{first.json()['id']}/cancel")


def test_requests_at_the_same_time(service: Any, tiny: Json) -> None:
    """Two plans asked for at once are two plans, made one after the other, and both end well."""
    bodies = [{"scenario": tiny, "seed": seed} for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        ids = [response.json()["id"] for response in pool.map(service.ask, bodies)]
    states = [service.ended(plan_id) for plan_id in ids]
    assert [state["status"] for state in states] == ["done", "done"]
    assert [state["plan"]["provenance"]["seed"] for state in states] == [1, 2]
    listed = [plan["id"] for plan in service.http.get("/v1/plans", params={"limit": 2}).json()["plans"]]
    assert sorted(listed) == sorted(ids)
    first, second = sorted(states, key=lambda state: str(state["started_at"]))
    assert first["finished_at"] <= second["started_at"]


def test_the_list_goes_on(service: Any, done: Json) -> None:
    """A page of the list names the next, until the first plan."""
    address, seen = "/v1/plans?limit=2", []
    while address:
        page = service.http.get(address).json()
        seen += [plan["id"] for plan in page["plans"]]
        address = page["next"]
    assert len(seen) == len(set(seen))
    assert done["id"] in seen


def test_cancel(service: Any, tiny: Json) -> None:
    """A plan that is being made and one that waits are cancelled at once; their processes end; later plans are made."""
    slow, waiting = (service.ask({"scenario": tiny, "seed": seed}).json()["id"] for seed in (21, 22))
    service.wait(slow, lambda state: state["status"] == "running")
    for plan_id in (waiting, slow):
        assert service.http.post(f"/v1/plans/{plan_id}/cancel").json()["status"] == "cancelled"
    assert service.http.post(f"/v1/plans/{slow}/cancel").status_code == 200
    after = service.ended(service.ask().json()["id"])
    assert after["status"] == "done"
    assert service.http.get(f"/v1/plans/{slow}").json()["plan"] is None
    late = service.http.post(f"/v1/plans/{after['id']}/cancel")
    assert late.status_code == 409
    assert "done" in late.json()["detail"]


def test_a_planning_process_that_is_killed(service: Any) -> None:
    """When the machine kills a planning process, its plan is failed with the reason and the service goes on."""
    plan_id = service.ask().json()["id"]
    service.wait(plan_id, lambda state: state["status"] == "running")
    give_up = time.monotonic() + 60
    while not service.children() and time.monotonic() < give_up:
        time.sleep(0.01)
    for child in service.children():
        os.kill(child, signal.SIGKILL)
    state = service.ended(plan_id)
    assert state["status"] == "failed"
    assert "by signal 9" in state["errors"][0]
    assert service.http.get("/readyz").status_code == 200


def test_packings(service: Any, done: Json) -> None:
    """A plan that names a table of packings has it behind that address; one that does not says why."""
    response = service.http.get(f"/v1/plans/{done['id']}/packings")
    if "tables" in done["plan"]:
        assert response.content[:4] == b"PAR1"
    else:
        assert response.status_code == 404
        assert "simple orders" in response.json()["detail"]


def test_assignments_come_as_the_client_takes_them(service: Any, done: Json) -> None:
    """JSON a line or Parquet, of all or of one cluster; another type is refused with those on offer."""
    address, lines = f"/v1/plans/{done['id']}/assignments", {"Accept": "application/x-ndjson"}
    found = service.http.get(address, headers=lines, params={"cluster": "dear"})
    assert [json.loads(line)["workload"] for line in found.text.splitlines()] == ["front"]
    assert len(service.http.get(address, headers=lines).text.splitlines()) == 3
    assert service.http.get(address).content[:4] == b"PAR1"
    refused = service.http.get(address, headers={"Accept": "text/html"})
    assert (refused.status_code, "application/x-ndjson" in refused.json()["detail"]) == (406, True)


def test_nothing_is_left_behind(service: Any, done: Json) -> None:
    """When nothing is being made, no planning process is there."""
    give_up = time.monotonic() + 60
    while service.children() and time.monotonic() < give_up:
        time.sleep(0.05)
    assert service.children() == []
