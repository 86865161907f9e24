"""What people were told of, and whether it arrived."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.access import CallerDep, Route
from api.context import ServiceDep
from api.database.events import About, Event, Severity, note
from api.notices import State, records

router = APIRouter(prefix="/v1/notifications", tags=["notifications"], route_class=Route)


class Notification(BaseModel):
    """One event on its way over one channel."""

    id: int
    at: str = Field(description="when it happened")
    about: About
    severity: Severity
    subject: str
    title: str
    text: str
    fields: dict[str, Any]
    resolved: bool
    fingerprint: str = Field(description="the same for the same thing again")
    channel: str
    state: State = Field(description="held: until quiet hours end; repeated: not sent, as the same was told before")
    attempts: int
    error: str | None = Field(description="why the last attempt failed")
    created_at: str
    not_before: str | None
    sent_at: str | None


class NotificationList(BaseModel):
    """The newest first."""

    notifications: list[Notification]
    next: str | None = Field(description="address of those before these, null when there are none")


@router.get("", response_model=NotificationList)
def list_notifications(
    service: ServiceDep,
    channel: str | None = None,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    before: Annotated[int | None, Query(ge=1)] = None,
) -> NotificationList:
    """What was told over which channel, what waits, and what did not arrive and why."""
    rows = records(service.store, limit, before, channel, state)
    only = {name: value for name, value in (("channel", channel), ("state", state)) if value}
    more = {"limit": limit, "before": rows[-1].notice} | only if rows else {}
    following = f"/v1/notifications?{urlencode(more)}" if len(rows) == limit else None
    found = [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name
    return NotificationList(next=following, notifications=[
        Notification(id=row.pop("notice"), fields=json.loads(row.pop("fields")), **row) for row in found])


@router.post("/test", status_code=HTTPStatus.ACCEPTED, response_model=None,
             responses={202: {"content": {"application/json": {"schema": {"type": "null"}}}}})
def test_channels(service: ServiceDep, caller: CallerDep) -> None:
    """Tell every channel something, to see whether it arrives; GET /v1/notifications says so."""
    with service.store.engine.begin() as connection:
        note(connection, Event("test", "info", "planner", "a test of notifications", f"{caller.name} asked for it"))
