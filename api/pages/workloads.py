"""Workloads of a plan: all of them in pages, searched, filtered and sorted; and one, why it is where it is."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response

from api.context import Service, ServiceDep
from api.pages.kept import summary_of, workloads_of
from api.pages.shell import GIVEN, page, page_router
from api.routes.plans import plan_row
from api.store.placements import Placements
from api.web.problems import Problem
from planner.workload_list import STANDINGS, Wanted

router = page_router()

ROWS = 100
"""Workloads of a page."""
UNITS = 200
"""Units of one workload that its page shows."""
HEADINGS: Final[tuple[tuple[str, str, bool], ...]] = (
    ("workload", "Workload", False), ("kind", "Kind", False), ("owner", "Owner", False), ("priority", "priority", True),
    ("", "SLA", False), ("", "Where", False), ("units", "units", True), ("usd", "USD", True),
    ("runner_up_extra_usd", "elsewhere, USD more", True), ("", "Why here", False),
)
"""Columns: what they are sorted by, what they are called, and whether they are numbers."""


@router.get("/plans/{plan_id}/workloads")
def list_workloads(
    plan_id: str, request: Request, service: ServiceDep, q: Annotated[str, Query(max_length=200)] = "", kind: str = "",
    owner: str = "", cluster: str = "", standing: str = "", group: Annotated[int | None, GIVEN] = None,
    sort: str = "-usd", at: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> Response:
    """Workloads of a plan, a hundred at a time."""
    plan, found = plan_row(service, plan_id), workloads_of(service, plan_id)
    wanted = Wanted(q, kind, owner, cluster, standing, group, sort)
    rows, total = found.rows(wanted, (at - 1) * ROWS, ROWS)
    asked = {"q": q, "kind": kind, "owner": owner, "cluster": cluster, "standing": standing, "group": group,
             "sort": None if sort == "-usd" else sort}
    return page(request, "workloads.html.j2", plan=plan, found=found, rows=rows, total=total,
                asked=asked, sort=sort, at=at, first=(at - 1) * ROWS + 1, last=-(-total // ROWS), headings=HEADINGS,
                standings=STANDINGS, group=None if group is None else _group(service, plan_id, group))


@router.get("/plans/{plan_id}/workloads/{workload:path}")
def one_workload(plan_id: str, workload: str, request: Request, service: ServiceDep, elsewhere: bool = False
                 ) -> Response:
    """One workload: where it is and why; and, where asked for, what every other place would cost or what forbids it."""
    row, found = plan_row(service, plan_id), workloads_of(service, plan_id).one(workload)
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"workload {workload}: this plan has none of that name")
    units = Placements(service.store.engine).units(plan_id, workload=workload)
    told = service.explainer.explain(row, workload, None) if elsewhere else None
    return page(request, "workload.html.j2", plan=row, workload=found, units=units[:UNITS], unit_count=len(units),
                groups=[(number, group) for number in found["groups"]
                        if (group := _group(service, plan_id, number)) is not None], told=told)


def _group(service: Service, plan_id: str, number: int) -> dict[str, Any] | None:
    """Those who share a pool, by number; None where the summary has no group of it."""
    groups = (summary_of(service, plan_id) or {"plan": {"groups": []}})["plan"]["groups"]
    return groups[number] if 0 <= number < len(groups) else None
