"""The client has a method for every route, knows every field of every answer, and does what it says."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from planner.client import Client, InvalidError, NotFoundError, StaleError, results

SOURCES = Path(__file__).resolve().parents[2] / "planner" / "client"
ASKS = re.compile(r'"(GET|POST|PUT|DELETE)",\s+"(/[^"]*)"|(?:pages|path)\(\s*"(/[^"]*)"|events\(\s*"(/[^"]*)"')
NOT_ANSWERS = {"Answer"}
HANDED_ON = {"ComparedModels", "Diagnosis", "Difference", "Explained", "HostedAlarms", "Judged", "Model", "ModelChange",
             "OneClusterDiagnosed", "SeenAlarm"}
"""Documents that commands print too: the client gives them as they come."""


@pytest.fixture(scope="module")
def client(service: Any) -> Client:
    return Client(str(service.http.base_url))


@pytest.fixture(scope="module")
def offered(client: Client) -> dict[str, Any]:
    return client.service.openapi()


def test_every_route_has_a_method(offered: dict[str, Any]) -> None:
    """No operation of the service is without a method of the client, and the client asks for nothing else."""
    text = "".join(file.read_text() for file in SOURCES.glob("*.py"))
    asked = {(found[0] or "GET", found[1] or found[2] or found[3]) for found in ASKS.findall(text)}
    there = {(method.upper(), path) for path, methods in offered["paths"].items() for method in methods}
    assert sorted(there - asked) == []
    assert sorted(asked - there - {("GET", "/openapi.json")}) == []


def test_every_answer_is_known(offered: dict[str, Any]) -> None:
    """The fields of every answer are those that the service describes, no more and no less."""
    schemas = offered["components"]["schemas"]
    models = [one for one in vars(results).values() if isinstance(one, type) and issubclass(one, BaseModel)]
    own = {one.__name__: one for one in models if one.__module__ == results.__name__}
    for name in sorted(own.keys() - NOT_ANSWERS):
        fields = {field.alias or key for key, field in own[name].model_fields.items() if not field.exclude}
        assert (name, fields) == (name, set(schemas[name]["properties"]))
    answered = {schema["$ref"].rsplit("/", 1)[1] for path in offered["paths"].values() for method in path.values()
                for status, answer in method["responses"].items() if status.startswith("2")
                for kind, content in answer.get("content", {}).items()
                if kind == "application/json" and "$ref" in (schema := content["schema"])}
    lists = {name for name in answered if set(schemas[name]["properties"]) & {"next"} and name not in own}
    assert sorted(answered - own.keys() - lists) == sorted(HANDED_ON)


def test_a_plan_from_question_to_force_and_back(client: Client, tiny: Any) -> None:
    """A plan is made, told of, explained, checked, put in force, directed by, mended, compared and rolled back."""
    tiny["horizon"]["start"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:00:00Z")
    tiny["name"] = "by client"
    told = []
    plan = client.plans.make(tiny, solver="highs", told=told.append)
    assert (plan.status, plan.state) == ("done", "draft")
    assert told[-1].status == "done"
    assert plan.plan is not None
    assert plan.plan["gap"] == 0
    assert plan.id in [one.id for one in client.plans.list(scenario="by client")]
    assert client.plans.explain(plan.id, "claims-etl")["workload"] == "claims-etl"
    assert client.fleet.where("claims-etl", plan.id).units[0].cluster == "cheap"
    assert client.fleet.runs("cheap", plan.id).machines
    assert client.plans.assignments(plan.id)[:4] == b"PAR1"
    lines = client.plans.assignments(plan.id, workload="front", media_type="application/x-ndjson").splitlines()
    assert [json.loads(line)["cluster"] for line in lines] == ["dear"]

    life = client.life_cycles.get(plan.id)
    client.jobs.wait(client.life_cycles.verify(life, "it looks right").id)
    with pytest.raises(StaleError):
        client.life_cycles.approve(life)
    life = client.life_cycles.approve(client.life_cycles.get(plan.id), "go")
    life = client.life_cycles.put_in_force(life)
    assert (life.state, [event.step for event in life.history][:2]) == ("in_force", ["verify", "approve"])
    assert client.fleet.direct("claims-etl", key="c/1").plan == plan.id

    assert client.fleet.report("cheap", "up", "person", source="ann").state == "up"
    assert client.fleet.health("cheap").reports[0].source == "ann"
    client.fleet.report("cheap", "unknown", "person")
    mended = client.plans.wait(client.plans.replan(plan.id, down=["cheap"], max_moves=0).id)
    assert mended.plan is not None
    assert mended.plan["provenance"]["down"] == ["cheap"]
    assert client.plans.diff(plan.id, plan.id)
    assert client.life_cycles.way_back(plan.id).waves == []
    assert client.life_cycles.roll_back(life, "enough").plan == plan.id


def test_the_same_key_makes_one_job(client: Client, tiny: Any) -> None:
    """Two calls are two plans, unless they have the same key."""
    first, same = (client.plans.ask(tiny, solver="first-fit", key="client-1") for _ in range(2))
    other = client.plans.ask(tiny, solver="first-fit")
    assert first.id == same.id != other.id
    for one in (first, other):
        client.plans.cancel(one.id)


def test_forecasts_capacity_and_profiles(client: Client, tiny: Any) -> None:
    """A history becomes quantiles, a scenario the date when room runs out, a description needs."""
    hours = [f"2026-01-{day:02}T{hour:02}:00:00Z" for day in range(1, 15) for hour in range(24)]
    history = "unique_id,ds,y\n" + "".join(f"a,{hour},{10 + n % 24}\n" for n, hour in enumerate(hours))
    done = client.forecasts.make(history.encode(), "3h", media_type="text/csv", quantiles=[0.5, 0.9])
    assert done.result is not None
    assert len(client.forecasts.quantiles(done.id, "application/x-ndjson").splitlines()) == 3
    with pytest.raises(NotFoundError):
        client.forecasts.backtest(done.id)
    assert client.capacity.make(tiny, days=30).result is not None
    assert client.jobs.result(done.id).result == done.result
    task = {"kind": "etl", "task": {"volume_gb": 200, "cadence": "daily"}}
    assert client.fleet.profile(task)


def test_mistakes_are_told(client: Client) -> None:
    """What is wrong, in one line each."""
    with pytest.raises(InvalidError) as raised:
        client.plans.ask({"name": "x"})
    assert raised.value.status == 422
    assert raised.value.errors
    with pytest.raises(NotFoundError, match="not known"):
        client.plans.get("none")


def test_the_service_itself(client: Client) -> None:
    """It lives, works, counts, and says who did what."""
    assert (client.service.alive().status, client.service.ready().status) == ("ok", "ok")
    assert "planner_jobs" in client.service.metrics()
    client.jobs.list(status="done")
    client.schedules.add("weekly-by-client", "0 3 * * 1", "plan", {"scenario": "small"})
    assert client.schedules.get("weekly-by-client").next is not None
    assert "weekly-by-client" in [one.name for one in client.schedules.list()]
    client.schedules.remove("weekly-by-client")
    assert next(client.service.audit()).caller
    assert list(client.service.notifications()) == []
    assert client.plans.shadow("nobody-plans-it").shadow is False
