"""What is turned away before anything reads it: other hosts' names, other sites' pages, bodies that are too large."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem_response
from api.settings import is_loopback

_DRAINED = 4


class Gate:
    """ASGI middleware. The service has no keys yet, so only this machine may ask, under its own name: a page of another
    site that a browser here happens to show (a foreign Origin, or a name rebound to 127.0.0.1) may not.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a problem."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope))
        if refusal:
            await self._drain(receive)
            await problem_response(*refusal, headers={"Connection": "close"})(scope, receive, send)
            return
        await self.app(scope, self._limited(receive), send)

    def _refusal(self, headers: Headers) -> tuple[HTTPStatus, str] | None:
        """Why a request is refused by its headers alone."""
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if not is_loopback(host):
            return HTTPStatus.MISDIRECTED_REQUEST, f"Host: {host}: only 127.0.0.1, ::1 and localhost are served"
        origin = headers.get("origin")
        if origin is not None and not is_loopback(urlsplit(origin).hostname or ""):
            return HTTPStatus.FORBIDDEN, f"Origin: {origin}: pages of other sites may not ask"
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            return HTTPStatus.BAD_REQUEST, f"Content-Length: {length}: not a number"
        if int(length) > self.max_body_bytes:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_large()
        return None

    def _limited(self, receive: Receive) -> Receive:
        """Count what arrives, for bodies that do not state their length."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_body_bytes:
                if message.get("more_body", False):
                    await self._drain(receive)
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_large())
            return message

        return counted

    async def _drain(self, receive: Receive) -> None:
        """Drop what still arrives, within reason: a client that is sending does not hear an answer."""
        dropped = 0
        while dropped < _DRAINED * self.max_body_bytes:
            message = await receive()
            dropped += len(message.get("body", b""))
            if not message.get("more_body", False):
                return

    def _too_large(self) -> str:
        return f"body: more than {self.max_body_bytes} bytes: put the scenario in a folder and plan it by name"
