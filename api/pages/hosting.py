"""Diagnostics as hosts serve them by the plan in force: who serves what, which versions, what is wrong, retraining."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from fastapi import Request, Response

from api.context import ServiceDep
from api.hosting.looking import HOURS
from api.hosting.plans import Following
from api.pages.shell import page, page_router
from api.routes.hosting import get_hosting, get_retraining, get_versions, hosted_alarms

router = page_router()

DAYS: Final = 7.0
"""Rows that versions are of, before the newest."""
STEPS: Final = 50
"""Steps of retraining that are shown, the newest."""


@router.get("/hosting")
def hosting(request: Request, service: ServiceDep) -> Response:
    """What hosts do and say."""
    if Following(service.store.engine).now() is None:
        return page(request, "hosting.html.j2", work=None)
    from planner.report.super_alarms import told_of

    found = hosted_alarms(service, HOURS)
    together = [told_of(one) for one in found.super_alarms[::-1]]
    since = datetime.fromtimestamp(found.complete_from or 0, UTC) if found.cut else None
    return page(request, "hosting.html.j2", work=get_hosting(service).work, serves=get_versions(service, DAYS).serves,
                together=together, since=since, steps=get_retraining(service).steps[::-1][:STEPS], hours=HOURS,
                days=DAYS)
