"""Two tenants of one service: whatever belongs to one is, for the other, as if it were not there, to the byte."""

import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.access import NEEDED
from api.database.engine import upgrade
from api.security.keys import Keys
from api.settings import Settings

Json = dict[str, Any]
TENANTS = ("acme", "globex")
SAME = ("date", "x-request-id", "content-length", "etag")
"""Headers that differ from answer to answer, whoever asks; the tag is a hash of an answer that repeats the name."""


class Two:
    """A service, and a key of an admin of each tenant."""

    def __init__(self, served: Any, keys: dict[str, str]) -> None:
        self.served, self._keys = served, keys

    def ask(self, tenant: str, method: str, path: str, **more: Any) -> Any:
        headers = {"X-API-Key": self._keys[tenant]} | more.pop("headers", {})
        return self.served.http.request(method, path, headers=headers, **more)

    def done(self, tenant: str, job: Json) -> Json:
        """Wait for a job."""
        headers = {"X-API-Key": self._keys[tenant]}
        with self.served.http.stream("GET", f"/v1/jobs/{job['id']}/events", headers=headers, timeout=180) as events:
            for line in events.iter_lines():
                last = line
                if line.startswith("data: "):
                    state: Json = json.loads(line.removeprefix("data: "))
        assert state["status"] == "done", (state, last)
        return state


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, start: Any, tiny: Json) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    url = Settings(data=folder).store
    upgrade(url)
    store = Keys(url, "test")
    keys = {tenant: store.create("admin", ["admin"], tenant, None)[1] for tenant in TENANTS}
    store.close()
    held = folder / "held" / "only-acmes"
    held.mkdir(parents=True)
    (held / "scenario.yaml").write_text(json.dumps(tiny))
    served = start(folder, tenants={"acme": {"scenarios": str(held.parent)}}, limits={"reads": "100000/second"})
    yield Two(served, keys)
    served.kill()


@pytest.fixture(scope="module")
def tiny(tiny_scenario: Any) -> Json:
    """A scenario that runs now, so that requests are directed by its plan."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    scenario: Json = tiny_scenario()
    scenario["horizon"]["start"] = start.strftime("%Y-%m-%dT%H:%M:%SZ")
    scenario["workloads"] = scenario["workloads"][:1]
    return scenario | {"survive": "cluster"}


@pytest.fixture(scope="module")
def plan(two: Two, tiny: Json) -> str:
    """A plan of acme, done and in force."""
    body, key = {"scenario": tiny, "solver": "highs"}, {"Idempotency-Key": "k"}
    job = two.ask("acme", "POST", "/v1/plans", json=body, headers=key)
    two.done("acme", job.json())
    return str(job.json()["id"])


def told(answer: Any, name: str) -> tuple[Any, ...]:
    """An answer to the byte, but for the name that was asked for and the time at which it was."""
    kept = {key: value for key, value in answer.headers.items() if key not in SAME}
    content = re.sub(rb"\d{4}-\d\d-\d\dT[\d:.]+Z", b"TIME", answer.content.replace(name.encode(), b"NAME"))
    return answer.status_code, kept, content


def test_anothers_ids_are_as_if_they_were_not_there(two: Two, plan: str) -> None:
    """On every route with a name in its address, acme's plan is for globex as an id that nobody has."""
    for method, path in sorted(NEEDED):
        if "{" not in path:
            continue
        answers = []
        for name in (plan, uuid.uuid4().hex):
            start, _, rest = path.partition("{")
            address = start + name + rest.partition("}")[2].replace("{", "").replace("}", "")
            answers.append(told(two.ask("globex", method, address), name))
        assert answers[0] == answers[1], (method, path)


@pytest.mark.parametrize("path", ["/v1/clusters/cheap/runs", "/v1/where/claims-etl", "/v1/direct/claims-etl",
                                  "/v1/clusters/cheap/health"])  # fmt: skip
def test_what_acme_runs_is_not_there_for_globex(two: Two, plan: str, path: str) -> None:
    """Names of acme's clusters and workloads mean nothing to globex, with and without the id of the plan."""
    assert two.ask("acme", "GET", path).status_code == 200
    for query in ("", f"?plan={plan}") if "runs" in path or "where" in path else ("",):
        answer = two.ask("globex", "GET", path + query)
        assert answer.status_code == 404
        assert "cheap" not in answer.text.replace("/cheap/", "")
        other = two.ask("globex", "GET", path + query.replace(plan, uuid.uuid4().hex))
        assert len(answer.content) == len(other.content)


def test_lists_hold_ones_own_only(two: Two, plan: str) -> None:
    """Lists and schedules of globex hold nothing of acme's."""
    assert plan in two.ask("acme", "GET", "/v1/plans").text
    gets = sorted(path for method, path in NEEDED if method == "GET" and "{" not in path)
    asked = {"/v1/audit", "/events"}  # what globex itself asked for; what does not end
    for path in (path for path in gets if path not in asked):
        answer = two.ask("globex", "GET", path)
        assert plan not in answer.text, path
        assert "acme" not in answer.text, path


def test_the_same_idempotency_key(two: Two, plan: str, tiny: Json) -> None:
    """The key that acme used makes globex a plan of its own, and no conflict."""
    body, headers = {"scenario": tiny | {"name": "other"}}, {"Idempotency-Key": "k"}
    answer = two.ask("globex", "POST", "/v1/plans", json=body, headers=headers)
    assert answer.status_code == 202
    assert answer.json()["id"] != plan
    two.ask("globex", "POST", f"/v1/plans/{answer.json()['id']}/cancel")


def test_a_scenario_folder_is_its_tenants(two: Two, plan: str) -> None:
    """Scenarios that the service holds for acme are not there for globex, and their names are not told."""
    found = two.ask("globex", "POST", "/v1/plans", json={"scenario": "only-acme"})
    assert found.status_code == 422
    assert "acmes" not in found.text
    assert "'only-acmes'?" in two.ask("acme", "POST", "/v1/plans", json={"scenario": "only-acme"}).text


def test_a_job_reads_its_tenants_plans_only(two: Two, plan: str, tiny: Json) -> None:
    """A question about another's plan is refused as one about none."""
    answers = [two.ask("globex", "POST", "/v1/capacity", json={"scenario": tiny, "plan": name})
               for name in (plan, uuid.uuid4().hex)]  # fmt: skip
    assert {answer.status_code for answer in answers} == {404}
    assert told(answers[0], plan) == told(answers[1], answers[1].json()["detail"].split()[1].strip(":"))


def test_clusters_of_one_name_have_health_of_their_own(two: Two, plan: str) -> None:
    """What acme reports of its cluster is nothing to globex; directing goes by one's own."""
    lost = {"state": "down", "by": "person", "source": "ann"}
    assert two.ask("acme", "PUT", "/v1/clusters/cheap/health", json=lost).json()["state"] == "down"
    assert two.ask("acme", "GET", "/v1/direct/claims-etl").json()["cluster"] == "dear"
    assert two.ask("globex", "GET", "/v1/clusters/cheap/health").status_code == 404
    assert two.ask("globex", "PUT", "/v1/clusters/cheap/health", json=lost).status_code == 404
    record = two.ask("acme", "GET", "/v1/audit?limit=1").json()["entries"][0]
    assert record["action"] == "PUT /v1/clusters/{name}/health"
    two.ask("acme", "PUT", "/v1/clusters/cheap/health", json=lost | {"state": "unknown"})


def test_ids_are_not_guessed(two: Two, tiny: Json) -> None:
    """Ids are 128 random bits: those of plans made one after another have nothing in common."""
    ids = []
    for _ in range(4):
        job = two.ask("globex", "POST", "/v1/plans", json={"scenario": tiny}).json()["id"]
        two.ask("globex", "POST", f"/v1/plans/{job}/cancel")
        ids.append(job)
    assert all(uuid.UUID(one).version == 4 for one in ids)


def test_the_paths_of_settings_are_not_told(two: Two, tmp_path: Path) -> None:
    """No answer names a folder of the machine."""
    for tenant in TENANTS:
        answer = two.ask(tenant, "POST", "/v1/plans", json={"scenario": "/etc/passwd"})
        assert "/held" not in answer.text
        assert str(tmp_path.parent) not in answer.text
