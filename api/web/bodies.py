"""Bodies of requests in bounded memory: each route takes what it needs, and JSON is looked through before anything is
made of it, as small pieces take many times their length.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from api.web.gate import drain
from api.web.problems import Problem

KIB, MIB = 2**10, 2**20
USUAL: Final = 64 * KIB
"""Bytes that a route takes: what steps, reports and marks say in words."""
NEEDS: Final[dict[tuple[str, str], int | None]] = {
    ("POST", "/v1/plans"): None,
    ("POST", "/v1/capacity"): None,
    ("POST", "/v1/jobs"): None,
    ("POST", "/v1/schedules"): None,
    ("POST", "/v1/scenarios"): None,
    ("POST", "/v1/forecasts"): None,
    ("POST", "/v1/plans/{plan_id}/actuals"): None,
    ("POST", "/v1/telemetry"): None,
    ("POST", "/v1/plans/{plan_id}/waves/{wave}"): 8 * MIB,
    ("POST", "/v1/profiles/predict"): MIB,
}
"""Bytes that other routes take; None: as many as the settings allow."""
MOST_CONTAINERS: Final = 400_000
"""Lists and objects of a JSON text: empty ones are 64 bytes for two of text. 50,000 workloads have as many."""
MOST_VALUES: Final = 4_000_000
"""Commas of it, so that there are about as many values: up to 32 bytes for two of text."""
DEEPEST: Final = 64
LARGE: Final = MIB
"""Bytes from which JSON is read beside other requests, and one such request at a time is answered."""
_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_NEAR = "; put long lists into tables of a scenario, or the scenario into a folder"


def limited(receive: Receive, scope: Scope, needed: int) -> Receive:
    """A body that a route takes; more of it than `needed` is refused as it comes. Raises HTTPException."""
    stated, seen = int(Headers(scope=scope).get("content-length", "0")), 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if max(stated, seen) > needed:
            await drain(receive)
            detail = f"body: more than {needed} bytes, which is what this route takes"
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, {"Connection": "close"})
        return message

    return counted


class BoundedRequest(Request):
    """A request whose JSON is made of its body in bounded memory. `done` has to be called when it is answered;
    `refused` is why its body was not read.
    """

    refused: Problem | None = None
    _turn: asyncio.Semaphore | None = None

    async def json(self) -> Any:  # noqa: ANN401 - any JSON
        """The value of the body. Raises Problem."""
        content = await self.body()
        try:
            if len(content) <= LARGE:
                return parsed(content)
            turn: asyncio.Semaphore = self.app.state.large_bodies
            await turn.acquire()
            self._turn = turn
            return await run_in_threadpool(parsed, content)
        except Problem as refused:
            self.refused = refused
            raise

    def done(self) -> None:
        """Let the next large body be read."""
        if self._turn is not None:
            self._turn.release()
            self._turn = None


def parsed(content: bytes) -> Any:  # noqa: ANN401 - any JSON
    """The value of a JSON text, of which no more is made than memory bears. Raises Problem."""
    from pydantic_core import from_json

    _check_counts(content)
    _check_depth(content)
    try:
        return from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"body: not JSON: {error}") from None


def _check_counts(content: bytes) -> None:
    for found, most, what in ((content.count(b"[") + content.count(b"{"), MOST_CONTAINERS, "lists and objects"),
                              (content.count(b","), MOST_VALUES, "values")):
        if found > most:
            detail = f"body: {found:,} {what}: at most {most:,} are read{_NEAR}"
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def _check_depth(content: bytes) -> None:
    """Only what has so many brackets can be so deep; texts are left out."""
    if content.count(b"[") + content.count(b"{") <= DEEPEST:
        return
    depth = 0
    for mark in _MARKS.finditer(content):
        kind = content[mark.start()]
        if kind in b"[{":
            depth += 1
            if depth > DEEPEST:
                raise Problem(HTTPStatus.BAD_REQUEST, f"body: byte {mark.start()}: nested too deeply: {DEEPEST} levels "
                              f"at most")
        elif kind in b"]}":
            depth -= 1
