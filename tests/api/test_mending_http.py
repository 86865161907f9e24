"""A lost cluster, from the report to the mended plan and back, in one service and in two."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]
DOWN: Json = {"state": "down", "by": "person", "source": "ann"}
UP = DOWN | {"state": "up"}
DIRECT = "/v1/direct/claims-etl"


@pytest.fixture
def now(tiny: Json) -> Json:
    """The tiny scenario from the beginning of this hour on, all of it free to move and to survive a loss."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    tiny["horizon"] = {"start": start.strftime("%Y-%m-%dT%H:%M:%SZ"), "slots": 4, "slot_minutes": 60}
    tiny["workloads"] = tiny["workloads"][:1]
    return tiny | {"survive": "cluster"}


def until(what: Callable[[], bool], seconds: float = 500) -> None:
    give_up = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.15)


def directed(service: Any) -> tuple[str, str, str]:
    """Where requests go, where the plan in force has them, and that plan."""
    answer = service.http.get(DIRECT).json()
    return answer.get("cluster", ""), answer.get("home", ""), answer.get("plan", "")


def into_force(service: Any, plan_id: str) -> None:
    """Have a plan checked, approved and put in force."""
    service.approve(plan_id)
    assert service.step(plan_id, "in-force").json()["state"] == "in_force"


def newest(service: Any) -> str:
    """Id of the plan that was asked for last."""
    return str(service.http.get("/v1/plans").json()["plans"][0]["id"])


def mends(service: Any) -> list[tuple[str, list[str], list[str], str]]:
    """Jobs that mend plans, the oldest first: the plan, what is lost, what is back, the state."""
    plans = reversed(service.http.get("/v1/plans").json()["plans"])
    return [(plan["settings"]["mends"], plan["settings"]["down"], plan["settings"]["restore"], plan["status"])
            for plan in plans if "mends" in plan["settings"]]


def test_a_plan_that_sheds_work_is_put_in_force(serve: Any, now: Json) -> None:
    """After a loss that leaves no room for all, the mended plan is done and names what it sheds: its check says so and
    does not stop there, its approval says so, and requests go by it, for shed work to nowhere and by name.
    """
    service, now["survive"] = serve(), "none"
    now["workloads"].append(now["workloads"][0] | {"name": "tied", "clusters": {"pin": "cheap"}})
    first = service.ended(service.ask({"scenario": now}).json()["id"])["id"]
    into_force(service, first)
    asked = service.http.post(f"/v1/plans/{first}/replan", json={"down": ["cheap"]})
    made = service.ended(asked.json()["id"])
    assert (made["status"], made["state"], made["plan"]["shed"]) == ("done", "draft", ["tied"]), made["errors"]
    service.approve(made["id"])
    life = service.life(made["id"])
    assert (life["verification"]["violations"], life["verification"]["lacks"]) == ([], ["sheds tied"])
    assert [row["note"] for row in life["history"] if row["step"] == "approve"] == ["sheds tied"]
    assert service.step(made["id"], "in-force").json()["state"] == "in_force"
    until(lambda: directed(service) == ("dear", "dear", made["id"]))
    refused = service.http.get("/v1/direct/tied")
    assert refused.status_code == 503
    assert "tied: shed by the plan in force, which has no room for it without cheap" in refused.json()["detail"]


@pytest.mark.soak
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_loss_and_a_return(serve: Any, database: str, now: Json, tmp_path: Path) -> None:
    """A loss is directed around at once and planned around soon, by one job of all services on the database, whose plan
    waits for somebody to put it in force; after a return another one brings the workload home again. Another service
    knows of a loss without being told.
    """
    told, asked = serve(database=database), serve(data_dir=tmp_path / "beside", database=database)
    first = told.ended(told.ask({"scenario": now}).json()["id"])["id"]
    until(lambda: directed(told) == ("cheap", "cheap", first))  # a draft, until it is put in force
    into_force(told, first)
    for service in (told, asked):  # each follows what is in force by itself
        until(lambda: directed(service) == ("cheap", "cheap", first))  # noqa: B023 - called in this round
    told.http.put("/v1/clusters/cheap/health", json=DOWN)
    assert directed(told)[:2] == ("dear", "cheap")
    until(lambda: directed(asked)[0] == "dear", 10)
    until(lambda: mends(told) == [(first, ["cheap"], [], "done")])
    assert directed(told) == directed(asked) == ("dear", "cheap", first)
    second = newest(told)
    into_force(told, second)
    until(lambda: directed(asked) == ("dear", "dear", second), 10)
    asked.http.put("/v1/clusters/cheap/health", json=UP)
    until(lambda: mends(told)[1:] == [(second, [], ["cheap"], "done")])
    assert directed(told) == ("dear", "dear", second)
    third = newest(told)
    into_force(told, third)
    until(lambda: directed(asked) == ("cheap", "cheap", third), 10)

    again = told.http.post(f"/v1/plans/{first}/replan", json={"down": ["aws/eu-west-1"], "priority": 3})
    assert (again.status_code, again.json()["settings"]["down"]) == (202, ["aws/eu-west-1"])
    assert told.http.post(f"/v1/plans/{first}/replan", json={"down": ["chaep"]}).status_code == 422
    assert told.http.post("/v1/plans/none/replan", json={"down": ["cheap"]}).status_code == 404
    plan = told.ended(again.json()["id"])["plan"]
    assert plan["provenance"]["down"] == ["cheap"]
    assert {unit["cluster"] for unit in plan["assignments"]} == {"dear"}
