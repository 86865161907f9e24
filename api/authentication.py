"""Who asks is found out before anything else of a request is looked at."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import LOCAL, known_as


class Authenticated:
    """ASGI middleware that notes who asks. Only this machine may, so it is always the local caller."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note it and pass the request on."""
        known_as(scope, LOCAL)
        await self.app(scope, receive, send)
