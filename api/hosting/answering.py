"""A host's figures, and whether it is well, over HTTP: to whom the service would tell its own."""

from __future__ import annotations

import json
import threading
from http import HTTPStatus

import uvicorn
from fastapi import APIRouter, FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.access import Route
from api.hosting.figures import STUCK_S, Figures
from api.listening import address_of, listen
from api.security.authentication import Authenticated, Doorkeeper
from api.security.keyring import Keyring
from api.security.keys import Keys
from api.security.limits import Rates
from api.security.oidc import Issuer
from api.security.sessions import Sessions
from api.settings import Settings, is_loopback
from api.web import problems
from api.web.gate import Gate
from api.web.protocol import BoundedHead

FINISH_S = 1


class Answering:
    """Answers `/healthz` to anybody and `/metrics` to who may ask the service for them, in a thread of its own."""

    def __init__(self, figures: Figures, settings: Settings, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises InputError when the address is in use or not of this machine."""
        listener = listen(host, port)
        self.address = address_of(listener, host)
        issuer = None if settings.oidc is None else Issuer(settings.oidc)
        self._doorkeeper = Doorkeeper(issuer, Rates(settings.limits), loopback=is_loopback(host))
        self._store = settings.store
        config = uvicorn.Config(_app(figures, settings, self._doorkeeper), http=BoundedHead, ws="none", lifespan="off",
                                log_config=None, access_log=False, proxy_headers=False, server_header=False,
                                timeout_graceful_shutdown=FINISH_S)  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="figures", daemon=True)

    def start(self) -> None:
        """Answer from now on. Raises what the database's driver does when the keys cannot be read."""
        self._doorkeeper.start(Keyring(Keys(self._store, "host")), Sessions(self._store))
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.should_exit = True
        self._thread.join()
        self._doorkeeper.stop()


def _app(figures: Figures, settings: Settings, doorkeeper: Doorkeeper) -> FastAPI:
    """Two routes of the service's table, and so with its roles."""
    router = APIRouter(route_class=Route)

    @router.get("/healthz")
    async def alive() -> Response:
        status = HTTPStatus.OK if figures.well else HTTPStatus.SERVICE_UNAVAILABLE
        said = {"status": "ok" if figures.well else f"no round has ended for {STUCK_S:.0f} s"}
        return Response(json.dumps(said), status, media_type="application/json")

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(figures.text(), media_type=CONTENT_TYPE_LATEST)

    app = FastAPI(title="planner host", openapi_url=None)
    problems.install(app)
    app.include_router(router)
    app.add_middleware(Authenticated, doorkeeper=doorkeeper)
    app.add_middleware(Gate, max_body_bytes=settings.max_body_bytes, body_s=settings.limits.body_s)
    return app
