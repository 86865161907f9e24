"""The application: routes, errors, and what starts and ends with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from api.access import all_guarded
from api.context import running
from api.database.tenancy import DEFAULT
from api.description.document import Described
from api.observability.requests import Metrics, Watched
from api.observability.tracing import Traced, Traces
from api.pages.all import ROUTERS as PAGES
from api.routes import (
    actuals,
    alarms,
    asking,
    audit,
    capacity,
    diagnoses,
    directing,
    fleet,
    forecasts,
    health,
    hosting,
    jobs,
    life_cycle,
    models,
    notifications,
    plans,
    profiles,
    scenarios,
    schedules,
    shadows,
)
from api.security.authentication import Authenticated, Doorkeeper
from api.security.keyring import Keyring
from api.security.keys import Keys
from api.security.limits import Rates
from api.security.oidc import Issuer
from api.security.sessions import Sessions
from api.settings import Settings
from api.web import problems
from api.web.answers import Answers
from api.web.gate import Gate
from planner import __version__
from planner.errors import InputError


def create_app(settings: Settings, traces: Traces | None = None) -> FastAPI:
    """The service for one data folder. Its workers take jobs from its queue from start to shutdown."""
    metrics = Metrics()
    issuer = None if settings.oidc is None else Issuer(settings.oidc)
    doorkeeper = Doorkeeper(issuer, Rates(settings.limits), loopback=settings.is_local)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        context = running(settings)
        with _refusing(app):
            app.state.services, store = await run_in_threadpool(context.__enter__)
        metrics.watch(store)
        try:
            with _refusing(app):
                await run_in_threadpool(doorkeeper.start, Keyring(Keys(settings.store, "service")),
                                        Sessions(settings.store))
                await run_in_threadpool(asking.configure_schedules, app.state.services.of(DEFAULT))
            yield
        finally:
            await run_in_threadpool(doorkeeper.stop)
            await run_in_threadpool(context.__exit__, None, None, None)
            if traces is not None:
                await run_in_threadpool(traces.close)

    # The built-in pages for documentation fetch scripts from elsewhere, and no built-in route asks for a role.
    app = Described(title="planner", version=__version__, lifespan=lifespan, openapi_url=None)
    problems.install(app)
    # Routes are tried in order: requests to be directed are the most, and wait for no other.
    parts = (directing, jobs, plans, life_cycle, actuals, scenarios, shadows, forecasts, capacity, profiles, asking,
             schedules, fleet, diagnoses, alarms, models, hosting, notifications, audit, health)
    routers = [*(part.router for part in parts), *PAGES]
    all_guarded(routers)
    for router in routers:
        app.include_router(router, responses=problems.DOCUMENTED)
    app.state.metrics, app.state.refused, app.state.doorkeeper = metrics, None, doorkeeper
    app.state.large_bodies = asyncio.Semaphore(1)
    app.add_middleware(Authenticated, doorkeeper=doorkeeper)
    app.add_middleware(Gate, max_body_bytes=settings.max_body_bytes, body_s=settings.limits.body_s)
    app.add_middleware(Answers)
    app.add_middleware(Watched, metrics=metrics)  # the outermost: what the gate turns away is seen too
    if traces is not None:
        app.add_middleware(Traced, traces=traces)
    return app


@contextmanager
def _refusing(app: FastAPI) -> Iterator[None]:
    """Keep why the service cannot start, for who started it, to be told in one line instead of in a traceback."""
    try:
        yield
    except InputError as error:
        app.state.refused = error
        logging.getLogger("uvicorn.error").disabled = True
        raise
