"""Plans from draft to in force and back over HTTP: real plans, real waves, real services that are killed."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from planner.plan import Plan

Json = dict[str, Any]
Documents = Callable[..., Plan]


@pytest.fixture(scope="module")
def service(each_service: Any) -> Any:
    """One on each kind of database."""
    return each_service


@pytest.fixture(autouse=True)
def _withdrawn(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test finds or leaves a plan in force, as others have workloads of the same names."""
    shared = request.getfixturevalue("service") if "service" in request.fixturenames else None
    if shared is not None:
        shared.withdraw()
    yield
    if shared is not None:
        shared.withdraw()


def scenario(name: str, price: float = 1.0) -> Json:
    """Two jobs that run where it is cheap, from the beginning of this hour on."""
    def cluster(name: str, region: str, usd: float) -> Json:
        pool = {"name": "p", "machine": {"name": "m", "vcpu": 4, "memory_gib": 16}, "max": 4,
                "offers": [{"purchase": "on_demand", "price_usd_per_hour": usd}]}
        return {"name": name, "provider": "aws", "region": region, "country": "IE", "pools": [pool]}

    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "name": name, "horizon": {"start": start, "slots": 4, "slot_minutes": 60}, "objective": {"mode": "min_cost"},
        "clusters": [cluster("here", "eu-west-1", price), cluster("there", "eu-central-1", 2.0)],
        "workloads": [{"name": work, "kind": "etl", "request": {"vcpu": 2, "memory_gib": 2}, "replicas": [1] * 4}
                      for work in ("a", "b")],
    }  # fmt: skip


def made(service: Any, body: Json, incumbent: str | None = None) -> str:
    """Id of a plan that is done."""
    state = service.ended(service.ask({"scenario": body, "incumbent": incumbent}).json()["id"])
    assert state["status"] == "done", state["errors"]
    return str(state["id"])


def problem(response: Any, status: int, says: str) -> Json:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    answer: Json = response.json()
    assert says in answer["detail"], answer
    return answer


def test_from_a_scenario_to_a_plan_in_force_and_on_to_the_next(service: Any) -> None:
    """Two real plans: made, checked and approved one after the other; the second moves all to where it is cheap now."""
    first = made(service, scenario("turn"))
    service.approve(first)
    assert service.step(first, "apply").json()["state"] == "in_force"
    second = made(service, scenario("turn", 3.0), "in_force")
    service.approve(second)
    life = service.life(second)
    assert life["verification"]["violations"] == []
    assert (life["waves"], life["next"]) == ([{"wave": 1, "moves": 2, "made": 0}], ["apply", "put_in_force", "retire"])
    assert service.step(second, "apply", {"why": "prices"}).json()["in_force"] == first
    assert service.step(second, "waves/1").json()["state"] == "in_force"
    assert service.life(first)["state"] == "retired"
    listed = service.http.get("/v1/plans", params={"scenario": "turn", "state": "in_force"}).json()["plans"]
    assert [(plan["id"], plan["state"]) for plan in listed] == [(second, "in_force")]
    found = service.http.get(f"/v1/plans/{first}/diff/{second}").json()
    assert found["routes"] == [{"before": "here/p", "after": "there/p", "units": 2}]


def test_a_plan_is_rolled_back_from_the_middle_of_a_wave(service: Any, document: Documents) -> None:
    """The answer has the moves back of what was made, and what of the wave is not known; what was in force still is,
    and the next plan made from it can be applied, and rolled back after its end.
    """
    start = document("middle")
    plans = [document("middle", start, 2, mark) for mark in (1.0, 2.0)]
    first, second, third = (service.hold(plan) for plan in (start, *plans))
    assert service.step(first, "apply").json()["state"] == "in_force"
    early = service.http.get(f"/v1/plans/{second}/life-cycle").headers["ETag"]
    begun = service.step(second, "apply").json()
    assert (begun["state"], begun["in_force"]) == ("applying", first)
    refused = problem(service.step(third, "apply"), 409, f"plan {second} is being applied over middle")
    assert refused["against"] == second
    problem(service.step(first, "retire"), 409, "is being applied over middle")
    assert service.step(second, "waves/1").json()["waves"][0] == {"wave": 1, "moves": 2, "made": 2}
    problem(service.step(second, "waves/1"), 409, "wave 1 is done already: wave 2 of 2 is next")
    half = service.step(second, "waves/2", {"moves": [1]}).json()
    assert half["waves"][1] == {"wave": 2, "moves": 2, "made": 1}
    stale = problem(service.step(second, "waves/2", tag=early), 412, "it has changed meanwhile")
    assert stale["life_cycle"]["waves"] == half["waves"]
    assert stale["difference"]["before"]["plan_id"] == start.plan_id
    problem(service.http.post(f"/v1/plans/{second}/waves/2"), 428, "If-Match: missing")

    seen = service.http.get(f"/v1/plans/{second}/roll-back").json()
    back = service.step(second, "roll-back", {"why": "errors"}).json()
    assert back == seen
    went = [wave["moves"] for wave in plans[0].to_dict()["waves"]]
    assert [wave["moves"] for wave in back["waves"]] == [
        [turned(went[1][1])], [turned(move) for move in reversed(went[0])]]
    assert (back["unreported"], back["to"]) == ([went[1][0]], first)
    problem(service.step(second, "roll-back"), 409, "rolled back already")
    after = service.life(second)
    assert (after["state"], after["in_force"], after["next"]) == ("rolled_back", first, ["retire"])
    assert [(event["step"], event["who"], event["why"]) for event in after["history"]][-1] == (
        "roll_back", "local", "errors")

    for step in ("apply", "waves/1", "waves/2"):
        last = service.step(third, step).json()
    assert (last["state"], service.life(first)["state"]) == ("in_force", "retired")
    undone = service.step(third, "roll-back").json()
    assert ([len(wave["moves"]) for wave in undone["waves"]], undone["unreported"]) == ([2, 2], [])
    assert service.life(first)["state"] == "in_force"


def test_requests_follow_the_waves(service: Any, document: Documents) -> None:
    """While a plan is being applied a workload is directed by the plan before until its move is reported, then to where
    it is; rolled back in the middle of a wave, all go by the plan before again. After its last wave the plan directs.
    """
    start = document("followed")
    first, second, third = (service.hold(plan) for plan in (
        start, document("followed", start, 2, 1.0), document("followed", start, 1, 2.0)))

    def directed() -> list[tuple[str, str]]:
        found = (service.http.get(f"/v1/direct/{work}").json() for work in ("a", "b"))
        return [(one["cluster"], one["plan"]) for one in found]

    service.step(first, "apply")
    assert directed() == [("cheap", first)] * 2
    service.step(second, "apply")
    assert directed() == [("cheap", first)] * 2
    service.step(second, "waves/1", {"moves": [0]})
    assert directed() == [("dear", second), ("cheap", first)]
    service.step(second, "waves/1")
    assert directed() == [("dear", second)] * 2
    service.step(second, "waves/2", {"moves": [1]})
    assert directed() == [("dear", second), ("cheap", second)]
    service.step(second, "roll-back")
    assert directed() == [("cheap", first)] * 2
    service.step(third, "apply")
    assert directed() == [("cheap", first)] * 2
    service.step(third, "waves/1")
    assert directed() == [("dear", third)] * 2


def test_scenarios_are_directed_side_by_side(service: Any, document: Documents) -> None:
    """Two scenarios have a plan in force each, and requests, `where` and `runs` go by both; a third one with a workload
    of the same name is refused by that. Nothing goes by what was rolled back or retired, nor is it said to be in force.
    """
    direct, where = "/v1/direct/{}", "/v1/where/{}"

    def directed(work: str) -> tuple[str, str, str]:
        answer = service.http.get(direct.format(work)).json()
        return answer["cluster"], answer["plan"], answer["state"]

    start = document("left")
    left, right = service.hold(start), service.hold(document("right", works=("c", "d")))
    for plan_id in (left, right):
        assert service.step(plan_id, "in-force").json()["state"] == "in_force"
    assert (directed("a"), directed("c")) == (("cheap", left, "in_force"), ("cheap", right, "in_force"))
    refused = service.step(service.hold(document("third", works=("d", "e"))), "in-force")
    problem(refused, 409, f"workload d: the scenario right runs that, too, by plan {right}: rename it in one of the")
    service.hold(document("newer"), approved=False)

    found = service.http.get(where.format("a")).json()
    assert (found["plan"], found["state"], found["in_force"]) == (left, "in_force", left)
    runs = service.http.get("/v1/clusters/cheap/runs").json()
    assert (runs["plan"], runs["plans"]) == (right, [right, left])
    assert [unit["workload"] for unit in runs["runs"]] == ["c", "d", "a", "b"]
    coming = service.hold(document("left", start, 1))
    service.step(coming, "apply")
    service.step(coming, "waves/1", {"moves": [0]})
    assert (directed("a"), directed("b")) == (("dear", coming, "applying"), ("cheap", left, "in_force"))
    service.step(coming, "roll-back")
    lost = {"state": "down", "by": "person", "source": "ann"}
    assert service.http.put("/v1/clusters/cheap/health", json=lost).status_code == 200
    for work in ("b", "d"):
        problem(service.http.get(direct.format(work)), 503, "no cluster is left: all of cheap are lost")
    service.http.put("/v1/clusters/cheap/health", json=lost | {"state": "up"})

    assert service.step(left, "roll-back").status_code == 200
    problem(service.http.get(direct.format("a")), 404, "a: not in the plan in force")
    old = service.http.get(where.format("a"), params={"plan": left}).json()
    assert (old["state"], old["in_force"]) == ("rolled_back", None)
    problem(service.http.get(where.format("a")), 404, "placed workload: a: not known")
    assert directed("c") == ("cheap", right, "in_force")
    assert service.step(right, "retire").status_code == 200
    problem(service.http.get(direct.format("c")), 404, "no plan is in force")
    assert service.http.get(where.format("a")).json()["in_force"] is None


def turned(move: Json) -> Json:
    return move | {"from": move["to"], "to": move["from"]}


def test_stale_plans_are_refused_with_the_difference(service: Any, document: Documents) -> None:
    """A plan made from another one than is in force, or from none, is not applied: it is said what differs."""
    rival = document("stale", mark=3.0)
    first, rival_id = service.hold(document("stale", waves=1)), service.hold(rival)
    late = service.hold(document("stale", rival, 1))
    tag = service.http.get(f"/v1/plans/{first}/life-cycle").headers["ETag"]
    assert service.step(rival_id, "apply").json()["state"] == "in_force"
    found = problem(service.step(first, "apply", tag=tag), 412, "it has changed meanwhile")
    assert found["life_cycle"]["in_force"] == found["against"] == rival_id
    found = problem(service.step(first, "apply"), 409, f"no waves from plan {rival_id}")
    assert [row["kind"] for row in found["difference"]["changed"]] == ["moved", "moved"]
    assert service.http.get(found["all"]).json()["routes"] == found["difference"]["routes"]
    assert service.step(first, "in-force").json()["state"] == "in_force"
    for step in ("apply", "in-force"):
        found = problem(service.step(late, step), 409, "stale: it was made to replace the plan with content")
        assert found["against"] == first


def test_an_expired_plan_is_not_applied(service: Any, document: Documents) -> None:
    """A plan that held until an hour ago is refused, waves or not."""
    plan = document("old").model_copy(update={"valid_until": "2026-01-01T00:00:00Z"})
    for step in ("apply", "in-force"):
        problem(service.step(service.hold(plan), step), 409, "expired: it held until 2026-01-01T00:00:00Z")


def test_a_shadow_is_planned_and_never_applied(service: Any, document: Documents) -> None:
    """Its approved plan is refused by name, by either way into force, until the scenario is a shadow no more."""
    address, plan_id = "/v1/scenarios/trial/shadow", service.hold(document("trial"))
    assert service.http.put(address, json={"why": "a month on trial"}).json()["by"] == "local"
    assert service.life(plan_id)["shadow"]
    for step in ("apply", "in-force"):
        problem(service.step(plan_id, step), 409, "the scenario trial is a shadow")
    assert service.http.delete(address).status_code == 204
    assert service.http.get(address).json()["shadow"] is False
    assert service.step(plan_id, "apply").json()["state"] == "in_force"
    problem(service.http.put(address), 409, f"plan {plan_id} of it is in force")


def test_what_is_no_plan_has_no_life(service: Any, document: Documents) -> None:
    """An infeasible plan is neither checked nor approved, an unknown one is not known; a draft is not approved."""
    crowded = scenario("crowded")
    crowded["workloads"][0]["request"]["vcpu"] = 5
    plan_id = service.ended(service.ask({"scenario": crowded}).json()["id"])["id"]
    for step in ("verify", "approve", "apply", "in-force", "roll-back", "retire"):
        problem(service.step(plan_id, step), 409, "infeasible: only a plan that is done has a life cycle")
    problem(service.http.get("/v1/plans/nope/life-cycle"), 404, "nope: not known")
    draft = service.hold(document("draft"), approved=False)
    problem(service.step(draft, "approve"), 409, "draft: approve is for a plan that is verified; from draft there is")
    problem(service.step(draft, "roll-back"), 409, "roll_back is for a plan that is applying or in_force")
    assert service.step(draft, "retire").json()["next"] == []


def test_a_plan_that_no_longer_holds_is_not_verified(service: Any, scenarios: Path) -> None:
    """The scenario was edited after the plan was made: it stays a draft, and its history says why."""
    file = scenarios / "edited-later" / "scenario.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(scenario("mine")))
    plan_id = service.ended(service.ask({"scenario": "edited-later"}).json()["id"])["id"]
    file.write_text(json.dumps(scenario("mine", 1.5)))
    job_id = service.step(plan_id, "verify").json()["id"]
    job = service.http.get(f"/v1/jobs/{job_id}").json()
    assert job["address"] == f"/v1/jobs/{job_id}/result"
    give_up = time.monotonic() + 180
    while service.http.get(f"/v1/jobs/{job_id}").json()["status"] in ("queued", "running"):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    life = service.life(plan_id)
    assert (life["state"], life["history"][0]["after"]) == ("draft", "draft")
    assert "mine has changed since the plan was made" in life["verification"]["violations"][0]
    assert "does not hold: the scenario mine has changed" in life["history"][0]["note"]


def test_a_service_that_dies_between_waves_goes_on_where_it_was(serve: Any, database: str, document: Documents) -> None:
    """Killed after a move was reported: the next start knows it, and takes the rest of the wave."""
    service, start = serve(database=database), document()
    first, second = service.hold(start), service.hold(document(parent=start, waves=1))
    for plan_id in (first, second):
        service.step(plan_id, "apply")
    before = service.step(second, "waves/1", {"moves": [0]}).json()
    assert before["state"] == "applying"
    service.kill()
    service = serve(database=database)
    assert service.life(second) == before
    assert service.http.get("/v1/direct/a").json()["plan"] == second
    after = service.step(second, "waves/1", {"moves": [1]}).json()
    assert (after["state"], after["predecessor"]) == ("in_force", first)


@pytest.mark.parametrize(("body", "says"), [
    ({"incumbent": "nope"}, "incumbent: nope: not known"),
    ({"max_moves": 3}, "max_moves: from what?"), ({"max_moves": -1, "incumbent": "a"}, "greater than or equal to 0"),
])
def test_a_plan_from_nothing_in_force(service: Any, body: Json, says: str) -> None:
    """What a plan starts from must be there."""
    problem(service.ask({"scenario": scenario("turnip")} | body), 422, says)
