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
from diagnostics.store import ModelStore, NewVersion

Json = dict[str, Any]
TELEMETRY = Path(__file__).resolve().parents[2] / "examples" / "hybrid" / "telemetry.parquet"
LIBRARY = TELEMETRY.parents[1] / "new-tasks" / "library.csv"
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
    models = ModelStore(folder / "models-of-acme")
    for number in (1, 2):
        made = NewVersion("tape", f"{number:064d}", "rows.parquet", "code", "0" * 64, {"number": number}, {})
        models.register(made, f"model {number}".encode(), "trainer", "made for a test")
    models.close()
    acme = {"scenarios": str(held.parent), "models": str(models.folder), "telemetry": str(TELEMETRY),
            "library": str(LIBRARY)}
    served = start(folder, tenants={"acme": acme}, limits={"reads": "100000/second", "writes": "100000/second"})
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


@pytest.fixture(scope="module")
def held(two: Two, plan: str, tiny: Json) -> dict[str, str]:
    """What acme has, by the names that addresses have for it."""
    first = two.ask("acme", "POST", "/v1/scenarios", json=tiny | {"name": "sent-by-acme"}).json()["version"]
    changed = tiny | {"name": "sent-by-acme", "survive": "none"}
    second = two.ask("acme", "POST", "/v1/scenarios", json=changed).json()["version"]
    schedule = {"name": "nightly-of-acme", "cron": "0 2 * * *", "kind": "plan", "request": {"scenario": "only-acmes"}}
    assert two.ask("acme", "POST", "/v1/schedules", json=schedule).is_success
    model = two.ask("acme", "GET", "/v1/models").json()["models"][0]["id"]
    return {"plan": plan, "other plan": plan, "scenario": "sent-by-acme", "version": first, "other version": second,
            "schedule": "nightly-of-acme", "model": model, "cluster": "cheap", "workload": "claims-etl"}  # fmt: skip


KINDS = {"plan_id": "plan", "job_id": "plan", "workload": "workload", "cluster": "cluster", "wave": "1",
         "alarm_id": "plan"}
"""What a name in an address means; the others depend on where they stand."""
BODIES: dict[str, Json] = {
    "feedback": {"verdict": "true_positive"}, "promote": {"why": "better"}, "replan": {"down": ["cheap"]},
    "health": {"state": "down", "by": "person"},
}  # fmt: skip
NOT_KEPT = {"/assets/{name}"}
OF_ANY_NAME = {"/v1/scenarios/{name}/shadow", "/diagnostics/{cluster}"}
"""Addresses that take names of what is not there yet, or say that nothing is there at all."""
NOT_FOR_ACME = ("/events", "alarm", "diagnostics", "forecasts", "capacity", "what-if", "nines", "packings", "verdicts")
"""What acme is not asked for: what does not end, diagnoses, which take long, and what its plan is not, or has not."""


def kind_of(path: str, name: str) -> str:
    """What kind of thing a name in an address is of."""
    if name in ("version", "other") and "scenarios" in path:
        return "version" if name == "version" else "other version"
    if name == "other":
        return "other plan"
    if name == "version":
        return "model"
    if name == "name":
        return next(kind for kind in ("scenario", "schedule", "cluster") if f"/{kind}s/" in path)
    return KINDS[name]


def told(answer: Any, *names: str) -> tuple[Any, ...]:
    """An answer to the byte, but for the names that were asked for and the time at which it was."""
    kept = {key: value for key, value in answer.headers.items() if key not in SAME}
    content = answer.content
    for name in names:
        content = content.replace(name.encode(), b"NAME")
    return answer.status_code, kept, re.sub(rb"\d{4}-\d\d-\d\dT[\d:.]+Z", b"TIME", content)


def nobodys(name: str) -> str:
    """A name of the same length that nobody has."""
    return uuid.uuid4().hex[: len(name)] if len(name) < 33 else (uuid.uuid4().hex * 2)[: len(name)]


def test_anothers_ids_are_as_if_they_were_not_there(two: Two, held: dict[str, str]) -> None:
    """On every route with a name in its address, and with a body that it takes, what acme has is for globex as what
    nobody has; for acme it is there.
    """
    wrong = []
    for method, path in sorted(NEEDED):
        if "{" not in path or path in NOT_KEPT:
            continue
        kinds = [kind_of(path, name) for name in re.findall(r"{(\w+)}", path)]
        own = [held.get(kind, kind) for kind in kinds]
        body: Json = {"json": BODIES.get(path.rpartition("/")[2], {})} if method in ("POST", "PUT") else {}
        body |= {"headers": {"If-Match": "*"}} if method != "GET" else {}
        if path.endswith("/actuals") and method == "POST":
            body = {"params": {"what": "demand"}, "content": b"workload,slot,replicas\nclaims-etl,0,1\n",
                    "headers": {"Content-Type": "text/csv"}}
        others = [name if name == "1" else nobodys(name) for name in own]
        addresses = [re.sub(r"{\w+}", "{}", path).format(*names) for names in (own, others)]
        answers = [two.ask("globex", method, address, **body) for address in addresses]
        asked = [address.split("/") for address in addresses]
        unlike = [[one for one, other in zip(*order, strict=True) if one != other]
                  for order in (asked, asked[::-1])]
        if told(answers[0], *unlike[0]) != told(answers[1], *unlike[1]):
            wrong.append((method, path, answers[0].text, answers[1].text))
        elif answers[0].status_code != 404 and path not in OF_ANY_NAME:
            wrong.append((method, path, answers[0].text))
        if method == "GET" and not any(part in path for part in NOT_FOR_ACME):
            found = two.ask("acme", method, addresses[0])
            if found.status_code == 404:
                wrong.append((method, path, found.text))
    assert wrong == []


def test_anothers_names_in_bodies_are_as_if_they_were_not_there(two: Two, held: dict[str, str], tiny: Json) -> None:
    """Where a request names something beside its address, what acme has is for globex as what nobody has."""
    asked: list[tuple[str, str, str, Json]] = [
        ("plan", "POST", "/v1/plans", {"json": {"scenario": tiny, "incumbent": "NAME"}}),
        ("scenario", "POST", "/v1/plans", {"json": {"scenario": "NAME"}}),
        ("plan", "POST", "/v1/capacity", {"json": {"scenario": tiny, "plan": "NAME"}}),
        ("plan", "POST", "/v1/jobs", {"json": {"kind": "what_if", "request": {
            "scenario": tiny, "changes": ["remove-cluster dear"], "against": "NAME"}}}),
        ("scenario", "POST", "/v1/jobs", {"json": {"kind": "pareto", "request": {"scenario": "NAME"}}}),
        ("scenario", "POST", "/v1/schedules", {"json": {"name": "mine", "cron": "0 2 * * *", "kind": "plan",
                                                        "request": {"scenario": "NAME"}}}),
        ("plan", "GET", "/v1/where/claims-etl", {"params": {"plan": "NAME"}}),
        ("plan", "GET", "/v1/clusters/cheap/runs", {"params": {"plan": "NAME"}}),
        ("model", "GET", "/v1/models/compare", {"params": {"version": ["NAME", "x"]}}),
        ("model", "POST", "/v1/models/rollback", {"json": {"hardware": "tape", "to": "NAME", "why": "worse"}}),
    ]
    for kind, method, path, content in asked:
        names = held[kind], nobodys(held[kind])
        answers = [two.ask("globex", method, path, **json.loads(json.dumps(content).replace("NAME", name)))
                   for name in names]
        assert told(answers[0], names[0]) == told(answers[1], names[1]), (method, path)
        assert answers[0].status_code in (404, 409, 422), (method, path, answers[0].text)


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


def test_past_tasks_of_one_tenant_teach_no_other(two: Two) -> None:
    """What acme's runs used corrects and explains acme's profiles; globex has formulas alone."""
    asked = {"kind": "etl", "task": {"volume_gb": 800, "cadence": "daily"}}
    acme, globex = (two.ask(tenant, "POST", "/v1/profiles/predict", json=asked).json()["task"] for tenant in TENANTS)
    assert len(acme["neighbours"]) == 3
    assert globex["neighbours"] == []
    assert {figure["source"] for figure in globex["figures"]} == {"formula"}
