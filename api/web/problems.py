"""Every error as RFC 9457 problem details, whoever raised it."""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, DBAPIError
from starlette.exceptions import HTTPException

from api.database.outages import Outage, outage
from planner.directing.errors import DirectingError, NoClusterError, NotInForceError, ShedError
from planner.errors import InputError

MEDIA_TYPE = "application/problem+json"
_SHOWN_CHARACTERS = 80
_UNREADABLE = "body: cannot be read: not UTF-8, or nested too deeply"


PROBLEM = "Problem"
"""Name of the schema of problems in the OpenAPI document."""
SCHEMA = {
    "type": "object",
    "title": PROBLEM,
    "description": "RFC 9457; `errors` has a line for each mistake, and some problems say more.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string"}, "errors": {"type": "array", "items": {"type": "string"}},
    },
}  # fmt: skip
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"description": HTTPStatus(status).phrase,
             "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{PROBLEM}"}}}}
    for status in (400, 401, 403, 404, 406, 408, 409, 412, 413, 415, 421, 422, 428, 429, 431, 503, 507)
}
"""Answers that every route may give instead of its own."""


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """An answer that is not the one asked for. `errors` holds one line for each mistake in the input, `more` what else
    the body has.
    """

    def __init__(self, status: HTTPStatus, detail: str, errors: Sequence[str] = (),
                 headers: Mapping[str, str] | None = None, more: Mapping[str, object] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, tuple(errors), headers
        self.more = dict(more or {})


def problem_body(status: int, detail: str, errors: Sequence[str] = (), **more: object) -> bytes:
    """The JSON of a problem."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body["detail"] = detail
    if errors:
        body["errors"] = list(errors)
    return json.dumps(body | more, ensure_ascii=False).encode()


def problem_response(
    status: int, detail: str, errors: Sequence[str] = (), headers: Mapping[str, str] | None = None, **more: object
) -> Response:
    """A problem as a response."""
    body = problem_body(status, detail, errors, **more)
    return Response(body, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def unknown(what: str, name: str, known: Iterable[str]) -> Problem:
    """404 for a name that is not known, with the nearest one that is."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return Problem(HTTPStatus.NOT_FOUND, f"{what}: {name}: not known" + (f"; '{near[0]}'?" if near else ""))


def install(app: FastAPI) -> None:
    """Answer everything that is raised with a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(InputError, _input_error)
    app.add_exception_handler(DirectingError, _not_directed)
    for error in (UnicodeEncodeError, DataError, OverflowError):
        app.add_exception_handler(error, _cannot_be_kept)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(DBAPIError, _store_error)
    app.add_exception_handler(Exception, _fault)


def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error.status, error.detail, error.errors, error.headers, **error.more)


def _input_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, InputError)
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, error.problems[0], error.problems)


def _not_directed(_: Request, error: Exception) -> Response:
    if isinstance(error, NoClusterError | ShedError):
        return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": "1"})
    status = HTTPStatus.CONFLICT if isinstance(error, NotInForceError) else HTTPStatus.NOT_FOUND
    return problem_response(status, str(error))


def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    mistakes = error.errors()
    if mistakes and mistakes[0]["type"] == "json_invalid":
        where = f"body: character {mistakes[0]['loc'][-1]}"
        return problem_response(HTTPStatus.BAD_REQUEST, f"{where}: not JSON: {mistakes[0]['ctx']['error']}")
    lines = [line_of(mistake) for mistake in mistakes]
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, lines[0], lines)


def line_of(mistake: Mapping[str, Any]) -> str:
    """One mistake: where, what was found, what is allowed."""
    where = ": ".join(str(part) for part in mistake["loc"])
    if where == "body" and isinstance(mistake.get("input"), bytes):
        return "body: not JSON: send it with Content-Type: application/json"
    if mistake["type"] in ("missing", "extra_forbidden", "value_error"):
        return f"{where}{': ' if where else ''}{mistake['msg'].removeprefix('Value error, ')}"
    found = json.dumps(mistake.get("input"), default=str, ensure_ascii=False)
    return f"{where}: {found[:_SHOWN_CHARACTERS]}: {mistake['msg']}"


def _cannot_be_kept(_: Request, __: Exception) -> Response:
    """What is JSON, but neither database keeps it. Only requests bring such values in."""
    what = "a text with half a surrogate pair or a NUL, or a number of more than 64 bits: these cannot be kept"
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, f"request: {what}")


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return _no_such_address(request)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_methods(request))
        detail = f"{request.method} {request.url.path}: allowed here: {allowed}"
        return problem_response(error.status_code, detail, headers={"Allow": allowed})
    detail = _UNREADABLE if error.status_code == HTTPStatus.BAD_REQUEST else error.detail
    return problem_response(error.status_code, detail, headers=error.headers)


def _methods(request: Request) -> list[str]:
    """What may be done at the address of a request, sorted."""
    return sorted(
        method.upper()
        for path, methods in request.app.openapi()["paths"].items()
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), request.url.path)
        for method in methods
    )


def _no_such_address(request: Request) -> Response:
    """404 with what there is: what the design promises for later is not answered with anything else."""
    paths = list(request.app.openapi()["paths"])
    near = difflib.get_close_matches(request.url.path, paths, n=1, cutoff=0.75)
    detail = f"{request.url.path}: nothing is served here" + (f"; {near[0]}?" if near else "")
    return problem_response(HTTPStatus.NOT_FOUND, detail, endpoints=paths)


def _store_error(request: Request, error: Exception) -> Response:
    """The store was full, or away: nothing was kept of the request, which may come again. Any other statement that it
    refused is a fault.
    """
    assert isinstance(error, DBAPIError)
    why = outage(error)
    if why is None:
        return _fault(request, error)
    logging.getLogger(__name__).warning("store: %s", str(error.orig).splitlines()[0])
    if why is Outage.FULL:
        full = "store: no room on its disk: nothing was kept of this request; what is read goes on"
        return problem_response(HTTPStatus.INSUFFICIENT_STORAGE, full, headers={"Retry-After": "60"})
    away = "store: does not answer; nothing was kept of this request: ask again"
    return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, away, headers={"Retry-After": "1"})


def _fault(request: Request, error: Exception) -> Response:
    logging.getLogger(__name__).error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of the service; its log says more")
