"""The OpenAPI document: nothing without words, schema and example, and examples that are right and work."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from api.app import create_app
from api.description.document import examples
from api.settings import Settings
from diagnostics.store import ModelStore, NewVersion

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Json:
    return create_app(Settings(data=tmp_path_factory.mktemp("none"))).openapi()


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def lacking(operation: Json) -> Iterator[str]:
    """What the description of an operation lacks."""
    yield from lacking_of_the_request(operation)
    if not any(status in operation["responses"] for status in ("200", "201", "202", "204")):
        yield "an answer that is no problem"
    for status, response in operation["responses"].items():
        if response.get("description") in (None, "", "Successful Response"):
            yield f"{status}: description"
        content = response.get("content", {})
        if not content and status != "204":
            yield f"{status}: content"
        if status[0] in "45" and set(content) != {PROBLEM}:
            yield f"{status}: problem details"
        for kind, one in content.items():
            if not one.get("schema"):
                yield f"{status}: {kind}: schema"
            if "example" not in one and one.get("schema", {}).get("format") != "binary":
                yield f"{status}: {kind}: example"


def lacking_of_the_request(operation: Json) -> Iterator[str]:
    """The same of its words, parameters and body."""
    for word in ("summary", "description", "tags", "operationId"):
        if not operation.get(word):
            yield word
    for parameter in operation.get("parameters", ()):
        for part in ("description", "schema"):
            if not parameter.get(part):
                yield f"parameter {parameter['name']}: {part}"
        if parameter["required"] and "example" not in parameter:
            yield f"parameter {parameter['name']}: example"
    body = operation.get("requestBody", {}).get("content", {})
    if body and not any("example" in one for one in body.values()):
        yield "body: example"
    for kind, one in body.items():
        if "schema" not in one:
            yield f"body: {kind}: schema"


def wrong(document: Json, schema: Json, value: object) -> list[str]:
    """What of a value does not fit a schema of the document."""
    validator = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]


def shown(operation: Json) -> Iterator[tuple[str, Json, object]]:
    """Every example of an operation with its schema."""
    for parameter in operation.get("parameters", ()):
        if "example" in parameter:
            yield parameter["name"], parameter["schema"], parameter["example"]
    parts = {"body": operation.get("requestBody", {}), **operation["responses"]}
    for name, part in parts.items():
        for kind, one in part.get("content", {}).items():
            if "example" in one:
                yield f"{name} {kind}", one["schema"], one["example"]


def test_every_operation_is_described(document: Json) -> None:
    """Summary, description, parameters, and each answer with its schema and an example; problems as problem details."""
    assert [f"{name}: {what}" for name, one in operations(document) for what in lacking(one)] == []


def test_summaries_tell_operations_apart(document: Json) -> None:
    """No two say the same of themselves, and none is the name of a function."""
    summaries = [one["summary"] for _, one in operations(document)]
    assert len(set(summaries)) == len(summaries)


def test_every_example_fits_its_schema(document: Json) -> None:
    """Of parameters, bodies and answers."""
    found = [f"{name}: {what}: {line}" for name, one in operations(document)
             for what, schema, example in shown(one) for line in wrong(document, schema, example)]
    assert found == []


def test_what_lacks_something_is_found(document: Json) -> None:
    """The walk is no formality: an operation without a summary, an example or a schema is named."""
    one = json.loads(json.dumps(document["paths"]["/v1/plans"]["post"]))
    del one["summary"], one["responses"]["202"]["content"]["application/json"]["example"]
    del one["responses"]["404"]["content"][PROBLEM]["schema"], one["parameters"][0]["description"]
    assert {*lacking(one)} == {"summary", "202: application/json: example", f"404: {PROBLEM}: schema",
                               "parameter idempotency-key: description"}


# ---------------------------------------------------------------- examples work

OTHERWISE = {
    "GET /v1/plans/{plan_id}/packings": 404,  # simple orders find them all
    "POST /v1/plans/{plan_id}/waves/{wave}": 409,  # nothing moves
    "PUT /v1/plans/{plan_id}/in-force": 409,  # it is by then
    "POST /v1/jobs/{job_id}/cancel": 409,  # it is done by then
}
"""Where the walk is answered otherwise than the example shows."""
MADE = {
    "POST /v1/plans": "plan_id", "POST /v1/plans/{plan_id}/replan": "plan_id", "POST /v1/forecasts": "job_id",
    "POST /v1/capacity": "job_id", "POST /v1/jobs": "job_id", "POST /v1/plans/{plan_id}/verify": "job_id",
    "POST /v1/plans/{plan_id}/actuals": "job_id",
}  # fmt: skip
"""What the id in an answer is of."""
UNTIL_DONE = MADE.keys() - {"POST /v1/plans/{plan_id}/replan"}


@pytest.fixture
def watching(serve: Any, tmp_path: Path) -> tuple[Any, list[str]]:
    """A service that watches telemetry, with three versions of a model of which the first serves."""
    store = ModelStore(tmp_path / "models")
    made = [NewVersion("mixed-disk", f"{number:064d}", "rows.parquet", "code", "0" * 64, {"number": number},
                       {"relative_error": 0.1 * number}) for number in (1, 2, 3)]
    ids = [store.register(one, one.data_sha256.encode(), "trainer", "made for a test").id for one in made]
    store.close()
    hybrid = ROOT / "examples" / "hybrid"
    served = serve(telemetry=hybrid / "telemetry.parquet", models=tmp_path / "models", watch={"scenario": hybrid})
    assert served.http.post(f"/v1/models/{ids[0]}/promote", json={"why": "the first"}).status_code == 200
    return served, ids


class Walk:
    """Asks for every operation as its example does, in their order, with ids of what is really there."""

    def __init__(self, served: Any, models: list[str]) -> None:
        self.served, self.models, self.ids = served, models, dict[str, str]()
        self.now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")

    def ask(self, name: str, example: Json) -> httpx.Response:
        method, address = name.split(" ", 1)
        ids = {**example.get("path", {}), **self.ids}
        query, headers = dict(example.get("query", {})), dict(example.get("headers", {}))
        if "/models" in address:
            ids["version"], query = self.models[1], query | ({"version": self.models[:2]} if "version" in query else {})
        if "/plans" not in address and "name" in example.get("path", {}):
            ids["name"] = example["path"]["name"]
        body = example.get("body")
        if isinstance(body, dict):
            body = json.dumps(body)
            if '"horizon"' in body:  # plans direct while their horizon lasts
                body = body.replace("2026-11-02T00:00:00Z", self.now)
        if body is not None:
            headers["Content-Type"] = example.get("type", "application/json")
        answer: httpx.Response = self.served.http.request(
            method, address.format(**ids), params=query, content=body, headers=headers)
        self.learn(name, answer)
        return answer

    def learn(self, name: str, answer: httpx.Response) -> None:
        if name == "POST /v1/scenarios":
            self.ids["version"] = self.ids["other"] = answer.json()["version"]
        if name == "GET /v1/alarms":
            self.ids["alarm_id"] = answer.json()["alarms"][0]["id"]
        if name == "POST /v1/plans/{plan_id}/cancel":
            self.ids["plan_id"] = self.ids["other"]
        if name in MADE:
            made = answer.json()["id"]
            self.ids[MADE[name]] = made
            if name == "POST /v1/plans":
                self.ids["other"] = made
            while name in UNTIL_DONE and self.state(made) in ("queued", "running"):
                time.sleep(0.1)
            assert name not in UNTIL_DONE or self.state(made) == "done", name

    def state(self, job_id: str) -> str:
        return str(self.served.http.get(f"/v1/jobs/{job_id}").json()["status"])


@pytest.mark.soak
def test_every_example_works(document: Json, watching: tuple[Any, list[str]]) -> None:
    """Each is taken by a service, and what that answers fits the schema that the document has for it."""
    walk, described, found = Walk(*watching), dict(operations(document)), []
    assert examples().keys() == described.keys()
    for name, example in examples().items():
        answer = walk.ask(name, example)
        responses = described[name]["responses"]
        expected = OTHERWISE.get(name, min(int(status) for status in responses if status[0] == "2"))
        if name == "POST /v1/scenarios":
            expected = 201
        if answer.status_code != expected:
            found.append(f"{name}: {answer.status_code}: {answer.text[:300]}")
            continue
        kind = answer.headers.get("content-type", "").split(";")[0]
        for offered, one in responses[str(answer.status_code)].get("content", {}).items():
            if offered.split(";")[0] == kind:
                value = answer.json() if kind.endswith("json") and "ndjson" not in kind else answer.text
                found += [f"{name}: {line}" for line in wrong(document, one["schema"], value)]
                break
        else:
            assert answer.status_code == 204, (name, kind)
    assert found == []
