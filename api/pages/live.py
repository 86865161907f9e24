"""What has changed, as server-sent events: a page that shows it asks for itself again."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from fastapi import APIRouter
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy import Engine, Executable, func, select
from starlette.concurrency import run_in_threadpool

from api.context import Service, ServiceDep
from api.database.tables import alarm_feedback, alarm_seen, cluster_health, jobs, life_events
from api.pages.shell import PageRoute

router = APIRouter(route_class=PageRoute, include_in_schema=False)

LOOK_S: Final = 0.5
"""How often it is looked."""
_NEWEST = 200
"""Jobs that are looked at: pages show the newest."""
_JOBS = select(jobs.c.id, jobs.c.status, jobs.c.attempt, jobs.c.phase, jobs.c.share, jobs.c.seconds,
               jobs.c.gap).order_by(jobs.c.seq.desc()).limit(_NEWEST)
TOPICS: Final[dict[str, tuple[Executable, ...]]] = {
    "jobs": (_JOBS,),
    "plans": (select(func.max(life_events.c.seq)),),
    "health": (select(func.max(cluster_health.c.version), func.count()).select_from(cluster_health),),
    "alarms": (select(func.count()).select_from(alarm_feedback), select(func.count()).select_from(alarm_seen)),
}
"""What pages show, and what is different once it has changed."""


@router.get("/events", response_class=EventSourceResponse)
async def live(service: ServiceDep) -> AsyncIterator[ServerSentEvent]:
    """`ready` once it is looked, then an event named after each topic that has changed."""
    async for topic in changes(lambda: _state(service)):
        yield ServerSentEvent(event=topic, data=topic)


async def changes(state: Callable[[], dict[str, str]]) -> AsyncIterator[str]:
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


def _state(service: Service) -> dict[str, str]:
    engine: Engine = service.store.engine
    with engine.connect() as connection:
        return {topic: _digest([[list(row) for row in connection.execute(query)] for query in queries])
                for topic, queries in TOPICS.items()}


def _digest(rows: list[Any]) -> str:
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=8).hexdigest()
