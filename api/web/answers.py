"""What all answers have in common: a tag by their content, nothing sent twice, compression, and when to ask again."""

from __future__ import annotations

from hashlib import blake2b
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.store.files import PARQUET
from api.web.preconditions import COMPRESSED, none_match, tag

AT_ONCE = "/v1/direct/"
"""Answers below this address are a few bytes that hold for one request, and are left as they are."""
AGAIN = (HTTPStatus.ACCEPTED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
AGAIN_S = "1"
"""When to ask again after these, unless the answer says otherwise."""
SMALLEST, LEVEL = 1024, 6
"""Bytes from which answers are compressed, and how hard that is tried."""
LARGE = 2**20
"""Bytes from which a tag is worked out beside other requests."""
_KEPT = ("etag", "cache-control", "vary", "date", "content-security-policy")


class Answers:
    """ASGI middleware around everything that answers. A document has a strong ETag; who sends it back in If-None-Match
    gets 304 as long as the document is the same.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        never = (*DEFAULT_EXCLUDED_CONTENT_TYPES, PARQUET)  # they are compressed, or must come as they are made
        self._whole = GZipMiddleware(_Tagged(app), SMALLEST, LEVEL, exclude_content_types=never)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and finish what comes back."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if message["status"] in AGAIN:
                    headers.setdefault("Retry-After", AGAIN_S)
                if headers.get("content-encoding") == "gzip" and "etag" in headers:  # other bytes, another tag
                    headers["etag"] = headers["etag"][:-1] + COMPRESSED
            await send(message)

        whole = scope["type"] == "http" and not scope["path"].startswith(AT_ONCE)
        await (self._whole if whole else self._plain)(scope, receive, told)


class _Tagged:
    """ASGI middleware that gives documents their tag, and sends none that the client has."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold back the head of an answer until it is known whether it is a document."""
        if scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        known = Headers(scope=scope).get("if-none-match")
        head: Message | None = None
        dropped = False

        async def told(message: Message) -> None:
            nonlocal head, dropped
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
                head = message
            elif head is None:
                if not dropped:
                    await send(message)
            else:
                start, head = head, None
                dropped = await _tagged(start, message) and none_match(known, MutableHeaders(scope=start)["etag"])
                await send(_unchanged(start) if dropped else start)
                await send({"type": "http.response.body"} if dropped else message)

        await self.app(scope, receive, told)


async def _tagged(start: Message, first: Message) -> bool:
    """Whether the answer has a tag; one that is whole gets it here, unless it is not to be kept."""
    headers, body = MutableHeaders(scope=start), first.get("body", b"")
    whole = not first.get("more_body", False) and headers.get("cache-control") != "no-store"
    if "etag" not in headers and whole:
        headers["etag"] = await run_in_threadpool(_hashed, body) if len(body) > LARGE else _hashed(body)
    if "etag" not in headers:
        return False
    headers.setdefault("cache-control", "private, no-cache")
    return True


def _hashed(body: bytes) -> str:
    return tag(blake2b(body, digest_size=16).hexdigest())


def _unchanged(start: Message) -> Message:
    """304 in the place of a document."""
    kept = [(name, value) for name, value in start["headers"] if name.decode("latin-1").lower() in _KEPT]
    return {"type": "http.response.start", "status": HTTPStatus.NOT_MODIFIED.value, "headers": kept}
