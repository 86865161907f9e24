"""What is turned away before anything reads it: bodies that are too large or too slow."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.web.problems import problem_response

LITTLE = 2**20
"""Bytes that are read of a body which nobody will look at."""
DRAIN_S = 5.0
"""Seconds for that."""
_DRAINED = 4


AT_ONCE = 3
"""Bodies of the longest kind that may be on their way at a time; the bytes of one are in memory twice when it is put
together."""


class Gate:
    """ASGI middleware: a body that is too long, or too long on its way, is refused before anything reads it; so is one
    that comes while others fill what memory there is for them.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int, body_s: float) -> None:
        self.app = app
        self.max_body_bytes, self.body_s = max_body_bytes, body_s
        self._held: list[list[int]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a problem."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope))
        if refusal:
            await drain(receive, _DRAINED * self.max_body_bytes)
            await problem_response(*refusal, headers={"Connection": "close"})(scope, receive, send)
            return
        held = [0]
        self._held.append(held)
        try:
            await self.app(scope, self._limited(receive, held), send)
        finally:
            self._held = [other for other in self._held if other is not held]

    def _refusal(self, headers: Headers) -> tuple[HTTPStatus, str] | None:
        """Why a request is refused by its headers alone."""
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            return HTTPStatus.BAD_REQUEST, f"Content-Length: {length}: not a number"
        if int(length) > self.max_body_bytes:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_large()
        return None

    def _limited(self, receive: Receive, held: list[int]) -> Receive:
        """Count what arrives, for bodies that do not state their length, and wait only so long for all of it. What this
        request holds is counted in `held`. Where bodies fill their memory, the one that is furthest still gets the rest
        of it: otherwise all of those that come at once would be turned away.
        """
        seen, until, arrived = 0, time.monotonic() + self.body_s, False

        async def counted() -> Message:
            nonlocal seen, arrived
            if arrived:  # what is waited for now is that the client goes away
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), until - time.monotonic())
            except TimeoutError:
                late = f"body: not here after {self.body_s:g} s"
                raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, late, {"Connection": "close"}) from None
            arrives = len(message.get("body", b""))
            seen, held[0] = seen + arrives, held[0] + arrives
            if self._full() and held[0] < max(other[0] for other in self._held):
                await drain(receive)
                full = "bodies: others fill the memory there is for them: send it again"
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, full, {"Connection": "close", "Retry-After": "1"})
            arrived = not message.get("more_body", False)
            if seen > self.max_body_bytes:
                if message.get("more_body", False):
                    await drain(receive, _DRAINED * self.max_body_bytes)
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_large())
            return message

        return counted

    def _full(self) -> bool:
        return sum(held[0] for held in self._held) > (AT_ONCE - 1) * self.max_body_bytes

    def _too_large(self) -> str:
        return f"body: more than {self.max_body_bytes} bytes: put the scenario in a folder and plan it by name"


async def drain(receive: Receive, most: int = LITTLE) -> None:
    """Drop what still arrives, within reason: a client that is sending does not hear an answer."""
    dropped = 0
    with suppress(TimeoutError, HTTPException):
        async with asyncio.timeout(DRAIN_S):
            while dropped < most:
                message = await receive()
                dropped += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
