"""Requests to one service: made again where that is safe, and answers that are problems raised as such."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from planner.client.problems import UnreachableError, problem_of

Result = TypeVar("Result", bound=BaseModel)
Json = dict[str, Any]
Query = Mapping[str, Any]
AGAIN = (429, 502, 503, 504)
"""Answers after which a request that may be made twice is made again."""
LONGEST_PAUSE_S = 10.0
PARQUET, NDJSON, CSV = "application/vnd.apache.parquet", "application/x-ndjson", "text/csv"


class Transport:
    """Asks a service; threads may share one. `token` is one, or gives a fresh one for each request."""

    def __init__(self, url: str, *, key: str | None = None, token: str | Callable[[], str] | None = None,
                 timeout_s: float = 60.0, retries: int = 4, pause_s: float = 0.2, http: httpx.Client | None = None
                 ) -> None:
        self._http = http or httpx.Client(timeout=timeout_s)
        self._url, self._key, self._token = url.rstrip("/"), key, token
        self._retries, self._pause_s = retries, pause_s

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:
        self.close()

    # One request ------------------------------------------------------------------------------------------------------

    def ask(self, method: str, template: str, path: Mapping[str, str] | None = None, *, query: Query | None = None,
            body: Json | None = None, content: bytes | None = None, headers: Mapping[str, str] | None = None,
            keyed: bool = False, safe: bool | None = None) -> httpx.Response:
        """The answer. `keyed`: it has an Idempotency-Key, a new one unless `headers` have it, so that it may be sent
        twice; `safe` says so of others (None: of those that only read).

        Raises ServiceError, UnreachableError.
        """
        sent = dict(headers or {})
        if keyed:
            sent.setdefault("Idempotency-Key", uuid.uuid4().hex)
        again = keyed or (method == "GET" if safe is None else safe)
        url = self.address(template, path)
        given = {name: value for name, value in (query or {}).items() if value is not None}
        for tries_left in range(self._retries, -1, -1):
            try:
                response = self._http.request(method, url, params=given or None, json=body, content=content,
                                              headers=self._headers(sent))
            except httpx.TransportError as error:
                never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                if not tries_left or not (again or never_sent):
                    raise UnreachableError(f"{method} {url}: {type(error).__name__}: {error}") from error
                self._pause(tries_left, None)
                continue
            if response.is_success:
                return response
            if response.status_code not in AGAIN or not tries_left or not (again or response.status_code == 429):
                raise problem_of(response)
            self._pause(tries_left, response.headers.get("retry-after"))
        raise AssertionError

    def read(self, kind: type[Result], *asked: Any, **how: Any) -> Result:  # noqa: ANN401 - what `ask` takes
        """The answer as what it is."""
        return kind.model_validate_json(self.ask(*asked, **how).content)

    def json(self, *asked: Any, **how: Any) -> Json:  # noqa: ANN401
        """The answer, where its form is the planner's own document."""
        found: Json = self.ask(*asked, **how).json()
        return found

    def address(self, template: str, path: Mapping[str, str] | None = None) -> str:
        """The address of a route with its names filled in."""
        return self._url + (template if path is None else self.path(template, path))

    @staticmethod
    def path(template: str, path: Mapping[str, str]) -> str:
        """The path of a route, each of its names one part of it. Raises ValueError for an empty one."""
        if empty := [name for name, value in path.items() if not value]:
            raise ValueError(f"{empty[0]}: empty")
        return template.format_map({name: _part(value) for name, value in path.items()})

    def _headers(self, sent: Mapping[str, str]) -> dict[str, str]:
        found = dict(sent)
        if self._key is not None:
            found["X-API-Key"] = self._key
        if self._token is not None:
            found["Authorization"] = f"Bearer {self._token if isinstance(self._token, str) else self._token()}"
        return found

    def _pause(self, tries_left: int, told: str | None) -> None:
        """Wait as long as the service says, else twice as long every time and not all clients alike."""
        grown = self._pause_s * 2.0 ** (self._retries - tries_left) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        said = float(told) if told is not None and told.isdecimal() else 0.0
        time.sleep(min(LONGEST_PAUSE_S, max(grown, said)))

    # Many answers -----------------------------------------------------------------------------------------------------

    def pages(self, template: str, query: Query) -> Iterator[Json]:
        """A list page by page, each with the rows that it has."""
        page = self.json("GET", template, query=query)
        yield page
        while (following := page.get("next")) is not None:
            page = self.json("GET", following)
            yield page

    def events(self, template: str, path: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Server-sent events, name and data, until the service ends them; connected anew where they break off."""
        failures = 0
        while True:
            try:
                with self._http.stream("GET", self.address(template, path), headers=self._headers({})) as response:
                    if not response.is_success:
                        response.read()
                        raise problem_of(response)
                    for event in _events(response.iter_lines()):
                        failures = 0
                        yield event
                    return
            except httpx.TransportError as error:
                failures += 1
                if failures > self._retries:
                    raise UnreachableError(f"{self.address(template, path)}: {error}") from error
                self._pause(self._retries - failures + 1, None)


def _part(value: str) -> str:
    """A name as part of a path: also one that would mean the part before it."""
    return value.replace(".", "%2E") if value in (".", "..") else quote(value, safe="")


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Events of a stream (HTML standard, 9.2.6)."""
    name, data = "message", list[str]()
    for line in lines:
        if not line:
            if data:
                yield name, "\n".join(data)
            name, data = "message", []
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
