"""Requests directed over HTTP: a real plan, real health reports, real restarts."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

Json = dict[str, Any]
DOWN, UP = {"state": "down", "by": "probe", "source": "eu"}, {"state": "up", "by": "probe", "source": "eu"}


@pytest.fixture
def now(tiny: Json) -> Json:
    """The tiny scenario from the beginning of this hour on, all of it free to move and to survive a loss."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    tiny["horizon"] = {"start": start.strftime("%Y-%m-%dT%H:%M:%SZ"), "slots": 4, "slot_minutes": 60}
    tiny["workloads"] = tiny["workloads"][:1]
    return tiny | {"survive": "cluster"}


def done(service: Any, scenario: Json, directs: bool = True) -> str:
    """Id of a plan that is made, and that requests are directed by."""
    state = service.ended(service.ask({"scenario": scenario}).json()["id"])
    assert state["status"] == "done", state["errors"]
    give_up = time.monotonic() + 60
    while directs and service.http.get("/v1/direct/claims-etl").json().get("plan") != state["id"]:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return str(state["id"])


def problem(response: Any, status: int, says: str) -> None:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert says in response.json()["detail"], response.text


def test_directing(serve: Any, now: Json) -> None:
    """Requests go where the plan in force says, to the fallback once a cluster is lost, and nowhere when all are."""
    service = serve()
    http, direct = service.http, "/v1/direct/claims-etl"
    problem(http.get(direct), 404, "no plan is in force: POST /v1/plans")
    problem(http.put("/v1/clusters/cheap/health", json=DOWN), 404, "no plan is in force: POST /v1/plans")
    plan_id = done(service, now)
    answer = http.get(direct, params={"region": "aws/eu-west-1", "key": "customer/1"})
    assert answer.json() == {"workload": "claims-etl", "user_region": None, "cluster": "cheap",
                             "home": "cheap", "plan": plan_id, "state": "draft"}  # fmt: skip
    assert answer.headers["cache-control"] == "no-store"

    health = http.put("/v1/clusters/cheap/health", json=DOWN).json()
    assert (health["state"], health["losses"], health["returns_at"]) == ("down", 1, None)
    moved = http.get(direct).json()
    assert (moved["cluster"], moved["home"]) == ("dear", "cheap")
    figures = http.get("/metrics").text
    assert 'planner_directed_total{cluster="cheap",way="home"}' in figures
    assert 'planner_directed_total{cluster="dear",way="fallback"} 1.0' in figures
    health = http.put("/v1/clusters/cheap/health", json=UP).json()
    assert health["state"] == "returning"
    wait = datetime.fromisoformat(health["returns_at"]) - datetime.fromisoformat(health["reports"][0]["at"])
    assert wait == timedelta(seconds=60)
    assert http.get(direct).json()["cluster"] == "dear"
    assert http.put("/v1/clusters/dear/health", json=DOWN).json()["state"] == "down"
    lost = http.get(direct)
    problem(lost, 503, "no cluster is left: all of cheap are lost, and every fallback")
    assert lost.headers["retry-after"] == "1"

    service.kill()
    after = serve()
    problem(after.http.get(direct), 503, "no cluster is left")
    assert after.http.get("/v1/clusters/cheap/health").json() == health
    person = {"state": "up", "by": "person", "source": "ann", "note": "the probe is wrong", "expires_in_s": 60}
    assert after.http.put("/v1/clusters/cheap/health", json=person).json()["state"] == "up"
    assert after.http.get(direct).json()["cluster"] == "cheap"
    reports = after.http.get("/v1/clusters/cheap/health").json()["reports"]
    assert [report["by"] for report in reports] == ["probe", "person"]


@pytest.mark.soak
def test_which_plan_directs(serve: Any, now: Json) -> None:
    """The newest draft directs until a plan is put in force, which stays so through newer plans and restarts; rolled
    back, none directs.
    """
    service = serve()
    first = done(service, now)
    now["clusters"][0]["pools"][0]["offers"][0]["price_usd_per_hour"] = 3.0
    second = done(service, now)
    direct = "/v1/direct/claims-etl"
    assert (service.http.get(direct).json()["cluster"], service.http.get(direct).json()["plan"]) == ("dear", second)
    problem(service.step(first, "in-force"), 409, "draft: put_in_force is for a plan that is approved")
    service.approve(first)
    put = service.step(first, "in-force")
    assert (put.status_code, put.json()["state"]) == (200, "in_force")
    answer = service.http.get(direct).json()
    assert (answer["cluster"], answer["state"]) == ("cheap", "in_force")
    done(service, now | {"name": "third"}, directs=False)
    assert service.http.get(direct).json()["plan"] == first
    service.kill()
    service = serve()
    assert service.http.get(direct).json()["plan"] == first

    cancelled = service.ask({"scenario": now, "seed": 5}).json()["id"]
    service.http.post(f"/v1/plans/{cancelled}/cancel")
    problem(service.step(cancelled, "in-force"), 409, "only a plan that is done")
    problem(service.step("nope", "in-force"), 404, "plan: nope: not known")
    problem(service.http.get("/v1/direct/claims-elt"), 404, "'claims-etl'?")
    problem(service.http.get("/v1/clusters/cheep/health"), 404, "'cheap'?")
    problem(service.http.get(direct, params={"regin": "x"}), 422, "regin: not known; 'region'?")
    for body, says in [
        ({"state": "lost", "by": "probe"}, "state"), ({"state": "up"}, "by"), (DOWN | {"expires_in_s": 0}, "expires"),
        (DOWN | {"sauce": "x"}, "sauce"),
    ]:  # fmt: skip
        problem(service.http.put("/v1/clusters/cheap/health", json=body), 422, says)
    next_year = now | {"name": "future", "horizon": now["horizon"] | {"start": "2027-11-02T00:00:00Z"}}
    early = done(service, next_year, directs=False)
    service.approve(early)
    problem(service.step(early, "in-force"), 409, f"claims-etl: the scenario tiny runs that, too, by plan {first}")
    assert service.step(first, "roll-back").status_code == 200
    problem(service.http.get(direct), 404, "no plan is in force: ")
    assert service.step(early, "in-force").status_code == 200
    problem(service.http.get(direct), 409, "not in force now: it holds from 2027-11-02T00:00:00Z to 2027-11-02T04")


def test_planning_makes_way(serve: Any, tiny: Json) -> None:
    """A planning process is nicer than the service that started it."""
    service = serve(niceness=10)
    plan_id = service.ask({"scenario": tiny, "seed": 41}).json()["id"]
    service.wait(plan_id, lambda state: state["status"] == "running")
    nice = min(19, psutil.Process(service.process.pid).nice() + 10)
    give_up = time.monotonic() + 60
    while [psutil.Process(pid).nice() for pid in service.children()] != [nice]:
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_no_request_after_a_loss(serve: Any, now: Json) -> None:
    """Requests that are sent after a loss was reported never go there, however many others are on their way."""
    service = serve()
    done(service, now)
    reported, answers = [float("inf")], list[tuple[float, str]]()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            sent = time.monotonic()
            answers.append((sent, service.http.get("/v1/direct/claims-etl").json()["cluster"]))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    stop.wait(0.3)
    service.http.put("/v1/clusters/cheap/health", json=DOWN)
    reported[0] = time.monotonic()
    stop.wait(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert {cluster for sent, cluster in answers if sent < reported[0]} >= {"cheap"}
    assert {cluster for sent, cluster in answers if sent > reported[0]} == {"dear"}
