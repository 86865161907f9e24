"""What all pages have in common: the frame around them, their content policy, and errors that people can read."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from jinja2 import Environment, FunctionLoader, StrictUndefined
from pydantic import BeforeValidator
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from api.access import NOBODY, Route, allowed, caller_of
from api.security.sessions import SCOPE
from api.web.problems import Problem, line_of
from planner.embedding import embedded
from planner.errors import InputError
from planner.report.words import WORDS
from planner.terminal import percent

POLICY: Final = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                 "form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
"""Nothing runs or loads but what this service serves; nothing stands in the page itself."""
HEADERS: Final = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin",
                  "Cache-Control": "private, no-cache", "Cross-Origin-Opener-Policy": "same-origin"}
"""Beside those of every answer. Browsers that keep the referrer to themselves say no Origin either, which is needed."""
GIVEN: Final = BeforeValidator(lambda value: value or None)
"""A filter of a form that is left empty is none."""
_OURS, _REPORTS = "api.pages", "planner.report"


class Entry(NamedTuple):
    """A page that the menu names: its address, and what it is called."""

    address: str
    name: str


MENU: Final = (
    Entry("/", "Fleet"),
    Entry("/plans", "Plans"),
    Entry("/what-if", "What if"),
    Entry("/price-of-nines", "Price of nines"),
    Entry("/forecasts", "Forecasts"),
    Entry("/capacity", "Capacity"),
    Entry("/diagnostics", "Diagnostics"),
    Entry("/hosting", "Hosting"),
    Entry("/models", "Models"),
    Entry("/jobs", "Jobs"),
)


_REFUSED: Final = (Problem, InputError, RequestValidationError)


class PageRoute(Route):
    """A route that tells people why, where a route of the API tells programs."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or say on a page why this caller may not ask."""
        try:
            await super().handle(scope, receive, send)
        except Problem as error:
            await _refusal(Request(scope), error)(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers, or says on a page why there is nothing to show."""
        answer = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await answer(request)
            except _REFUSED as error:
                return _refusal(request, error)

        return told


def page_router() -> APIRouter:
    """A router for pages; the description of the API leaves them out."""
    return APIRouter(route_class=PageRoute, include_in_schema=False, default_response_class=HTMLResponse)


def page(request: Request, template: str, code: int = HTTPStatus.OK, **context: object) -> Response:
    """A page made of a template, within the frame."""
    caller = caller_of(request)

    def may(method: str, path: str) -> bool:
        """Whether who looks may ask for a route of the API."""
        return allowed(caller, method, path)

    text = environment().get_template(template).render(
        menu=MENU, path=request.url.path, caller=None if caller is NOBODY else caller,
        session=request.scope.get(SCOPE), may=may, **context)
    return HTMLResponse(text, code, HEADERS)


def _refusal(request: Request, error: Problem | InputError | RequestValidationError) -> Response:
    """Why there is no such page, for people."""
    errors: Sequence[str]
    if isinstance(error, Problem):
        status, detail, errors, headers = error.status, error.detail, error.errors, dict(error.headers or {})
    elif isinstance(error, InputError):
        status, detail, errors, headers = HTTPStatus.UNPROCESSABLE_ENTITY, error.problems[0], error.problems, {}
    else:
        lines = [line_of(mistake) for mistake in error.errors()]
        status, detail, errors, headers = HTTPStatus.UNPROCESSABLE_ENTITY, lines[0], lines, {}
    made = page(request, "refusal.html.j2", status, title=HTTPStatus(status).phrase, detail=detail, errors=errors)
    made.headers.update(headers)
    return made


@cache
def environment() -> Environment:
    """Templates of pages, and of the reports whose parts they share, with everything escaped."""
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                       loader=FunctionLoader(_template))
    made.filters |= {"moment": moment, "embedded": embedded}
    made.globals |= {"query_of": query_of, "percent": percent, **WORDS}
    return made


def _template(name: str) -> str | None:
    for package in (_OURS, _REPORTS):
        file = files(package).joinpath(f"templates/{name}")
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return None


def moment(text: str | None) -> str:
    """A time of the store for people: UTC, to the second."""
    return "" if text is None else datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")


def query_of(asked: Mapping[str, object]) -> str:
    """The end of an address that says what is asked for; what is not given is left out."""
    given = {name: value for name, value in asked.items() if value not in (None, "")}
    return f"?{urlencode(given, doseq=True)}" if given else ""
