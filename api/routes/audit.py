"""Who did what."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.access import Route
from api.context import ServiceDep
from api.database.recording import entries

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=Route)


class Entry(BaseModel):
    """Something that somebody did, or tried."""

    seq: int
    at: str
    caller: str = Field(description="key/ID/NAME, user/NAME of a token, local, or command line/USER")
    action: str = Field(description="the route, or what was done to a key")
    target: str
    result: str = Field(description="done: what was changed was written together with this; else the answer's status")
    request_id: str


class EntryList(BaseModel):
    """The newest first."""

    entries: list[Entry]
    next: str | None = Field(description="address of the entries before these, null when there are none")


@router.get("", response_model=EntryList)
def list_audit(
    service: ServiceDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    caller: Annotated[str | None, Query(max_length=500, description="only of this one")] = None,
) -> EntryList:
    """What callers of this tenant changed or were refused, the newest first. Nothing of it is ever changed."""
    rows = entries(service.store.engine, limit, before, caller)
    more = {"limit": limit, "before": rows[-1].seq} | ({} if caller is None else {"caller": caller}) if rows else {}
    following = f"/v1/audit?{urlencode(more)}" if len(rows) == limit else None
    return EntryList(entries=[Entry(**row._asdict()) for row in rows], next=following)
