"""Scenarios over HTTP: sent, kept by version, planned by reference, compared, retired; on both databases."""

import io
import json
import sqlite3
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet

from api.routes.asking import ASKS
from planner.client import Client, ConflictError, InvalidError, NotFoundError, StaleError

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def service(each_service: Any) -> Any:
    """One on each kind of database."""
    return each_service


@pytest.fixture(scope="module")
def client(service: Any) -> Client:
    return Client(str(service.http.base_url))


def named(tiny: Json, name: str, replicas: int = 3) -> Json:
    """The tiny scenario under a name, with so many replicas of its first workload."""
    first = tiny["workloads"][0] | {"replicas": [replicas] * 4}
    return tiny | {"name": name, "workloads": [first, *tiny["workloads"][1:]]}


def test_versions_of_a_scenario(client: Client, tiny: Json) -> None:
    """Other content is another version, the last one sent the newest, also when it was there before; the same content
    in another form is the same version.
    """
    one = client.scenarios.send(named(tiny, "versions"), why="first")
    again = client.scenarios.send(yaml.safe_dump(named(tiny, "versions")).encode(), media_type="application/yaml")
    assert again == one
    two = client.scenarios.send(named(tiny, "versions", 5))
    assert (one.why, two.version != one.version) == ("first", True)
    assert [row.version for row in client.scenarios.versions("versions")] == [two.version, one.version]
    assert client.scenarios.get("versions").newest == two
    back = client.scenarios.send(named(tiny, "versions"))
    assert back.version == one.version
    assert [row.version for row in client.scenarios.versions("versions")] == [one.version, two.version]
    assert client.scenarios.version("versions", two.version[:8]) == two
    assert json.loads(client.scenarios.content("versions", two.version)) == named(tiny, "versions", 5)
    (change,) = client.scenarios.diff("versions", one.version, two.version)
    assert (change.path, change.before, change.after) == ("workloads.claims-etl.replicas", [3] * 4, [5] * 4)


def test_a_plan_refers_to_a_version(client: Client, tiny: Json) -> None:
    """A plain name means the version that is the newest when it is asked for, and the plan says which; what is sent
    later changes neither the plan nor why.
    """
    first = client.scenarios.send(named(tiny, "referred"))
    plan = client.plans.make("referred", solver="highs", time_limit_s=120)
    client.scenarios.send(named(tiny, "referred", 5))
    assert plan.settings["scenario"] == first.reference
    assert plan.plan is not None
    assert plan.plan["provenance"]["scenario_sha256"] == first.version
    assert client.plans.explain(plan.id, "claims-etl")["workload"] == "claims-etl"
    with pytest.raises(ConflictError, match="refers to it: retire it instead"):
        client.scenarios.remove("referred", first.version)
    assert client.scenarios.retire("referred", first.version).retired_by == "local"
    with pytest.raises(InvalidError, match=r"retired at .* by local"):
        client.plans.ask(first.reference)
    with pytest.raises(InvalidError, match="'referred'"):
        client.plans.ask("refered")
    capacity = client.capacity.ask("referred", days=1)
    client.jobs.cancel(capacity.id)
    assert str(capacity.settings["scenario"]).startswith("referred@")


def test_a_folder_is_sent_as_one_file(client: Client, tiny: Json) -> None:
    """A scenario with a table beside it is planned as it would be from its folder, and comes back whole."""
    tiny["workloads"][0] = {**tiny["workloads"][0], "replicas": {"from": "replicas.csv"}}
    rows = "workload,0,1,2,3\nclaims-etl,2,2,2,2\n"
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("fleet/scenario.yaml", yaml.safe_dump(tiny | {"name": "folder"}))
        archive.writestr("fleet/replicas.csv", rows)
    sent = client.scenarios.send(sink.getvalue(), media_type="application/zip")
    assert (sent.media_type, sent.clusters, sent.workloads, sent.slots) == ("application/zip", 2, 3, 4)
    with zipfile.ZipFile(io.BytesIO(client.scenarios.content("folder", sent.version))) as archive:
        assert archive.read("replicas.csv").decode() == rows
    done = client.plans.make("folder", solver="highs", time_limit_s=120)
    assert done.plan is not None
    assert done.plan["status"] == "optimal"
    assert client.plans.explain(done.id, "front")["workload"] == "front"


def test_two_editors_do_not_overwrite_each_other(client: Client, tiny: Json) -> None:
    """Who names the state that was read, and somebody sent another version since, is refused with the new tag."""
    client.scenarios.send(named(tiny, "edited"))
    read = client.scenarios.get("edited")
    client.scenarios.send(named(tiny, "edited", 4), after=read)
    with pytest.raises(StaleError):
        client.scenarios.send(named(tiny, "edited", 5), after=read)
    newest = client.scenarios.get("edited").newest
    assert newest is not None
    assert next(client.scenarios.versions("edited")) == newest


def test_what_nobody_uses_is_removed(client: Client, tiny: Json) -> None:
    """A version without jobs goes; the name is not known after the last one."""
    only = client.scenarios.send(named(tiny, "removed"))
    assert "removed" in [one.name for one in client.scenarios.list()]
    client.scenarios.remove("removed", only.version)
    with pytest.raises(NotFoundError):
        client.scenarios.get("removed")
    assert "removed" not in [one.name for one in client.scenarios.list()]


def test_folders_of_the_service_are_listed_and_kept(client: Client, tiny: Json) -> None:
    """Their names are among those that jobs may name, and cannot be taken."""
    assert client.scenarios.get("small").origin == "folder"
    with pytest.raises(ConflictError, match="folder of the service"):
        client.scenarios.send(tiny | {"name": "small"})


@pytest.mark.parametrize(("content", "kind", "status", "said"), [
    (b"{", "application/json", 400, "not JSON"),
    (b"[" * 100_000, "application/json", 400, "nested too deeply"),
    (b"[1]", "application/json", 422, "mapping of fields"),
    (b"a: &a [*a]", "application/yaml", 422, "alias"),
    (b"!!python/object/apply:os.system ['true']", "application/yaml", 422, "tag"),
    (b"name: x", "application/yaml", 422, "horizon"),
    (b"\xff", "application/yaml", 422, "UTF-8"),
    (b"PK", "application/zip", 422, "archive"),
    (b"x", "text/plain", 415, "application/yaml"),
])  # fmt: skip
def test_what_is_no_scenario(service: Any, content: bytes, kind: str, status: int, said: str) -> None:
    """It is refused with what is wrong, and nothing is kept."""
    answer = service.http.post("/v1/scenarios", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text


@pytest.mark.parametrize("name", ["a/b", "a@b", "", "../x", "a b", ".x", "x" * 101])
def test_names_that_cannot_stand_in_addresses(service: Any, tiny: Json, name: str) -> None:
    """They are refused."""
    answer = service.http.post("/v1/scenarios", json=tiny | {"name": name})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(("name", "scenario: name"))


def test_a_schedule_plans_the_newest_version(client: Client, tiny: Json) -> None:
    """A schedule keeps the plain name: what it plans is the newest version of each moment, and the plan says which."""
    wanted = {"scenario": "nightly", "solver": "first-fit"}
    one = client.scenarios.send(named(tiny, "nightly"))
    client.schedules.add("nightly-newest", "* * * * * *", "plan", wanted)
    assert client.schedules.get("nightly-newest").request == wanted
    try:
        planned_by_the_clock(client, one.reference)
        two = client.scenarios.send(named(tiny, "nightly", 2))
        planned_by_the_clock(client, two.reference)
    finally:
        client.schedules.remove("nightly-newest")


def planned_by_the_clock(client: Client, reference: str) -> None:
    """Wait until a version was planned."""
    give_up = time.monotonic() + 120
    while all(plan.settings["scenario"] != reference
              for plan in client.plans.list(scenario="nightly", status="done")):
        assert time.monotonic() < give_up
        time.sleep(0.2)


def test_scenarios_at_rest_are_sealed_and_of_a_quota(serve: Any, tmp_path: Path, tiny: Json) -> None:
    """With a key nothing of what was sent, by itself, with a job of any kind or with a schedule, can be read in the
    store; it is planned all the same. What is beyond the quota of the tenant is refused with what is kept.
    """
    served = serve(encryption_keys=Fernet.generate_key().decode(), limits={"scenario_bytes": 2500})
    client = Client(str(served.http.base_url))
    version = client.scenarios.send(named(tiny, "quiet"))
    assert client.plans.make(version.reference, solver="first-fit").status == "done"
    plan_id = served.ask({"scenario": tiny | {"name": "inline"}}).json()["id"]
    assert served.ended(plan_id)["status"] == "done"
    fields = {kind: body.model_fields.get("scenario") for kind, (body, _) in ASKS.items()}
    kinds = [kind for kind, field in fields.items() if field is not None and "dict" in str(field.annotation)]
    assert set(kinds) >= {"plan", "capacity", "what_if", "pareto"}
    for kind in kinds:
        more = {"changes": ["demand etl:+40%"]} if kind == "what_if" else {}
        asked = {"scenario": tiny | {"name": "inline"}} | more
        schedule = {"name": kind.replace("_", "-"), "cron": "0 0 29 2 *", "kind": kind, "request": asked}
        assert served.http.post("/v1/schedules", json=schedule).json()["request"] == asked
        assert served.http.post("/v1/jobs", json={"kind": kind, "request": asked}).status_code == 202
    with sqlite3.connect(tmp_path / "data" / "planner.sqlite") as store:
        kept = [bytes(row[0]) for row in store.execute("SELECT content FROM scenario_versions")]
        kept += [row[0].encode() for row in store.execute("SELECT given FROM documents WHERE given IS NOT NULL")]
        kept += ["|".join(row).encode() for row in store.execute("SELECT request, submission FROM schedules")]
        kept += [row[0].encode() for row in store.execute("SELECT request FROM jobs")]
    assert len(kept) == 2 + 2 * len(kinds) + 2 + len(kinds)
    assert not any(b"claims-etl" in one for one in kept)
    client.scenarios.send(named(tiny, "quiet", 4))
    full = served.http.post("/v1/scenarios", json=named(tiny, "quiet", 5))
    assert (full.status_code, "limits.scenario_bytes is 2500" in full.json()["detail"]) == (507, True), full.text
