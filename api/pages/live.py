"""What has changed, as server-sent events: a page that shows it asks for itself again."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import astuple
from typing import Annotated, Any, Final, Literal, get_args

from fastapi import APIRouter, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy import Executable, func, select
from starlette.concurrency import run_in_threadpool

from api.context import Service, ServiceDep
from api.database.tables import (
    alarm_feedback,
    alarm_seen,
    cluster_health,
    cursors,
    jobs,
    life_events,
    loop_steps,
    streams,
)
from api.hosting.leases import standing
from api.pages.shell import PageRoute

router = APIRouter(route_class=PageRoute, include_in_schema=False)

Topic = Literal["jobs", "plans", "health", "alarms", "diagnoses", "models", "hosting"]
LOOK_S: Final = 0.5
"""How often it is looked."""
_NEWEST = 200
"""Jobs that are looked at: pages show the newest."""
_JOBS = select(jobs.c.id, jobs.c.status, jobs.c.attempt, jobs.c.phase, jobs.c.share, jobs.c.seconds,
               jobs.c.gap).order_by(jobs.c.seq.desc()).limit(_NEWEST)


def _rows(*queries: Executable) -> Callable[[Service], object]:
    """What queries answer."""

    def read(service: Service) -> object:
        with service.store.engine.connect() as connection:
            return [[list(row) for row in connection.execute(query)] for query in queries]

    return read


_READ = _rows(select(func.sum(streams.c.last)), select(func.sum(cursors.c.number)),
              select(func.count()).select_from(loop_steps))


def _hosting(service: Service) -> object:
    """Who serves what, how far telemetry came and was read, and how far retraining is."""
    held = standing(service.store.engine)
    return [{workload: astuple(held[workload]) for workload in sorted(held)}, _READ(service)]


TOPICS: Final[Mapping[Topic, Callable[[Service], object]]] = {
    "jobs": _rows(_JOBS),
    "plans": _rows(select(func.max(life_events.c.seq))),
    "health": _rows(select(func.max(cluster_health.c.version), func.count()).select_from(cluster_health)),
    "alarms": _rows(select(func.count()).select_from(alarm_feedback), select(func.count()).select_from(alarm_seen)),
    "diagnoses": lambda service: service.diagnoses.state(),
    "models": lambda service: service.diagnoses.changes(),
    "hosting": _hosting,
}
"""What pages show, and what is different once it has changed."""


@router.get("/events", response_class=EventSourceResponse)
async def live(service: ServiceDep, topic: Annotated[tuple[Topic, ...], Query()] = get_args(Topic)
               ) -> AsyncIterator[ServerSentEvent]:
    """`ready` once it is looked, then an event named after each topic that has changed."""
    async for changed in changes(lambda: _state(service, topic)):
        yield ServerSentEvent(event=changed, data=changed)


async def changes(state: Callable[[], Mapping[str, str]]) -> AsyncIterator[str]:
    """Topics as they change."""
    before = await run_in_threadpool(state)
    yield "ready"
    while True:
        await asyncio.sleep(LOOK_S)
        now = await run_in_threadpool(state)
        for topic in now:
            if now[topic] != before[topic]:
                yield topic
        before = now


def _state(service: Service, topics: tuple[Topic, ...]) -> dict[str, str]:
    return {topic: _digest(TOPICS[topic](service)) for topic in topics}


def _digest(found: Any) -> str:  # noqa: ANN401 - anything that JSON can tell
    return hashlib.blake2b(json.dumps(found).encode(), digest_size=8).hexdigest()
