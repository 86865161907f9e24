"""What FastAPI describes of itself, completed: summaries, words for every answer and parameter, and examples."""

from __future__ import annotations

import json
import re
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI

from api.store.files import JSON
from api.web.problems import MEDIA_TYPE, PROBLEM, SCHEMA

Document = dict[str, Any]
PHRASES: Final = {"200": "What was asked for.", "201": "It is there now.",
                  "202": "Taken; `Retry-After` says when to look again.", "204": "It is gone."}
"""Descriptions of answers that say nothing of themselves."""
_FASTAPIS: Final = "Successful Response"
_TEXT: Final = {"type": "string"}
_LOCATION: Final = {"Location": {"description": "where to look", "schema": {"type": "string"}}}
PARAMETERS: Final[dict[str, tuple[str, Any]]] = {
    "plan_id": ("id of a plan, as POST /v1/plans answers it", "6f1c2b8e9d4a4f0b8c7d5e6f7a8b9c0d"),
    "job_id": ("id of a job, as the request that asked for it was answered", "b07a52c1f4de4a6d9e8f7a6b5c4d3e2f"),
    "other": ("id of another one, which it is compared with", "9b2e0c7d5f3a4e1b8a6c4d2e0f9b7a5c"),
    "alarm_id": ("id of a super alarm, as GET /v1/alarms has it", "0c9a4b"),
    "name": ("name of it, as its list has it", "tiny"),
    "workload": ("name of a workload", "claims-etl"),
    "version": ("a version, or how it alone begins", "3f6c0e9d5b7a"),
    "wave": ("number of the wave, from 1", 1),
    "cluster": ("only of this cluster", "aws-dublin"),
    "region": ("a user region", "aws/eu-west-1"),
    "key": ("the same key goes to the same place", "customer-17"),
    "kind": ("only of this kind", "plan"),
    "status": ("only in this state", "done"),
    "state": ("only in this state", None),
    "severity": ("only as grave as this", "page"),
    "metric": ("only of this metric", "read_latency_ms"),
    "hardware_class": ("only of this hardware", "mixed-disk"),
    "hardware": ("only of this hardware", "mixed-disk"),
    "acknowledged": ("only those somebody has seen, or nobody", False),
    "channel": ("only over this channel", "oncall"),
    "scenario": ("only of this scenario", "tiny"),
    "since": ("only what is as new as this", "2026-11-02T00:00:00Z"),
    "limit": ("rows of a page", 50),
    "before": ("only rows before this one, from `next` of the page before", 4711),
    "cursor": ("from `next` of the page before", None),
    "accept": ("what the client takes", "application/x-ndjson"),
    "content-type": ("what the body is", None),
    "if-match": ("ETag that is expected; * for whatever it is", "*"),
    "idempotency-key": ("the same key does it once", "2026-11-02-nightly"),
    "seed": ("where draws begin; the same seed, the same answer", 0),
    "at": ("as of this time, or place", None),
    "plan": ("id of a plan; left out: the one in force", "6f1c2b8e9d4a4f0b8c7d5e6f7a8b9c0d"),
    "caller": ("only of this caller", "ann"),
    "what": ("what the rows of the body are", "demand"),
    "why": ("why, for the history", "two more clusters"),
    "days": ("how many days", 7),
    "hours": ("how many hours", 48),
    "run": ("only of this run", None),
    "horizon": ("how far ahead", "48h"),
    "quantiles": ("levels between 0 and 1, by commas", "0.5,0.9,0.99"),
    "known": ("columns that are known ahead", None),
    "holidays": ("countries whose holidays are known ahead", None),
    "models": ("forecasters that are weighed beside seasonal_naive", None),
    "backtest": ("score every series on its past", False),
    "priority": ("of jobs that wait, the highest is first", 0),
}
"""What a parameter is where its route does not say, and what it may be; None: nothing that fits every route."""
DETAILS: Final[dict[str, str]] = {
    "400": "body: character 17: not JSON: Expecting value",
    "401": "a valid key is needed: Authorization: Bearer KEY, or X-API-Key",
    "403": "POST /v1/plans: needs the role planner; yours: viewer",
    "404": "plan: 6f1c: not known; GET /v1/plans lists them",
    "406": "Accept: text/html: offered are application/vnd.apache.parquet, application/x-ndjson",
    "408": "body: not here after 30 s",
    "409": "plan 6f1c: running: only a plan that is done has a life cycle",
    "412": "If-Match: another than it is now: read it again",
    "413": "body: more than 33554432 bytes: put the scenario in a folder and plan it by name",
    "415": "Content-Type: text/html: a history is text/csv or application/vnd.apache.parquet",
    "421": "Host: example.com: not a name of this service",
    "422": "body: time_limit_s: -1: Input should be greater than 0",
    "428": "If-Match: missing: say what you expect",
    "429": "more than 600 per 1 minute: ask again in 12 s",
    "431": "headers: more than 65536 bytes with the address: send fewer",
    "503": "store: does not answer; nothing was kept of this request: ask again",
    "507": "store: no room on its disk: nothing was kept of this request; what is read goes on",
}
"""An example of each problem."""


@cache
def examples() -> dict[str, Document]:
    """A request that works for each operation, with what it is answered: `path`, `query`, `headers`, `body` and its
    `type` (JSON where it is left out), `answer`.
    """
    found: dict[str, Document] = json.loads(files("api.description").joinpath("examples.json").read_text("utf-8"))
    return found


class Described(FastAPI):
    """An application whose OpenAPI document is complete."""

    def openapi(self) -> Document:
        """The document, made when first asked for."""
        if self.openapi_schema is None:
            self.openapi_schema = completed(super().openapi())
        return self.openapi_schema


def completed(document: Document) -> Document:
    """The same document with all that it lacks."""
    document["components"]["schemas"][PROBLEM] = SCHEMA
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(operation, examples()[f"{method.upper()} {path}"])
    return document


def _complete(operation: Document, example: Document) -> None:
    said = " ".join(operation["description"].split())
    operation["summary"] = re.split(r"(?<=\w)[.:;] ", said, maxsplit=1)[0].rstrip(".")
    for parameter in operation.get("parameters", ()):
        _say(parameter, example)
    if "requestBody" in operation and "body" in example:
        operation["requestBody"]["content"][example.get("type", "application/json")]["example"] = example["body"]
    for status, response in operation["responses"].items():
        if status in DETAILS:
            response["content"][MEDIA_TYPE]["example"] = _problem(int(status))
        else:
            _answer(operation, status, response, example)


def _say(parameter: Document, example: Document) -> None:
    """Describe a parameter where it does not itself, by its name, and show what it may be."""
    words, usual = PARAMETERS[parameter["name"].lower()]
    parameter.setdefault("description", words)
    given = example.get("path", {}) | example.get("query", {}) | example.get("headers", {})
    value = {name.lower(): found for name, found in given.items()}.get(parameter["name"].lower(), usual)
    if value is not None:
        parameter["example"] = value


def _answer(operation: Document, status: str, response: Document, example: Document) -> None:
    """Describe an answer that is none of the problems."""
    if response["description"] == _FASTAPIS:
        response["description"] = PHRASES[status]
    if status in ("201", "202") and operation.get("requestBody"):
        response["headers"] = _LOCATION
    if "answer" not in example:
        return
    shown, text = example["answer"], isinstance(example["answer"], str)
    for kind, one in response["content"].items():
        if text:
            one.setdefault("schema", _TEXT)
        if (kind != JSON and one["schema"] == _TEXT) if text else kind == JSON:
            one["example"] = shown


def _problem(status: int) -> Document:
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": DETAILS[str(status)]}
